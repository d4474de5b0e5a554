//! What must hold of decisions whatever the policies are, asked of Doorward alone: denials stay
//! denials, order is no matter, and nobody is nobody.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::case::{self, Case, decide};
use super::evaluator::{Because, Mesh, Verdict};
use super::policies::{self, authorization_policy};
use super::requests::{self, Sent};
use super::vocabulary as words;
use super::yaml;

/// Policy sets a property is tried on, and requests each is asked about.
const CASES: u32 = 250;
const REQUESTS: usize = 24;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: CASES,
        max_global_rejects: 10_000,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn any_case() -> impl Strategy<Value = Case> {
    case::any(REQUESTS)
}

/// What becomes of every request under objects.
fn decisions(objects: &[Value], case: &Case) -> Vec<Verdict> {
    decisions_of(
        &yaml::stream(objects, case.order),
        &case.mesh,
        &case.requests,
    )
}

fn decisions_of(text: &str, mesh: &Mesh, requests: &[Sent]) -> Vec<Verdict> {
    let pdp = case::pdp(text, mesh, false).unwrap_or_else(|why| panic!("{why}\n{text}"));
    requests.iter().map(|sent| decide(&pdp, sent)).collect()
}

/// No request that was denied before is allowed after.
fn check_only_denies_more(
    case: &Case,
    before: &[Verdict],
    after: &[Verdict],
) -> Result<(), TestCaseError> {
    for ((before, after), sent) in before.iter().zip(after).zip(&case.requests) {
        prop_assert!(
            before.allowed || !after.allowed,
            "{before:?} became {after:?}\n{sent:?}"
        );
    }
    Ok(())
}

/// Every request fares the same.
fn check_same(case: &Case, before: &[Verdict], after: &[Verdict]) -> Result<(), TestCaseError> {
    for ((before, after), sent) in before.iter().zip(after).zip(&case.requests) {
        let kind = |verdict: &Verdict| (verdict.allowed, verdict.because, verdict.audited);
        prop_assert_eq!(
            kind(before),
            kind(after),
            "{:?}\n{:?}\n{:?}",
            before,
            after,
            sent
        );
    }
    Ok(())
}

fn is_enforced(object: &Value, action: &str) -> bool {
    let own = object["spec"]["action"].as_str().unwrap_or("ALLOW");
    let trial = object["metadata"].get("annotations");
    let is_policy = object["kind"] == "AuthorizationPolicy";
    is_policy && own == action && trial.is_none()
}

fn rules_of(object: &mut Value) -> Option<&mut Vec<Value>> {
    object["spec"].get_mut("rules")?.as_array_mut()
}

/// A policy of every workload that exists whatever else does.
fn everywhere(action: &str, name: &str, rules: &Value) -> Value {
    json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"namespace": words::ROOT_NAMESPACE, "name": name},
        "spec": {"action": action, "rules": rules}})
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn another_deny_policy_only_denies_more(
        case in any_case(),
        added in authorization_policy(vec![Some("DENY")]),
    ) {
        let mut added = added;
        added["metadata"]["name"] = "added".into();
        let before = decisions(&case.objects, &case);
        let mut objects = case.objects.clone();
        objects.push(added);
        check_only_denies_more(&case, &before, &decisions(&objects, &case))?;
    }

    #[test]
    fn another_deny_rule_only_denies_more(case in any_case(), at in any::<Index>(), added in policies::rule()) {
        let before = decisions(&case.objects, &case);
        let mut objects = case.objects.clone();
        let mut denying: Vec<_> = objects.iter_mut().filter(|object| is_enforced(object, "DENY")).collect();
        prop_assume!(!denying.is_empty());
        let chosen = at.index(denying.len());
        rules_of(denying[chosen]).unwrap().push(added);
        check_only_denies_more(&case, &before, &decisions(&objects, &case))?;
    }

    /// While another ALLOW policy stands, here one without rules.
    #[test]
    fn an_allow_rule_less_only_denies_more(case in any_case(), at in any::<Index>(), which in any::<Index>(), whole in any::<bool>()) {
        let mut objects = case.objects.clone();
        objects.push(everywhere("ALLOW", "nothing", &json!([])));
        let has_rules = |object: &mut Value| rules_of(object).is_some_and(|rules| !rules.is_empty());
        let allowing: Vec<_> = (0..objects.len())
            .filter(|at| is_enforced(&objects[*at], "ALLOW"))
            .collect();
        let allowing: Vec<_> = allowing.into_iter().filter(|at| has_rules(&mut objects[*at])).collect();
        prop_assume!(!allowing.is_empty());
        let chosen = allowing[at.index(allowing.len())];
        // A workload that is not known is denied while policies depend on it, whatever they say.
        let is_known = |sent: &Sent| sent.workload.namespace.is_some() && sent.workload.labels.is_some();
        let mut case = case.clone();
        case.requests.retain(is_known);
        let before = decisions(&objects, &case);
        if whole {
            objects.remove(chosen);
        } else {
            let rules = rules_of(&mut objects[chosen]).unwrap();
            rules.remove(which.index(rules.len()));
        }
        check_only_denies_more(&case, &before, &decisions(&objects, &case))?;
    }

    #[test]
    fn order_never_matters(case in any_case(), seed in any::<u64>()) {
        let before = decisions(&case.objects, &case);
        let mut objects = case.objects.clone();
        let mut turns = Turns(seed);
        turns.shuffle(&mut objects);
        for object in &mut objects {
            turns.shuffle_lists(&mut object["spec"]);
        }
        let order = match case.order {
            yaml::Order::Forward => yaml::Order::Backward,
            yaml::Order::Backward => yaml::Order::Forward,
        };
        let after = decisions_of(&yaml::stream(&objects, order), &case.mesh, &case.requests);
        check_same(&case, &before, &after)?;
        // Which rule is reported may change with the rules' numbers, the policy not.
        for (before, after) in before.iter().zip(&after) {
            prop_assert_eq!(&before.policy, &after.policy);
        }
    }

    #[test]
    fn json_and_yaml_are_the_same(case in any_case()) {
        let list = json!({"kind": "List", "items": case.objects}).to_string();
        let before = decisions(&case.objects, &case);
        prop_assert_eq!(before, decisions_of(&list, &case.mesh, &case.requests));
    }

    #[test]
    fn a_rule_with_two_sources_is_two_rules(
        case in any_case(),
        action in select(vec!["ALLOW", "DENY", "AUDIT"]),
        sources in vec(policies::source(), 2..=3),
        rule in policies::rule(),
    ) {
        let with = |sources: &[Value]| {
            let mut rule = rule.clone();
            rule["from"] = json!(sources);
            rule
        };
        let with_rules = |case: &Case, rules: Vec<Value>| {
            let mut objects = case.objects.clone();
            objects.push(everywhere(action, "sources", &rules.into()));
            decisions(&objects, case)
        };
        let many = sources.chunks(1).map(with).collect();
        // On TCP an ALLOW rule is left out whole if any of its sources asks for something of HTTP.
        let whole = |sent: &Sent| sent.is_http() || action != "ALLOW";
        let (whole, _): (Vec<_>, Vec<_>) = case.requests.iter().cloned().partition(whole);
        let case = Case { requests: whole, ..case };
        check_same(&case, &with_rules(&case, vec![with(&sources)]), &with_rules(&case, many))?;
    }

    /// Neither certificate nor token: whatever asks for one of their properties does not match.
    #[test]
    fn nobody_has_no_property(
        requests in vec(requests::without_identity(), REQUESTS),
        mut sources in vec(policies::source(), 1..=3),
        mut rule in policies::rule(),
        wanted in wanted(),
        in_condition in any::<bool>(),
    ) {
        let (field, key, value) = wanted;
        if in_condition {
            rule["when"] = json!([{"key": key, "values": [value]}]);
        } else {
            for source in &mut sources {
                // Not to be combined with service accounts, in either direction.
                source["source"].as_object_mut().unwrap().retain(|name, _| {
                    let addresses = ["ipBlocks", "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks"];
                    addresses.contains(&name.as_str())
                });
                source["source"][&field] = json!([value]);
            }
            rule["from"] = sources.into();
        }
        let mesh = Mesh {
            root_namespace: words::ROOT_NAMESPACE.to_owned(),
            trust_domains: vec!["cluster.local".to_owned(), "td1".to_owned()],
            trusted_proxies: 0,
            allow_by_default: true,
            unknown_gets_mesh_policies: true,
        };
        for action in ["ALLOW", "DENY", "AUDIT"] {
            let object = everywhere(action, "p", &json!([rule]));
            let text = yaml::stream(&[object], yaml::Order::Forward);
            let of_token = field == "requestPrincipals" || key.starts_with("request.auth.");
            for (verdict, sent) in decisions_of(&text, &mesh, &requests).iter().zip(&requests) {
                // On TCP what is of tokens is left away in rules that do not allow.
                if sent.is_http() || !of_token || action == "ALLOW" {
                    prop_assert!(verdict.because != Because::Rule && verdict.audited != Some(true),
                        "{verdict:?}\n{text}\n{sent:?}");
                }
            }
        }
    }
}

/// A property of an identity: as a field, as a key, and what it is to be.
fn wanted() -> impl Strategy<Value = (String, String, String)> {
    let table: &[(&str, &str, words::Words)] = &[
        ("principals", "source.principal", words::PRINCIPALS),
        ("namespaces", "source.namespace", words::IDENTITY_NAMESPACES),
        (
            "serviceAccounts",
            "source.serviceAccount",
            words::SERVICE_ACCOUNTS,
        ),
        ("trustDomains", "source.trustDomain", words::TRUST_DOMAINS),
        (
            "requestPrincipals",
            "request.auth.principal",
            words::REQUEST_PRINCIPALS,
        ),
        (
            "requestPrincipals",
            "request.auth.audiences",
            words::AUDIENCES,
        ),
        (
            "requestPrincipals",
            "request.auth.presenter",
            words::PRESENTERS,
        ),
        (
            "requestPrincipals",
            "request.auth.claims[sub]",
            words::CLAIM_VALUES,
        ),
    ];
    let all = table.iter().flat_map(|(field, key, values)| {
        let row = |value: &&str| ((*field).to_owned(), (*key).to_owned(), (*value).to_owned());
        values.iter().map(row)
    });
    // A value that is a subject in one column is one in the other, too.
    select(all.collect::<Vec<_>>())
}

/// Numbers that follow from a seed, for changing the order of things.
struct Turns(u64);

impl Turns {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn shuffle(&mut self, items: &mut [Value]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }

    /// Every list inside, at any depth.
    fn shuffle_lists(&mut self, value: &mut Value) {
        match value {
            Value::Array(items) => {
                self.shuffle(items);
                items.iter_mut().for_each(|item| self.shuffle_lists(item));
            }
            Value::Object(members) => members
                .values_mut()
                .for_each(|member| self.shuffle_lists(member)),
            _ => {}
        }
    }
}
