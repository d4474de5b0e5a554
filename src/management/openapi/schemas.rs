//! The forms of bodies, as JSON Schema. Where policy decides what is in one, anything is.

use serde_json::{Map, Value, json};

/// One of those in `all`.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

pub(super) fn one_of(names: &[&str]) -> Value {
    let names = names.iter().map(|name| reference(name));
    json!({ "anyOf": names.collect::<Vec<_>>() })
}

pub(super) fn any() -> Value {
    json!({})
}

pub(super) fn text() -> Value {
    json!({"type": "string"})
}

pub(super) fn object() -> Value {
    json!({"type": "object"})
}

pub(super) fn list_of(schema: Value) -> Value {
    of_type("array", "items", schema)
}

/// Files under their names.
pub(super) fn archives() -> Value {
    values_of(json!({"type": "string", "format": "binary"}))
}

/// Of a parameter of a path.
pub(super) fn of_path(name: &str) -> Value {
    match name {
        "kind" => json!({
            "type": "string",
            "enum": ["AuthorizationPolicy", "RequestAuthentication", "PeerAuthentication", "Telemetry"],
        }),
        "id" | "path" | "name" | "namespace" => json!({"type": "string", "minLength": 1}),
        _ => text(),
    }
}

/// An object of exactly these members; those whose names end in `?` may be missing.
fn members<const N: usize>(members: [(&str, Value); N]) -> Value {
    with(members, false)
}

/// An object of at least these members.
fn open<const N: usize>(members: [(&str, Value); N]) -> Value {
    with(members, true)
}

fn with<const N: usize>(members: [(&str, Value); N], may_have_more: bool) -> Value {
    let names = members.iter().map(|(name, _)| *name);
    let required: Vec<_> = names.filter(|name| !name.ends_with('?')).collect();
    let required = json!(required);
    let properties = members.into_iter().map(|(name, schema)| {
        let name = name.trim_end_matches('?');
        (name.to_owned(), schema)
    });
    json!({
        "type": "object",
        "properties": properties.collect::<Map<_, _>>(),
        "required": required,
        "additionalProperties": may_have_more,
    })
}

fn number() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn flag() -> Value {
    json!({"type": "boolean"})
}

fn values_of(schema: Value) -> Value {
    of_type("object", "additionalProperties", schema)
}

fn of_type(kind: &str, name: &str, schema: Value) -> Value {
    let members = [("type", kind.into()), (name, schema)].into_iter();
    Value::Object(
        members
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// All forms, by name.
pub(super) fn all() -> Value {
    let groups = [errors(), policies(), documents(), questions(), authzen()];
    let groups = groups.into_iter().flatten();
    Value::Object(
        groups
            .map(|(name, schema)| (name.to_owned(), schema))
            .collect(),
    )
}

type Group = Vec<(&'static str, Value)>;

fn errors() -> Group {
    let location = members([("file", text()), ("row", number()), ("col", number())]);
    let cause = members([
        ("code", text()),
        ("message", text()),
        ("location?", location),
    ]);
    vec![
        ("Cause", cause),
        (
            "Error",
            members([
                ("code", text()),
                ("message", text()),
                ("errors?", list_of(reference("Cause"))),
                ("snapshot?", number()),
                ("replay?", reference("Replay")),
            ]),
        ),
    ]
}

fn policies() -> Group {
    let warnings = || list_of(reference("Cause"));
    let owner = || json!({"type": "string"});
    let bundle = open([
        ("name", text()),
        ("revision", text()),
        ("roots", list_of(text())),
        ("owner", owner()),
        ("modules", list_of(text())),
        ("mode?", text()),
        ("problems?", warnings()),
        ("warnings?", warnings()),
    ]);
    let pushed = members([
        ("name", text()),
        ("mode?", text()),
        ("revision", text()),
        ("snapshot", number()),
        ("warnings?", warnings()),
        ("replay?", reference("Replay")),
    ]);
    let pushed_one = members([
        ("name", text()),
        ("revision", text()),
        ("warnings?", warnings()),
    ]);
    let pushed_many = members([
        ("snapshot", number()),
        ("bundles", list_of(pushed_one)),
        ("replay?", reference("Replay")),
    ]);
    let applied = members([
        ("snapshot", number()),
        ("resources", list_of(open([("result", text())]))),
        ("warnings?", warnings()),
        ("replay?", reference("Replay")),
    ]);
    let policy = members([("id", text()), ("raw", text()), ("ast?", object())]);
    let resource = members([("owner", owner()), ("resource", object())]);
    vec![
        ("Applied", applied),
        ("Bundle", bundle),
        (
            "Bundles",
            members([
                ("bundles", list_of(reference("Bundle"))),
                ("shadows?", list_of(reference("Bundle"))),
            ]),
        ),
        (
            "Policies",
            members([("result", list_of(reference("Policy")))]),
        ),
        ("Policy", policy),
        ("PolicyResult", members([("result", reference("Policy"))])),
        ("Pushed", pushed),
        ("PushedMany", pushed_many),
        ("Resources", members([("resources", list_of(resource))])),
        ("Snapshot", members([("snapshot", number())])),
    ]
}

fn documents() -> Group {
    let answer = |result: Value| {
        members([
            ("provenance?", object()),
            ("explanation?", list_of(any())),
            ("metrics?", object()),
            ("result?", result),
            ("warning?", members([("code", text()), ("message", text())])),
        ])
    };
    let patch = open([
        ("op", json!({"enum": ["add", "remove", "replace"]})),
        ("path", text()),
        ("value?", any()),
    ]);
    let batch = open([("inputs", object()), ("common_input?", any())]);
    let batch_answer = open([("responses", values_of(object()))]);
    vec![
        ("Batch", batch),
        ("BatchAnswer", batch_answer),
        ("Document", answer(any())),
        ("Health", members([("error?", text())])),
        ("Input", open([("input?", any())])),
        ("Patch", patch),
        ("Query", open([("query", text()), ("input?", any())])),
        ("Result", members([("result", any())])),
        ("Solutions", answer(list_of(object()))),
    ]
}

fn questions() -> Group {
    let status = open([
        ("version", text()),
        ("ready", flag()),
        ("snapshot", number()),
        ("resources", number()),
        ("bundles", list_of(reference("Bundle"))),
        ("shadows", list_of(reference("Bundle"))),
        ("cached_decisions", number()),
        ("result", object()),
    ]);
    let cursor = json!({"type": ["string", "null"]});
    vec![
        (
            "Checked",
            members([("decision", object()), ("explanation?", object())]),
        ),
        (
            "DecisionCounts",
            members([
                ("total", number()),
                ("groups", list_of(counted_group())),
                ("other", object()),
                ("buckets?", object()),
                ("complete", flag()),
                ("complete_since?", text()),
            ]),
        ),
        (
            "Decisions",
            members([("decisions", list_of(object())), ("next_cursor", cursor)]),
        ),
        ("Replay", replay()),
        ("Status", status),
    ]
}

/// What replaying decisions has shown.
fn replay() -> Value {
    let text_or_null = || json!({"type": ["string", "null"]});
    let counted = || open([("total", number())]);
    let side = || {
        members([
            ("effect", json!({"enum": ["allow", "deny"]})),
            ("status", number()),
            ("reason", text()),
            ("policy?", text()),
            ("rule?", number()),
        ])
    };
    let group = members([
        ("result", text()),
        ("now", side()),
        ("candidate", side()),
        ("workload?", text()),
        ("count", number()),
        ("examples", list_of(open([("decision_id", text())]))),
    ]);
    members([
        ("revision", number()),
        ("since", text_or_null()),
        ("until", text_or_null()),
        ("examined", number()),
        ("same", number()),
        ("changed", counted()),
        ("undetermined", counted()),
        ("drifted", number()),
        ("groups", list_of(group)),
        ("ungrouped", number()),
        ("complete", flag()),
        ("stopped?", json!({"enum": ["limit", "time"]})),
        ("oldest", text_or_null()),
        ("missing?", list_of(json!({"enum": ["damaged", "removed"]}))),
        ("next_cursor", text_or_null()),
    ])
}

/// Of an evaluation whose members may have defaults.
fn members_of_part() -> [(&'static str, Value); 4] {
    [
        ("subject?", reference("Entity")),
        ("action?", reference("Action")),
        ("resource?", reference("Entity")),
        ("context?", object()),
    ]
}

fn authzen() -> Group {
    let entity = open([("type", text()), ("id", text()), ("properties?", object())]);
    let action = open([("name", text()), ("properties?", object())]);
    let semantic = json!({"enum": ["execute_all", "deny_on_first_deny", "permit_on_first_permit"]});
    let one = open([
        ("subject", reference("Entity")),
        ("action", reference("Action")),
        ("resource", reference("Entity")),
        ("context?", object()),
    ]);
    let part = members_of_part();
    let evaluations = json!({"type": "array", "items": open(part.clone()), "maxItems": 1000});
    let [subject, action_part, resource, context] = part;
    let many = open([
        subject,
        action_part,
        resource,
        context,
        ("evaluations?", evaluations),
        ("options?", open([("evaluations_semantic?", semantic)])),
    ]);
    let metadata = members([
        ("policy_decision_point", text()),
        ("access_evaluation_endpoint", text()),
        ("access_evaluations_endpoint", text()),
    ]);
    let decision = members([("decision", flag()), ("context?", object())]);
    let answer = members([("evaluations", list_of(reference("Decision")))]);
    vec![
        ("Action", action),
        ("AuthZenMetadata", metadata),
        ("Decision", decision),
        ("Entity", entity),
        ("Evaluation", one),
        ("Evaluations", many),
        ("EvaluationsAnswer", answer),
    ]
}

fn counted_group() -> Value {
    members([
        ("key", object()),
        ("count", number()),
        ("counts?", list_of(number())),
    ])
}
