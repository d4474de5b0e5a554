//! What is found out about a request before policies are asked: whether an honest proxy can have sent
//! it, which path it means, and who asks. What policies make of that is left to `verdict`.

use crate::attributes::{Attributes, NormalTarget, PathNormalization};
use crate::identity::{Caller, PeerIdentity, VerifiedToken, XFCC_HEADER};
use crate::policy::PolicySettings;
use crate::policy::native::{Attached, Facts, TrustedPeer};
use crate::policy::reads::Reads;
use crate::telemetry::Stopwatch;

/// A request with what had to be found out about it before policies are asked.
pub(super) struct Question<'a> {
    pub attributes: &'a Attributes,
    /// As native policies see it; empty on TCP.
    pub target: NormalTarget<'a>,
    pub caller: Caller<'a>,
    pub now_ns: i64,
    pub stopwatch: &'a Stopwatch,
}

impl<'a> Question<'a> {
    /// What rules look at, once it is known who asks.
    pub(super) fn facts(
        &'a self,
        settings: &PolicySettings,
        token: Option<&'a VerifiedToken>,
    ) -> Facts<'a> {
        Facts {
            attributes: self.attributes,
            peer: &self.caller.peer,
            target: &self.target,
            token,
            remote_ip: self.attributes.remote_ip(settings.trusted_proxies),
        }
    }

    /// The PeerAuthentication by which the connection is refused.
    pub(super) fn refused_peer<'b>(
        &self,
        attached: &'b Attached,
        settings: &PolicySettings,
    ) -> Option<&'b str> {
        let port = self.attributes.destination_port();
        let trust_domains = &settings.mesh.trust_domains;
        attached
            .peer
            .refuses(port, self.caller.connection(), trust_domains)
    }
}

/// The path that native policies match. It depends on nothing but the one sent, so that keys of
/// the cache, which hold that, tell requests apart.
pub(super) fn normal_target(
    attributes: &Attributes,
    mode: PathNormalization,
) -> Result<NormalTarget<'_>, String> {
    let target = attributes.http().map_or("", |http| &http.path);
    mode.apply(target)
        .map_err(|error| format!("the path {error}"))
}

/// Who asks: the other end of the connection, or whom it speaks for if its word counts. A
/// certificate is read only for policies that look at what is in it.
pub(super) fn identify<'a>(
    reads: &Reads,
    trusted: &[TrustedPeer],
    attributes: &'a Attributes,
) -> Result<Caller<'a>, String> {
    if !reads.identity() {
        return Ok(reported(attributes));
    }
    let connection =
        PeerIdentity::of(attributes).map_err(|error| format!("the peer's certificate {error}"))?;
    let Some(http) = attributes
        .http()
        .filter(|_| TrustedPeer::is_any(trusted, &connection))
    else {
        return Ok(Caller::direct(connection));
    };
    // The client of such a peer may have written parts of the header. If it could make it
    // unreadable and go on without identity, rules that deny identities would not hold it.
    let peer = PeerIdentity::forwarded(&http.headers)
        .map_err(|error| format!("header `{XFCC_HEADER}` of a trusted peer {error}"))?;
    Ok(Caller {
        peer,
        forwarded_by: Some(connection),
    })
}

/// The peer by the name the proxy reports, before anything was found out about it.
pub(super) fn reported(attributes: &Attributes) -> Caller<'_> {
    Caller::direct(PeerIdentity::new(attributes.source_principal()))
}

/// What no request of an honest proxy holds, and what could mean one thing here and another there.
pub(super) fn check_form(attributes: &Attributes) -> Result<(), String> {
    // Every byte is looked at, which compilers turn into few instructions for many of them.
    let has_control = |text: &str| {
        text.bytes()
            .fold(false, |found, byte| found | byte.is_ascii_control())
    };
    if has_control(attributes.source_principal()) {
        return Err("the peer's identity holds control characters".to_owned());
    }
    let Some(http) = attributes.http() else {
        return Ok(());
    };
    if let Some(name) = http.headers.invalid() {
        return Err(format!(
            "header `{}` holds NUL, CR or LF",
            name.escape_debug()
        ));
    }
    for (what, text) in [
        ("method", &http.method),
        ("path", &http.path),
        ("host", &http.host),
    ] {
        if has_control(text) {
            return Err(format!("the {what} holds control characters"));
        }
    }
    Ok(())
}
