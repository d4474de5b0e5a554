use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;

const URL: &str = "gs://company-policy/prod/main.tar.gz";
const TARGET: &str = "/company%2Dpolicy/prod%2Fmain%2Etar%2Egz";

/// A key of a service account as Google hands it out, and the key that verifies what it signs.
fn account() -> (String, Vec<u8>) {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let private = STANDARD.encode(private.as_ref());
    let key = json!({
        "type": "service_account",
        "private_key": format!("-----BEGIN PRIVATE KEY-----\n{private}\n-----END PRIVATE KEY-----\n"),
        "private_key_id": "k1",
        "client_email": "doorward@company.iam.gserviceaccount.com",
    });
    (key.to_string(), pair.public_key().as_ref().to_vec())
}

/// Whether a request's token is signed by the account's key and is of the account.
fn is_signed(asked: &Asked, public: &[u8]) -> bool {
    let Some(token) = asked.header("authorization").strip_prefix("Bearer ") else {
        return false;
    };
    let Some((text, signature)) = token.rsplit_once('.') else {
        return false;
    };
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
    if key.verify(text.as_bytes(), &signature).is_err() {
        return false;
    }
    let claims = URL_SAFE_NO_PAD.decode(text.split_once('.').unwrap().1);
    let claims: Value = serde_json::from_slice(&claims.unwrap()).unwrap();
    claims["iss"] == "doorward@company.iam.gserviceaccount.com"
}

#[tokio::test]
async fn a_service_account() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.json");
    let (key, public) = account();
    let depot = Depot::start(guarded(move |asked| {
        asked.target == TARGET && is_signed(asked, &public)
    }));
    let settings = format!(
        "credentials: {{ gcp: {{ service_account_file: \"{}\" }} }}",
        file.display()
    );
    let of_file = server(config(URL, &depot, &settings), &[]);
    fails(&of_file, "No such file").await;
    std::fs::write(&file, "{\"private_key\": \"c4n4ry\"}").unwrap();
    fails(&of_file, "holds no key of a service account").await;
    let bad = key.replace("BEGIN PRIVATE KEY", "BEGIN C4N4RY KEY");
    std::fs::write(&file, bad).unwrap();
    fails(&of_file, "the credentials cannot be used").await;
    std::fs::write(&file, account().0).unwrap();
    fails(&of_file, "replied with Forbidden").await;
    std::fs::write(&file, key).unwrap();
    ready(&of_file).await;
    asked_again(&depot, 2).await;
    assert_eq!(
        depot.asked().last().unwrap().header("if-none-match"),
        "\"1\""
    );
    let environment = [("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap())];
    let of_environment = server(config(URL, &depot, "persist: true"), &environment);
    ready(&of_environment).await;
}

#[tokio::test]
async fn the_machine_says_who_asks_if_it_may() {
    let object = guarded(|asked| asked.header("authorization") == "Bearer c4n4ry");
    let depot = Depot::start(move |asked| {
        let path = "/computeMetadata/v1/instance/service-accounts/default/token";
        match asked.target.starts_with(path) && asked.header("metadata-flavor") == "Google" {
            true => Reply::body(
                "{\"access_token\": \"c4n4ry\", \"expires_in\": 3600, \"token_type\": \"Bearer\"}",
            ),
            false => object(asked),
        }
    });
    let host = depot.url("").replace("http://", "");
    let folder = tempfile::tempdir().unwrap();
    let environment = [
        ("GCE_METADATA_HOST", host.as_str()),
        // Without credentials of a developer.
        ("HOME", folder.path().to_str().unwrap()),
    ];
    let closed = server(config(URL, &depot, "persist: true"), &environment);
    fails(&closed, "no credentials").await;
    assert!(depot.asked().is_empty());
    let metadata = "credentials: { environment: { metadata: true } }";
    let server = server(config(URL, &depot, metadata), &environment);
    ready(&server).await;
    is_kept_secret(&server);
}

#[tokio::test]
async fn nobody_asks() {
    let depot = Depot::start(guarded(|asked| {
        asked.header("authorization").is_empty()
            && asked.target == TARGET
            && asked.header("accept-encoding") == "gzip"
    }));
    let settings = "credentials: { anonymous: {} }";
    let server = server(config(URL, &depot, settings), &[]);
    ready(&server).await;
    depot.play(|_| {
        let body = "<Error><Code>NoSuchBucket</Code></Error>";
        Reply::With(404, Vec::new(), body.into())
    });
    fails(&server, "Not Found (NoSuchBucket)").await;
}
