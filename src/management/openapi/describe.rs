//! What each call takes and answers, besides what its row in the table of calls says: a summary, the
//! parameters of its query, its bodies and its good answers. Errors are the same for all.

use axum::http::Method;
use serde_json::{Value, json};

use super::schemas::{any, archives, list_of, object, one_of, reference, text};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const EVENTS: &str = "text/event-stream";
const GZIP: &str = "application/gzip";
const FORM: &str = "multipart/form-data";
const BYTES: &str = "application/octet-stream";
const YAML: &str = "application/yaml";

/// What is said of a call.
#[derive(Debug, Default)]
pub(super) struct Described {
    pub(super) summary: &'static str,
    pub(super) query: Vec<(&'static str, Value)>,
    pub(super) takes_if_match: bool,
    /// Whether good answers say which revision they are of.
    pub(super) tells_revision: bool,
    pub(super) bodies: Vec<(&'static str, Value)>,
    pub(super) body_is_required: bool,
    /// Status, media type, schema.
    pub(super) answers: Vec<(u16, &'static str, Value)>,
}

/// What is said of the call of a row; `None` if nothing is.
pub(super) fn describe(method: &Method, path: &str) -> Option<Described> {
    let key = (method.as_str(), path);
    state(key)
        .or_else(|| policy(key))
        .or_else(|| documents(key))
        .or_else(|| questions(key))
}

fn state(key: (&str, &str)) -> Option<Described> {
    Some(match key {
        ("GET", "/livez") => says("Whether the process lives").answers(200, TEXT, text()),
        ("GET", "/readyz") => says("Whether checks should be sent here")
            .answers(200, TEXT, text())
            .answers(503, TEXT, text()),
        ("GET", "/health") => says("OPA's health check")
            .query(&["bundles", "bundle", "plugins"])
            .json(200, reference("Health"))
            .json(500, reference("Health")),
        ("GET", "/health/{*path}") => says("What a rule of data.system.health says")
            .json(200, reference("Health"))
            .json(500, one_of(&["Health", "Error"])),
        ("GET", "/v1/status") => says("What is loaded, and how it is doing")
            .of_revision()
            .json(200, reference("Status")),
        ("GET", "/v1/config") => {
            says("The configuration in use, without secrets").json(200, reference("Result"))
        }
        ("GET", "/metrics") => says("Metrics for Prometheus").answers(200, METRICS, text()),
        ("GET", "/v1/openapi.json") => says("This document").json(200, object()),
        _ => return None,
    })
}

fn policy(key: (&str, &str)) -> Option<Described> {
    const ONE: &str = "/v1/resources/{kind}/{namespace}/{name}";
    let applied = || reference("Applied");
    let snapshot = || reference("Snapshot");
    Some(match key {
        ("GET", "/v1/bundles") => says("All bundles")
            .of_revision()
            .json(200, reference("Bundles")),
        ("PUT", "/v1/bundles") => says("Push several bundles as one revision")
            .takes(FORM, archives())
            .gated()
            .if_match()
            .json(200, reference("PushedMany")),
        ("GET", "/v1/bundles/{name}") => says("A bundle")
            .parameter("mode", mode())
            .of_revision()
            .json(200, reference("Bundle")),
        ("PUT", "/v1/bundles/{name}") => says("Push a bundle")
            .parameter("mode", mode())
            .takes(GZIP, any())
            .takes(BYTES, any())
            .gated()
            .if_match()
            .json(200, reference("Pushed")),
        ("DELETE", "/v1/bundles/{name}") => {
            let removes = says("Remove a bundle").parameter("mode", mode());
            removes.if_match().json(200, snapshot())
        }
        ("POST", "/v1/bundles/{name}/promote") => says("Have a shadow enforced")
            .gated()
            .if_match()
            .json(200, reference("Pushed")),
        ("GET", "/v1/revisions") => says("The revisions that are kept")
            .of_revision()
            .json(200, object()),
        ("POST", "/v1/revisions/{number}/rollback") => {
            let goes_back = says("Go back to a revision").gated();
            goes_back.if_match().json(200, object())
        }
        ("GET", "/v1/audit") => says("Who changed what, newest first")
            .parameter(
                "limit",
                json!({"type": "integer", "minimum": 1, "maximum": 1000}),
            )
            .parameter("before", json!({"type": "integer", "minimum": 0}))
            .json(200, object()),
        ("GET", "/v1/resources") => says("Native policies, with their owners")
            .of_revision()
            .texts(&["kind", "namespace", "name"])
            .json(200, reference("Resources")),
        ("PUT", "/v1/resources") => says("Push native policies, all or nothing")
            .parameter("prune", json!({"type": "boolean"}))
            .takes(YAML, text())
            .gated()
            .if_match()
            .json(200, applied()),
        ("GET", ONE) => says("A native policy").of_revision().json(200, object()),
        ("PUT", ONE) => says("Push a native policy")
            .takes(YAML, text())
            .gated()
            .if_match()
            .json(200, applied()),
        ("DELETE", ONE) => says("Remove a native policy")
            .if_match()
            .json(200, snapshot()),
        ("GET", "/v1/policies") => says("All Rego modules")
            .of_revision()
            .query(&["pretty"])
            .json(200, reference("Policies")),
        ("GET", "/v1/policies/{*id}") => says("A Rego module")
            .of_revision()
            .query(&["pretty"])
            .json(200, reference("PolicyResult")),
        ("PUT", "/v1/policies/{*id}") => says("Push a Rego module")
            .query(&["pretty", "metrics"])
            .takes("text/plain", text())
            .if_match()
            .json(200, object()),
        ("DELETE", "/v1/policies/{*id}") => says("Remove a Rego module")
            .query(&["pretty", "metrics"])
            .if_match()
            .json(200, object()),
        _ => return None,
    })
}

fn documents(key: (&str, &str)) -> Option<Described> {
    Some(match key {
        ("GET", "/v1/data" | "/v1/data/{*path}") => says("A document")
            .of_revision()
            .options()
            .texts(&["input"])
            .json(200, reference("Document")),
        ("POST", "/v1/data" | "/v1/data/{*path}") => says("A document for an input")
            .options()
            .may_take(reference("Input"))
            .json(200, reference("Document")),
        ("PUT", "/v1/data" | "/v1/data/{*path}") => says("Write base data")
            .query(&["pretty", "metrics"])
            .takes(JSON, any())
            .if_match()
            .done(),
        ("PATCH", "/v1/data" | "/v1/data/{*path}") => says("Change base data by JSON Patch")
            .query(&["pretty", "metrics"])
            .takes(JSON, list_of(reference("Patch")))
            .if_match()
            .done(),
        ("DELETE", "/v1/data" | "/v1/data/{*path}") => says("Remove base data")
            .query(&["pretty", "metrics"])
            .if_match()
            .done(),
        ("POST", "/v0/data" | "/v0/data/{*path}") => says("A document alone, for an input alone")
            .options()
            .may_take(any())
            .json(200, any()),
        ("POST", "/") => says("The document data.system.main, for an input alone")
            .options()
            .may_take(any())
            .json(200, any()),
        ("POST", "/v1/batch/data" | "/v1/batch/data/{*path}") => says("A document for many inputs")
            .options()
            .takes(JSON, reference("Batch"))
            .json(200, reference("BatchAnswer"))
            .json(207, reference("BatchAnswer"))
            .json(500, one_of(&["BatchAnswer", "Error"])),
        ("GET", "/v1/query") => says("The solutions of a query")
            .options()
            .texts(&["q"])
            .json(200, reference("Solutions")),
        ("POST", "/v1/query") => says("The solutions of a query, for an input")
            .options()
            .takes(JSON, reference("Query"))
            .json(200, reference("Solutions")),
        ("POST", "/v1/compile" | "/v1/compile/{*path}") => {
            says("Partial evaluation, which is not supported").json(501, reference("Error"))
        }
        _ => return None,
    })
}

fn questions(key: (&str, &str)) -> Option<Described> {
    Some(match key {
        ("POST", "/v1/check") => says("Decide a request as if a proxy had asked")
            .texts(&["explain", "at"])
            .takes(JSON, object())
            .json(200, reference("Checked")),
        ("GET", "/v1/decisions") => says("The decision log, newest first")
            .filters()
            .texts(&["since", "until", "cursor"])
            .parameter(
                "limit",
                json!({"type": "integer", "minimum": 1, "maximum": 1000}),
            )
            .json(200, reference("Decisions")),
        ("GET", "/v1/decisions/summary") => says("How many decisions there are of what")
            .filters()
            .texts(&["since", "until", "group_by", "bucket"])
            .parameter(
                "limit",
                json!({"type": "integer", "minimum": 1, "maximum": 1000}),
            )
            .json(200, reference("DecisionCounts")),
        ("GET", "/v1/decisions/stream") => says("Decisions as they come: server-sent events")
            .filters()
            .answers(200, EVENTS, text()),
        ("POST", "/v1/replay") => says("Which recorded decisions would change")
            .texts(&["candidate", "since", "until", "cursor"])
            .filters()
            .parameter("prune", json!({"type": "boolean"}))
            .parameter(
                "limit",
                json!({"type": "integer", "minimum": 1, "maximum": 1_000_000}),
            )
            .may_take_policy()
            .of_revision()
            .json(200, reference("Replay")),
        ("GET", "/v1/decisions/{id}") => says("A record of the decision log").json(200, object()),
        ("GET", "/.well-known/authzen-configuration") => {
            says("Where AuthZEN's calls are").json(200, reference("AuthZenMetadata"))
        }
        ("POST", "/access/v1/evaluation") => says("A decision, by AuthZEN")
            .takes(JSON, reference("Evaluation"))
            .json(200, reference("Decision")),
        ("POST", "/access/v1/evaluations") => says("Several decisions, by AuthZEN")
            .takes(JSON, reference("Evaluations"))
            .json(200, one_of(&["EvaluationsAnswer", "Decision"])),
        _ => return None,
    })
}

/// Which of a name's bundles.
fn mode() -> Value {
    json!({"type": "string", "enum": ["enforced", "shadow"]})
}

fn says(summary: &'static str) -> Described {
    Described {
        summary,
        ..Described::default()
    }
}

impl Described {
    fn answers(mut self, status: u16, media: &'static str, schema: Value) -> Self {
        self.answers.push((status, media, schema));
        self
    }

    fn json(self, status: u16, schema: Value) -> Self {
        self.answers(status, JSON, schema)
    }

    /// Nothing to say. Rule: where nothing was to be written either, it says so.
    fn done(self) -> Self {
        self.answers(204, "", any()).answers(304, "", any())
    }

    fn takes(mut self, media: &'static str, schema: Value) -> Self {
        self.bodies.push((media, schema));
        self.body_is_required = true;
        self
    }

    /// A document, or none.
    fn may_take(mut self, schema: Value) -> Self {
        self.bodies.push((JSON, schema.clone()));
        self.bodies.push((YAML, schema));
        self
    }

    /// A bundle, resources, or nothing.
    fn may_take_policy(mut self) -> Self {
        self.bodies
            .extend([(GZIP, any()), (BYTES, any()), (YAML, text())]);
        self
    }

    /// What is done only if recorded decisions stay as they are.
    fn gated(self) -> Self {
        let count = || json!({"type": "integer", "minimum": 0});
        self.texts(&["require_replay"])
            .parameter("max_changes", count())
            .parameter("max_undetermined", count())
            .parameter("replay_limit", count())
            .parameter("allow_unreplayed", json!({"type": "boolean"}))
    }

    /// What applies to one revision only, if asked to, and says which it made.
    fn if_match(mut self) -> Self {
        self.takes_if_match = true;
        self.of_revision()
    }

    fn of_revision(mut self) -> Self {
        self.tells_revision = true;
        self
    }

    fn parameter(mut self, name: &'static str, schema: Value) -> Self {
        self.query.push((name, schema));
        self
    }

    /// Flags.
    fn query(mut self, names: &[&'static str]) -> Self {
        let flag = json!({"type": "string", "enum": ["", "true", "false"]});
        self.query
            .extend(names.iter().map(|name| (*name, flag.clone())));
        self
    }

    fn texts(mut self, names: &[&'static str]) -> Self {
        self.query.extend(names.iter().map(|name| (*name, text())));
        self
    }

    /// Which decisions.
    fn filters(self) -> Self {
        const TEXTS: [&str; 13] = [
            "effect",
            "principal",
            "request_principal",
            "path",
            "host",
            "method",
            "policy",
            "reason",
            "reason_kind",
            "workload",
            "decision_id",
            "trace_id",
            "cached",
        ];
        let status = json!({"type": "integer", "minimum": 100, "maximum": 599});
        self.texts(&TEXTS)
            .parameter("revision", json!({"type": "integer", "minimum": 0}))
            .parameter("status", status)
            .parameter(
                "shadow",
                json!({"type": "string", "enum": ["same", "changed"]}),
            )
    }

    /// OPA's.
    fn options(self) -> Self {
        let explain = json!({"type": "string", "enum": ["off", "notes"]});
        self.query(&[
            "pretty",
            "provenance",
            "metrics",
            "instrument",
            "strict-builtin-errors",
        ])
        .parameter("explain", explain)
    }
}
