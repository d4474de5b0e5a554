//! Looking at the syntax tree of a text before it is lowered further: parsing it, and places in it.
//! What they are looked at for is told by the steps themselves.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ops::Deref;

use regorus::unstable::{Module, Parser, Ref, Source, Span};

use super::names::Names;
use super::tokens::{Kind, Token, tokens};
use super::{check_lines, row_and_column};
use crate::policy::rego::engine::LENGTHS;
use crate::policy::rego::module::{Place, path_of, rule_reference};
use crate::policy::rego::{RegoError, RegoModule};

/// From an offset to the one after the last.
pub(super) type Range = (usize, usize);

/// What stands somewhere instead of what stood there.
pub(super) type Edit = (Range, String);

/// What a step makes of all modules, as they are evaluated: nothing if they can stay. A module that it cannot
/// write otherwise is refused, since as it stands it would mean something else.
pub(in crate::policy::rego) type Written = Result<Option<Vec<RegoModule>>, RegoError>;

/// A text between two steps, which is parsed once, when a step first looks at its tree.
pub(super) struct Text {
    text: String,
    pub(super) v0: bool,
    /// `None`: it is nothing for the parser.
    parsed: OnceCell<Option<anyhow::Result<Module>>>,
}

// === impl Text ===

impl Text {
    pub(super) fn new(text: String, v0: bool) -> Self {
        Self {
            text,
            v0,
            parsed: OnceCell::new(),
        }
    }

    /// The tree of a text that the interpreter's parser takes; any other is left for it to refuse.
    pub(super) fn tree(&self) -> Option<&Module> {
        self.parsed().as_ref()?.as_ref().ok()
    }

    /// Why the parser does not take it.
    pub(super) fn refusal(&self) -> Option<RegoError> {
        let error = self.parsed().as_ref()?.as_ref().err()?;
        Some(RegoError::from_engine("rego_parse_error", "", error))
    }

    fn parsed(&self) -> &Option<anyhow::Result<Module>> {
        self.parsed.get_or_init(|| {
            check_lines("", self).ok()?;
            Some(try_parse(self, self.v0))
        })
    }

    pub(super) fn into_tree(self) -> Option<Module> {
        self.parsed();
        self.parsed.into_inner()??.ok()
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

fn try_parse(text: &str, v0: bool) -> anyhow::Result<Module> {
    let limits = LENGTHS;
    let source = Source::from_contents_with_limits(
        String::new(),
        text.to_owned(),
        limits.max_file_bytes,
        limits.max_lines,
    )?;
    let mut parser = Parser::new(&source)?;
    parser.set_max_col(limits.max_col);
    if !v0 {
        parser.enable_rego_v1()?;
    }
    parser.parse()
}

pub(super) fn begin(span: &Span) -> usize {
    span.start as usize
}

pub(super) fn range(span: &Span) -> Range {
    (span.start as usize, span.end as usize)
}

/// Strings and numbers of a text.
pub(super) fn strings(text: &str) -> Vec<Token> {
    let tokens = tokens(text).into_iter();
    tokens.filter(|token| token.kind == Kind::Literal).collect()
}

/// Takes in the quotes of a string at either end: the parser's places leave them out.
pub(super) fn widen((begin, end): &mut Range, strings: &[Token]) {
    let around = |offset: usize| {
        let after = strings.partition_point(|token| token.begin < offset);
        let token = strings.get(after.checked_sub(1)?)?;
        (offset < token.end).then_some(token)
    };
    *begin = around(*begin).map_or(*begin, |token| token.begin);
    *end = around(*end).map_or(*end, |token| token.end);
}

/// Refuses what would have to be written otherwise, and cannot be.
pub(super) fn cannot_write(at: &Span, what: &str) -> RegoError {
    Place::of(at).error("rego_parse_error", not_supported(what))
}

/// How that is said.
pub(super) fn not_supported(what: &str) -> String {
    format!("{what} is not supported: write it in another way")
}

/// A module with its text changed, by edits in the order of the text.
pub(in crate::policy::rego) fn edited(
    module: &Module,
    edits: Vec<Edit>,
) -> Result<RegoModule, RegoError> {
    let source = &module.package.span.source;
    let original = source.contents();
    let mut text = String::with_capacity(original.len());
    let mut from = 0;
    for ((begin, end), put) in edits {
        // No text is known for which two edits overlap; one of them would be lost.
        let Some(between) = original.get(from..begin) else {
            let (row, col) = row_and_column(original, begin);
            return Err(RegoError {
                code: "rego_parse_error",
                message: not_supported("what stands here"),
                file: source.file().clone(),
                row,
                col,
            });
        };
        text.push_str(between);
        text.push_str(&put);
        from = end;
    }
    text.push_str(original.get(from..).unwrap_or_default());
    Ok(RegoModule {
        path: source.file().clone(),
        text,
        v0: !module.rego_v1,
    })
}

/// All modules with their edits, each in the order of its text.
pub(super) fn all_edited(modules: &[Ref<Module>], edits: Vec<Vec<Edit>>) -> Written {
    if edits.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    let all = modules.iter().zip(edits);
    let all = all.map(|(module, edits)| edited(module, edits));
    all.collect::<Result<_, _>>().map(Some)
}

/// The package of a module, its parts joined by dots.
pub(super) fn package_of(module: &Module) -> String {
    path_of(&module.package.refr).unwrap_or_default().join(".")
}

/// Names that stand for documents in a module: those of rules and imports.
pub(super) fn names_of(module: &Module, names: &Names) -> BTreeSet<String> {
    let package = package_of(module);
    let imports = module.imports.iter().filter_map(|import| {
        let alias = import.r#as.as_ref().map(|alias| alias.text().to_owned());
        alias.or_else(|| path_of(&import.refr)?.pop())
    });
    let rules = names.of_package(&package);
    let own = module.policy.iter().filter_map(|rule| {
        let path = path_of(rule_reference(rule))?;
        path.into_iter().next()
    });
    let documents = ["data", "input"].map(str::to_owned);
    imports.chain(rules).chain(own).chain(documents).collect()
}
