//! A plain tonic server that decodes every check and allows it: what the framework alone costs, and so
//! the yardstick of `compare.py`. Arguments: address to bind (`127.0.0.1:0`), worker threads (`1`).

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, Ready, ready};
use std::io::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};

use doorward_proto::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use doorward_proto::google::rpc;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

// As in the `doorward` program, so that only the servers differ.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The service as code generation would write it.
#[derive(Debug, Clone, Copy)]
struct Authorization;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let workers = arguments.next().unwrap_or_else(|| "1".to_owned());
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers.parse::<NonZeroUsize>()?.get())
        .enable_all()
        .build()?
        .block_on(serve(address.parse()?))
}

async fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let incoming = TcpIncoming::bind(address)?.with_nodelay(Some(true));
    let bound = incoming.local_addr()?;
    writeln!(std::io::stdout(), "ready ext_authz={bound}")?;
    Server::builder()
        .add_service(Authorization)
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}

impl NamedService for Authorization {
    const NAME: &'static str = "envoy.service.auth.v3.Authorization";
}

impl Service<Request<Body>> for Authorization {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async move {
            if request.uri().path() != CHECK {
                return Ok(Status::unimplemented("unknown method").into_http());
            }
            let codec = ProstCodec::<CheckResponse, CheckRequest>::default();
            Ok(Grpc::new(codec).unary(service_fn(allow), request).await)
        })
    }
}

type Answer = Result<tonic::Response<CheckResponse>, Status>;

fn allow(_: tonic::Request<CheckRequest>) -> Ready<Answer> {
    ready(Ok(tonic::Response::new(CheckResponse {
        status: Some(rpc::Status::default()),
        ..CheckResponse::default()
    })))
}
