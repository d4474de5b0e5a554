//! An `else` without a value, in a function that has one. Rule: its value is `true`. The interpreter takes
//! it for undefined, so the value is written out.

use regorus::unstable::{Rule, RuleHead};

use super::syntax::{Text, begin};
use super::{Output, SourceMap};

/// Lowers a text that the interpreter's parser takes; any other is left for the parser to refuse.
pub(super) fn lower(text: &Text) -> SourceMap {
    let mut output = Output::new(text);
    let places = match text.contains("else") {
        true => find(text).unwrap_or_default(),
        false => Vec::new(),
    };
    let value = if text.v0 { " = true" } else { " := true" };
    let mut at = 0;
    for place in places {
        output.copy(at, place);
        output.put(value, place);
        at = place;
    }
    output.copy(at, text.len());
    output.finish()
}

/// Where each such `else` ends, in the order of the text.
fn find(text: &Text) -> Option<Vec<usize>> {
    let module = text.tree()?;
    let mut places = Vec::new();
    for rule in &module.policy {
        let Rule::Spec {
            head: RuleHead::Func {
                assign: Some(_), ..
            },
            bodies,
            ..
        } = rule.as_ref()
        else {
            continue;
        };
        let without_value = bodies
            .iter()
            .filter(|body| body.is_else && body.assign.is_none());
        places.extend(without_value.map(|body| begin(&body.span) + "else".len()));
    }
    places.sort_unstable();
    Some(places)
}
