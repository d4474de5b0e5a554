//! Servers over TLS are trusted as the policy says, and are shown the certificate it gives.

use serde_json::{Value, json};

use super::{CONFIG, echo, failure, get, send, start};
use crate::support::authority::Authority;
use crate::support::upstream::Upstream;

#[tokio::test]
async fn servers_are_trusted_as_the_policy_says() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let plain = Upstream::start_tls(authority.server("server.test", None), echo);
    let mutual = Upstream::start_tls(authority.server("server.test", Some(&authority)), echo);
    let (server, _folder) = start(CONFIG);
    let checks = server.checks().await;
    let (client, client_key) = authority.issue("client.test").pem();
    let (other, other_key) = stranger.issue("client.test").pem();
    let trusting = json!({"tls_ca_cert": authority.pem(), "tls_server_name": "server.test"});
    let both = |extra: Value| {
        let mut members = trusting.as_object().unwrap().clone();
        members.extend(extra.as_object().unwrap().clone());
        Value::Object(members)
    };
    let good: [(&Upstream, Value); 6] = [
        (&plain, trusting.clone()),
        (
            &plain,
            json!({"tls_ca_cert": authority.pem(), "headers": {"Host": "server.test"}}),
        ),
        (&plain, json!({"tls_insecure_skip_verify": true})),
        (&plain, both(json!({"tls_use_system_certs": true}))),
        (
            &plain,
            json!({"tls_ca_cert": authority.pem().replace('\n', "\\n"), "tls_server_name": "server.test"}),
        ),
        (
            &mutual,
            both(json!({"tls_client_cert": client, "tls_client_key": client_key})),
        ),
    ];
    for (upstream, options) in good {
        let mut request = get(&upstream.url("/"));
        request
            .as_object_mut()
            .unwrap()
            .extend(options.as_object().unwrap().clone());
        assert_eq!(
            send(&checks, &request).await["status_code"],
            200,
            "{options}"
        );
    }
    let bad: [(&Upstream, Value, &str); 8] = [
        (&plain, json!({}), "UnknownIssuer"),
        (
            &plain,
            json!({"tls_server_name": "server.test"}),
            "UnknownIssuer",
        ),
        (
            &plain,
            json!({"tls_ca_cert": stranger.pem(), "tls_server_name": "server.test"}),
            "invalid peer certificate",
        ),
        (
            &plain,
            json!({"tls_ca_cert": authority.pem()}),
            "certificate not valid for name",
        ),
        (
            &plain,
            json!({"tls_ca_cert": authority.pem(), "tls_server_name": "other.test"}),
            "certificate not valid for name",
        ),
        (
            &plain,
            json!({"tls_ca_cert": "none"}),
            "there is no certificate in PEM",
        ),
        (&mutual, trusting.clone(), ""),
        (
            &mutual,
            both(json!({"tls_client_cert": other, "tls_client_key": other_key})),
            "",
        ),
    ];
    for (upstream, options, expected) in bad {
        let before = upstream.asked().len();
        let mut request = get(&upstream.url("/"));
        request
            .as_object_mut()
            .unwrap()
            .extend(options.as_object().unwrap().clone());
        let message = failure(&checks, &request).await;
        assert!(message.contains(expected), "{options}: {message}");
        assert_eq!(upstream.asked().len(), before, "{options}");
    }
    assert!(!server.said().contains("PRIVATE KEY"));
}
