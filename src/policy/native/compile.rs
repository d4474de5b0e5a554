//! From what users write to what is evaluated. An object with any value that cannot be compiled is
//! refused whole, with the place of every such value: dropping a part of a rule would widen it.

use std::sync::Arc;

use super::attachment::Attachment;
use super::authorization::{CompiledRule, Matcher, RuleAction, Test};
use super::condition::{bracketed, claim, is_condition_key, unknown_key};
use super::matcher::{
    NamespacePattern, PathPattern, Pattern, PrincipalPattern, RequestPrincipalPattern,
    ServiceAccount, TrustDomainPattern, parse_ip_block, parse_port,
};
use super::trust_domain::{TrustDomains, expand_principal};
use crate::policy::resource::{
    Action, AuthorizationPolicySpec, Operation, Resource, Rule, Source, Values, When,
};
use crate::yaml::Problem;

/// An AuthorizationPolicy, compiled.
#[derive(Debug)]
pub(super) struct CompiledPolicy {
    pub action: RuleAction,
    /// Who is asked, for action CUSTOM; else empty.
    pub provider: String,
    /// Watches instead of deciding.
    pub dry_run: bool,
    pub attachment: Attachment,
    pub rules: Vec<Arc<CompiledRule>>,
}

/// Compiles one policy.
pub(super) fn compile(
    resource: &Resource,
    spec: &AuthorizationPolicySpec,
    trust_domains: &TrustDomains,
) -> Result<CompiledPolicy, Vec<Problem>> {
    let mut compiler = Compiler {
        resource,
        action: RuleAction::Allow,
        trust_domains,
        problems: Vec::new(),
    };
    let policy = compiler.policy(spec);
    if compiler.problems.is_empty() {
        Ok(policy)
    } else {
        Err(compiler.problems)
    }
}

struct Compiler<'a> {
    resource: &'a Resource,
    action: RuleAction,
    trust_domains: &'a TrustDomains,
    problems: Vec<Problem>,
}

impl Compiler<'_> {
    fn problem(&mut self, path: &str, message: impl Into<String>) {
        self.problems
            .push(self.resource.document.problem(path, message));
    }

    fn policy(&mut self, spec: &AuthorizationPolicySpec) -> CompiledPolicy {
        let attachment = Attachment::compile(
            &self.resource.document,
            spec.selector.as_ref(),
            spec.target_ref.as_ref(),
            spec.target_refs.as_deref(),
            &mut self.problems,
        );
        self.action = self.action(spec);
        // Rule: no rules match nothing; for a policy that denies that is a mistake.
        let rules = spec.rules.as_deref().unwrap_or_default();
        let action = self.action;
        if rules.is_empty() && matches!(action, RuleAction::Deny | RuleAction::Custom) {
            let action = action.as_str();
            let why = format!("{action} action without `rules` is meaningless: it never triggers");
            self.problem("spec", why);
        }
        let rules = rules.iter().enumerate();
        if self.resource.dry_run && matches!(action, RuleAction::Audit | RuleAction::Custom) {
            let why = "`istio.io/dry-run` is for ALLOW and DENY only";
            self.problem("metadata.annotations", why);
        }
        CompiledPolicy {
            action,
            provider: spec
                .provider
                .as_ref()
                .map_or_else(String::new, |provider| provider.name.clone()),
            dry_run: self.resource.dry_run,
            attachment,
            rules: rules
                .map(|(index, rule)| Arc::new(self.rule(index, rule)))
                .collect(),
        }
    }

    fn action(&mut self, spec: &AuthorizationPolicySpec) -> RuleAction {
        if spec.provider.is_some() && spec.action != Action::Custom {
            self.problem(
                "spec.provider",
                "`provider` must not be with non CUSTOM action",
            );
        }
        match spec.action {
            Action::Allow => RuleAction::Allow,
            Action::Deny => RuleAction::Deny,
            Action::Audit => RuleAction::Audit,
            Action::Custom => {
                let name = spec.provider.as_ref().map_or("", |provider| &provider.name);
                if name.is_empty() {
                    self.problem("spec.provider", "`provider.name` must not be empty");
                } else if !is_provider(name) {
                    let why = "is not a name (a-z, 0-9 and `-`, at most 63, none of them at its ends `-`)";
                    self.problem("spec.provider.name", why);
                }
                RuleAction::Custom
            }
        }
    }

    fn rule(&mut self, index: usize, rule: &Rule) -> CompiledRule {
        let path = format!("spec.rules[{index}]");
        let mut from = Vec::new();
        for (at, entry) in rule.from.iter().flatten().enumerate() {
            from.push(self.source(&format!("{path}.from[{at}].source"), &entry.source));
        }
        let mut to = Vec::new();
        for (at, entry) in rule.to.iter().flatten().enumerate() {
            to.push(self.operation(&format!("{path}.to[{at}].operation"), &entry.operation));
        }
        // Istio reads an empty list as no restriction; here it is taken for the mistake it is.
        for (name, list) in [
            ("from", rule.from.as_ref().map(Vec::len)),
            ("to", rule.to.as_ref().map(Vec::len)),
        ] {
            if list == Some(0) {
                self.problem(
                    &format!("{path}.{name}"),
                    "must not be empty; leave it out to match all",
                );
            }
        }
        let mut when = Vec::new();
        for (at, condition) in rule.when.iter().flatten().enumerate() {
            self.condition(&format!("{path}.when[{at}]"), condition, &mut when);
        }
        CompiledRule {
            namespace: self.resource.id.namespace.clone(),
            policy: self.resource.id.name.clone(),
            index,
            action: self.action,
            from,
            to,
            when,
        }
    }

    fn source(&mut self, path: &str, source: &Source) -> Vec<Test> {
        let accounts =
            !source.service_accounts.is_empty() || !source.not_service_accounts.is_empty();
        let others = [
            &source.principals,
            &source.not_principals,
            &source.namespaces,
            &source.not_namespaces,
        ];
        if accounts && others.iter().any(|values| !values.is_empty()) {
            self.problem(
                path,
                "`serviceAccounts` cannot stand beside `principals` or `namespaces`",
            );
        }
        let known_problems = self.problems.len();
        let mut tests = Vec::new();
        let fields = [
            (
                "principals",
                "source.principal",
                &source.principals,
                &source.not_principals,
            ),
            (
                "requestPrincipals",
                "request.auth.principal",
                &source.request_principals,
                &source.not_request_principals,
            ),
            (
                "namespaces",
                "source.namespace",
                &source.namespaces,
                &source.not_namespaces,
            ),
            (
                "serviceAccounts",
                "source.serviceAccount",
                &source.service_accounts,
                &source.not_service_accounts,
            ),
            (
                "ipBlocks",
                "source.ip",
                &source.ip_blocks,
                &source.not_ip_blocks,
            ),
            (
                "remoteIpBlocks",
                "remote.ip",
                &source.remote_ip_blocks,
                &source.not_remote_ip_blocks,
            ),
            (
                "trustDomains",
                "source.trustDomain",
                &source.trust_domains,
                &source.not_trust_domains,
            ),
        ];
        for (name, key, values, not_values) in fields {
            self.field(path, name, key, values, not_values, &mut tests);
        }
        self.require_some(path, &tests, known_problems, "source");
        tests
    }

    fn operation(&mut self, path: &str, operation: &Operation) -> Vec<Test> {
        let known_problems = self.problems.len();
        let mut tests = Vec::new();
        let fields = [
            ("hosts", "hosts", &operation.hosts, &operation.not_hosts),
            (
                "ports",
                "destination.port",
                &operation.ports,
                &operation.not_ports,
            ),
            (
                "methods",
                "methods",
                &operation.methods,
                &operation.not_methods,
            ),
            ("paths", "paths", &operation.paths, &operation.not_paths),
        ];
        for (name, key, values, not_values) in fields {
            self.field(path, name, key, values, not_values, &mut tests);
        }
        self.require_some(path, &tests, known_problems, "operation");
        tests
    }

    /// Values that were refused just now leave no test either, and that was told.
    fn require_some(&mut self, path: &str, tests: &[Test], known_problems: usize, what: &str) {
        if tests.is_empty() && self.problems.len() == known_problems {
            self.problem(
                path,
                format!("the {what} must have at least one field with values"),
            );
        }
    }

    fn field(
        &mut self,
        path: &str,
        name: &str,
        key: &str,
        values: &Values,
        not_values: &Values,
        tests: &mut Vec<Test>,
    ) {
        // Of many fields few have values, and only those need a path.
        if !values.is_empty() {
            self.test(&format!("{path}.{name}"), key, values, false, tests);
        }
        if !not_values.is_empty() {
            let (first, rest) = name.split_at_checked(1).unwrap_or((name, ""));
            let path = format!("{path}.not{}{rest}", first.to_ascii_uppercase());
            self.test(&path, key, not_values, true, tests);
        }
    }

    fn condition(&mut self, path: &str, condition: &When, tests: &mut Vec<Test>) {
        if condition.values.is_empty() && condition.not_values.is_empty() {
            self.problem(path, "at least one of `values` and `notValues` is needed");
        }
        // `hosts`, `methods` and `paths` are fields, not keys.
        if !is_condition_key(&condition.key) {
            self.problem(&format!("{path}.key"), unknown_key(&condition.key));
            return;
        }
        self.test(
            &format!("{path}.values"),
            &condition.key,
            &condition.values,
            false,
            tests,
        );
        self.test(
            &format!("{path}.notValues"),
            &condition.key,
            &condition.not_values,
            true,
            tests,
        );
    }

    /// One test of an attribute against a list of values; an empty list is no test.
    fn test(
        &mut self,
        path: &str,
        key: &str,
        values: &Values,
        negated: bool,
        tests: &mut Vec<Test>,
    ) {
        if values.is_empty() {
            return;
        }
        for (index, value) in values.iter().enumerate() {
            if value.is_empty() {
                self.problem(&format!("{path}[{index}]"), "empty value not allowed");
            }
        }
        // Rule: in a mesh the provider is asked before anybody is authenticated.
        if self.action == RuleAction::Custom && is_identity(key) {
            self.problem(path, "identities are not supported with CUSTOM action");
        }
        match self.matcher(path, key, values, negated) {
            Ok(matcher) => tests.push(Test { matcher, negated }),
            Err(why) => self.problem(path, why),
        }
    }

    fn matcher(
        &mut self,
        path: &str,
        key: &str,
        values: &Values,
        negated: bool,
    ) -> Result<Matcher, String> {
        let patterns = || values.iter().map(|value| Pattern::parse(value)).collect();
        Ok(match key {
            "source.principal" => {
                let expanded = values
                    .iter()
                    .flat_map(|value| expand_principal(value, self.trust_domains));
                Matcher::Principal(
                    expanded
                        .map(|value| PrincipalPattern::parse(&value))
                        .collect(),
                )
            }
            "source.namespace" => Matcher::Namespace(
                values
                    .iter()
                    .map(|value| NamespacePattern::parse(value))
                    .collect(),
            ),
            "source.serviceAccount" => {
                let own = self.resource.id.namespace.clone();
                Matcher::ServiceAccount(
                    self.each(path, values, |value| ServiceAccount::parse(value, &own)),
                )
            }
            "source.trustDomain" => {
                let known = self.trust_domains.to_vec();
                let expand = |value: &String| {
                    if known.contains(value) {
                        known.clone()
                    } else {
                        vec![value.clone()]
                    }
                };
                let expanded = Values(values.iter().flat_map(expand).collect());
                Matcher::TrustDomain(self.each(path, &expanded, TrustDomainPattern::parse))
            }
            "request.auth.principal" => Matcher::RequestPrincipal(
                values
                    .iter()
                    .map(|value| RequestPrincipalPattern::parse(value))
                    .collect(),
            ),
            "source.ip" => Matcher::SourceIp(self.each(path, values, parse_ip_block)),
            "remote.ip" => Matcher::RemoteIp(self.each(path, values, parse_ip_block)),
            "destination.ip" => Matcher::DestinationIp(self.each(path, values, parse_ip_block)),
            "destination.port" => Matcher::DestinationPort(self.each(path, values, parse_port)),
            "connection.sni" => Matcher::ServerName(patterns()),
            "request.auth.audiences" => claim(vec!["aud".to_owned()], patterns()),
            "request.auth.presenter" => claim(vec!["azp".to_owned()], patterns()),
            "hosts" => Matcher::Host(patterns()),
            "methods" => Matcher::Method(patterns()),
            "paths" => {
                let denies = matches!(self.action, RuleAction::Deny | RuleAction::Custom);
                let lenient = denies && !negated;
                Matcher::Path(self.each(path, values, |value| PathPattern::parse(value, lenient)))
            }
            _ => return bracketed(key, values),
        })
    }

    /// Compiles every value, noting each that cannot be.
    fn each<T>(
        &mut self,
        path: &str,
        values: &Values,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let mut parsed = Vec::with_capacity(values.0.len());
        for (index, value) in values.iter().enumerate() {
            match parse(value) {
                Ok(value) => parsed.push(value),
                Err(why) => self.problem(&format!("{path}[{index}]"), why),
            }
        }
        parsed
    }
}

fn is_identity(key: &str) -> bool {
    key.starts_with("request.auth.")
        || matches!(
            key,
            "source.principal"
                | "source.namespace"
                | "source.serviceAccount"
                | "source.trustDomain"
        )
}

/// Rule: a label of DNS.
fn is_provider(name: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= 63 && name.bytes().all(valid) && !name.starts_with('-') && !name.ends_with('-')
}
