use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

const URL: &str = "az://policy/prod/main.tar.gz";
const TARGET: &str = "/policy/prod/main.tar.gz";
/// `c4n4ry key` in Base64.
const KEY: &str = "YzRuNHJ5IGtleQ==";

fn config(depot: &Depot, settings: &str) -> String {
    let endpoint = depot.url("");
    format!(
        "bundles: {{ main: {{ url: \"{URL}\", {OFTEN}, object_store: {{ account: company, endpoint: \
         \"{endpoint}\" }}, {settings} }} }}\n"
    )
}

/// Whether a request is signed by a key of the account (Shared Key, for the Blob service).
fn is_signed(asked: &Asked, key: &[u8]) -> bool {
    let mut of_azure: Vec<_> = asked.headers.iter().collect();
    of_azure.retain(|(name, _)| name.starts_with("x-ms-"));
    of_azure.sort();
    let of_azure = of_azure
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"));
    let mut text = format!("{}\n", asked.method);
    for name in [
        "content-encoding",
        "content-language",
        "content-length",
        "content-md5",
        "content-type",
        "date",
        "if-modified-since",
        "if-match",
        "if-none-match",
        "if-unmodified-since",
        "range",
    ] {
        let value = asked.header(name);
        // Rule: a length of 0 is none.
        let is_none = name == "content-length" && value == "0";
        text += if is_none { "" } else { value };
        text += "\n";
    }
    text.extend(of_azure);
    text += &format!("/company{}", asked.target);
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let signature = STANDARD.encode(hmac::sign(&key, text.as_bytes()));
    asked.header("authorization") == format!("SharedKey company:{signature}")
}

#[tokio::test]
async fn a_key_of_an_account() {
    let settings = format!("credentials: {{ azure: {{ account_key: \"{KEY}\" }} }}");
    let rows: [(_, &[(&str, &str)]); 2] = [
        (settings.as_str(), &[]),
        ("persist: true", &[("AZURE_STORAGE_ACCOUNT_KEY", KEY)]),
    ];
    for (settings, environment) in rows {
        let depot = Depot::start(guarded(|asked| {
            asked.target == TARGET && is_signed(asked, b"c4n4ry key")
        }));
        let server = server(config(&depot, settings), environment);
        ready(&server).await;
        asked_again(&depot, 2).await;
        let asked = depot.asked();
        assert_eq!(asked.last().unwrap().header("if-none-match"), "\"1\"");
        assert_eq!(revision(&server), "one");
        let shown = http::get(&server.url("/v1/config")).body;
        assert!(!shown.contains(KEY), "{shown}");
        depot.play(|_| Reply::status(404).header("x-ms-error-code", "BlobNotFound"));
        fails(&server, "Not Found (BlobNotFound)").await;
    }
}

#[tokio::test]
async fn a_signature_that_was_handed_out() {
    let depot = Depot::start(guarded(|asked| {
        let (path, query) = asked.target.split_once('?').unwrap();
        path == TARGET
            && query == "sv=2024&sig=c4n4ry%2B"
            && asked.header("authorization").is_empty()
    }));
    let settings = "credentials: { azure: { sas_token: \"?sv=2024&sig=c4n4ry%2B\" } }";
    let server = server(config(&depot, settings), &[]);
    ready(&server).await;
    is_kept_secret(&server);
    depot.play(|_| Reply::status(403).header("x-ms-error-code", "AuthenticationFailed"));
    fails(&server, "Forbidden (AuthenticationFailed)").await;
}

#[tokio::test]
async fn tokens_of_an_authority() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "c4n4ry-w").unwrap();
    let object = guarded(|asked| asked.header("authorization") == "Bearer c4n4ry");
    let depot = Depot::start(move |asked| {
        let token = "{\"access_token\": \"c4n4ry\", \"expires_in\": 3600, \"expires_on\": \
                     \"4000000000\", \"token_type\": \"Bearer\"}";
        let path = asked.target.split('?').next().unwrap();
        match (asked.method.as_str(), path) {
            ("GET", TARGET) => object(asked),
            ("POST", "/tenant/oauth2/v2.0/token")
                if asked.body.contains("client_id=me")
                    && (asked.body.contains("client_secret=c4n4ry-s")
                        || asked.body.contains("client_assertion=c4n4ry-w")) =>
            {
                Reply::body(token)
            }
            ("GET", "/identity") if asked.header("metadata") == "true" => Reply::body(token),
            _ => Reply::status(400),
        }
    });
    let (authority, identity) = (depot.url(""), depot.url("/identity"));
    let of_all = [
        ("AZURE_AUTHORITY_HOST", authority.as_str()),
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "me"),
    ];
    let secret = ("AZURE_CLIENT_SECRET", "c4n4ry-s");
    let wrong = ("AZURE_CLIENT_SECRET", "c4n4ry-x");
    let federated = ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap());
    for who in [secret, federated] {
        let environment = [&of_all[..], &[who]].concat();
        let server = server(config(&depot, "persist: true"), &environment);
        ready(&server).await;
        is_kept_secret(&server);
    }
    let environment = [&of_all[..], &[wrong]].concat();
    let refused = server(config(&depot, "persist: true"), &environment);
    fails(&refused, "no token was given: status 400").await;
    let metadata = "credentials: { environment: { metadata: true } }";
    let machine = [("IDENTITY_ENDPOINT", identity.as_str())];
    let closed = server(config(&depot, "persist: true"), &machine);
    fails(&closed, "no credentials").await;
    let open = server(config(&depot, metadata), &machine);
    ready(&open).await;
    is_kept_secret(&open);
}
