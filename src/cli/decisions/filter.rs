//! Which decisions: flags named as the parameters of the API, which reads their values.

use clap::Args as ClapArgs;

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Which decisions")]
pub(in crate::cli) struct FilterArgs {
    /// `allow` or `deny`.
    #[arg(long)]
    effect: Option<String>,
    /// HTTP status of the reply.
    #[arg(long)]
    status: Option<String>,
    /// Kind of the reason, such as `no_allow_rule`.
    #[arg(long, alias = "reason_kind")]
    reason_kind: Option<String>,
    /// A part of the reason.
    #[arg(long)]
    reason: Option<String>,
    /// The native policy (`namespace/name`) or Rego entrypoint that decided.
    #[arg(long)]
    policy: Option<String>,
    /// Whom the request was for: `NAMESPACE/NAME`, `NAMESPACE/*`, or `NAME`.
    #[arg(long)]
    workload: Option<String>,
    /// The peer (`spiffe://…`).
    #[arg(long)]
    principal: Option<String>,
    /// `ISSUER/SUBJECT` of the request's token.
    #[arg(long, alias = "request_principal")]
    request_principal: Option<String>,
    #[arg(long)]
    method: Option<String>,
    #[arg(long)]
    host: Option<String>,
    /// Exact, or a prefix that ends in `*`.
    #[arg(long)]
    path: Option<String>,
    /// `true` or `false`: whether it was remembered.
    #[arg(long)]
    cached: Option<String>,
    #[arg(long)]
    revision: Option<String>,
    #[arg(long, alias = "decision_id")]
    decision_id: Option<String>,
    #[arg(long, alias = "trace_id")]
    trace_id: Option<String>,
    /// `changed` or `same`: whether a shadow would have changed the reply.
    #[arg(long)]
    shadow: Option<String>,
}

/// From when until when.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Which decisions")]
pub(in crate::cli) struct TimeArgs {
    /// RFC 3339, or how long ago (`15m`, `2h`).
    #[arg(long)]
    pub(in crate::cli) since: Option<String>,
    /// Not within.
    #[arg(long)]
    until: Option<String>,
}

/// Parameters of a query.
pub(in crate::cli) type Parameters = Vec<(&'static str, String)>;

impl FilterArgs {
    pub(in crate::cli) fn parameters(&self) -> Parameters {
        present([
            ("effect", &self.effect),
            ("status", &self.status),
            ("reason_kind", &self.reason_kind),
            ("reason", &self.reason),
            ("policy", &self.policy),
            ("workload", &self.workload),
            ("principal", &self.principal),
            ("request_principal", &self.request_principal),
            ("method", &self.method),
            ("host", &self.host),
            ("path", &self.path),
            ("cached", &self.cached),
            ("revision", &self.revision),
            ("decision_id", &self.decision_id),
            ("trace_id", &self.trace_id),
            ("shadow", &self.shadow),
        ])
    }
}

impl TimeArgs {
    pub(in crate::cli) fn parameters(&self) -> Parameters {
        present([("since", &self.since), ("until", &self.until)])
    }
}

pub(in crate::cli) fn present<const N: usize>(
    parameters: [(&'static str, &Option<String>); N],
) -> Parameters {
    let given = parameters.into_iter();
    let given = given.filter_map(|(name, value)| Some((name, value.clone()?)));
    given.collect()
}
