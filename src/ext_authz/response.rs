//! From an answer to a `CheckResponse`. Every reply is made here and nowhere else: an empty
//! message means allow to Envoy, so none is ever made by default.

use doorward_proto::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use doorward_proto::envoy::config::core::v3::{HeaderValue, HeaderValueOption, QueryParameter};
use doorward_proto::envoy::service::auth::v3::check_response::HttpResponse;
use doorward_proto::envoy::service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse};
use doorward_proto::envoy::r#type::v3::HttpStatus;
use doorward_proto::google::rpc::Status as RpcStatus;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde::{Deserialize, Serialize};
use tonic::{Code, Status};

use crate::attributes::{JsonObject, Pairs};
use crate::decision::{Denial, FailureCode, Mutations, Reason, ReasonKind};
use crate::pdp::Answer;

/// OPA's text for an evaluation that a deadline ended.
const TIME_UP: &str = "eval_cancel_error: context deadline reached during query execution";

/// What replies hold besides what a proxy needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Replies {
    /// The reason of a denial, and metadata about the decision.
    #[default]
    Doorward,
    /// Nothing that opa-envoy-plugin would not send.
    Plugin,
}

/// The reply to a check: a message, or a gRPC error where the operator chose that.
pub(super) fn reply(answer: &Answer, replies: Replies) -> Result<CheckResponse, Status> {
    let decision = &answer.decision;
    Ok(match decision.reply() {
        Ok(mutations) => CheckResponse {
            status: Some(RpcStatus {
                code: Code::Ok as i32,
                ..RpcStatus::default()
            }),
            http_response: ok_response(mutations, &answer.lookalikes),
            dynamic_metadata: Some(dynamic_metadata(answer, replies)),
        },
        Err(denial) if denial.as_error => {
            return Err(failure(&decision.reason));
        }
        Err(denial) if replies == Replies::Plugin => plugin_denial(answer, denial),
        Err(denial) => CheckResponse {
            status: Some(RpcStatus {
                code: denied_code(denial) as i32,
                message: decision.reason.message.clone(),
                details: Vec::new(),
            }),
            http_response: Some(denied_response(denial)),
            dynamic_metadata: Some(dynamic_metadata(answer, replies)),
        },
    })
}

/// Rule: the plugin's error is UNKNOWN with the bare text, but for a check whose time was up while
/// policy was evaluated.
fn failure(reason: &Reason) -> Status {
    match reason.failure {
        Some(FailureCode::Cancelled) => Status::deadline_exceeded(TIME_UP),
        _ => Status::unknown(reason.message.clone()),
    }
}

/// Why there is no decision, as the plugin counts it; what it does not know has our name.
pub(super) fn error_of(reason: &Reason) -> Option<&'static str> {
    match reason.kind {
        ReasonKind::InvalidRequest => Some(FailureCode::Request.as_str()),
        ReasonKind::RegoError => {
            let code = reason.failure.unwrap_or(FailureCode::Evaluation);
            Some(code.as_str())
        }
        ReasonKind::Overloaded | ReasonKind::NotRecorded | ReasonKind::InternalError => {
            Some(reason.kind.as_str())
        }
        ReasonKind::AuthorizationPolicy
        | ReasonKind::NoAllowRule
        | ReasonKind::PeerAuthentication
        | ReasonKind::RequestAuthentication
        | ReasonKind::Rego
        | ReasonKind::DefaultAction
        | ReasonKind::NoPolicy
        | ReasonKind::UnknownWorkload => None,
    }
}

/// Rule: a denial of the plugin has one code whatever its status, a text only for a request that
/// could not be read, then no metadata; a plain `false` says nothing of a response.
fn plugin_denial(answer: &Answer, denial: &Denial) -> CheckResponse {
    let reason = &answer.decision.reason;
    let message = match reason.kind {
        ReasonKind::Rego => String::new(),
        _ => reason.message.clone(),
    };
    CheckResponse {
        status: Some(RpcStatus {
            code: Code::PermissionDenied as i32,
            message,
            details: Vec::new(),
        }),
        http_response: (!denial.plain).then(|| denied_response(denial)),
        dynamic_metadata: (reason.kind == ReasonKind::Rego)
            .then(|| dynamic_metadata(answer, Replies::Plugin)),
    }
}

/// The reply when making a reply failed: a denial without particulars.
pub(super) fn failed() -> CheckResponse {
    let denial = Denial {
        status: 500,
        ..Denial::default()
    };
    CheckResponse {
        status: Some(RpcStatus {
            code: Code::PermissionDenied as i32,
            ..RpcStatus::default()
        }),
        http_response: Some(denied_response(&denial)),
        dynamic_metadata: None,
    }
}

/// Anything but OK denies.
fn denied_code(denial: &Denial) -> Code {
    if denial.status == 401 {
        Code::Unauthenticated
    } else {
        Code::PermissionDenied
    }
}

fn ok_response(mutations: &Mutations, lookalikes: &[String]) -> Option<HttpResponse> {
    let Mutations {
        set_headers,
        remove_headers,
        response_headers,
        set_parameters,
        remove_parameters,
        removed_by_native: _,
        explicit,
    } = mutations;
    let response = OkHttpResponse {
        headers: overwriting(set_headers),
        headers_to_remove: remove_headers.iter().chain(lookalikes).cloned().collect(),
        response_headers_to_add: response_headers
            .iter()
            .map(|pair| header(pair, None))
            .collect(),
        query_parameters_to_set: set_parameters
            .iter()
            .map(|(key, value)| QueryParameter {
                key: key.clone(),
                value: value.clone(),
            })
            .collect(),
        query_parameters_to_remove: remove_parameters.clone(),
        dynamic_metadata: None,
    };
    (*explicit || response != OkHttpResponse::default())
        .then_some(HttpResponse::OkResponse(response))
}

fn denied_response(denial: &Denial) -> HttpResponse {
    HttpResponse::DeniedResponse(DeniedHttpResponse {
        status: Some(HttpStatus {
            code: i32::from(denial.status),
        }),
        headers: denial
            .headers
            .iter()
            .map(|pair| header(pair, None))
            .collect(),
        body: denial.body.clone(),
    })
}

/// Headers that replace the client's own. Envoy 1.40 heeds only `append`: the first value of a
/// name overwrites, further ones are appended, so that all arrive and nothing of the client's does.
fn overwriting(pairs: &Pairs) -> Vec<HeaderValueOption> {
    let mut seen: Vec<String> = Vec::with_capacity(pairs.len());
    pairs
        .iter()
        .map(|pair| {
            let name = pair.0.to_ascii_lowercase();
            let again = seen.contains(&name);
            seen.push(name);
            header(pair, Some(again))
        })
        .collect()
}

/// `append` is left to Envoy's default for the list when `None`.
pub(super) fn header((name, value): &(String, String), append: Option<bool>) -> HeaderValueOption {
    let action = match append {
        Some(false) => HeaderAppendAction::OverwriteIfExistsOrAdd,
        Some(true) | None => HeaderAppendAction::AppendIfExistsOrAdd,
    };
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.clone(),
            value: value.clone(),
            raw_value: bytes::Bytes::new(),
        }),
        append,
        append_action: action as i32,
        keep_empty_value: false,
    }
}

/// What the proxy's access log can show: the policy's own metadata, the decision's id, and under
/// `doorward` what decided.
fn dynamic_metadata(answer: &Answer, replies: Replies) -> Struct {
    let decision = &answer.decision;
    let mut metadata = decision
        .dynamic_metadata
        .as_ref()
        .map(structure)
        .unwrap_or_default();
    let id = Kind::StringValue(answer.id.to_string());
    metadata
        .fields
        .insert("decision_id".to_owned(), Value { kind: Some(id) });
    if replies == Replies::Plugin {
        return metadata;
    }
    let mut ours = Struct::default();
    let mut set = |name: &str, kind| {
        ours.fields
            .insert(name.to_owned(), Value { kind: Some(kind) });
    };
    #[expect(clippy::cast_precision_loss, reason = "revisions stay far below 2^53")]
    set("revision", Kind::NumberValue(answer.revision as f64));
    set(
        "reason",
        Kind::StringValue(decision.reason.kind.as_str().to_owned()),
    );
    set("cached", Kind::BoolValue(answer.cached));
    let policy = decision.reason.decided_by();
    let texts = [
        ("policy", policy),
        ("peer_principal", decision.peer_principal.as_ref()),
        ("request_principal", decision.request_principal.as_ref()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            set(name, Kind::StringValue(text.clone()));
        }
    }
    // What watching policies saw is there when there are any.
    let observed = serde_json::to_value(&decision.observed).unwrap_or_default();
    for (name, seen) in observed.as_object().into_iter().flatten() {
        ours.fields.insert(name.clone(), value(seen));
    }
    let ours = Value {
        kind: Some(Kind::StructValue(ours)),
    };
    metadata.fields.insert("doorward".to_owned(), ours);
    metadata
}

fn structure(object: &JsonObject) -> Struct {
    let fields = object
        .iter()
        .map(|(name, json)| (name.clone(), value(json)));
    Struct {
        fields: fields.collect(),
    }
}

fn value(json: &serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(value) => Kind::BoolValue(*value),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(text) => Kind::StringValue(text.clone()),
        serde_json::Value::Array(items) => Kind::ListValue(ListValue {
            values: items.iter().map(value).collect(),
        }),
        serde_json::Value::Object(object) => Kind::StructValue(structure(object)),
    };
    Value { kind: Some(kind) }
}
