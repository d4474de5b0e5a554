//! What AuthZEN's calls are asked with: entities that must be there, defaults, and how far a list of
//! evaluations goes.

use super::super::error::ApiError;
use crate::policy::rego::Data;

/// Most evaluations of one call.
const MAX_EVALUATIONS: usize = 1000;

/// What must be there, and the texts it must have.
const ENTITIES: [(&str, &[&str]); 3] = [
    ("subject", &["type", "id"]),
    ("action", &["name"]),
    ("resource", &["type", "id"]),
];
const CONTEXT: &str = "context";
const PROPERTIES: &str = "properties";

/// One question: what policies see of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Evaluation(Data);

/// Body of a call for many.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    One(Evaluation),
    Many(Vec<Evaluation>, Semantic),
}

/// How far a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Semantic {
    All,
    ToFirstDeny,
    ToFirstPermit,
}

// === impl Semantic ===

impl Semantic {
    fn parse(options: Option<Data>) -> Result<Self, ApiError> {
        let Some(options) = options else {
            return Ok(Self::All);
        };
        if !options.is_object() {
            return Err(ApiError::invalid("options: it must be an object"));
        }
        // Rule: options that are not known are let be.
        let Some(semantic) = options.member("evaluations_semantic") else {
            return Ok(Self::All);
        };
        match semantic.as_text() {
            Some("execute_all") => Ok(Self::All),
            Some("deny_on_first_deny") => Ok(Self::ToFirstDeny),
            Some("permit_on_first_permit") => Ok(Self::ToFirstPermit),
            _ => Err(ApiError::invalid(
                "options.evaluations_semantic: it must be execute_all, deny_on_first_deny or \
                 permit_on_first_permit",
            )),
        }
    }

    /// Whether nothing is asked after such a decision.
    pub(super) fn ends_with(self, decision: bool) -> bool {
        match self {
            Self::All => false,
            Self::ToFirstDeny => !decision,
            Self::ToFirstPermit => decision,
        }
    }
}

// === impl Asked ===

impl Asked {
    pub(super) fn parse(document: &Data) -> Result<Self, ApiError> {
        let list = match document.member("evaluations") {
            Some(list) => list
                .items()
                .ok_or_else(|| ApiError::invalid("evaluations: it must be an array"))?,
            None => Vec::new(),
        };
        let semantic = Semantic::parse(document.member("options"))?;
        // Rule: no list, or an empty one, is a call for one.
        if list.is_empty() {
            return Evaluation::parse(document).map(Self::One);
        }
        if list.len() > MAX_EVALUATIONS {
            let message = format!("evaluations: there are more than {MAX_EVALUATIONS}");
            return Err(ApiError::invalid(message));
        }
        let evaluations = list.iter().enumerate().map(|(number, own)| {
            let place = format!("evaluations[{number}]");
            if !own.is_object() {
                return Err(ApiError::invalid(format!("{place}: it must be an object")));
            }
            Evaluation::merged(own, document, &format!("{place}."))
        });
        let evaluations = evaluations.collect::<Result<_, _>>()?;
        Ok(Self::Many(evaluations, semantic))
    }
}

// === impl Evaluation ===

impl Evaluation {
    pub(super) fn parse(document: &Data) -> Result<Self, ApiError> {
        if !document.is_object() {
            return Err(ApiError::invalid("the body must be an object"));
        }
        Self::merged(document, &Data::default(), "")
    }

    /// Rule: a member of its own goes before the default, whole. `place` is what errors begin with.
    fn merged(own: &Data, defaults: &Data, place: &str) -> Result<Self, ApiError> {
        let member = |name: &str| own.member(name).or_else(|| defaults.member(name));
        let mut members = Vec::with_capacity(ENTITIES.len() + 1);
        for (name, texts) in ENTITIES {
            let missing = || ApiError::invalid(format!("{place}{name}: it is missing"));
            let entity = member(name).ok_or_else(missing)?;
            check_entity(&entity, texts, &format!("{place}{name}"))?;
            members.push((name, entity));
        }
        if let Some(context) = member(CONTEXT) {
            check_object(&context, &format!("{place}{CONTEXT}"))?;
            members.push((CONTEXT, context));
        }
        Ok(Self(Data::object(members)))
    }

    /// Rule: nothing but these is seen; what else a body has is let be.
    pub(super) fn into_input(self) -> Data {
        self.0
    }
}

fn check_entity(entity: &Data, texts: &[&str], place: &str) -> Result<(), ApiError> {
    check_object(entity, place)?;
    for name in texts {
        let text = entity.member(name);
        if text.as_ref().and_then(Data::as_text).is_none() {
            return Err(ApiError::invalid(format!(
                "{place}.{name}: it must be a string"
            )));
        }
    }
    match entity.member(PROPERTIES) {
        Some(properties) => check_object(&properties, &format!("{place}.{PROPERTIES}")),
        None => Ok(()),
    }
}

fn check_object(data: &Data, place: &str) -> Result<(), ApiError> {
    match data.is_object() {
        true => Ok(()),
        false => Err(ApiError::invalid(format!("{place}: it must be an object"))),
    }
}
