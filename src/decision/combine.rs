//! The end of a check that nothing denied: whether there are grounds to allow, and what the parts
//! that allowed may change together. The only place where an allow is made.

use std::collections::BTreeSet;

use super::{Decision, Mutations, Reason, ReasonKind, Reply};
use crate::attributes::{Headers, JsonObject, Pairs};
use crate::policy::DefaultAction;
use crate::policy::native::{Authenticated, CompiledRule};
use crate::policy::rego::Outcome;

/// What speaks for a request after every part that could deny it did not.
#[derive(Debug, Default)]
pub struct Grounds<'a> {
    /// The ALLOW rule that matched.
    pub rule: Option<&'a CompiledRule>,
    /// What Rego answered, with the path of the entrypoint: providers of action CUSTOM by name, then
    /// the one that is asked for every request.
    pub rego: Vec<(Outcome, &'a str)>,
    pub authenticated: Authenticated,
    /// What holds when there is neither.
    pub default_action: DefaultAction,
    /// Whether there is no policy of any kind, for anybody.
    pub nothing_loaded: bool,
    pub parameter_changes: ParameterChanges,
}

/// What becomes of a request whose query parameters are to change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ParameterChanges {
    /// The reply says so.
    #[default]
    Said,
    /// Its reply has no place for that, and it is denied: it must not go on as it is.
    Denied,
    /// The same for what native policies want; what Rego wants is left out, as opa-envoy-plugin does.
    DeniedOfNative,
}

/// Decides a request that nothing denied.
pub fn conclude(grounds: Grounds<'_>) -> Decision {
    // An outcome that denies must not get this far; if it does, it still denies.
    if let Some((outcome, entrypoint)) = grounds.rego.iter().find(|(outcome, _)| !outcome.allowed) {
        return Decision::denied_by_rego(outcome, entrypoint);
    }
    let reason = match (grounds.rule, grounds.rego.last(), grounds.default_action) {
        // What a dry run would have done is what it is run for.
        (_, Some((outcome, entrypoint)), _) if outcome.dry_run => {
            Reason::rego(entrypoint, "denied by Rego in a dry run")
        }
        (Some(rule), _, _) => Reason::rule(rule),
        (None, Some((_, entrypoint)), _) => Reason::rego(entrypoint, "allowed by Rego"),
        (None, None, DefaultAction::Allow) => {
            let why = "no policy applies and the default is allow";
            Reason::new(ReasonKind::DefaultAction, why)
        }
        (None, None, DefaultAction::Deny) if grounds.nothing_loaded => {
            let reason = Reason::new(ReasonKind::NoPolicy, "no policy is loaded");
            return Decision::deny(403, reason);
        }
        (None, None, DefaultAction::Deny) => {
            let why = "no policy applies and the default is deny";
            return Decision::deny(403, Reason::new(ReasonKind::DefaultAction, why));
        }
    };
    let mut mutations = Mutations::of(grounds.authenticated);
    let is_said = grounds.parameter_changes == ParameterChanges::Said;
    if !is_said && mutations.changes_parameters() {
        let why = "the token is in a query parameter, which a reply of version 2 cannot remove";
        return Decision::fail(403, Reason::new(ReasonKind::RequestAuthentication, why));
    }
    let mut metadata = None;
    for (mut outcome, _) in grounds.rego {
        if let Err(why) = check_upstream_headers(&outcome).and_then(|()| check_parameters(&outcome))
        {
            return Decision::fail(403, Reason::new(ReasonKind::RegoError, why));
        }
        add_metadata(&mut metadata, outcome.dynamic_metadata.take());
        mutations.add(outcome);
    }
    if grounds.parameter_changes == ParameterChanges::Denied && mutations.changes_parameters() {
        let why = "a reply of version 2 cannot change query parameters, as the policy wants";
        return Decision::fail(403, Reason::new(ReasonKind::RegoError, why));
    }
    let mut decision = Decision::new(Reply::Allow(mutations), reason);
    decision.dynamic_metadata = metadata;
    decision
}

/// Rule: members that an earlier answer gave stay.
fn add_metadata(metadata: &mut Option<JsonObject>, more: Option<JsonObject>) {
    for (name, value) in more.into_iter().flatten() {
        let known = metadata.get_or_insert_default();
        known.entry(name).or_insert(value);
    }
}

impl Mutations {
    fn of(authenticated: Authenticated) -> Self {
        Self {
            set_headers: authenticated.set_headers,
            removed_by_native: authenticated.remove_headers.len(),
            remove_headers: authenticated.remove_headers.into_iter().collect(),
            remove_parameters: authenticated.remove_parameters.into_iter().collect(),
            ..Self::default()
        }
    }

    fn changes_parameters(&self) -> bool {
        !self.set_parameters.is_empty() || !self.remove_parameters.is_empty()
    }

    /// Rule: what an earlier part sets or removes, a later one may not touch.
    fn add(&mut self, outcome: Outcome) {
        let names = self.set_headers.iter().map(|(name, _)| name);
        let governed: Vec<String> = names.chain(&self.remove_headers).cloned().collect();
        let is_free = |name: &str| !governed.iter().any(|other| are_alike(other, name));

        // A name both set and removed would end removed; the removal gives way.
        let set = outcome.headers.iter();
        let set: BTreeSet<_> = set.map(|(name, _)| name.to_ascii_lowercase()).collect();
        let removed = outcome.request_headers_to_remove.into_iter();
        let removed =
            removed.filter(|name| is_free(name) && !set.contains(&name.to_ascii_lowercase()));
        self.remove_headers.extend(removed);
        let set = outcome.headers.into_iter();
        self.set_headers
            .extend(set.filter(|(name, _)| is_free(name)));
        let response_headers = client_headers(&outcome.response_headers_to_add);
        self.response_headers.extend(response_headers);
        self.add_parameters(
            outcome.query_parameters_to_set,
            outcome.query_parameters_to_remove,
        );
        self.explicit |= !outcome.plain;
    }

    fn add_parameters(&mut self, set: Pairs, remove: Vec<String>) {
        let names = self.set_parameters.iter().map(|(name, _)| name);
        let governed: Vec<String> = names.chain(&self.remove_parameters).cloned().collect();
        let remove = remove.into_iter();
        self.remove_parameters
            .extend(remove.filter(|name| !governed.contains(name)));
        let removed = &self.remove_parameters;
        let is_free = |name: &String| !governed.contains(name) && !removed.contains(name);
        let set: Pairs = set.into_iter().filter(|(name, _)| is_free(name)).collect();
        self.set_parameters.extend(set);
    }
}

/// Headers of a request that a careless server takes for one which the reply sets or removes:
/// `x_user` beside `x-user`. Told for each request anew, since those that share a cached decision
/// may differ in them.
pub fn lookalikes(mutations: &Mutations, headers: &Headers) -> Vec<String> {
    let set = mutations.set_headers.iter().map(|(name, _)| name);
    let governed: Vec<&String> = set.chain(&mutations.remove_headers).collect();
    let is_lookalike = |name: &str| {
        let mut alike = governed.iter().filter(|other| are_alike(other, name));
        alike.clone().next().is_some() && alike.all(|other| !other.eq_ignore_ascii_case(name))
    };
    let names = headers.iter().map(|(name, _)| name);
    let found: BTreeSet<&str> = names.filter(|name| is_lookalike(name)).collect();
    found.into_iter().map(str::to_owned).collect()
}

/// Whether two names are one to a server that takes `_` for `-`, as all do that hand headers on in
/// environment variables.
fn are_alike(left: &str, right: &str) -> bool {
    let fold = |byte: u8| match byte {
        b'_' => b'-',
        byte => byte.to_ascii_lowercase(),
    };
    left.len() == right.len() && left.bytes().map(fold).eq(right.bytes().map(fold))
}

/// A header that cannot be sent is left out of what a client gets.
pub(super) fn client_headers(headers: &Pairs) -> Pairs {
    headers
        .iter()
        .filter(|(name, value)| is_header(name, value))
        .cloned()
        .collect()
}

/// A header or parameter that cannot be sent upstream fails the check: leaving it out could let a
/// client's own copy through. The request line and the framing are not Rego's to change.
fn check_upstream_headers(outcome: &Outcome) -> Result<(), String> {
    let removed = outcome
        .request_headers_to_remove
        .iter()
        .map(|name| (name.as_str(), ""));
    let set = outcome
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in set.chain(removed) {
        if name.starts_with(':')
            || Headers::FRAMING
                .iter()
                .any(|framing| name.eq_ignore_ascii_case(framing))
        {
            return Err(format!("a policy may not change `{name}`"));
        }
        if !is_header(name, value) {
            return Err(format!("header `{}` cannot be sent", name.escape_debug()));
        }
    }
    Ok(())
}

/// A query parameter is sent as it is, so it must not bring further ones with it.
fn check_parameters(outcome: &Outcome) -> Result<(), String> {
    let breaks_out = |byte: u8| byte <= b' ' || byte >= 0x7f || matches!(byte, b'&' | b'#');
    for (name, value) in &outcome.query_parameters_to_set {
        if name.contains('=') || name.bytes().chain(value.bytes()).any(breaks_out) {
            let name = name.escape_debug();
            return Err(format!("query parameter `{name}` must be percent-encoded"));
        }
    }
    Ok(())
}

/// RFC 9110 sections 5.1 and 5.5.
fn is_header(name: &str, value: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(is_token)
        && value
            .bytes()
            .all(|byte| byte == b'\t' || !byte.is_ascii_control())
}
