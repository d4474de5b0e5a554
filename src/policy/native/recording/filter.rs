//! Expressions that say which decisions are recorded, in CEL over the attributes Envoy has for access logs,
//! as far as they are known when a decision is made, and over the decision itself (`doorward`). What they
//! take is bounded when they are compiled: they run for every record.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr, LiteralValue};
use cel::extractors::This;
use cel::objects::Value;
use cel::{Context, Env, IdedExpr, Program};
use regex::{Regex, RegexBuilder};

/// Longest expression, in bytes; how deep its brackets may lie, and most signs that operators are made of.
const MAX_TEXT: usize = 4 << 10;
const MAX_BRACKETS: usize = 16;
const MAX_SIGNS: usize = 200;
/// How deep its parts may lie within one another: an evaluation goes as deep.
const MAX_DEPTH: usize = 32;
/// What parsing may need of a stack, in bytes: it goes much deeper.
const STACK: usize = 64 << 20;
/// Most loops (`all`, `exists`, `map` …): what a request has may be a hundred headers long.
const MAX_LOOPS: usize = 1;
/// Largest compiled pattern, in bytes.
const MAX_PATTERN: usize = 256 << 10;

/// Names that an expression may begin with. Those that Envoy knows only when the response is there, or not
/// at all here, have no value: the expression fails, and the record is kept.
const ROOTS: [&str; 12] = [
    "connection",
    "destination",
    "doorward",
    "filter_state",
    "metadata",
    "plugin_name",
    "request",
    "response",
    "source",
    "upstream",
    "upstream_filter_state",
    "xds",
];
const FUNCTIONS: [&str; 10] = [
    "bool",
    "contains",
    "double",
    "endsWith",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "uint",
];

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Filter {
    program: Program,
    /// By their text.
    patterns: Arc<HashMap<String, Regex>>,
    /// Of `ROOTS`.
    roots: Vec<&'static str>,
}

/// What is known of a decision.
#[derive(Debug, Default)]
pub struct Observation<'a> {
    pub request: Option<ObservedRequest<'a>>,
    pub source: ObservedPeer,
    pub destination: ObservedPeer,
    /// The peer's identity, as in `spiffe://` without that.
    pub peer_principal: Option<&'a str>,
    pub request_principal: Option<&'a str>,
    pub effect: &'static str,
    /// Of the reply, if it is a denial.
    pub denied_with: Option<u16>,
    pub reason: &'static str,
    pub policy: Option<&'a str>,
    pub cached: bool,
    pub namespace: Option<&'a str>,
}

#[derive(Debug, Default)]
pub struct ObservedRequest<'a> {
    pub method: &'a str,
    pub host: &'a str,
    /// With its query string.
    pub path: &'a str,
    pub scheme: &'a str,
    pub protocol: &'a str,
    /// By names in lower case.
    pub headers: Vec<(String, String)>,
}

#[derive(Debug, Default)]
pub struct ObservedPeer {
    /// `IP:PORT`.
    pub address: Option<String>,
    pub port: Option<u16>,
}

// === impl Filter ===

impl Filter {
    /// Compiles an expression.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        check_text(text)?;
        // A parser that fails ends its thread and nothing else.
        std::thread::scope(|scope| {
            let parser = std::thread::Builder::new().stack_size(STACK);
            let parsing = parser.spawn_scoped(scope, || Self::parse(text));
            let parsing = parsing.map_err(|error| format!("cannot be parsed: {error}"))?;
            let parsed = parsing.join();
            parsed.unwrap_or_else(|_| Err("is no CEL expression".to_owned()))
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let program = Program::compile(text);
        let program = program.map_err(|error| format!("is no CEL expression: {error}"))?;
        let mut looked = Looked::default();
        looked.at(program.expression(), &mut Vec::new())?;
        Ok(Self {
            patterns: Arc::new(looked.patterns),
            roots: looked.roots,
            program,
        })
    }

    /// Rule: what is not `false` keeps a record, an error and a panic included.
    pub(super) fn keeps(&self, observation: &Observation<'_>) -> bool {
        let evaluate = || self.program.execute(&self.context(observation));
        !matches!(
            catch_unwind(AssertUnwindSafe(evaluate)),
            Ok(Ok(Value::Bool(false)))
        )
    }

    fn context(&self, observation: &Observation<'_>) -> Context<'_, '_> {
        let mut context = Context::with_env(environment());
        if !self.patterns.is_empty() {
            let patterns = Arc::clone(&self.patterns);
            let matches = move |This(text): This<Arc<String>>, pattern: Arc<String>| {
                let pattern = patterns.get(pattern.as_str());
                pattern.is_some_and(|pattern| pattern.is_match(&text))
            };
            // The name is free in this environment: without the function the filter fails, and keeps.
            drop(context.add_function("matches", matches));
        }
        for root in &self.roots {
            if let Some(value) = observation.root(root) {
                context.add_variable_from_value(*root, value);
            }
        }
        context
    }
}

fn environment() -> Arc<Env> {
    thread_local! {
        static ENVIRONMENT: Arc<Env> = Arc::new(Env::stdlib());
    }
    ENVIRONMENT.with(Arc::clone)
}

/// Refuses what the parser, or an evaluation, could need too much for.
fn check_text(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    if text.len() > MAX_TEXT {
        return Err(format!("is longer than {MAX_TEXT} bytes"));
    }
    let (mut depth, mut signs) = (0_usize, 0);
    for character in text.chars() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        signs +=
            usize::from(character.is_ascii_punctuation() && !matches!(character, '_' | '\'' | '"'));
        if depth > MAX_BRACKETS {
            return Err(format!(
                "has more than {MAX_BRACKETS} brackets within one another"
            ));
        }
        if signs > MAX_SIGNS {
            return Err(format!("has more than {MAX_SIGNS} signs"));
        }
    }
    Ok(())
}

/// What was found in an expression.
#[derive(Default)]
struct Looked {
    roots: Vec<&'static str>,
    patterns: HashMap<String, Regex>,
    loops: usize,
    depth: usize,
}

impl Looked {
    /// Looks at an expression within loops that have these variables.
    fn at<'a>(&mut self, expression: &'a IdedExpr, bound: &mut Vec<&'a str>) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!(
                "lies more than {MAX_DEPTH} deep: use fewer operators"
            ));
        }
        let looked = self.inside(expression, bound);
        self.depth -= 1;
        looked
    }

    fn inside<'a>(
        &mut self,
        expression: &'a IdedExpr,
        bound: &mut Vec<&'a str>,
    ) -> Result<(), String> {
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) if bound.contains(&name.as_str()) => Ok(()),
            Expr::Ident(name) => {
                let root = ROOTS.iter().find(|root| *root == name);
                let root = root.ok_or_else(|| format!("`{name}` is no attribute"))?;
                if !self.roots.contains(root) {
                    self.roots.push(root);
                }
                Ok(())
            }
            Expr::Select(select) => self.at(&select.operand, bound),
            Expr::Call(call) => {
                self.function(&call.func_name, &call.args)?;
                let parts = call.target.as_deref().into_iter().chain(&call.args);
                self.all(parts, bound)
            }
            Expr::List(list) => self.all(&list.elements, bound),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.all([&entry.key, &entry.value], bound)?;
                    }
                }
                Ok(())
            }
            Expr::Struct(_) => Err("messages cannot be made here".to_owned()),
            Expr::Comprehension(made) => {
                self.loops += 1;
                if self.loops > MAX_LOOPS {
                    return Err(format!(
                        "has more than {MAX_LOOPS} loop (`all`, `exists`, `map`, …)"
                    ));
                }
                self.at(&made.iter_range, bound)?;
                let outside = bound.len();
                bound.extend([made.iter_var.as_str(), made.accu_var.as_str()]);
                bound.extend(made.iter_var2.as_deref());
                let parts = [
                    &made.accu_init,
                    &made.loop_cond,
                    &made.loop_step,
                    &made.result,
                ];
                let looked = self.all(parts, bound);
                bound.truncate(outside);
                looked
            }
        }
    }

    fn all<'a>(
        &mut self,
        parts: impl IntoIterator<Item = &'a IdedExpr>,
        bound: &mut Vec<&'a str>,
    ) -> Result<(), String> {
        parts.into_iter().try_for_each(|part| self.at(part, bound))
    }

    /// Operators are functions whose names no one can write.
    fn function(&mut self, name: &str, arguments: &[IdedExpr]) -> Result<(), String> {
        let is_operator = !name.starts_with(|first: char| first.is_ascii_alphabetic());
        if !is_operator && !FUNCTIONS.contains(&name) {
            return Err(format!("`{name}` is no function that is known here"));
        }
        if name != "matches" {
            return Ok(());
        }
        // Rule: a pattern is part of the expression, so that no request can bring one.
        let literal = arguments.last().map(|argument| &argument.expr);
        let Some(Expr::Literal(LiteralValue::String(pattern))) = literal else {
            return Err("the pattern of `matches` must be a text".to_owned());
        };
        let mut builder = RegexBuilder::new(pattern.inner());
        let compiled = builder.size_limit(MAX_PATTERN).build();
        let compiled = compiled.map_err(|error| format!("the pattern of `matches`: {error}"))?;
        self.patterns.insert(pattern.inner().to_owned(), compiled);
        Ok(())
    }
}

// === impl Observation ===

type Members = HashMap<String, Value>;

impl Observation<'_> {
    /// What stands under a root; `None` if nothing does here.
    fn root(&self, root: &str) -> Option<Value> {
        let mut members = Members::new();
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                members.insert(name.to_owned(), value);
            }
        };
        let text = |text: Option<&str>| text.map(Value::from);
        match root {
            "request" => return self.request.as_ref().map(ObservedRequest::value),
            "response" => add(
                "code",
                self.denied_with.map(|status| Value::Int(status.into())),
            ),
            "connection" => {
                add("mtls", Some(self.peer_principal.is_some().into()));
                let uri = self
                    .peer_principal
                    .map(|name| format!("spiffe://{name}").into());
                add("uri_san_peer_certificate", uri);
            }
            "source" | "destination" => {
                let peer = if root == "source" {
                    &self.source
                } else {
                    &self.destination
                };
                add("address", text(peer.address.as_deref()));
                add("port", peer.port.map(|port| Value::Int(port.into())));
            }
            "doorward" => {
                add("effect", text(Some(self.effect)));
                add("reason", text(Some(self.reason)));
                add("policy", text(self.policy));
                add("cached", Some(self.cached.into()));
                add("namespace", text(self.namespace));
                add("peer_principal", text(self.peer_principal));
                add("request_principal", text(self.request_principal));
            }
            _ => return None,
        }
        Some(Value::from(members))
    }
}

impl ObservedRequest<'_> {
    /// Rule: names as Envoy has them; `path` is with its query, `url_path` without.
    fn value(&self) -> Value {
        let mut members = Members::new();
        for (name, text) in [
            ("method", self.method),
            ("host", self.host),
            ("path", self.path),
            ("url_path", self.path.split('?').next().unwrap_or_default()),
            ("scheme", self.scheme),
            ("protocol", self.protocol),
        ] {
            members.insert(name.to_owned(), text.into());
        }
        if let Some((_, query)) = self.path.split_once('?') {
            members.insert("query".to_owned(), query.into());
        }
        let headers = self.headers.iter();
        let headers: Members = headers
            .map(|(name, text)| (name.clone(), text.as_str().into()))
            .collect();
        for (name, header) in [
            ("referer", "referer"),
            ("useragent", "user-agent"),
            ("id", "x-request-id"),
        ] {
            if let Some(value) = headers.get(header) {
                members.insert(name.to_owned(), value.clone());
            }
        }
        members.insert("headers".to_owned(), headers.into());
        Value::from(members)
    }
}
