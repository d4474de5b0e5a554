//! Whether a Telemetry wants a decision recorded: what of a record its filters can look at. The filters
//! themselves are the policies'.

use super::chunk::Head;
use super::record::{Asked, AskedHttp, Place, PlacePort};
use crate::policy::native::{Observation, ObservedPeer, ObservedRequest};

/// Rule: what cannot be looked at is kept, and so is what is for a workload that is not known.
pub(super) fn keeps(head: &Head, request: &[u8]) -> bool {
    let Some(policies) = &head.telemetry else {
        return true;
    };
    let attached = policies.native.attached(&head.workload);
    let Some((attached, asked)) = attached.zip(Asked::read(request)) else {
        return true;
    };
    attached.recording.keeps(&observation(head, &asked))
}

fn observation<'a>(head: &'a Head, asked: &Asked<'a>) -> Observation<'a> {
    let decision = &head.decision;
    let denied_with = decision.reply().is_err().then(|| decision.status());
    Observation {
        source: peer(asked.source.as_ref()),
        destination: peer(asked.destination.as_ref()),
        request: asked.http.as_ref().map(observed),
        peer_principal: decision.peer_principal.as_deref(),
        request_principal: decision.request_principal.as_deref(),
        effect: decision.effect().as_str(),
        denied_with,
        reason: decision.reason.kind.as_str(),
        policy: decision.reason.decided_by().map(String::as_str),
        cached: head.cached,
        namespace: head.workload.namespace.as_deref(),
    }
}

fn observed<'a>(http: &AskedHttp<'a>) -> ObservedRequest<'a> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in http.headers {
        let name = name.to_ascii_lowercase();
        let value = String::from_utf8_lossy(value);
        // Several lines of a header are one value.
        match headers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, joined)) => {
                joined.push(',');
                joined.push_str(&value);
            }
            None => headers.push((name, value.into_owned())),
        }
    }
    ObservedRequest {
        method: http.method,
        host: http.host,
        path: http.path,
        scheme: http.scheme,
        protocol: http.protocol,
        headers,
    }
}

fn peer(place: Option<&Place<'_>>) -> ObservedPeer {
    let Some(place) = place else {
        return ObservedPeer::default();
    };
    let port = match place.port {
        Some(PlacePort::Number(port)) => u16::try_from(port).ok(),
        _ => None,
    };
    let address = match port {
        Some(port) if place.address.contains(':') => format!("[{}]:{port}", place.address),
        Some(port) => format!("{}:{port}", place.address),
        None => place.address.to_owned(),
    };
    ObservedPeer {
        address: Some(address),
        port,
    }
}
