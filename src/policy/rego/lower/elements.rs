//! Elements of sets that are named by a dot, in version 0. Rule: `p.q { … }` is `p["q"] { … }`. The
//! interpreter makes an object of it where the body does not hold, in which `p.q` is there.

use regorus::unstable::{Expr, Rule, RuleHead};

use super::syntax::{Range, Text, range};
use super::{Output, SourceMap};

/// Lowers a text that the interpreter's parser takes; any other is left for the parser to refuse.
pub(super) fn lower(text: &Text) -> SourceMap {
    let mut output = Output::new(text);
    let mut copied = 0;
    for ((begin, end), name) in elements(text) {
        output.copy(copied, begin);
        output.put(&format!("[\"{name}\"]"), begin);
        copied = end;
    }
    output.copy(copied, text.len());
    output.finish()
}

/// Each such name with the dot in front of it, in the order of the text.
fn elements(text: &Text) -> Vec<(Range, String)> {
    let module = if text.v0 { text.tree() } else { None };
    let rules = module.into_iter().flat_map(|module| &module.policy);
    let elements = rules.filter_map(|rule| {
        let Rule::Spec {
            head: RuleHead::Set {
                key: None, refr, ..
            },
            ..
        } = rule.as_ref()
        else {
            return None;
        };
        let Expr::RefDot { refr, field, .. } = refr.as_ref() else {
            return None;
        };
        let place = (range(refr.span()).1, range(&field.0).1);
        Some((place, field.0.text().to_owned()))
    });
    elements.collect()
}
