//! AuthorizationPolicy, compiled: rules as trees of tests over the facts of a request, and how a
//! rule is decided over HTTP and TCP (Istio's semantics, `pilot/pkg/security/authz`). Which rules
//! are asked, and in which order, is left to `native`.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::matcher::{
    NamespacePattern, PathPattern, Pattern, PrincipalPattern, RequestPrincipalPattern,
    ServiceAccount, TrustDomainPattern,
};
use crate::attributes::{Attributes, HttpRequest, NormalTarget};
use crate::identity::{PeerIdentity, VerifiedToken};
use crate::policy::reads::{Field, Reads};

/// What tests look at: a request with all that was found out about it.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub attributes: &'a Attributes,
    pub peer: &'a PeerIdentity<'a>,
    /// Normalised; empty on TCP.
    pub target: &'a NormalTarget<'a>,
    pub token: Option<&'a VerifiedToken>,
    pub remote_ip: Option<IpAddr>,
}

/// What a matching rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleAction {
    Allow,
    Deny,
    /// Nothing but a mark in the record.
    Audit,
    /// Lets a provider decide.
    Custom,
}

/// One rule of one policy.
#[derive(Debug)]
pub struct CompiledRule {
    pub namespace: String,
    pub policy: String,
    pub index: usize,
    pub action: RuleAction,
    /// Any of these, or no restriction when empty.
    pub(super) from: Vec<Vec<Test>>,
    pub(super) to: Vec<Vec<Test>>,
    /// All of these.
    pub(super) when: Vec<Test>,
}

/// One test: any of the matcher's values, or none of them.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) matcher: Matcher,
    pub(super) negated: bool,
}

/// An attribute and the values it may have.
#[derive(Debug)]
pub(super) enum Matcher {
    Principal(Vec<PrincipalPattern>),
    Namespace(Vec<NamespacePattern>),
    ServiceAccount(Vec<ServiceAccount>),
    TrustDomain(Vec<TrustDomainPattern>),
    RequestPrincipal(Vec<RequestPrincipalPattern>),
    SourceIp(Vec<IpNet>),
    RemoteIp(Vec<IpNet>),
    DestinationIp(Vec<IpNet>),
    DestinationPort(Vec<u32>),
    ServerName(Vec<Pattern>),
    Host(Vec<Pattern>),
    Method(Vec<Pattern>),
    Path(Vec<PathPattern>),
    Header {
        name: HeaderName,
        values: Vec<Pattern>,
    },
    Claim {
        path: Vec<String>,
        values: Vec<Pattern>,
    },
    Metadata {
        filter: String,
        key: String,
        values: Vec<MetadataPattern>,
    },
}

/// What `request.headers[NAME]` asks for.
#[derive(Debug)]
pub(super) enum HeaderName {
    Authority,
    Method,
    /// With query string.
    Path,
    Scheme,
    /// In lower case.
    Line(String),
}

/// Filter metadata: a string, or (written `[v]`) a list with a string that matches.
#[derive(Debug)]
pub(super) struct MetadataPattern {
    pub(super) list: bool,
    pub(super) pattern: Pattern,
}

/// Whether a request's target is neither a path nor `*`, so that an upstream could read it as any
/// path.
pub(super) fn is_odd_target(http: &HttpRequest) -> bool {
    !http.path.starts_with('/') && !matches!(http.path.as_str(), "" | "*")
}

// === impl RuleAction ===

impl RuleAction {
    /// The name in policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
            Self::Audit => "AUDIT",
            Self::Custom => "CUSTOM",
        }
    }
}

// === impl CompiledRule ===

impl CompiledRule {
    /// `ns[NAMESPACE]-policy[NAME]-rule[INDEX]`, by whose byte order the deciding rule is found.
    pub fn id(&self) -> String {
        format!(
            "ns[{}]-policy[{}]-rule[{}]",
            self.namespace, self.policy, self.index
        )
    }

    /// Whether the rule matches a request or connection.
    pub fn matches(&self, facts: &Facts<'_>) -> bool {
        // Rule: on TCP an ALLOW rule with any HTTP-only test is left out whole. Of a DENY rule the
        // HTTP-only tests are left out, so that it matches more.
        let is_tcp = facts.attributes.http().is_none();
        if is_tcp && self.action == RuleAction::Allow && self.has_http_tests() {
            return false;
        }
        self.alternatives_match(&self.to, facts)
            && self.alternatives_match(&self.from, facts)
            && self.when.iter().all(|test| test.holds(facts, self.action))
    }

    fn has_http_tests(&self) -> bool {
        self.tests().any(|test| test.matcher.http_only())
    }

    /// Rule: none given matches all; else any alternative whose tests all hold.
    fn alternatives_match(&self, alternatives: &[Vec<Test>], facts: &Facts<'_>) -> bool {
        alternatives.is_empty()
            || alternatives
                .iter()
                .any(|tests| tests.iter().all(|test| test.holds(facts, self.action)))
    }

    fn tests(&self) -> impl Iterator<Item = &Test> {
        self.from.iter().chain(&self.to).flatten().chain(&self.when)
    }

    /// What the rule looks at.
    pub fn reads(&self) -> Reads {
        let mut reads = Reads::default();
        reads.field(Field::Protocol);
        for test in self.tests() {
            test.matcher.add_reads(&mut reads);
        }
        reads
    }
}

// === impl Test ===

impl Test {
    pub(super) fn holds(&self, facts: &Facts<'_>, action: RuleAction) -> bool {
        // What could be read as any path matches whatever denies, and nothing that allows.
        if let (Matcher::Path(_), Some(http)) = (&self.matcher, facts.attributes.http())
            && is_odd_target(http)
        {
            return action != RuleAction::Allow;
        }
        // Only rules that deny get here with HTTP-only tests on TCP.
        if facts.attributes.http().is_none() && self.matcher.http_only() {
            return true;
        }
        // Rule: an attribute that is missing matches nothing, so its negation holds.
        self.matcher.matches(facts) != self.negated
    }
}

// === impl Matcher ===

impl Matcher {
    fn matches(&self, facts: &Facts<'_>) -> bool {
        let Facts {
            attributes,
            peer,
            token,
            remote_ip,
            ..
        } = *facts;
        match self {
            Self::Principal(values) => any_name(peer, values, PrincipalPattern::matches),
            Self::Namespace(values) => any_name(peer, values, NamespacePattern::matches),
            Self::ServiceAccount(values) => any_name(peer, values, ServiceAccount::matches),
            Self::TrustDomain(values) => any_name(peer, values, TrustDomainPattern::matches),
            Self::RequestPrincipal(values) => {
                token.is_some_and(|token| values.iter().any(|value| value.matches(token.claims())))
            }
            Self::SourceIp(blocks) => any_block(blocks, attributes.source_ip()),
            Self::RemoteIp(blocks) => any_block(blocks, remote_ip),
            Self::DestinationIp(blocks) => any_block(blocks, attributes.destination_ip()),
            Self::DestinationPort(ports) => attributes
                .destination_port()
                .is_some_and(|port| ports.contains(&port)),
            // Rule: the proxy's matcher sees the name in lower case.
            Self::ServerName(values) => attributes.server_name().is_some_and(|name| {
                let name = name.to_ascii_lowercase();
                values.iter().any(|value| value.matches_text(&name))
            }),
            Self::Claim { path, values } => token
                .and_then(|token| token.claims().lookup(path))
                .is_some_and(|claim| values.iter().any(|value| value.matches_claim(claim))),
            Self::Metadata {
                filter,
                key,
                values,
            } => metadata(attributes, filter, key)
                .is_some_and(|found| values.iter().any(|value| value.matches(found))),
            Self::Host(_) | Self::Method(_) | Self::Path(_) | Self::Header { .. } => attributes
                .http()
                .is_some_and(|http| self.matches_http(http, facts)),
        }
    }

    fn matches_http(&self, http: &HttpRequest, facts: &Facts<'_>) -> bool {
        match self {
            Self::Host(values) => {
                !http.host.is_empty() && values.iter().any(|value| value.matches_host(&http.host))
            }
            Self::Method(values) => {
                !http.method.is_empty()
                    && values
                        .iter()
                        .any(|value| value.matches_bytes(http.method.as_bytes()))
            }
            Self::Path(values) => {
                let path = facts.target.path();
                !http.path.is_empty() && values.iter().any(|value| value.matches(path))
            }
            // Rule: every line of a repeated header is tested by itself.
            Self::Header { name, values } => name
                .values(http, facts.target)
                .any(|bytes| values.iter().any(|value| value.matches_bytes(bytes))),
            _ => false,
        }
    }

    /// Attributes that do not exist on a TCP connection.
    fn http_only(&self) -> bool {
        matches!(
            self,
            Self::Host(_)
                | Self::Method(_)
                | Self::Path(_)
                | Self::Header { .. }
                | Self::Claim { .. }
                | Self::RequestPrincipal(_)
        )
    }

    fn add_reads(&self, reads: &mut Reads) {
        match self {
            Self::Principal(_)
            | Self::Namespace(_)
            | Self::ServiceAccount(_)
            | Self::TrustDomain(_) => {
                reads.field(Field::Principal);
            }
            // Where tokens are looked for is what RequestAuthentication reads.
            Self::RequestPrincipal(_) | Self::Claim { .. } => {}
            Self::SourceIp(_) => reads.field(Field::SourceAddress),
            Self::RemoteIp(_) => reads.field(Field::RemoteIp),
            Self::DestinationIp(_) | Self::DestinationPort(_) => {
                reads.field(Field::DestinationAddress);
            }
            Self::ServerName(_) => reads.field(Field::ServerName),
            Self::Host(_) => reads.field(Field::Host),
            Self::Method(_) => reads.field(Field::Method),
            Self::Path(_) => reads.field(Field::Path),
            Self::Metadata { .. } => reads.field(Field::Metadata),
            Self::Header { name, .. } => name.add_reads(reads),
        }
    }
}

/// Rule: any of the peer's names; the negation of a test holds if none matches.
fn any_name<T>(peer: &PeerIdentity<'_>, values: &[T], matches: fn(&T, &str) -> bool) -> bool {
    peer.names()
        .any(|name| values.iter().any(|value| matches(value, name)))
}

/// Rule: a block of one address family never holds an address of the other.
fn any_block(blocks: &[IpNet], ip: Option<IpAddr>) -> bool {
    ip.is_some_and(|ip| blocks.iter().any(|block| block.contains(&ip)))
}

pub(super) fn metadata<'a>(
    attributes: &'a Attributes,
    filter: &str,
    key: &str,
) -> Option<&'a serde_json::Value> {
    let metadata = attributes.metadata.as_ref()?;
    let (_, fields) = metadata.filter.iter().find(|(name, _)| name == filter)?;
    fields.get(key)
}

// === impl MetadataPattern ===

impl fmt::Display for MetadataPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.list {
            true => write!(formatter, "[{}]", self.pattern),
            false => self.pattern.fmt(formatter),
        }
    }
}

impl MetadataPattern {
    fn matches(&self, value: &serde_json::Value) -> bool {
        match (self.list, value) {
            (false, serde_json::Value::String(text)) => self.pattern.matches_text(text),
            (true, serde_json::Value::Array(_)) => self.pattern.matches_claim(value),
            _ => false,
        }
    }
}

// === impl HeaderName ===

impl HeaderName {
    /// Rule: parts of the request line can be asked for like headers; `host` stands for
    /// `:authority`.
    pub(super) fn parse(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            ":authority" | "host" => Self::Authority,
            ":method" => Self::Method,
            ":path" => Self::Path,
            ":scheme" => Self::Scheme,
            lower => Self::Line(lower.to_owned()),
        }
    }

    /// Every line of a header by itself; a part of the request line if it is not empty.
    pub(super) fn values<'a>(
        &'a self,
        http: &'a HttpRequest,
        target: &'a NormalTarget<'_>,
    ) -> impl Iterator<Item = &'a [u8]> {
        let (part, lines) = match self {
            Self::Authority => (Some(http.host.as_str()), None),
            Self::Method => (Some(http.method.as_str()), None),
            Self::Path => (Some(target.whole()), None),
            Self::Scheme => (Some(http.scheme.as_str()), None),
            Self::Line(name) => (None, Some(http.headers.values(name))),
        };
        let part = part.filter(|part| !part.is_empty());
        let part = part.map(str::as_bytes).into_iter();
        part.chain(lines.into_iter().flatten())
    }

    fn add_reads(&self, reads: &mut Reads) {
        match self {
            Self::Authority => reads.field(Field::Host),
            Self::Method => reads.field(Field::Method),
            Self::Path => reads.field(Field::Target),
            Self::Scheme => reads.field(Field::Scheme),
            Self::Line(name) => reads.header(name),
        }
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Authority => ":authority",
            Self::Method => ":method",
            Self::Path => ":path",
            Self::Scheme => ":scheme",
            Self::Line(name) => name,
        })
    }
}
