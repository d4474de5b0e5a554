//! Test rules of a module: which there are, and the text that makes each one a rule of its own. Rule:
//! of several tests of one name, the later ones are `test_x#01` and so on; a test with more behind
//! its name has cases, and each is noted as soon as its name is known, so that one that fails is
//! told. Running them is left to `testing`.

use std::cell::RefCell;
use std::collections::HashMap;

use regorus::unstable::{Expr, Literal, Module, Query, Ref, Rule, RuleBody, RuleHead};
use regorus::{Engine, Value};

use super::tokens::{Kind, Token, tokens};
use super::{Lowered, Names, Output, SourceMap, coverage, module as lower_module};
use crate::policy::rego::coverage::Lines;
use crate::policy::rego::engine::LENGTHS;
use crate::policy::rego::module::{path_of, reference, rule_reference};
use crate::policy::rego::{RegoError, RegoModule, guard};

/// How names of tests begin, and of those that are not to be run yet.
const TEST: &str = "test_";
const SKIPPED: &str = "todo_test_";
/// Notes a case of a test; as in OPA, a test may also call it itself.
pub(super) const FUNCTION: &str = "internal.test_case";
/// Between the name and the number of a test whose name is taken.
const AGAIN: &str = "__doorward_again_";
/// Most cases noted of one test.
const MAX_CASES: usize = 100_000;

/// A rule that is a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegoTest {
    /// Where it stands.
    pub file: String,
    pub row: u64,
    pub col: u64,
    /// `data.…`
    pub package: String,
    /// Without what stands behind it in brackets.
    pub name: String,
    /// `data.PACKAGE.NAME`
    pub full_name: String,
    pub is_skipped: bool,
    /// Whether its value is told case by case.
    pub has_cases: bool,
    /// What is evaluated.
    pub(in crate::policy::rego) reference: String,
}

/// What was found in all modules.
pub(in crate::policy::rego) struct Found {
    pub(in crate::policy::rego) tests: Vec<RegoTest>,
    /// Modules made ready to run the tests, by path; the others are compiled as they are.
    pub(in crate::policy::rego) lowered: HashMap<String, Lowered>,
    /// Whether a module that may have tests could not be read; the compiler says why.
    pub(in crate::policy::rego) is_partial: bool,
    /// Lines that count when it is told what tests have reached, if that is asked for.
    pub(in crate::policy::rego) counted: Lines,
}

/// Looks for tests in all modules, and for the lines that count if `with_lines`.
pub(in crate::policy::rego) fn find(modules: &[RegoModule], with_lines: bool) -> Found {
    let names = Names::of(modules.iter().map(|module| module.text.as_str()));
    let mut finder = Finder {
        with_lines,
        ..Finder::default()
    };
    let lowered = modules.iter().filter_map(|module| {
        let lowered = finder.module(module, &names)?;
        Some((module.path.clone(), lowered))
    });
    let lowered = lowered.collect();
    Found {
        tests: finder.tests,
        lowered,
        is_partial: finder.is_partial,
        counted: finder.counted,
    }
}

#[derive(Default)]
struct Finder {
    tests: Vec<RegoTest>,
    /// Tests of a name so far.
    counts: HashMap<String, usize>,
    is_partial: bool,
    with_lines: bool,
    counted: Lines,
}

impl Finder {
    /// The module with its tests made ready; `None` for one without, or one that the compiler will
    /// refuse.
    fn module(&mut self, module: &RegoModule, names: &Names) -> Option<Lowered> {
        if !module.text.contains(TEST) && !self.with_lines {
            return None;
        }
        let lowered = self.lowered(module, names);
        self.is_partial |= lowered.is_none();
        lowered
    }

    fn lowered(&mut self, module: &RegoModule, names: &Names) -> Option<Lowered> {
        let mut lowered = lower_module(&module.path, &module.text, module.v0, names).ok()?;
        let parsed: Option<Vec<_>> = lowered
            .texts
            .iter()
            .map(|text| parse(module, text))
            .collect();
        let mut edited = Vec::new();
        for (text, parsed) in lowered.texts.iter().zip(parsed?) {
            let mut edits = Vec::new();
            for rule in &parsed.policy {
                let place = rule.span();
                let mut place = RegoError {
                    code: "",
                    message: String::new(),
                    file: module.path.clone(),
                    row: u64::from(place.line),
                    col: u64::from(place.col),
                };
                lowered.locate(&mut place);
                self.rule(&parsed, rule, &place, text, &mut edits);
            }
            if self.with_lines {
                let lines = coverage::Lines::of(&parsed, module.v0);
                edits.extend(lines.edits);
                let counted = self.counted.entry(module.path.clone()).or_default();
                counted.extend(lines.rows);
            }
            edits.sort_by_key(|(at, _)| *at);
            edited.push(with_edits(text, &edits));
        }
        lowered.edited(edited);
        Some(lowered)
    }

    fn rule(
        &mut self,
        module: &Module,
        rule: &Rule,
        place: &RegoError,
        text: &str,
        edits: &mut Vec<Edit>,
    ) -> Option<()> {
        let head = Head::of(rule_reference(rule))?;
        let package = path_of(&module.package.refr)?;
        let mut parts = head.parts;
        let key = reference(package.iter().chain(&parts));
        let count = self.counts.entry(key).or_default();
        let name = parts.pop()?;
        let (mut shown, mut compiled) = (name.clone(), name.clone());
        if *count > 0 && name.starts_with(TEST) {
            // A name in brackets cannot be added to: such tests stay one.
            edits.push((head.name_end?, format!("{AGAIN}{count:02}")));
            shown = format!("{name}#{count:02}");
            compiled = format!("{name}{AGAIN}{count:02}");
        }
        *count += 1;
        let has_cases = head.has_tail
            && matches!(
                rule,
                Rule::Spec {
                    head: RuleHead::Compr { .. },
                    ..
                }
            );
        if has_cases && let Rule::Spec { bodies, .. } = rule {
            edits.extend(note_case(
                text,
                rule_reference(rule),
                &head.arguments,
                bodies,
            ));
        }
        let with = |last: &String| -> Vec<String> { parts.iter().chain([last]).cloned().collect() };
        let full = with(&shown);
        self.tests.push(RegoTest {
            file: place.file.clone(),
            row: place.row,
            col: place.col,
            package: reference(package.iter()),
            name: plain(&full),
            full_name: reference(package.iter().chain(&full)),
            is_skipped: name.starts_with(SKIPPED),
            has_cases,
            reference: reference(package.iter().chain(&with(&compiled))),
        });
        Some(())
    }
}

/// What is put in at an offset.
type Edit = (usize, String);

fn with_edits(text: &str, edits: &[Edit]) -> SourceMap {
    let mut output = Output::new(text);
    let mut from = 0;
    for (at, added) in edits {
        output.copy(from, *at);
        output.put(added, *at);
        from = *at;
    }
    output.copy(from, text.len());
    output.finish()
}

fn parse(module: &RegoModule, text: &str) -> Option<Ref<Module>> {
    guard::check_module(&module.path, text).ok()?;
    let mut engine = Engine::new();
    engine.set_policy_length_config(LENGTHS);
    engine.set_rego_v0(module.v0);
    engine
        .add_policy(module.path.clone(), text.to_owned())
        .ok()?;
    engine.get_modules().first().cloned()
}

/// `a.test_x`, the first part as it is.
fn plain(parts: &[String]) -> String {
    let Some((first, rest)) = parts.split_first() else {
        return String::new();
    };
    let rest = reference(rest.iter());
    format!("{first}{}", rest.strip_prefix("data").unwrap_or_default())
}

/// The name of a test rule.
struct Head {
    /// Up to the part that makes it a test.
    parts: Vec<String>,
    /// Where that part ends in the text, if it is not in brackets.
    name_end: Option<usize>,
    has_tail: bool,
    /// What stands behind it, as text.
    arguments: Vec<Argument>,
}

enum Argument {
    Name(String),
    /// Where its brackets begin and end.
    Brackets(usize, usize),
}

impl Head {
    /// `None` for a rule that is no test.
    fn of(name: &Expr) -> Option<Self> {
        let is_test = |part: &str| part.starts_with(TEST) || part.starts_with(SKIPPED);
        let head = |parts, name_end| Self {
            parts,
            name_end,
            has_tail: false,
            arguments: Vec::new(),
        };
        let outer = match name {
            Expr::Var { span, .. } => {
                let own = vec![span.text().to_owned()];
                return is_test(span.text()).then(|| head(own, Some(span.end as usize)));
            }
            Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => refr,
            _ => return None,
        };
        if let Some(mut head) = Self::of(outer) {
            head.has_tail = true;
            head.arguments.push(match name {
                Expr::RefDot { field, .. } => Argument::Name(field.0.text().to_owned()),
                _ => Argument::Brackets(outer.span().end as usize, name.span().end as usize),
            });
            return Some(head);
        }
        let parts = path_of(name)?;
        let own = path_of(outer)?.len() < parts.len();
        let is_name = own && parts.last().is_some_and(|part| is_test(part));
        let name_end = match name {
            Expr::RefDot { field, .. } => Some(field.0.end as usize),
            _ => None,
        };
        is_name.then(|| head(parts, name_end))
    }
}

impl Argument {
    fn text(&self, text: &str) -> Option<String> {
        match self {
            Self::Name(name) => Some(format!("\"{name}\"")),
            Self::Brackets(begin, end) => {
                // The parser's places in a rule's name leave out the bracket that closes, and the
                // quote before it.
                let quoted = text.get(*end..)?.starts_with(['"', '`']);
                let inner = text.get(*begin..end + usize::from(quoted))?;
                let inner = inner
                    .strip_prefix('"')
                    .or(inner.strip_prefix('`'))
                    .unwrap_or(inner);
                let inner = inner.strip_prefix(']').unwrap_or(inner);
                Some(inner.trim_start().strip_prefix('[')?.to_owned())
            }
        }
    }
}

/// Rule: a case is noted behind the first statement by which all variables of its name are known. What
/// follows that can fail, and the case with it.
fn note_case(text: &str, head: &Expr, arguments: &[Argument], bodies: &[RuleBody]) -> Option<Edit> {
    let query: &Query = &bodies.first()?.query;
    let arguments: Option<Vec<_>> = arguments
        .iter()
        .map(|argument| argument.text(text))
        .collect();
    let arguments = arguments?.join(", ");
    let all = tokens(text);
    let begins: Vec<usize> = query
        .stmts
        .iter()
        .map(|statement| begin(text, statement.span.start as usize))
        .collect();
    let mentions = |index: usize, variable: &str| {
        let until = begins
            .get(index + 1)
            .copied()
            .unwrap_or(query.span.end as usize);
        let declares = |statement: &regorus::unstable::LiteralStmt| {
            matches!(statement.literal, Literal::SomeVars { .. })
        };
        let from = begins.get(index).copied().unwrap_or(until);
        !query.stmts.get(index).is_some_and(declares)
            && variables(text, &all, from, until).any(|other| other == variable)
    };
    let inside = variables(
        text,
        &all,
        begin(text, head.span().start as usize),
        head.span().end as usize,
    )
    .skip(1);
    let known = inside
        .filter_map(|variable| (0..begins.len()).find(|index| mentions(*index, variable)))
        .max();
    let at = match known {
        Some(index) => *begins.get(index + 1)?,
        // A name without variables in front of a body that has no braces stays unnoted.
        None if begins.len() > 1 => *begins.first()?,
        None => return None,
    };
    Some((at, format!("{FUNCTION}([{arguments}]); ")))
}

/// The parser's places leave out the quotes of strings.
fn begin(text: &str, at: usize) -> usize {
    let quoted = text
        .get(..at)
        .is_some_and(|before| before.ends_with(['"', '`']));
    at - usize::from(quoted)
}

/// Names in a part of the text that are no parts of others.
fn variables<'a>(
    text: &'a str,
    all: &'a [Token],
    from: usize,
    until: usize,
) -> impl Iterator<Item = &'a str> {
    let first = all.partition_point(|token| token.begin < from);
    let tokens = all
        .iter()
        .skip(first)
        .take_while(move |token| token.begin < until);
    let words = tokens.filter(|token| token.kind == Kind::Word);
    let whole = words.filter(move |token| {
        !text
            .get(..token.begin)
            .is_some_and(|before| before.ends_with('.'))
    });
    whole.filter_map(move |token| text.get(token.begin..token.end))
}

thread_local! {
    static CASES: RefCell<Option<Vec<Value>>> = const { RefCell::new(None) };
}

/// Notes the cases of an evaluation on this thread, until it is dropped.
pub(in crate::policy::rego) struct Recorder(());

impl Recorder {
    pub(in crate::policy::rego) fn start() -> Self {
        CASES.set(Some(Vec::new()));
        Self(())
    }

    /// Names of cases, in the order in which they began.
    pub(in crate::policy::rego) fn cases(self) -> Vec<Value> {
        CASES.take().unwrap_or_default()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        CASES.set(None);
    }
}

/// Notes a case while a test is run; anywhere else it is only true.
pub(super) fn note(arguments: Vec<Value>) -> anyhow::Result<Value> {
    CASES.with_borrow_mut(|cases| {
        if let Some(cases) = cases {
            anyhow::ensure!(
                cases.len() < MAX_CASES,
                "a test has more than {MAX_CASES} cases"
            );
            cases.extend(arguments);
        }
        Ok(Value::from(true))
    })
}
