//! What is valid and most likely not meant: told with the answer to a push, at a start and by
//! `doorward validate`. Nothing is decided by it.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::PolicySettings;
use super::resource::{
    Action, AuthorizationPolicySpec, MtlsMode, Operation, PeerAuthenticationSpec,
    RequestAuthenticationSpec, Resource, ResourceId, Rule, Selector, Source, Spec, TargetRef,
    Values, When,
};
use crate::identity::{KeySet, SPIFFE_SCHEME};
use crate::yaml::Problem;

/// Claims that are numbers or truth values by their definition (RFC 7519, OpenID Connect Core), where
/// only strings ever match.
const NEVER_STRINGS: [&str; 7] = [
    "exp",
    "nbf",
    "iat",
    "auth_time",
    "updated_at",
    "email_verified",
    "phone_number_verified",
];

/// Goes through all objects that hold together, and tells what each gives reason to doubt.
pub(super) fn warnings<'a>(
    resources: &[&'a Resource],
    settings: &PolicySettings,
) -> Vec<(&'a Resource, Problem)> {
    let mesh = Mesh::of(resources, settings);
    let mut found = Vec::new();
    for resource in resources {
        let mut doubts = Doubts {
            resource,
            mesh: &mesh,
            problems: Vec::new(),
        };
        match &resource.spec {
            Spec::AuthorizationPolicy(spec) => doubts.authorization(spec),
            Spec::RequestAuthentication(spec) => doubts.authentication(spec),
            Spec::PeerAuthentication(spec) => doubts.peer(spec),
            Spec::Telemetry(_) => {}
        }
        let problems = doubts.problems.into_iter();
        found.extend(problems.map(|problem| (*resource, problem)));
    }
    found
}

/// What a single object cannot tell.
struct Mesh<'a> {
    settings: &'a PolicySettings,
    /// Namespaces where every workload wants an identity, by default.
    strict: BTreeSet<&'a str>,
    /// Namespaces with more than one PeerAuthentication for all workloads: all but the oldest.
    ignored: BTreeSet<&'a ResourceId>,
}

struct Doubts<'a> {
    resource: &'a Resource,
    mesh: &'a Mesh<'a>,
    problems: Vec<Problem>,
}

// === impl Mesh ===

impl<'a> Mesh<'a> {
    fn of(resources: &[&'a Resource], settings: &'a PolicySettings) -> Self {
        let mut mesh = Self {
            settings,
            strict: BTreeSet::new(),
            ignored: BTreeSet::new(),
        };
        let mut wide: Vec<(&'a Resource, &PeerAuthenticationSpec)> = resources
            .iter()
            .filter_map(|resource| match &resource.spec {
                Spec::PeerAuthentication(spec) if !selects(spec.selector.as_ref()) => {
                    Some((*resource, spec))
                }
                _ => None,
            })
            .collect();
        // Rule: the oldest of a namespace holds, as in `native`.
        wide.sort_by_key(|(resource, _)| {
            let id = &resource.id;
            (
                &id.namespace,
                resource.created.is_none(),
                resource.created,
                &id.name,
            )
        });
        let mut seen = BTreeSet::new();
        for (resource, spec) in wide {
            if !seen.insert(&resource.id.namespace) {
                mesh.ignored.insert(&resource.id);
            } else if spec
                .mtls
                .as_ref()
                .is_some_and(|mtls| mtls.mode == MtlsMode::Strict)
            {
                mesh.strict.insert(&resource.id.namespace);
            }
        }
        mesh
    }

    fn is_strict(&self, namespace: &str) -> bool {
        let root = self.settings.mesh.root_namespace.as_str();
        self.strict.contains(namespace) || self.strict.contains(root)
    }
}

// === impl Doubts ===

impl Doubts<'_> {
    fn doubt(&mut self, path: &str, message: impl Into<String>) {
        let problem = self.resource.document.problem(path, message);
        self.problems.push(problem);
    }

    fn is_root(&self) -> bool {
        self.resource.id.namespace == self.mesh.settings.mesh.root_namespace
    }

    fn scope(&mut self, selector: Option<&Selector>, references: &[TargetRef]) {
        if selector.is_some_and(|selector| selector.match_labels.is_empty()) {
            let why = "workload selector specified without labels: it selects all";
            self.doubt("spec.selector", why);
        }
        let is_class = |reference: &&TargetRef| reference.kind == "GatewayClass";
        for reference in references.iter().filter(is_class) {
            if reference.name != "istio-waypoint" || !self.is_root() {
                let why =
                    "only class `istio-waypoint`, named in the root namespace, is ever matched";
                self.doubt("spec.targetRefs", why);
            }
        }
    }

    fn authentication(&mut self, spec: &RequestAuthenticationSpec) {
        self.scope(
            spec.selector.as_ref(),
            references(spec.target_ref.as_ref(), spec.target_refs.as_deref()),
        );
        for (index, rule) in spec.jwt_rules.iter().enumerate() {
            let keys = rule.jwks.as_deref().map(KeySet::parse);
            let keys = keys.and_then(Result::ok);
            if let Some(name) = keys.as_ref().and_then(KeySet::private_key) {
                let why =
                    format!("key {name} is private: whoever can read this policy can sign tokens");
                self.doubt(&format!("spec.jwtRules[{index}].jwks"), why);
            }
        }
    }

    fn peer(&mut self, spec: &PeerAuthenticationSpec) {
        self.scope(spec.selector.as_ref(), &[]);
        if selects(spec.selector.as_ref()) && self.is_root() {
            let why =
                "is ignored: a PeerAuthentication of the root namespace is for the whole mesh";
            self.doubt("spec.selector", why);
        }
        if self.mesh.ignored.contains(&self.resource.id) {
            let why = "is ignored: an older PeerAuthentication is for the same workloads";
            self.doubt("spec", why);
        }
    }

    fn authorization(&mut self, spec: &AuthorizationPolicySpec) {
        self.scope(
            spec.selector.as_ref(),
            references(spec.target_ref.as_ref(), spec.target_refs.as_deref()),
        );
        if let Some(provider) = &spec.provider
            && !self
                .mesh
                .settings
                .rego
                .providers
                .contains_key(&provider.name)
        {
            let why = "is not configured in `rego.providers`: what the rules match is denied";
            self.doubt("spec.provider.name", why);
        }
        for (index, rule) in spec.rules.iter().flatten().enumerate() {
            let path = format!("spec.rules[{index}]");
            if spec.action == Action::Deny && is_wider_on_tcp(rule) {
                let why = "also denies plain TCP connections, as its HTTP fields cannot be seen there; add `ports` to confine it";
                self.doubt(&path, why);
            }
            for (at, from) in rule.from.iter().flatten().enumerate() {
                self.source(
                    &format!("{path}.from[{at}].source"),
                    spec.action,
                    &from.source,
                );
            }
            for (at, when) in rule.when.iter().flatten().enumerate() {
                self.condition(&format!("{path}.when[{at}]"), spec.action, when);
            }
        }
    }

    fn source(&mut self, path: &str, action: Action, source: &Source) {
        let negated = [
            ("notPrincipals", &source.not_principals),
            ("notNamespaces", &source.not_namespaces),
            ("notServiceAccounts", &source.not_service_accounts),
            ("notTrustDomains", &source.not_trust_domains),
        ];
        for (name, values) in negated {
            self.without_identity(&format!("{path}.{name}"), action, values);
        }
        for (name, values) in [
            ("principals", &source.principals),
            ("notPrincipals", &source.not_principals),
        ] {
            self.principals(&format!("{path}.{name}"), values);
        }
        for (name, values) in [
            ("requestPrincipals", &source.request_principals),
            ("notRequestPrincipals", &source.not_request_principals),
        ] {
            self.request_principals(&format!("{path}.{name}"), values);
        }
    }

    fn condition(&mut self, path: &str, action: Action, when: &When) {
        let identity = [
            "source.principal",
            "source.namespace",
            "source.serviceAccount",
            "source.trustDomain",
        ];
        if identity.contains(&when.key.as_str()) {
            self.without_identity(&format!("{path}.notValues"), action, &when.not_values);
        }
        let claim = when.key.strip_prefix("request.auth.claims[");
        let claim = claim.and_then(|claim| claim.strip_suffix(']'));
        if claim.is_some_and(|claim| NEVER_STRINGS.contains(&claim)) {
            let why = "this claim is never a string, and nothing else ever matches";
            self.doubt(&format!("{path}.key"), why);
        }
        for (name, values) in [("values", &when.values), ("notValues", &when.not_values)] {
            let path = format!("{path}.{name}");
            match when.key.as_str() {
                "source.principal" => self.principals(&path, values),
                "request.auth.principal" => self.request_principals(&path, values),
                "connection.sni" => self.each(&path, values, |value| {
                    value
                        .bytes()
                        .any(|byte| byte.is_ascii_uppercase())
                        .then_some("never matches: server names are compared in lower case")
                }),
                _ => {}
            }
        }
    }

    fn without_identity(&mut self, path: &str, action: Action, values: &Values) {
        if action == Action::Allow
            && !values.is_empty()
            && !self.mesh.is_strict(&self.resource.id.namespace)
        {
            let why = "also holds for peers without identity, as mutual TLS is not STRICT";
            self.doubt(path, why);
        }
    }

    fn principals(&mut self, path: &str, values: &Values) {
        self.each(path, values, |value| {
            if value.starts_with(SPIFFE_SCHEME) {
                return Some("never matches: principals are written without `spiffe://`");
            }
            let prefix = value
                .strip_suffix('*')
                .filter(|prefix| !prefix.is_empty())?;
            let open = !prefix.ends_with('/') && !prefix.starts_with('*');
            open.then_some(
                "ends inside a name: write `/*` unless names that only begin so are meant",
            )
        });
    }

    /// Rule: the value is split at its last slash; both parts must be in the token.
    fn request_principals(&mut self, path: &str, values: &Values) {
        self.each(path, values, |value| {
            if !value.contains('/') && !value.contains('*') {
                return Some("never matches a token with a subject: write `ISSUER/SUBJECT`");
            }
            let bare = value
                .strip_prefix("https:/")
                .or(value.strip_prefix("http:/"))?;
            let (issuer, _) = bare.rsplit_once('/')?;
            issuer
                .is_empty()
                .then_some("never matches: the issuer ends at the last `/`; write `ISSUER/*`")
        });
    }

    fn each(&mut self, path: &str, values: &Values, doubt: impl Fn(&str) -> Option<&'static str>) {
        for (index, value) in values.iter().enumerate() {
            if let Some(why) = doubt(value) {
                self.doubt(&format!("{path}[{index}]"), format!("`{value}` {why}"));
            }
        }
    }
}

fn references<'a>(one: Option<&'a TargetRef>, many: Option<&'a [TargetRef]>) -> &'a [TargetRef] {
    match many {
        Some(many) if !many.is_empty() => many,
        _ => one.map_or(&[], std::slice::from_ref),
    }
}

fn selects(selector: Option<&Selector>) -> bool {
    selector.is_some_and(|selector| !selector.match_labels.is_empty())
}

/// Rule: on TCP the HTTP fields of a DENY rule are left out, so that it matches more. What its ports
/// (or, without `to`, its other L4 fields) confine is taken to be meant so.
fn is_wider_on_tcp(rule: &Rule) -> bool {
    let to = rule.to.iter().flatten();
    let from = rule.from.iter().flatten();
    let mut when = rule.when.iter().flatten();
    let http_when = when.any(|when| {
        when.key.starts_with("request.") && !(when.values.is_empty() && when.not_values.is_empty())
    });
    if to.clone().next().is_some() {
        let mut to = to.map(|to| &to.operation);
        return to.any(|operation| has_http(operation) && !has_ports(operation));
    }
    if from.clone().next().is_some() {
        let mut from = from.map(|from| &from.source);
        return from.any(|source| !has_l4(source));
    }
    let l4_when = rule
        .when
        .iter()
        .flatten()
        .any(|when| !when.key.starts_with("request."));
    http_when && !l4_when
}

fn has_ports(operation: &Operation) -> bool {
    !operation.ports.is_empty() || !operation.not_ports.is_empty()
}

fn has_http(operation: &Operation) -> bool {
    let fields = [
        &operation.hosts,
        &operation.not_hosts,
        &operation.methods,
        &operation.not_methods,
        &operation.paths,
        &operation.not_paths,
    ];
    fields.iter().any(|values| !values.is_empty())
}

fn has_l4(source: &Source) -> bool {
    let fields = [
        &source.principals,
        &source.not_principals,
        &source.namespaces,
        &source.not_namespaces,
        &source.service_accounts,
        &source.not_service_accounts,
        &source.ip_blocks,
        &source.not_ip_blocks,
        &source.remote_ip_blocks,
        &source.not_remote_ip_blocks,
        &source.trust_domains,
        &source.not_trust_domains,
    ];
    fields.iter().any(|values| !values.is_empty())
}
