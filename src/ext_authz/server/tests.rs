//! Checks that fail by a fault of ours. What becomes of others is tested with the whole program.

use std::pin::pin;
use std::task::Waker;

use doorward_proto::envoy::service::auth::v3::check_response::HttpResponse;

use super::*;
use crate::address::OwnPorts;
use crate::external;
use crate::policy::config::{MeshConfig, RegoConfig, settings};
use crate::policy::{PolicySet, PolicySources};

fn service() -> CheckService {
    let settings = settings(
        &MeshConfig::default(),
        &RegoConfig::default(),
        &[],
        Duration::from_secs(1),
    );
    let policies = PolicySet::compile(PolicySources::default(), &settings).unwrap();
    let metrics = Arc::<Metrics>::default();
    let outside = Outside::new(
        &external::Config::default(),
        Duration::from_secs(1),
        OwnPorts::default(),
        Arc::clone(&metrics),
    );
    CheckService {
        pdp: Arc::new(Pdp::over(policies)),
        outside: Arc::new(outside),
        metrics,
        max_message_bytes: 1 << 20,
        replies: Replies::default(),
        version: ProtocolVersion::V3,
    }
}

/// Without a runtime there are no threads, as when the system gives no more.
#[test]
fn a_check_that_gets_no_thread_is_denied() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let service = runtime.block_on(async { service() });
    let waiting = Waiting {
        attributes: Box::default(),
        now_ns: 0,
        started: Instant::now(),
    };
    let metrics = Arc::clone(&service.metrics);
    let wait = pin!(service.wait(waiting));
    let reply = wait.poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(reply)) = reply else {
        panic!("{reply:?}");
    };
    assert!(
        matches!(reply.http_response, Some(HttpResponse::DeniedResponse(_))),
        "{reply:?}"
    );
    assert_eq!(metrics.panics.get(), 1);
}
