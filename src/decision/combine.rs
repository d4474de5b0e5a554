//! The end of a check that nothing denied: whether there are grounds to allow, and what the parts
//! that allowed may change together. The only place where an allow is made.

use std::collections::BTreeSet;

use super::{Decision, Mutations, Reason, ReasonKind, Reply};
use crate::attributes::{Headers, Pairs};
use crate::policy::DefaultAction;
use crate::policy::native::{Authenticated, CompiledRule};
use crate::policy::rego::Outcome;

/// Headers by which a message is delimited and routed.
const FRAMING: [&str; 5] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
];

/// What speaks for a request after every part that could deny it did not.
#[derive(Debug, Default)]
pub struct Grounds<'a> {
    /// The ALLOW rule that matched.
    pub rule: Option<&'a CompiledRule>,
    /// The entrypoint's answer and name.
    pub rego: Option<(Outcome, &'a str)>,
    pub authenticated: Authenticated,
    /// What holds when there is neither.
    pub default_action: DefaultAction,
    /// Whether there is no policy of any kind, for anybody.
    pub nothing_loaded: bool,
}

/// Decides a request that nothing denied.
pub fn conclude(grounds: Grounds<'_>) -> Decision {
    // An outcome that denies must not get this far; if it does, it still denies.
    if let Some((outcome, entrypoint)) = &grounds.rego
        && !outcome.allowed
    {
        return Decision::denied_by_rego(outcome, entrypoint);
    }
    let reason = match (grounds.rule, &grounds.rego, grounds.default_action) {
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
    let outcome = grounds.rego.map(|(outcome, _)| outcome);
    if let Some(outcome) = &outcome
        && let Err(why) = check_upstream_headers(outcome).and_then(|()| check_parameters(outcome))
    {
        return Decision::fail(403, Reason::new(ReasonKind::RegoError, why));
    }
    let metadata = outcome
        .as_ref()
        .and_then(|outcome| outcome.dynamic_metadata.clone());
    let mut decision = Decision::new(Reply::Allow(merge(grounds.authenticated, outcome)), reason);
    decision.dynamic_metadata = metadata;
    decision
}

/// Rule: RequestAuthentication comes first; what it sets or removes, Rego may not touch.
fn merge(authenticated: Authenticated, outcome: Option<Outcome>) -> Mutations {
    let explicit = outcome.as_ref().is_some_and(|outcome| !outcome.plain);
    let outcome = outcome.unwrap_or_default();
    let governed: Vec<String> = authenticated
        .set_headers
        .iter()
        .map(|(name, _)| name)
        .chain(&authenticated.remove_headers)
        .cloned()
        .collect();
    let is_free = |name: &str| !governed.iter().any(|other| are_alike(other, name));

    let mut set_headers = authenticated.set_headers;
    set_headers.extend(
        outcome
            .headers
            .into_iter()
            .filter(|(name, _)| is_free(name)),
    );
    let set: BTreeSet<String> = set_headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();

    // A name both set and removed would end removed; the removal gives way.
    let removed = outcome
        .request_headers_to_remove
        .into_iter()
        .filter(|name| is_free(name) && !set.contains(&name.to_ascii_lowercase()));
    let remove_headers = authenticated
        .remove_headers
        .into_iter()
        .chain(removed)
        .collect();

    let mut remove_parameters: Vec<String> = authenticated.remove_parameters.into_iter().collect();
    remove_parameters.extend(outcome.query_parameters_to_remove);
    let set_parameters = outcome
        .query_parameters_to_set
        .into_iter()
        .filter(|(name, _)| !remove_parameters.contains(name))
        .collect();
    Mutations {
        set_headers,
        remove_headers,
        response_headers: client_headers(&outcome.response_headers_to_add),
        set_parameters,
        remove_parameters,
        explicit,
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
            || FRAMING
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
