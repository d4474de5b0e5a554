//! An answer as a person reads it: the decision in a few lines, then every rule with what it asked
//! for and what it found.

use std::fmt;

use serde_json::Value;

/// Widest column of field names, and longest text in a column, in characters.
const MAX_FIELD: usize = 48;
const MAX_TEXT: usize = 64;

/// The answer to a check, with its explanation if there is one.
pub(super) struct Shown<'a>(pub(super) &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decision(out, self.0.get("decision").unwrap_or(&Value::Null))?;
        match self.0.get("explanation") {
            Some(explanation) => write_explanation(out, explanation),
            None => Ok(()),
        }
    }
}

fn write_decision(out: &mut fmt::Formatter<'_>, decision: &Value) -> fmt::Result {
    let reason = decision.get("reason").unwrap_or(&Value::Null);
    let (effect, status) = (member(decision, "effect"), member(decision, "status"));
    // It may be advice, which is not to be cut off.
    let message = reason.get("message").map(printable).unwrap_or_default();
    writeln!(out, "{} {status}: {message}", effect.to_uppercase())?;
    let decided = [
        ("policy", member(reason, "policy")),
        ("rule", member(reason, "rule")),
        ("entrypoint", member(reason, "entrypoint")),
        ("detail", member(reason, "detail")),
        ("peer", member(decision, "peer_principal")),
        ("request principal", member(decision, "request_principal")),
        ("revision", member(decision, "revision")),
    ];
    for (name, value) in decided.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(out, "  {name:<18} {value}")?;
    }
    for (name, changes) in [
        ("sets header", "/ok_response/headers"),
        ("answers header", "/denied_response/headers"),
    ] {
        let changes = decision.pointer(changes).and_then(Value::as_array);
        for change in changes.into_iter().flatten() {
            let (header, value) = (change.get(0), change.get(1));
            let shown = |part: Option<&Value>| part.map(plain).unwrap_or_default();
            writeln!(out, "  {name:<18} {}: {}", shown(header), shown(value))?;
        }
    }
    let removed = decision.pointer("/ok_response/headers_to_remove");
    for header in removed.and_then(Value::as_array).into_iter().flatten() {
        writeln!(out, "  {:<18} {}", "removes header", plain(header))?;
    }
    Ok(())
}

fn write_explanation(out: &mut fmt::Formatter<'_>, explanation: &Value) -> fmt::Result {
    let told = [
        ("workload", workload(explanation.get("workload"))),
        ("not asked", member(explanation, "refused")),
        ("path compared", member(explanation, "normalized_path")),
        ("peer names", list(explanation.get("peer"))),
        ("STRICT by", member(explanation, "peer_refused_by")),
        ("token refused", member(explanation, "token_refused")),
        ("cache", member(explanation, "cache")),
        ("told apart by", told_apart_by(explanation.get("cache_key"))),
    ];
    writeln!(out)?;
    for (name, value) in told.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(out, "  {name:<18} {value}")?;
    }
    let rules = explanation.get("rules").and_then(Value::as_array);
    for rule in rules.into_iter().flatten() {
        write_rule(out, rule)?;
    }
    Ok(())
}

fn write_rule(out: &mut fmt::Formatter<'_>, rule: &Value) -> fmt::Result {
    let is = |name| rule.get(name).and_then(Value::as_bool) == Some(true);
    let matched = if is("matched") { "matches" } else { "no match" };
    let dry_run = if is("dry_run") { ", dry run" } else { "" };
    let (action, policy) = (member(rule, "action"), member(rule, "policy"));
    writeln!(
        out,
        "\n  {matched:<9} {action} {policy} rule {}{dry_run}",
        member(rule, "rule")
    )?;
    let tests = rule.get("tests").and_then(Value::as_array);
    let tests: Vec<_> = tests.into_iter().flatten().collect();
    let width = tests
        .iter()
        .map(|test| member(test, "field").chars().count());
    let width = width.max().unwrap_or(0).min(MAX_FIELD);
    for test in tests {
        let holds = test.get("holds").and_then(Value::as_bool) == Some(true);
        let found = list(test.get("found"));
        writeln!(
            out,
            "    {} {:<width$}  {}  found {}",
            if holds { "+" } else { "-" },
            member(test, "field"),
            list(test.get("values")),
            if found.is_empty() { "nothing" } else { &found }
        )?;
    }
    Ok(())
}

/// Attributes and headers by which the decision cache tells requests apart, in a line.
fn told_apart_by(key: Option<&Value>) -> String {
    let names = |name| {
        let names = key.and_then(|key| key.get(name)).and_then(Value::as_array);
        names.into_iter().flatten().map(plain)
    };
    let is_all = key.and_then(|key| key.get("whole_input")) == Some(&Value::Bool(true));
    let everything = is_all.then(|| "everything".to_owned());
    let headers = names("headers").map(|name| format!("header {name}"));
    let parts = everything.into_iter().chain(names("fields")).chain(headers);
    parts.collect::<Vec<_>>().join(", ")
}

/// Namespace, account and labels in a line.
fn workload(value: Option<&Value>) -> String {
    let labels = list(value.and_then(|workload| workload.get("labels")));
    let others = ["namespace", "service_account", "gateway"];
    let others = others.map(|name| value.map(|workload| member(workload, name)));
    let parts = others.into_iter().flatten().chain([labels]);
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

/// A member as plain text, empty without one.
fn member(value: &Value, name: &str) -> String {
    value.get(name).map(plain).unwrap_or_default()
}

/// Several values, or the members of an object, in a line.
fn list(value: Option<&Value>) -> String {
    let items: Vec<_> = match value {
        Some(Value::Array(items)) => items.iter().map(plain).collect(),
        Some(Value::Object(members)) => {
            let members = members.iter();
            members
                .map(|(name, value)| format!("{name}={}", plain(value)))
                .collect()
        }
        _ => Vec::new(),
    };
    shorten(&items.join(", "))
}

fn plain(value: &Value) -> String {
    shorten(&printable(value))
}

/// Values come from requests, and this goes to a terminal.
fn printable(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.replace(char::is_control, "\u{fffd}")
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT * 2) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
