//! AuthorizationPolicy: which rule matches a request.

use doorward::attributes::HttpRequest;
use serde_json::Value;

use super::objects::{list, strings, text};
use super::{Asked, Evaluator, Workload, facts, matching};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Allow,
    Deny,
    Audit,
}

/// What a field or key is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Principal,
    Namespace,
    ServiceAccount,
    TrustDomain,
    SourceIp,
    RemoteIp,
    DestinationIp,
    Port,
    ServerName,
    Metadata {
        filter: String,
        key: String,
    },
    Host,
    Method,
    Path,
    Header(String),
    RequestPrincipal,
    /// A claim by its path.
    Claim(Vec<String>),
}

/// Values and notValues of one field or key.
struct Predicate {
    field: String,
    subject: Subject,
    values: Vec<String>,
    not_values: Vec<String>,
}

/// A rule and where it stands.
pub(super) struct Rule<'a> {
    action: Action,
    pub(super) namespace: &'a str,
    pub(super) policy: &'a str,
    pub(super) index: usize,
    rule: &'a Value,
}

const SOURCE: [(&str, &str, Subject); 7] = [
    ("principals", "notPrincipals", Subject::Principal),
    (
        "requestPrincipals",
        "notRequestPrincipals",
        Subject::RequestPrincipal,
    ),
    ("namespaces", "notNamespaces", Subject::Namespace),
    (
        "serviceAccounts",
        "notServiceAccounts",
        Subject::ServiceAccount,
    ),
    ("ipBlocks", "notIpBlocks", Subject::SourceIp),
    ("remoteIpBlocks", "notRemoteIpBlocks", Subject::RemoteIp),
    ("trustDomains", "notTrustDomains", Subject::TrustDomain),
];

const OPERATION: [(&str, &str, Subject); 4] = [
    ("hosts", "notHosts", Subject::Host),
    ("ports", "notPorts", Subject::Port),
    ("methods", "notMethods", Subject::Method),
    ("paths", "notPaths", Subject::Path),
];

impl Evaluator<'_> {
    /// Rule: of several rules that match, the first in byte order of their ids is reported.
    pub(super) fn first_match<'a>(
        &'a self,
        scope: &'a Workload,
        action: Action,
        dry_run: bool,
        asked: Asked<'_>,
        claims: &Value,
    ) -> Option<Rule<'a>> {
        let rules = self.policies(scope, action, dry_run).flat_map(|object| {
            let rules = list(&object["spec"]["rules"]).iter().enumerate();
            rules.map(move |(index, rule)| Rule {
                action,
                namespace: text(&object["metadata"]["namespace"]),
                policy: text(&object["metadata"]["name"]),
                index,
                rule,
            })
        });
        let matching = rules.filter(|rule| {
            let matches = self.rule_matches(rule, asked, claims);
            self.tally
                .count(format!("rule {action:?}"), "rule", matches);
            matches
        });
        matching.min_by_key(Rule::id)
    }

    /// Rule: any `from`, any `to`, and every `when`.
    fn rule_matches(&self, rule: &Rule<'_>, asked: Asked<'_>, claims: &Value) -> bool {
        let sources = alternatives(&rule.rule["from"], "source", &SOURCE);
        let operations = alternatives(&rule.rule["to"], "operation", &OPERATION);
        let conditions: Vec<_> = list(&rule.rule["when"]).iter().map(condition).collect();
        let is_tcp = facts::http(asked.attributes).is_none();
        let mut all = sources
            .iter()
            .chain(&operations)
            .flatten()
            .chain(&conditions);
        // Rule: on TCP an ALLOW rule that names anything of HTTP is left out.
        if is_tcp && rule.action == Action::Allow && all.any(|part| part.subject.is_http()) {
            return false;
        }
        let holds = |part: &Predicate| self.holds(part, rule, asked, claims);
        let one_of = |alternatives: &[Vec<Predicate>]| {
            alternatives.is_empty() || alternatives.iter().any(|parts| parts.iter().all(holds))
        };
        one_of(&sources) && one_of(&operations) && conditions.iter().all(holds)
    }

    /// Rule: one of the values matches, where there are any, and none of the notValues does.
    fn holds(&self, part: &Predicate, rule: &Rule<'_>, asked: Asked<'_>, claims: &Value) -> bool {
        let Predicate { subject, .. } = part;
        match facts::http(asked.attributes) {
            // Rule: in other rules than ALLOW, what is of HTTP only is left away on TCP.
            None if subject.is_http() => return true,
            // Rule: a target that is no path matches every DENY and AUDIT on paths, and no ALLOW.
            Some(http) if *subject == Subject::Path && facts::is_no_path(http) => {
                return rule.action != Action::Allow;
            }
            _ => {}
        }
        let matches = |values: &[String], negated: bool| {
            let values = self.with_aliases(subject, values);
            values.iter().any(|value| {
                let matches = self.value_matches(part, value, negated, rule, asked, claims);
                let sign = if negated { "not " } else { "" };
                let about = format!("{sign}{}", part.field);
                self.tally.count(about, form(subject, value), matches);
                matches
            })
        };
        (part.values.is_empty() || matches(&part.values, false)) && !matches(&part.not_values, true)
    }

    fn value_matches(
        &self,
        part: &Predicate,
        value: &str,
        negated: bool,
        rule: &Rule<'_>,
        asked: Asked<'_>,
        claims: &Value,
    ) -> bool {
        let attributes = asked.attributes;
        let identity = facts::identity(attributes);
        let ip = |address: Option<_>| address.is_some_and(|address| matching::ip(value, address));
        let http =
            |matches: &dyn Fn(&HttpRequest) -> bool| facts::http(attributes).is_some_and(matches);
        match &part.subject {
            // Rule: without an identity nothing of it matches.
            Subject::Principal
            | Subject::Namespace
            | Subject::ServiceAccount
            | Subject::TrustDomain
                if identity.is_empty() =>
            {
                false
            }
            Subject::Principal => matching::principal(value, identity),
            Subject::Namespace => matching::namespace(value, identity),
            Subject::ServiceAccount => matching::service_account(value, rule.namespace, identity),
            Subject::TrustDomain => matching::trust_domain(value, identity),
            Subject::SourceIp => ip(facts::source_ip(attributes)),
            Subject::RemoteIp => ip(facts::remote_ip(attributes, self.mesh.trusted_proxies)),
            Subject::DestinationIp => ip(facts::destination_ip(attributes)),
            Subject::Port => facts::port(attributes) == Some(value.parse().unwrap()),
            Subject::ServerName => facts::server_name(attributes)
                .is_some_and(|name| matching::generic(value, name.as_bytes())),
            Subject::Metadata { filter, key } => facts::metadata(attributes, filter, key)
                .is_some_and(|found| matching::metadata(value, found)),
            Subject::Host => {
                http(&|http| !http.host.is_empty() && matching::host(value, &http.host))
            }
            Subject::Method => http(&|http| {
                let line = [http.method.clone().into_bytes()];
                !http.method.is_empty() && matching::header(value, &line)
            }),
            Subject::Header(name) => {
                http(&|http| matching::header(value, &facts::header_lines(http, name)))
            }
            Subject::Path => http(&|http| {
                let Some(path) = facts::path(http) else {
                    return false;
                };
                // Rule: in a DENY rule `{*}` and `{**}` match any byte, towards refusing.
                let any_byte = rule.action == Action::Deny && !negated;
                if matching::is_template(value) {
                    matching::template(value, path, any_byte)
                } else {
                    matching::generic(value, path.as_bytes())
                }
            }),
            Subject::RequestPrincipal => matching::request_principal(value, claims),
            Subject::Claim(path) => {
                let step = |claim: &Value, name: &String| claim.get(name).cloned();
                let found = path
                    .iter()
                    .try_fold(claims.clone(), |claim, name| step(&claim, name));
                found.is_some_and(|found| matching::claim(value, &found))
            }
        }
    }

    /// Rule: a principal of the mesh's trust domain, or of `cluster.local`, stands for that of all
    /// its aliases; so does a trust domain of the mesh.
    fn with_aliases(&self, subject: &Subject, values: &[String]) -> Vec<String> {
        let own = &self.mesh.trust_domains;
        let expand = |value: &String| match subject {
            Subject::TrustDomain if own.contains(value) => own.clone(),
            Subject::Principal => {
                let parts: Vec<_> = value.split('/').collect();
                let domain = parts[0];
                if parts.len() != 5 || domain == "*" {
                    return vec![value.clone()];
                }
                let is_own = own.iter().any(|own| alike(own, domain)) || domain == "cluster.local";
                let replaced = own.iter().map(|own| match domain.strip_prefix('*') {
                    // One that the pattern covers stays as it is.
                    Some(suffix) if own.ends_with(suffix) => value.clone(),
                    _ => format!("{own}/{}", parts[1..].join("/")),
                });
                if is_own {
                    replaced.collect()
                } else {
                    vec![value.clone()]
                }
            }
            _ => vec![value.clone()],
        };
        values.iter().flat_map(expand).collect()
    }
}

/// Equal, or one of them is a pattern with a star at an end that the other fits.
fn alike(left: &str, right: &str) -> bool {
    let fits = |pattern: &str, text: &str| {
        pattern
            .strip_prefix('*')
            .is_some_and(|rest| text.ends_with(rest))
            || pattern
                .strip_suffix('*')
                .is_some_and(|rest| text.starts_with(rest))
    };
    left == right || fits(left, right) || fits(right, left)
}

/// How a value is written, for counting.
fn form(subject: &Subject, value: &str) -> &'static str {
    match subject {
        Subject::SourceIp | Subject::RemoteIp | Subject::DestinationIp => {
            match (value.contains('/'), value.contains(':')) {
                (false, false) => "IPv4 address",
                (true, false) => "IPv4 block",
                (false, true) => "IPv6 address",
                (true, true) => "IPv6 block",
            }
        }
        Subject::ServiceAccount if value.contains('/') => "with namespace",
        Subject::Path if matching::is_template(value) => "template",
        Subject::Metadata { .. } if value.starts_with('[') => "list",
        _ if value == "*" => "presence",
        _ if value.starts_with('*') => "suffix",
        _ if value.ends_with('*') => "prefix",
        _ => "exact",
    }
}

// === impl Subject ===

impl Subject {
    /// Whether there is no such thing on TCP.
    fn is_http(&self) -> bool {
        matches!(
            self,
            Self::Host
                | Self::Method
                | Self::Path
                | Self::Header(_)
                | Self::RequestPrincipal
                | Self::Claim(_)
        )
    }

    /// What a `when` key is about.
    fn of_key(key: &str) -> Self {
        let bracketed = |prefix: &str| key.strip_prefix(prefix)?.strip_suffix(']');
        match key {
            "source.ip" => return Self::SourceIp,
            "remote.ip" => return Self::RemoteIp,
            "source.namespace" => return Self::Namespace,
            "source.serviceAccount" => return Self::ServiceAccount,
            "source.principal" => return Self::Principal,
            "source.trustDomain" => return Self::TrustDomain,
            "request.auth.principal" => return Self::RequestPrincipal,
            "request.auth.audiences" => return Self::Claim(vec!["aud".to_owned()]),
            "request.auth.presenter" => return Self::Claim(vec!["azp".to_owned()]),
            "destination.ip" => return Self::DestinationIp,
            "destination.port" => return Self::Port,
            "connection.sni" => return Self::ServerName,
            _ => {}
        }
        if let Some(name) = bracketed("request.headers[") {
            // Rule: `host` is the pseudo header.
            let name = name.to_ascii_lowercase();
            let name = if name == "host" {
                ":authority".to_owned()
            } else {
                name
            };
            return Self::Header(name);
        }
        if let Some(inside) = bracketed("request.auth.claims[") {
            // Rule: consecutive pairs of brackets are a path; else the whole is one name.
            let names: Vec<_> = inside.split("][").map(str::to_owned).collect();
            let nested = names.iter().any(|name| name.contains(['[', ']']));
            return Self::Claim(if nested {
                vec![inside.to_owned()]
            } else {
                names
            });
        }
        let inside = bracketed("experimental.").expect("a key of the list");
        let (filter, key) = inside.split_once('[').expect("a key in brackets");
        Self::Metadata {
            filter: filter.to_owned(),
            key: key.to_owned(),
        }
    }
}

// === impl Rule ===

impl Rule<'_> {
    pub(super) fn id(&self) -> String {
        let Self {
            namespace,
            policy,
            index,
            ..
        } = self;
        format!("ns[{namespace}]-policy[{policy}]-rule[{index}]")
    }
}

/// Entries of `from` or `to`.
fn alternatives(
    entries: &Value,
    inside: &str,
    fields: &[(&str, &str, Subject)],
) -> Vec<Vec<Predicate>> {
    let predicates = |entry: &Value| {
        let fields = fields.iter().map(|(name, not_name, subject)| Predicate {
            field: (*name).to_owned(),
            subject: subject.clone(),
            values: strings(&entry[inside][name]),
            not_values: strings(&entry[inside][not_name]),
        });
        // Rule: a field with an empty list is not set.
        fields
            .filter(|part| !part.values.is_empty() || !part.not_values.is_empty())
            .collect()
    };
    list(entries).iter().map(predicates).collect()
}

fn condition(when: &Value) -> Predicate {
    let key = text(&when["key"]);
    let field = if key.starts_with("experimental.") {
        "experimental"
    } else {
        key
    };
    Predicate {
        field: field.split('[').next().unwrap().to_owned(),
        subject: Subject::of_key(key),
        values: strings(&when["values"]),
        not_values: strings(&when["notValues"]),
    }
}

pub(super) fn action_of(object: &Value) -> Action {
    match object["spec"]["action"].as_str() {
        None | Some("ALLOW") => Action::Allow,
        Some("DENY") => Action::Deny,
        Some("AUDIT") => Action::Audit,
        Some(other) => panic!("{other}"),
    }
}
