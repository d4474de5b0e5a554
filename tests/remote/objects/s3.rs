use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::{digest, hmac};
use serde_json::Value;

use super::*;
use crate::remote::{is_ready, snapshot};
use crate::support::authority::Authority;

const URL: &str = "s3://company-policy/prod/main.tar.gz";
const TARGET: &str = "/company-policy/prod/main.tar.gz";
const KEYS: &str =
    "credentials: { aws: { access_key_id: AKIDEXAMPLE, secret_access_key: c4n4ry } }";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

/// Whether a request is signed by a key (AWS Signature Version 4), everything that S3 demands included.
fn is_signed(asked: &Asked, id: &str, secret: &str, region: &str) -> bool {
    let line = asked.header("authorization");
    let Some(rest) = line.strip_prefix("AWS4-HMAC-SHA256 Credential=") else {
        return false;
    };
    let (credential, rest) = rest.split_once(", SignedHeaders=").unwrap();
    let (names, signature) = rest.split_once(", Signature=").unwrap();
    let time = asked.header("x-amz-date");
    let day = &time[..8];
    let scope = format!("{day}/{region}/s3/aws4_request");
    let must = ["host", "x-amz-content-sha256", "x-amz-date"];
    let signed: Vec<_> = names.split(';').collect();
    let of_amazon = asked
        .headers
        .keys()
        .filter(|name| name.starts_with("x-amz-"));
    let mut must = must.into_iter().chain(of_amazon.map(String::as_str));
    if credential != format!("{id}/{scope}") || !must.all(|name| signed.contains(&name)) {
        return false;
    }
    let headers: String = signed
        .iter()
        .map(|name| format!("{name}:{}\n", asked.header(name)))
        .collect();
    let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    let body = asked.header("x-amz-content-sha256");
    let request = format!(
        "{}\n{path}\n{query}\n{headers}\n{names}\n{body}",
        asked.method
    );
    let request = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{request}");
    let key = keyed(format!("AWS4{secret}").as_bytes(), day);
    let key = keyed(&keyed(&keyed(&key, region), "s3"), "aws4_request");
    hex(&keyed(&key, &text)) == signature
}

fn takes(id: &'static str, secret: &'static str) -> impl Fn(&Asked) -> Reply {
    guarded(move |asked| asked.target == TARGET && is_signed(asked, id, secret, "us-east-1"))
}

#[tokio::test]
async fn another_revision_is_activated_and_the_same_one_is_not() {
    let depot = Depot::start(takes("AKIDEXAMPLE", "c4n4ry"));
    let server = server(config(URL, &depot, KEYS), &[]);
    ready(&server).await;
    let checks = server.checks().await;
    assert!(checks.get("/").await.allows());
    let first = snapshot(&server);
    asked_again(&depot, 3).await;
    let asked = depot.asked();
    assert_eq!(asked[0].header("if-none-match"), "");
    assert_eq!(asked.last().unwrap().header("if-none-match"), "\"1\"");
    assert_eq!(snapshot(&server), first);
    eventually("what is known of it", || source(&server)["code"].is_null()).await;
    let shown = source(&server);
    assert_eq!(shown["url"], URL);
    assert_eq!(shown["etag"], "\"1\"");
    is_kept_secret(&server);

    depot.play(|_| object(constant("two", "false")));
    eventually("the new revision", || revision(&server) == "two").await;
    assert!(!checks.get("/").await.allows());
    assert_eq!(snapshot(&server), first + 1);

    // Without network the last one is there.
    depot.play(|_| Reply::Hang);
    let data = Arc::clone(&server.data);
    server.signal("KILL");
    drop(server);
    let server = Server::with(Options {
        config: config(URL, &depot, KEYS),
        data: Some(data),
        ..Options::default()
    });
    assert!(is_ready(&server));
    assert_eq!(revision(&server), "two");
}

#[tokio::test]
async fn what_is_bad_leaves_what_was() {
    let depot = Depot::start(|_| object(constant("one", "true")));
    let settings = format!("timeout: 2s, size_limit: 64KiB, {KEYS}");
    let server = server(config(URL, &depot, &settings), &[]);
    ready(&server).await;
    let checks = server.checks().await;
    let first = snapshot(&server);
    let error = |status, code: &str| {
        let body = format!("<Error><Code>{code}</Code><StringToSign>c4n4ry</StringToSign></Error>");
        Reply::With(status, Vec::new(), body.into_bytes())
    };
    let moved = error(301, "PermanentRedirect").header("x-amz-bucket-region", "eu-west-1");
    let metadata = Reply::redirect("http://169.254.169.254/latest/meta-data?c4n4ry");
    let large = Reply::body(vec![b'x'; (64 << 10) + 1]);
    let replies = [
        (error(404, "NoSuchKey"), "Not Found (NoSuchKey)"),
        (
            error(403, "SignatureDoesNotMatch"),
            "Forbidden (SignatureDoesNotMatch)",
        ),
        (error(400, "ExpiredToken"), "Bad Request (ExpiredToken)"),
        (error(503, "SlowDown"), "Service Unavailable (SlowDown)"),
        (moved, "Moved Permanently (the bucket is in eu-west-1)"),
        (metadata, "replied with Found"),
        (Reply::status(204), "replied with No Content"),
        (Reply::status(206), "replied with Partial Content"),
        (object(b"no archive".to_vec()), "is not a gzip"),
        (Reply::Announced(1 << 40), "larger than 65536 bytes"),
        (large, "larger than 65536 bytes"),
        (Reply::Endless, "the answer is none of an object store"),
        (Reply::Hang, "no answer within 2s"),
        (
            Reply::body("x").header("last-modified", "c4n4ry"),
            "the answer is none of an object store",
        ),
    ];
    for (reply, expected) in replies {
        depot.play(move |_| reply.clone());
        fails(&server, expected).await;
        assert!(checks.get("/").await.allows(), "{expected}");
        assert_eq!(snapshot(&server), first, "{expected}");
    }
    // Rule: pauses between attempts are those of all sources, and the library makes no attempts of its own.
    let before = depot.asked().len();
    let times = || {
        let of_metrics = http::get(&server.url("/metrics")).body;
        let row = "doorward_bundle_requests_total{bundle=\"main\",result=\"failure\"} ";
        let line = of_metrics.lines().find_map(|line| line.strip_prefix(row));
        line.map_or(0, |count| count.parse::<usize>().unwrap())
    };
    let failures = times();
    depot.play(|_| Reply::status(503));
    eventually("failures", || times() >= failures + 5).await;
    assert!(depot.asked().len() - before <= times() - failures + 2);
    depot.play(|_| object(constant("two", "false")));
    eventually("the new revision", || revision(&server) == "two").await;
    assert_eq!(source(&server)["code"], Value::Null);
}

#[tokio::test]
async fn who_asks() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "c4n4ry\n").unwrap();
    let of_file = format!(
        "credentials: {{ aws: {{ access_key_id: AKIDEXAMPLE, secret_access_key_file: \"{}\" }} }}",
        file.display()
    );
    let rows: [(_, &[(&str, &str)]); 3] = [
        (of_file.as_str(), &[]),
        (
            "credentials: { environment: {} }",
            &[
                ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", "c4n4ry"),
            ],
        ),
        (
            "persist: true",
            &[
                ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", "c4n4ry"),
            ],
        ),
    ];
    for (settings, environment) in rows {
        let depot = Depot::start(takes("AKIDEXAMPLE", "c4n4ry"));
        let server = server(config(URL, &depot, settings), environment);
        ready(&server).await;
        is_kept_secret(&server);
    }
    // A token of a session and a region are signed as well.
    let depot = Depot::start(guarded(|asked| {
        asked.header("x-amz-security-token") == "c4n4ry-t"
            && is_signed(asked, "AKIDEXAMPLE", "c4n4ry", "eu-west-1")
    }));
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "c4n4ry"),
        ("AWS_SESSION_TOKEN", "c4n4ry-t"),
        ("AWS_REGION", "eu-west-1"),
    ];
    let server = server(config(URL, &depot, "persist: true"), &environment);
    ready(&server).await;
    is_kept_secret(&server);
}

#[tokio::test]
async fn a_secret_that_was_replaced_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let depot = Depot::start(takes("AKIDEXAMPLE", "c4n4ry"));
    let settings = format!(
        "credentials: {{ aws: {{ access_key_id: AKIDEXAMPLE, secret_access_key_file: \"{}\" }} }}",
        file.display()
    );
    let server = server(config(URL, &depot, &settings), &[]);
    fails(&server, "No such file").await;
    std::fs::write(&file, "wrong").unwrap();
    fails(&server, "replied with Forbidden").await;
    std::fs::write(&file, "c4n4ry\n").unwrap();
    ready(&server).await;
    is_kept_secret(&server);
}

#[tokio::test]
async fn nobody_asks() {
    let depot = Depot::start(guarded(|asked| {
        asked.header("authorization").is_empty() && asked.target == TARGET
    }));
    let settings = "credentials: { anonymous: {} }";
    let open = server(config(URL, &depot, settings), &[]);
    ready(&open).await;
    let asked = depot.asked().len();
    // Where nothing says who asks, nothing is asked.
    drop(open);
    let asked_by_first = depot.asked().len();
    let server = server(config(URL, &depot, "persist: true"), &[]);
    fails(&server, "no credentials").await;
    assert!(asked > 0 && depot.asked().len() <= asked_by_first + 1);
}

const GIVEN: &str = "{\"AccessKeyId\": \"AKIDGIVEN\", \"SecretAccessKey\": \"c4n4ry\", \"Token\": \
                     \"c4n4ry-t\", \"Expiration\": \"2099-01-01T00:00:00Z\"}";

fn takes_given(asked: &Asked) -> bool {
    asked.header("x-amz-security-token") == "c4n4ry-t"
        && is_signed(asked, "AKIDGIVEN", "c4n4ry", "us-east-1")
}

#[tokio::test]
async fn a_role_of_a_workload() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "c4n4ry-w").unwrap();
    let given = Arc::new(AtomicUsize::new(0));
    let gives = Arc::clone(&given);
    let object = guarded(takes_given);
    let depot = Depot::start(move |asked| {
        if asked.target.starts_with("/company-policy/") {
            return object(asked);
        }
        let is_right = asked.method == "POST"
            && asked.target.contains("Action=AssumeRoleWithWebIdentity")
            && asked
                .target
                .contains("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr")
            && asked.target.contains("WebIdentityToken=c4n4ry-w");
        if !is_right {
            return Reply::status(400);
        }
        gives.fetch_add(1, Ordering::SeqCst);
        Reply::body(
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
             <AccessKeyId>AKIDGIVEN</AccessKeyId><SecretAccessKey>c4n4ry</SecretAccessKey>\
             <SessionToken>c4n4ry-t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
             </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        )
    });
    let sts = depot.url("");
    let environment = |role| {
        [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
            ("AWS_ROLE_ARN", role),
            ("AWS_ENDPOINT_URL_STS", sts.as_str()),
        ]
    };
    let good = server(
        config(URL, &depot, "persist: true"),
        &environment("arn:aws:iam::1:role/r"),
    );
    ready(&good).await;
    asked_again(&depot, 5).await;
    assert_eq!(given.load(Ordering::SeqCst), 1, "it is kept until it ends");
    is_kept_secret(&good);
    let bad = server(config(URL, &depot, "persist: true"), &environment("other"));
    fails(&bad, "no token was given: status 400").await;
}

#[tokio::test]
async fn the_machine_says_who_asks_if_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "c4n4ry-w").unwrap();
    let object = guarded(takes_given);
    let depot = Depot::start(move |asked| {
        let has_token = asked.header("x-aws-ec2-metadata-token") == "c4n4ry-m";
        match (asked.method.as_str(), asked.target.as_str()) {
            ("GET", TARGET) => object(asked),
            ("GET", "/pod") if asked.header("authorization") == "c4n4ry-w" => Reply::body(GIVEN),
            ("PUT", "/latest/api/token") => Reply::body("c4n4ry-m"),
            ("GET", "/latest/meta-data/iam/security-credentials/") if has_token => {
                Reply::body("role")
            }
            ("GET", "/latest/meta-data/iam/security-credentials/role") if has_token => {
                Reply::body(GIVEN)
            }
            _ => Reply::status(404),
        }
    });
    let (pod, machine) = (depot.url("/pod"), depot.url(""));
    let of_pod = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", pod.as_str()),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            file.to_str().unwrap(),
        ),
    ];
    let of_machine = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine.as_str())];
    let metadata = "credentials: { environment: { metadata: true } }";
    for environment in [&of_pod[..], &of_machine] {
        let before = depot.asked().len();
        let closed = server(config(URL, &depot, "persist: true"), environment);
        fails(&closed, "no credentials").await;
        drop(closed);
        assert_eq!(depot.asked().len(), before);
        let server = server(config(URL, &depot, metadata), environment);
        ready(&server).await;
        is_kept_secret(&server);
    }
}

#[tokio::test]
async fn no_endpoint_where_credentials_are() {
    let config = format!(
        "bundles: {{ main: {{ url: \"{URL}\", {OFTEN}, object_store: {{ endpoint: \
         \"http://169.254.169.254\" }}, {KEYS} }} }}\n"
    );
    let server = server(config, &[]);
    fails(&server, "169.254.169.254 is link-local").await;
}

#[tokio::test]
async fn over_tls() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let tls = servers.server("127.0.0.1", Some(&clients));
    let depot = Depot::start_tls(tls, takes("AKIDEXAMPLE", "c4n4ry"));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (cert, key) = clients.issue_client("doorward", "").pem();
    let (ca, cert, key) = (
        file("ca", &servers.pem()),
        file("cert", &cert),
        file("key", &key),
    );
    let trusting = format!("{KEYS}, tls: {{ ca: '{ca}', cert: '{cert}', key: '{key}' }}");
    let trusted = server(config(URL, &depot, &trusting), &[]);
    ready(&trusted).await;
    let unknown = server(config(URL, &depot, KEYS), &[]);
    fails(&unknown, "UnknownIssuer").await;
}

/// A service of OPA's configuration that signs.
#[tokio::test]
async fn as_opa_is_configured() {
    let depot = Depot::start(takes("AKIDEXAMPLE", "c4n4ry"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("opa.yaml");
    let text = format!(
        "services: {{ s3: {{ url: '{}', credentials: {{ s3_signing: {{ environment_credentials: \
         {{}} }} }} }} }}\nbundles: {{ main: {{ resource: prod/main.tar.gz, polling: {{ \
         min_delay_seconds: 1, max_delay_seconds: 1 }} }} }}\n",
        depot.url("/company-policy")
    );
    std::fs::write(&file, text).unwrap();
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "c4n4ry"),
    ];
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let server = Server::with(Options {
        arguments: vec!["--opa-config".to_owned(), file.display().to_string()],
        environment: environment.map(pair).to_vec(),
        ..Options::default()
    });
    ready(&server).await;
    assert_eq!(source(&server)["url"], URL);
}
