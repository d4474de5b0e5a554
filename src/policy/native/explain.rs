//! How each rule of a workload came out for a request: every test, with the values asked for and
//! those found. For people, off the request path; nothing is decided here.

use std::net::IpAddr;

use serde::Serialize;

use super::Attached;
use super::authorization::{CompiledRule, Facts, Matcher, RuleAction, Test, metadata};
use super::rules::Rules;
use crate::identity::VerifiedToken;

/// Longest value that is shown, in bytes, and most values of one kind.
const MAX_TEXT: usize = 1024;
const MAX_VALUES: usize = 100;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedRule {
    /// `namespace/name`.
    pub policy: String,
    /// From 0.
    pub rule: usize,
    pub action: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    pub matched: bool,
    /// Empty for a rule that matches everything.
    pub tests: Vec<ExplainedTest>,
}

/// One field or condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedTest {
    /// Where it stands: `from[0].source.notPrincipals`, `when[request.headers[x-a]].values`.
    pub field: String,
    /// Any of these, or for a `not` none of them.
    pub values: Vec<String>,
    /// What the request has.
    pub found: Vec<String>,
    pub holds: bool,
}

impl Attached {
    /// Explains all rules of the workload, in the order in which they are asked.
    pub fn explain(&self, facts: &Facts<'_>) -> Vec<ExplainedRule> {
        let watching = &self.observers;
        let mut explained = Vec::new();
        let mut add = |rules: &Rules, dry_run| {
            explained.extend(rules.iter().map(|rule| rule.explain(facts, dry_run)));
        };
        self.custom.values().for_each(|rules| add(rules, false));
        add(&self.deny, false);
        add(&self.allow, false);
        add(&watching.audit, false);
        add(&watching.deny, true);
        add(&watching.allow, true);
        explained
    }
}

impl CompiledRule {
    fn explain(&self, facts: &Facts<'_>, dry_run: bool) -> ExplainedRule {
        let mut tests = Vec::new();
        let mut add = |place: &str, alternatives: &[Vec<Test>]| {
            for (at, alternative) in alternatives.iter().enumerate() {
                let explain = |test: &Test| {
                    let not = test.negated;
                    let field = format!("{place}.{}", test.matcher.field(not));
                    test.explain(
                        field.replacen("[]", &format!("[{at}]"), 1),
                        facts,
                        self.action,
                    )
                };
                tests.extend(alternative.iter().map(explain));
            }
        };
        add("from[].source", &self.from);
        add("to[].operation", &self.to);
        let when = self.when.iter().map(|test| {
            let values = if test.negated { "notValues" } else { "values" };
            let field = format!("when[{}].{values}", test.matcher.key());
            test.explain(field, facts, self.action)
        });
        tests.extend(when);
        ExplainedRule {
            policy: format!("{}/{}", self.namespace, self.policy),
            rule: self.index,
            action: self.action.as_str(),
            dry_run,
            matched: self.matches(facts),
            tests,
        }
    }
}

impl Test {
    fn explain(&self, field: String, facts: &Facts<'_>, action: RuleAction) -> ExplainedTest {
        let shorten = |mut text: String| {
            text.truncate(text.floor_char_boundary(MAX_TEXT));
            text
        };
        let short = |texts: Vec<String>| texts.into_iter().take(MAX_VALUES).map(shorten).collect();
        ExplainedTest {
            field,
            values: short(self.matcher.asked()),
            found: short(self.matcher.found(facts)),
            holds: self.holds(facts, action),
        }
    }
}

impl Matcher {
    /// The name in `source` or `operation`.
    fn field(&self, negated: bool) -> String {
        let name = match self {
            Self::Principal(_) => "principals",
            Self::Namespace(_) => "namespaces",
            Self::ServiceAccount(_) => "serviceAccounts",
            Self::TrustDomain(_) => "trustDomains",
            Self::RequestPrincipal(_) => "requestPrincipals",
            Self::SourceIp(_) => "ipBlocks",
            Self::RemoteIp(_) => "remoteIpBlocks",
            Self::DestinationPort(_) => "ports",
            Self::Host(_) => "hosts",
            Self::Method(_) => "methods",
            Self::Path(_) => "paths",
            // These stand in `when` only.
            Self::DestinationIp(_)
            | Self::ServerName(_)
            | Self::Header { .. }
            | Self::Claim { .. }
            | Self::Metadata { .. } => return self.key(),
        };
        match name.split_at_checked(1) {
            Some((first, rest)) if negated => format!("not{}{rest}", first.to_ascii_uppercase()),
            _ => name.to_owned(),
        }
    }

    /// The key in `when`.
    fn key(&self) -> String {
        match self {
            Self::Principal(_) => "source.principal".to_owned(),
            Self::Namespace(_) => "source.namespace".to_owned(),
            Self::ServiceAccount(_) => "source.serviceAccount".to_owned(),
            Self::TrustDomain(_) => "source.trustDomain".to_owned(),
            Self::RequestPrincipal(_) => "request.auth.principal".to_owned(),
            Self::SourceIp(_) => "source.ip".to_owned(),
            Self::RemoteIp(_) => "remote.ip".to_owned(),
            Self::DestinationIp(_) => "destination.ip".to_owned(),
            Self::DestinationPort(_) => "destination.port".to_owned(),
            Self::ServerName(_) => "connection.sni".to_owned(),
            Self::Header { name, .. } => format!("request.headers[{name}]"),
            Self::Claim { path, .. } => format!("request.auth.claims[{}]", path.join("][")),
            Self::Metadata { filter, key, .. } => format!("experimental.{filter}[{key}]"),
            // These stand in `operation` only.
            Self::Host(_) => "hosts".to_owned(),
            Self::Method(_) => "methods".to_owned(),
            Self::Path(_) => "paths".to_owned(),
        }
    }

    /// The values, as they are written; with trust domain aliases put in.
    fn asked(&self) -> Vec<String> {
        fn shown<T: ToString>(values: &[T]) -> Vec<String> {
            values.iter().map(T::to_string).collect()
        }
        match self {
            Self::Principal(values) => shown(values),
            Self::Namespace(values) => shown(values),
            Self::ServiceAccount(values) => shown(values),
            Self::TrustDomain(values) => shown(values),
            Self::RequestPrincipal(values) => shown(values),
            Self::SourceIp(values) | Self::RemoteIp(values) | Self::DestinationIp(values) => {
                shown(values)
            }
            Self::DestinationPort(values) => shown(values),
            Self::ServerName(values)
            | Self::Host(values)
            | Self::Method(values)
            | Self::Header { values, .. }
            | Self::Claim { values, .. } => shown(values),
            Self::Path(values) => shown(values),
            Self::Metadata { values, .. } => shown(values),
        }
    }

    /// What the request has, in the form that is compared. Nothing is an attribute that is missing.
    fn found(&self, facts: &Facts<'_>) -> Vec<String> {
        let attributes = facts.attributes;
        let http = attributes.http();
        let ip = |ip: Option<IpAddr>| ip.map(|ip| ip.to_string()).into_iter().collect();
        let text = |text: Option<&String>| {
            let text = text.filter(|text| !text.is_empty());
            text.cloned().into_iter().collect()
        };
        match self {
            Self::Principal(_)
            | Self::Namespace(_)
            | Self::ServiceAccount(_)
            | Self::TrustDomain(_) => facts.peer.names().map(str::to_owned).collect(),
            Self::RequestPrincipal(_) => {
                let claims = facts.token.map(VerifiedToken::claims);
                let claim = |name| Some(claims?.get(name)?.to_string());
                let claim = |name| Some(format!("{name} {}", claim(name)?));
                ["iss", "sub"].into_iter().filter_map(claim).collect()
            }
            Self::SourceIp(_) => ip(attributes.source_ip()),
            Self::RemoteIp(_) => ip(facts.remote_ip),
            Self::DestinationIp(_) => ip(attributes.destination_ip()),
            Self::DestinationPort(_) => {
                let port = attributes.destination_port();
                port.map(|port| port.to_string()).into_iter().collect()
            }
            Self::ServerName(_) => {
                let name = attributes.server_name();
                name.map(str::to_ascii_lowercase).into_iter().collect()
            }
            Self::Host(_) => text(http.map(|http| &http.host)),
            Self::Method(_) => text(http.map(|http| &http.method)),
            Self::Path(_) => text(Some(&facts.target.path().to_owned())),
            Self::Header { name, .. } => {
                let values = http.map(|http| name.values(http, facts.target));
                let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                values.into_iter().flatten().map(lossy).collect()
            }
            Self::Claim { path, .. } => {
                let claim = facts.token.and_then(|token| token.claims().lookup(path));
                claim.map(ToString::to_string).into_iter().collect()
            }
            Self::Metadata { filter, key, .. } => {
                let found = metadata(attributes, filter, key);
                found.map(ToString::to_string).into_iter().collect()
            }
        }
    }
}
