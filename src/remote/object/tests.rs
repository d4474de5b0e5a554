use std::sync::Arc;

use object_store::ObjectStoreExt as _;
use reqwest::StatusCode;

use super::access::{Access, Keys, find};
use super::connection::{Connection, Purpose, cause, refused};
use super::{Object, stores};
use crate::address::OwnPorts;
use crate::bundle::{BundleSource, BundleUrl, ObjectUrl, RemoteSource};
use crate::remote::fetch::Fetcher;

/// A source as it is configured.
fn source(text: &str) -> Arc<RemoteSource> {
    let documents = crate::yaml::Document::parse_stream(text).unwrap();
    let value = documents.into_iter().next().unwrap().value;
    let source: BundleSource = serde_json::from_value(value).unwrap();
    assert_eq!(source.problems(), [], "{text}");
    Arc::new(source.remote("x").unwrap())
}

fn object(source: &RemoteSource) -> ObjectUrl {
    match &source.url {
        BundleUrl::Object(url) => url.clone(),
        BundleUrl::Server(url) => panic!("{url}"),
    }
}

/// Who asks in an environment, a word a value.
fn found(configured: &str, environment: &[(&str, &str)]) -> String {
    let source = source(configured);
    let variable = |name: &str| {
        let mut variables = environment.iter();
        let (_, value) = variables.find(|(known, _)| *known == name)?;
        Some((*value).to_owned())
    };
    fn words<K: AsRef<str>>(keys: &Option<Keys<K>>) -> String {
        let Some(keys) = keys else {
            return "nobody".to_owned();
        };
        let values = keys.values.iter();
        let mut words: Vec<_> = values
            .map(|(key, value)| format!("{}={value}", key.as_ref()))
            .collect();
        words.extend(keys.uses_metadata.then(|| "metadata".to_owned()));
        words.join(" ")
    }
    match find(&source, object(&source).kind, &variable) {
        Ok(Access::S3 { keys, region: None }) => words(&keys),
        Ok(Access::S3 { keys, region }) => format!("{} in {}", words(&keys), region.unwrap()),
        Ok(Access::Gcs(keys)) => words(&keys),
        Ok(Access::Azure(keys)) => words(&keys),
        Err(error) => error.to_string(),
    }
}

const S3: &str = "{url: 's3://b/k'}";
const S3_METADATA: &str = "{url: 's3://b/k', credentials: {environment: {metadata: true}}}";
const GCS: &str = "{url: 'gs://b/k'}";
const GCS_METADATA: &str = "{url: 'gs://b/k', credentials: {environment: {metadata: true}}}";
const AZURE: &str = "{url: 'abfss://c@a.dfs.core.windows.net/k'}";
const AZURE_METADATA: &str = "{url: 'az://c/k', object_store: {account: a}, \
                              credentials: {environment: {metadata: true}}}";

#[test]
fn who_asks() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "c4n4ry\n").unwrap();
    let file = file.to_str().unwrap();
    let check = |configured: &str, environment: &[(&str, &str)], expected: &str| {
        let found = found(configured, environment);
        assert_eq!(found, expected, "{configured} {environment:?}");
    };
    let id = ("AWS_ACCESS_KEY_ID", "me");
    let secret = ("AWS_SECRET_ACCESS_KEY", "s");
    let of_keys = "aws_access_key_id=me aws_secret_access_key=s";
    check(S3, &[id, secret], of_keys);
    let of_session = format!("{of_keys} aws_session_token=t");
    let session = ("AWS_SESSION_TOKEN", "t");
    check(S3, &[id, secret, session], &of_session);
    let in_region = format!("{of_keys} in eu-west-1");
    let region = ("AWS_DEFAULT_REGION", "eu-west-1");
    check(S3, &[id, secret, region], &in_region);
    check(S3, &[id, secret, ("AWS_REGION", ""), region], &in_region);
    let other = ("AWS_REGION", "eu-west-2");
    let in_other = format!("{of_keys} in eu-west-2");
    check(S3, &[id, secret, region, other], &in_other);
    let bad = ("AWS_REGION", "evil.example/");
    let no_region =
        "`AWS_REGION` or `AWS_DEFAULT_REGION` of the environment is no name of a region";
    check(S3, &[id, secret, bad], no_region);
    let configured = "{url: 's3://b/k', object_store: {region: here}}";
    check(
        configured,
        &[id, secret, other],
        &format!("{of_keys} in here"),
    );

    let role = [("AWS_WEB_IDENTITY_TOKEN_FILE", file), ("AWS_ROLE_ARN", "r")];
    let of_role = format!("aws_web_identity_token_file={file} aws_role_arn=r");
    check(S3, &role, &of_role);
    check(S3_METADATA, &role, &of_role);
    let no_file = ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere");
    let missing = "/nowhere: No such file or directory (os error 2)";
    check(S3, &[no_file, role[1]], missing);
    let task = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x");
    check(
        S3_METADATA,
        &[task],
        "aws_container_credentials_relative_uri=/v2/x metadata",
    );
    check(S3_METADATA, &[], "metadata");
    check(S3_METADATA, &[id, secret], of_keys);
    check(GCS_METADATA, &[], "metadata");
    let client = ("AZURE_CLIENT_ID", "i");
    check(AZURE_METADATA, &[], "metadata");
    check(
        AZURE_METADATA,
        &[client],
        "azure_storage_client_id=i metadata",
    );
    let tenant = ("AZURE_TENANT_ID", "t");
    let of_client = "azure_storage_client_id=i azure_storage_tenant_id=t";
    check(
        AZURE,
        &[client, tenant, ("AZURE_CLIENT_SECRET", "s")],
        &format!("azure_storage_client_secret=s {of_client}"),
    );
    check(
        AZURE,
        &[client, tenant, ("AZURE_FEDERATED_TOKEN_FILE", file)],
        &format!("azure_federated_token_file={file} {of_client}"),
    );
    check(
        AZURE,
        &[("AZURE_STORAGE_ACCOUNT_KEY", "k")],
        "azure_storage_account_key=k",
    );
    check(
        AZURE,
        &[("AZURE_STORAGE_SAS_TOKEN", "s")],
        "azure_storage_sas_key=s",
    );
    for configured in [S3, GCS, AZURE] {
        let nobody = configured.replace('}', ", credentials: {anonymous: {}}}");
        check(&nobody, &[id, secret], "nobody");
    }
}

/// Rule: nothing is asked in place of credentials that are not there.
#[test]
fn nobody_asks() {
    let rows: [(_, &[(&str, &str)], _); 6] = [
        (S3, &[], "AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY"),
        (S3, &[("AWS_ACCESS_KEY_ID", "me")], "no credentials"),
        (
            S3,
            &[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x")],
            "no credentials",
        ),
        (GCS, &[], "GOOGLE_APPLICATION_CREDENTIALS"),
        (AZURE, &[("AZURE_CLIENT_ID", "i")], "no credentials"),
        (
            GCS,
            &[("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere")],
            "/nowhere: No such file",
        ),
    ];
    for (configured, environment, expected) in rows {
        let found = found(configured, environment);
        assert!(found.contains(expected), "{configured}: {found}");
    }
}

#[test]
fn files_of_service_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.json");
    let configured = format!(
        "{{url: 'gs://b/k', credentials: {{gcp: {{service_account_file: '{}'}}}}}}",
        file.display()
    );
    for (text, is_good) in [
        (r#"{"type": "service_account"}"#, true),
        (
            r#"{"type": "authorized_user", "refresh_token": "c4n4ry"}"#,
            false,
        ),
        (r#"{"type": "external_account"}"#, false),
        ("c4n4ry", false),
        ("", false),
    ] {
        std::fs::write(&file, text).unwrap();
        let found = found(&configured, &[]);
        match is_good {
            true => assert_eq!(found, format!("google_service_account_key={text}")),
            false => {
                assert!(
                    found.ends_with("holds no key of a service account"),
                    "{found}"
                );
                assert!(!found.contains("c4n4ry"), "{found}");
            }
        }
    }
}

fn fetcher() -> Arc<Fetcher> {
    Arc::new(Fetcher::new(OwnPorts::default()))
}

/// The library asks for credentials only where they may be; what is refused is not connected to.
#[tokio::test]
async fn the_metadata_service_is_for_credentials_only() {
    let at = |url: &str| http::Request::get(url).body(Vec::new().into()).unwrap();
    let check = async |purpose, url: &str, expected: &str| {
        let connection = Connection {
            fetcher: fetcher(),
            source: source("{url: 's3://b/k', credentials: {anonymous: {}}}"),
            purpose,
        };
        let error = connection.ask(at(url)).await.err();
        let found = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(found.contains(expected), "{purpose:?} {url}: {found}");
    };
    let refused = "is link-local";
    let metadata = "http://169.254.169.254/latest/api/token";
    check(Purpose::Object, metadata, refused).await;
    let without = Purpose::Credentials { metadata: false };
    check(without, metadata, refused).await;
    check(without, "http://169.254.170.23/v1/credentials", refused).await;
    let with = Purpose::Credentials { metadata: true };
    check(with, "http://169.254.1.1/", refused).await;
    check(with, "http://100.100.100.200/", refused).await;
    // A port without anybody, so that nothing of this machine's is asked.
    check(with, "http://127.0.0.1:1/", "error sending request").await;
}

/// An endpoint is asked by the rules of all URLs, whoever asks.
#[tokio::test]
async fn no_object_comes_from_where_credentials_do() {
    let source = source(
        "{url: 's3://b/k', timeout: 1s, object_store: {endpoint: 'http://169.254.169.254'}, \
         credentials: {environment: {metadata: true}}}",
    );
    let keys = Keys {
        values: vec![
            ("aws_access_key_id".parse().unwrap(), "me".to_owned()),
            ("aws_secret_access_key".parse().unwrap(), "s".to_owned()),
        ],
        uses_metadata: true,
    };
    let access = Access::S3 {
        keys: Some(keys),
        region: None,
    };
    let url = object(&source);
    let store = stores::make(&url, &source, &access, &fetcher()).unwrap();
    let error = store.get(&url.path).await.unwrap_err();
    let found = cause(&error).to_string();
    assert!(found.contains("169.254.169.254 is link-local"), "{found}");
}

#[test]
fn where_objects_are() {
    let check = |configured: &str, expected: &str| {
        let source = source(configured);
        let url = object(&source);
        let variable = |name: &str| {
            let values = [
                ("AWS_ACCESS_KEY_ID", "me"),
                ("AWS_SECRET_ACCESS_KEY", "s"),
                ("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0"),
            ];
            let (_, value) = values.into_iter().find(|(known, _)| *known == name)?;
            Some(value.to_owned())
        };
        let access = find(&source, url.kind, &variable).unwrap();
        let store = stores::make(&url, &source, &access, &fetcher());
        let shown = store.unwrap().to_string();
        assert_eq!(shown, expected, "{configured}");
    };
    check("{url: 's3://b/p/k.tar.gz'}", "AmazonS3(b)");
    check("{url: 's3a://b/k'}", "AmazonS3(b)");
    check(
        "{url: 'gs://b/k', credentials: {anonymous: {}}}",
        "GoogleCloudStorage(b)",
    );
    let azure = "MicrosoftAzure { account: a, container: c }";
    check("{url: 'abfss://c@a.dfs.core.windows.net/k'}", azure);
    check("{url: 'abfs://c@a.blob.core.windows.net/k'}", azure);
    for scheme in ["az", "azure", "abfss", "adl"] {
        let configured = format!("{{url: '{scheme}://c/k', object_store: {{account: a}}}}");
        check(&configured, azure);
    }
}

#[test]
fn endpoints() {
    let check = |settings: &str, expected: Option<&str>| {
        let source = source(&format!(
            "{{url: 's3://b/k', object_store: {{{settings}}}}}"
        ));
        let found = stores::endpoint(&source.object_store, "b");
        assert_eq!(found.as_deref(), expected, "{settings}");
    };
    check("", None);
    check("virtual_hosted: true", None);
    check("endpoint: 'http://h:9000/'", Some("http://h:9000"));
    check("endpoint: 'https://h/p/'", Some("https://h/p"));
    let below = "endpoint: 'https://h:9000', virtual_hosted: true";
    check(below, Some("https://b.h:9000"));
}

#[tokio::test]
async fn what_stores_say_of_errors() {
    let check = async |status: u16, header: (&str, &str), body: &'static str, expected: &str| {
        let answer = http::Response::builder().status(status);
        let answer = answer.header(header.0, header.1).body(body).unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        let found = refused(status, answer.into()).await;
        assert_eq!(found.to_string(), expected, "{body}");
        assert_eq!(found.status(), Some(status.as_u16()));
    };
    let none = ("x", "y");
    let code = "<Error><Code>NoSuchKey</Code><Key>c4n4ry</Key></Error>";
    let said = "server replied with Not Found";
    check(404, none, code, &format!("{said} (NoSuchKey)")).await;
    check(404, none, "c4n4ry", said).await;
    check(404, none, "<Code>c4n4ry is</Code>", said).await;
    check(404, none, "<Code></Code>", said).await;
    let azure = ("x-ms-error-code", "BlobNotFound");
    check(404, azure, code, &format!("{said} (BlobNotFound)")).await;
    let region = ("x-amz-bucket-region", "eu-west-1");
    check(404, region, code, &format!("{said} (NoSuchKey)")).await;
    check(
        301,
        region,
        "<Code>PermanentRedirect</Code>",
        "server replied with Moved Permanently (the bucket is in eu-west-1)",
    )
    .await;
}

#[test]
fn nothing_of_it_is_shown() {
    let source = source(
        "{url: 's3://b/k', credentials: {aws: {access_key_id: me, secret_access_key: c4n4ry, \
         session_token: c4n4ry}}}",
    );
    let object = Object::new(object(&source), &source);
    let shown = format!("{source:?} {object:?}");
    assert!(!shown.contains("c4n4ry"), "{shown}");
}
