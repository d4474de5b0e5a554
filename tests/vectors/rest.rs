//! Answers recorded from OPA's REST API, call by call against one server. What is otherwise here is
//! listed with its reason, and can only shrink.

use serde_json::{Map, Value};

use crate::support::{Options, Server, http};

const POLICY: &str = "package t\ndefault allow := false\nallow if input.x == 1\ne := 1/0\nc := 1 if true\nc := 2 if input.conflict\narr := [1,2,{\"k\":\"v\"}]\n";

/// Calls whose answer is another, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "-XPOST http://OPA/v1/compile",
        "partial evaluation is refused",
    ),
    ("http://OPA/v1/status", "there is always a status"),
    ("http://OPA/v1/config", "it is Doorward's"),
    ("http://OPA/nope", "errors are JSON everywhere"),
    ("-XPUT http://OPA/v1/query", "errors are JSON everywhere"),
    ("x := \n", "one error for one mistake"),
    ("x+%3D+%3B", "one error for one mistake"),
];

struct Call {
    line: String,
    status: u16,
    body: String,
}

#[tokio::test]
async fn answers_of_opas_api() {
    let Some(folder) = super::folder("opa/rest-transcript.txt") else {
        return;
    };
    let files = tempfile::tempdir().unwrap();
    let policy = files.path().join("rest.rego");
    std::fs::write(&policy, POLICY).unwrap();
    let server = Server::with(Options {
        arguments: vec![policy.to_str().unwrap().to_owned()],
        ..Options::default()
    });
    let shown = format!("{}/", files.path().display());
    let calls = calls(&std::fs::read_to_string(folder).unwrap());
    assert!(calls.len() > 40, "{}", calls.len());
    let mut wrong = Vec::new();
    for call in &calls {
        let known = DIFFERENCES
            .iter()
            .any(|(line, _)| format!("{}\n", call.line).contains(line));
        match (replay(&server, &shown, call), known) {
            (Ok(()), false) | (Err(_), true) => {}
            (Ok(()), true) => wrong.push(format!("{}: agrees, but is listed", call.line)),
            (Err(why), false) => wrong.push(format!("{}: {why}", call.line)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `### [-XMETHOD] [-H NAME: VALUE] URL [-d BODY]`, status and content type, body.
fn calls(text: &str) -> Vec<Call> {
    let blocks = text.split("\n### ").skip(1);
    let call = |block: &str| {
        let lines: Vec<_> = block.lines().collect();
        let is_status = |line: &&str| {
            let code = line.split(' ').next().unwrap();
            code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()) && line.contains(' ')
        };
        let at = lines.iter().position(is_status).unwrap();
        Call {
            line: lines[..at].join("\n"),
            status: lines[at][..3].parse().unwrap(),
            body: lines[at + 1..].join("\n").trim().to_owned(),
        }
    };
    blocks.map(call).collect()
}

fn replay(server: &Server, folder: &str, call: &Call) -> Result<(), String> {
    let (line, body) = call.line.split_once(" -d ").unwrap_or((&call.line, ""));
    let method = line
        .strip_prefix("-X")
        .map_or("GET", |rest| rest.split(' ').next().unwrap());
    let (_, path) = line.split_once("http://OPA").unwrap();
    let header = line
        .split_once("-H ")
        .map(|(_, rest)| rest.split_once(" http").unwrap().0);
    let headers: Vec<_> = header
        .and_then(|header| header.split_once(": "))
        .into_iter()
        .collect();
    let mut answer = http::send(method, &server.url(path), &headers, body.as_bytes());
    // Files are named by their paths.
    answer.body = answer.body.replace(folder, "");
    let shown = format!("{} {}", answer.status, answer.body);
    if answer.status != call.status {
        return Err(format!("{shown}, not {}", call.status));
    }
    let parse = |text: &str| serde_json::from_str::<Value>(text).map(comparable);
    match (parse(&call.body), parse(&answer.body)) {
        (Ok(expected), Ok(actual)) if expected == actual => Ok(()),
        (Err(_), _) if call.body == answer.body.trim() => Ok(()),
        _ => Err(format!("{shown}, not {}", call.body)),
    }
}

/// Without what no two runs share, and what only OPA's parser has.
fn comparable(mut value: Value) -> Value {
    let mask = |object: &mut Map<String, Value>| {
        object.remove("details");
        for (name, value) in object.iter_mut() {
            let is_volatile =
                name.starts_with("timer_") || matches!(name.as_str(), "version" | "id" | "plugins");
            if is_volatile {
                *value = Value::Null;
            }
        }
    };
    walk(&mut value, &mask);
    value
}

fn walk(value: &mut Value, mask: &impl Fn(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            mask(object);
            object.values_mut().for_each(|value| walk(value, mask));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| walk(value, mask)),
        _ => {}
    }
}
