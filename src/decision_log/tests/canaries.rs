//! Secrets and hostile texts in every field: none is shown, and each record is one line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::inputs::{posted, shown_in, shown_with};
use super::*;

const CANARY: &str = "c4n4ry-s3cr3t";

/// Secrets in every place that says what it holds, and tokens wherever they are.
#[test]
fn canaries_are_nowhere() {
    let token = format!("eyJhbGciOiJub25lIn0.eyJ{CANARY}.c2ln");
    let path = format!("/{token}/a?access_token={CANARY}&code={CANARY}#id_token={CANARY}");
    let headers = [
        (":path", path.as_str()),
        ("authorization", CANARY),
        ("cookie", CANARY),
        ("referer", &format!("https://a/?code={CANARY}")),
        ("x-any", &token),
        ("x-forwarded-client-cert", CANARY),
        ("x-my-secret", CANARY),
    ];
    let json = json!({
        "user": "u", "password": CANARY, "nested": [{"api_key": {"value": CANARY}}],
        "code": CANARY, "free": token, "pin_token": 1,
    });
    let form = format!("user=u&password={CANARY}&code={CANARY}");
    let bodies = [
        ("application/json", json.to_string()),
        ("application/json", format!("{{\"password\": \"{CANARY}\"")),
        ("application/x-www-form-urlencoded", form),
        (
            "application/json",
            format!("{{\"a\": \"{token}\", \"a\": 1}}"),
        ),
        ("text/plain", CANARY.to_owned()),
        ("application/grpc", CANARY.to_owned()),
    ];
    let metadata = json!({"jwt": {"client_secret": CANARY, "raw": token}});
    for (kind, body) in bodies {
        for is_raw in [false, true] {
            let mut record = posted(&path, &headers, kind, &body);
            let request = record.attributes.request.as_mut().unwrap();
            let request = request.http.as_mut().unwrap();
            request.query = format!("access_token={CANARY}");
            if is_raw {
                request.raw_body = std::mem::take(&mut request.body).into();
                let lines = headers.map(|(name, value)| (name.to_owned(), value.to_owned().into()));
                request.headers.set_lines(lines.to_vec(), false);
            }
            record.attributes.context_extensions = pairs(&[("db-password", CANARY)]);
            let filters = vec![("f".to_owned(), metadata.as_object().unwrap().clone())];
            record.attributes.metadata = Some(Metadata {
                filter: filters,
                typed: vec![],
            });
            let secret = Peer {
                certificate: CANARY.to_owned(),
                labels: pairs(&[("session", CANARY)]),
                ..Peer::default()
            };
            record.attributes.source = Some(secret);
            let mutations = Outcome {
                headers: pairs(&[("x-api-key", CANARY), ("x-any", &token)]),
                body: Some(token.clone()),
                dynamic_metadata: metadata.as_object().cloned(),
                ..Outcome::default()
            };
            record.decision = Arc::new(Decision::denied_by_rego(&mutations, "a/b"));
            let settings = LogSettings {
                scope: Scope::default(),
                ..settings()
            };
            let (shown, metrics) = shown_with(&settings, &[record]);
            let encoded = STANDARD.encode(CANARY);
            for text in [shown[0].to_string(), metrics] {
                assert!(
                    !text.contains(CANARY) && !text.contains("eyJ"),
                    "{kind}: {text}"
                );
                assert!(!text.contains(&encoded), "{kind}: {text}");
            }
            assert!(shown[0]["input"].is_object(), "{kind}");
            assert!(!shown[0]["masked"].as_array().unwrap().is_empty());
        }
    }
}

/// Whatever a text holds, a record is one line of JSON that is read back as it was.
#[test]
fn a_record_is_one_line_whatever_is_in_it() {
    let hostile =
        "a\u{0}\u{1}\r\n\t\u{1b}[31m\u{202e}\u{2028}\u{2029}\u{feff}\"\\</script>ü\u{10ffff}";
    let long = format!("/{}", "ü".repeat(32 << 10));
    for text in [hostile, &long] {
        let mut request = http(
            text,
            &[("x-a", text), ("x-request-id", text), ("traceparent", text)],
        );
        for field in [
            &mut request.host,
            &mut request.scheme,
            &mut request.protocol,
        ] {
            text.clone_into(field);
        }
        let lines = [("x-b".to_owned(), Bytes::from_static(b"\xff\xfe\x00a"))];
        let merged = request.headers.merged().clone();
        request.headers = Headers::new(Pairs::new(), Some(lines.to_vec()));
        request.headers.set_merged(merged);
        let mut record = record(request);
        record.lookalikes = vec![text.to_owned()];
        let mut decision = Decision::deny(403, Reason::new(ReasonKind::InvalidRequest, text));
        decision.peer_principal = Some(text.to_owned());
        decision.request_principal = Some(text.to_owned());
        record.decision = Arc::new(decision);
        let shown = shown_in(Scope::default(), record);
        let line = serde_json::to_string(&shown).unwrap();
        assert!(!line.chars().any(|char| char.is_ascii_control()), "{line}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), shown);
        let start: String = text.chars().take(100).collect();
        assert!(
            shown["peer_principal"]
                .as_str()
                .unwrap()
                .starts_with(&start)
        );
    }
}
