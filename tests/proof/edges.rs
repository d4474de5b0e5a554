//! What a generated run comes to rarely: a token that ends a second after it was remembered, and a scan by
//! which somebody wants to push out what others ask for.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use doorward::attributes::Attributes;
use doorward::cache::CacheSettings;
use doorward::decision::Effect;
use doorward::decision_log::Recorder;
use doorward::identity::RemoteKeySets;
use doorward::pdp::Pdp;
use doorward::policy::config::{self, MeshConfig, RegoConfig};
use doorward::policy::rego::RegoModule;
use doorward::policy::resource::Resource;
use doorward::policy::{DefaultAction, PolicySet, PolicySources};
use doorward::snapshot::Snapshot;
use serde_json::{Value, json};

use super::clock::SECOND;
use super::random::Random;
use super::tokens::{BEGIN, Key, TOKENS, jwks};

/// The token that ends at `BEGIN + 1`.
const ENDING: usize = 1;
/// What native policies add to the end of a token.
const SKEW: i64 = 60;

/// Requests that come again and again, and how often one of them comes among those of a scan.
const HOT: usize = 500;
const HOT_EVERY: usize = 2;
/// Room for some thousand decisions.
const ROOM: u64 = 4 << 20;
const SCAN: usize = 20_000;
const LONG_SCAN: usize = 1_000_000;

fn pdp(objects: &[Value], rego: &str) -> Pdp {
    let list = json!({"kind": "List", "items": objects}).to_string();
    let resources = Resource::parse_stream(&list).unwrap();
    let module = RegoModule {
        path: "p.rego".to_owned(),
        text: rego.to_owned(),
        v0: false,
    };
    let sources = PolicySources {
        resources: resources.iter().collect(),
        modules: Some(module)
            .filter(|_| !rego.is_empty())
            .into_iter()
            .collect(),
        ..PolicySources::default()
    };
    let mesh = MeshConfig {
        default_action: DefaultAction::Allow,
        ..MeshConfig::default()
    };
    let settings = config::settings(&mesh, &RegoConfig::default(), &[], Duration::from_secs(30));
    let policies = PolicySet::compile(sources, &settings).unwrap();
    let cache = CacheSettings {
        max_bytes: ROOM,
        ttl: Duration::from_secs(3600),
        tokens_max_bytes: ROOM,
    };
    let snapshot = Snapshot::new(1, Arc::new(policies), RemoteKeySets::default(), cache);
    let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
    Pdp::new(snapshot, Recorder::default(), Arc::default())
}

fn request(token: &str) -> Attributes {
    let json = json!({"attributes": {
        "source": {"principal": "spiffe://cluster.local/ns/foo/sa/a"},
        "request": {"http": {"method": "GET", "path": "/", "headers": {"authorization": format!("Bearer {token}")}}},
        "contextExtensions": {"doorward.namespace": "foo", "doorward.labels": ""},
    }});
    doorward::ext_authz::from_json(&json).unwrap()
}

/// Asks at each time, and holds the answers against whether they allow and whether they were remembered.
fn check(pdp: &Pdp, rows: &[(i64, bool, bool)]) {
    let request = request(&TOKENS[ENDING].text);
    for (at, allowed, cached) in rows {
        let answer = pdp.check(&request, *at);
        let found = (answer.decision.effect() == Effect::Allow, answer.cached);
        assert_eq!(
            found,
            (*allowed, *cached),
            "at {at}: {:?}",
            answer.decision.reason
        );
    }
}

#[test]
fn a_token_that_ends_in_a_second_is_remembered_for_that_long() {
    let end = (BEGIN + 1) * SECOND;
    let native = json!({"apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication",
        "metadata": {"namespace": "foo", "name": "jwt"},
        "spec": {"jwtRules": [{"issuer": "iss-a", "jwks": jwks(&[Key::A])}]}});
    // Rule: to the end of the second in which it ends.
    let last = end + (SKEW + 1) * SECOND;
    check(
        &pdp(&[native], ""),
        &[
            (last - SECOND, true, false),
            (last - SECOND, true, true),
            (last - 1, true, true),
            (last, false, false),
            (last - 1, true, true),
            (last + SECOND, false, false),
        ],
    );
    let keys = Value::from(jwks(&[Key::A])).to_string();
    let rego = format!(
        "package envoy.authz\n\
         token := trim_prefix(input.attributes.request.http.headers.authorization, \"Bearer \")\n\
         default allow := false\n\
         allow if io.jwt.decode_verify(token, {{\"cert\": {keys}, \"aud\": \"aud-a\"}})[0]\n"
    );
    // Rule: the second in which it ends is none of it; OPA compares doubles, which know no nanoseconds.
    let nearly = end - 20_000;
    check(
        &pdp(&[], &rego),
        &[
            (end - SECOND, true, false),
            (end - SECOND, true, true),
            (nearly, true, true),
            (end, false, false),
            (end, false, true),
            (end + SECOND, false, true),
            (nearly, true, false),
        ],
    );
}

#[test]
fn a_scan_leaves_what_is_asked_for_again_and_again() {
    scan(SCAN);
}

#[test]
#[ignore = "takes long: `make proof`"]
fn a_long_scan_leaves_what_is_asked_for_again_and_again() {
    scan(LONG_SCAN);
}

fn scan(count: usize) {
    let pdp = pdp(&[], "");
    let request = request("");
    let ask = |name: String| {
        let mut request = request.clone();
        request.source.as_mut().unwrap().principal = name;
        pdp.check(&request, BEGIN * SECOND).cached
    };
    let hot = |at: usize| format!("spiffe://cluster.local/ns/foo/sa/hot-{at}");
    for at in (0..5).flat_map(|_| 0..HOT) {
        ask(hot(at));
    }
    let mut random = Random::of(1);
    let (mut asked, mut hits) = (0, 0);
    for at in 0..count {
        assert!(
            !ask(format!("spiffe://cluster.local/ns/foo/sa/scan-{at}")),
            "{at} was never asked"
        );
        if at % HOT_EVERY == 0 {
            asked += 1;
            hits += usize::from(ask(hot(random.below(HOT))));
        }
    }
    eprintln!("{count} others scanned: {hits} of {asked} answered from memory");
    assert!(hits * 100 > asked * 95, "{hits} of {asked}");
    let left = (0..HOT).filter(|at| ask(hot(*at))).count();
    assert!(left * 100 > HOT * 95, "{left} of {HOT}");
}
