//! The RequestAuthentication rules of one workload, put together once: which places are looked at for
//! tokens, which rules look there, and what is always taken from the client. What one rule says is
//! left to its parent module, checking a token to the verifier.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{CompiledAuthentication, CompiledJwtRule};
use crate::attributes::HttpRequest;
use crate::identity::{FoundToken, Keyring, Location, PresentedToken, TokenError, VerifiedToken};
use crate::policy::reads::{Field, Reads};

/// All rules attached to a workload.
#[derive(Debug, Default)]
pub struct Authentication {
    /// In the order they are asked.
    pub(in crate::policy::native) rules: Vec<Arc<CompiledJwtRule>>,
    /// Each place once, in the order they are looked at.
    places: Vec<Place>,
    /// Lower-case names of all headers any rule may set.
    output_headers: BTreeSet<String>,
}

/// A place, and the rules that look there.
#[derive(Debug)]
struct Place {
    location: Location,
    rules: Vec<Arc<CompiledJwtRule>>,
}

/// What a request's tokens came to.
#[derive(Debug, Default)]
pub struct Authenticated {
    pub token: Option<Arc<VerifiedToken>>,
    /// Headers towards the upstream, which nobody else may set.
    pub set_headers: Vec<(String, String)>,
    pub remove_headers: BTreeSet<String>,
    pub remove_parameters: BTreeSet<String>,
}

/// Why it is not told who asks where no signature is verified.
#[derive(Debug)]
pub enum Unauthenticated {
    Refused(Refused),
    /// One would have to be.
    Unverified,
}

/// What a rule says of a token.
type Said = Result<Arc<VerifiedToken>, TokenError>;

/// A token that does not verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub error: TokenError,
    /// `namespace/name` of the object whose rule was asked.
    pub policy: String,
}

// === impl Authentication ===

impl Authentication {
    /// Whether no token is looked for.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl Authentication {
    pub(in crate::policy::native) fn add(&mut self, object: &CompiledAuthentication) {
        self.rules.extend(object.rules.iter().cloned());
    }

    /// To be called once all objects were added.
    pub(in crate::policy::native) fn finish(&mut self) {
        // Rule: rules are asked by issuer, as istiod sorts them.
        self.rules
            .sort_by(|left, right| left.issuer.cmp(&right.issuer));
        let mut places: BTreeMap<&Location, Vec<Arc<CompiledJwtRule>>> = BTreeMap::new();
        for rule in &self.rules {
            self.output_headers.extend(rule.output_headers().cloned());
            for location in rule.locations.iter().collect::<BTreeSet<_>>() {
                places.entry(location).or_default().push(Arc::clone(rule));
            }
        }
        self.places = places
            .into_iter()
            .map(|(location, rules)| Place {
                location: location.clone(),
                rules,
            })
            .collect();
    }

    /// What authentication looks at. The token itself enters a cache key only through its digest.
    pub(in crate::policy::native) fn add_reads(&self, reads: &mut Reads) {
        if self.places.is_empty() {
            return;
        }
        reads.field(Field::Method);
        reads.header("origin");
        reads.header("access-control-request-method");
        for place in &self.places {
            match &place.location {
                Location::Header { name, .. } => reads.header(name),
                Location::Parameter(_) => reads.field(Field::Target),
                Location::Cookie(_) => reads.header("cookie"),
            }
        }
    }

    /// Authenticates a request at a time given in seconds since 1970.
    pub fn authenticate(
        &self,
        http: &HttpRequest,
        keyring: &Keyring,
        now: u64,
    ) -> Result<Authenticated, Refused> {
        self.authenticate_by(http, |rule, _, token| {
            Ok(keyring.verify(&rule.verifier, token, now))
        })
    }

    /// Authenticates a request as `authenticate` does, as long as that takes no verifying of signatures,
    /// each of which can take some hundred microseconds.
    pub fn authenticate_known(
        &self,
        http: &HttpRequest,
        keyring: &Keyring,
        now: u64,
    ) -> Result<Authenticated, Unauthenticated> {
        self.authenticate_by(http, |rule, behind, token| {
            let known = recalled(rule, behind, token, keyring, now);
            known.ok_or(Unauthenticated::Unverified)
        })
    }

    /// `ask` tells what a rule, with others behind it, says of a token; its failure ends everything.
    fn authenticate_by<E: From<Refused>>(
        &self,
        http: &HttpRequest,
        ask: impl Fn(&CompiledJwtRule, &[Arc<CompiledJwtRule>], &PresentedToken<'_>) -> Result<Said, E>,
    ) -> Result<Authenticated, E> {
        let refused = |error, rule: &CompiledJwtRule| {
            let policy = rule.name();
            Err(E::from(Refused { error, policy }))
        };
        let mut result = Authenticated {
            // Every header any rule may set is taken from the client, also on the paths below that
            // end without a token.
            remove_headers: self.output_headers.clone(),
            ..Authenticated::default()
        };
        // Rule: a CORS preflight passes without identity.
        if is_preflight(http) {
            return Ok(result);
        }
        let mut accepted: Option<(FoundToken<'_>, Arc<VerifiedToken>)> = None;
        for place in &self.places {
            for found in place.location.find(http) {
                let (rule, token) = place.verify(&found, &ask)?;
                // Envoy looks no further after the first token that verifies; which of two different
                // ones then counts is a matter of order. Here two are refused.
                if accepted
                    .as_ref()
                    .is_some_and(|(first, _)| first.text != found.text)
                {
                    return refused(TokenError::Ambiguous, rule);
                }
                if !rule.forward {
                    result.take(&place.location);
                }
                result.set_headers = rule.outputs(&token);
                accepted = Some((found, token));
            }
        }
        // Rule: if a rule wants a token, there must be one that some rule accepts.
        if accepted.is_none()
            && let Some(rule) = self.rules.iter().find(|rule| rule.required)
        {
            return refused(TokenError::Missing, rule);
        }
        for (name, _) in &result.set_headers {
            result.remove_headers.remove(name);
        }
        result.token = accepted.map(|(_, token)| token);
        Ok(result)
    }
}

// === impl Place ===

impl Place {
    /// Rule: a token is good if any rule that looks at its place accepts it. If none does, the last
    /// failure that is not merely another issuer's is reported.
    fn verify<E: From<Refused>>(
        &self,
        found: &FoundToken<'_>,
        ask: impl Fn(&CompiledJwtRule, &[Arc<CompiledJwtRule>], &PresentedToken<'_>) -> Result<Said, E>,
    ) -> Result<(&CompiledJwtRule, Arc<VerifiedToken>), E> {
        let token = PresentedToken::new(&found.text);
        let mut refused: Option<Refused> = None;
        let mut rules = &*self.rules;
        while let Some((rule, behind)) = rules.split_first() {
            rules = behind;
            match ask(rule, behind, &token)? {
                Ok(token) => return Ok((rule, token)),
                Err(error) => {
                    if error != TokenError::UnknownIssuer || refused.is_none() {
                        refused = Some(Refused {
                            error,
                            policy: rule.name(),
                        });
                    }
                }
            }
        }
        Err(E::from(refused.unwrap_or(Refused {
            error: TokenError::UnknownIssuer,
            policy: String::new(),
        })))
    }
}

/// What a rule says of a token, if no signature has to be verified for that.
fn recalled(
    rule: &CompiledJwtRule,
    behind: &[Arc<CompiledJwtRule>],
    token: &PresentedToken<'_>,
    keyring: &Keyring,
    now: u64,
) -> Option<Said> {
    if let Some(known) = keyring.recall(&rule.verifier, token, now) {
        return Some(known);
    }
    // What none of them knows is not even taken apart: it may be long.
    let knows = |rule: &Arc<CompiledJwtRule>| keyring.recall(&rule.verifier, token, now).is_some();
    if !behind.iter().any(knows) {
        return None;
    }
    token.refused_by(&rule.verifier, now).map(Err)
}

// === impl Unauthenticated ===

impl From<Refused> for Unauthenticated {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

// === impl Authenticated ===

impl Authenticated {
    /// Keeps the token that was found here from the upstream.
    fn take(&mut self, location: &Location) {
        match location {
            Location::Header { name, .. } => drop(self.remove_headers.insert(name.clone())),
            Location::Parameter(name) => drop(self.remove_parameters.insert(name.clone())),
            // Rule: cookies are never removed.
            Location::Cookie(_) => {}
        }
    }
}

fn is_preflight(http: &HttpRequest) -> bool {
    let given = |name| http.headers.values(name).any(|value| !value.is_empty());
    http.method == "OPTIONS" && given("origin") && given("access-control-request-method")
}
