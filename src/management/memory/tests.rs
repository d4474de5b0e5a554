use axum::Router;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::middleware::from_fn_with_state;
use axum::routing::post;
use tower::ServiceExt as _;

use super::*;

const KIB: usize = 1 << 10;

#[test]
fn what_is_held_is_bounded_for_one_call_and_for_all() {
    let pool = Pool::new(8 * SMALL, 2 * SMALL, 4 * SMALL);
    let call = || Held::new(Arc::clone(&pool));
    let (first, second, third) = (call(), call(), call());
    assert_eq!(first.take(4 * SMALL), Ok(()));
    assert_eq!(first.take(1), Err(Full::Call));
    assert_eq!(first.take(usize::MAX), Err(Full::Call));
    assert_eq!(second.take(2 * SMALL), Ok(()));
    // The rest is for small calls.
    assert_eq!(third.take(SMALL + 1), Err(Full::Others));
    assert_eq!(third.take(SMALL), Ok(()));
    assert_eq!(third.take(1), Err(Full::Others));
    let fourth = call();
    assert_eq!(fourth.take(SMALL), Ok(()));
    assert_eq!(call().take(1), Err(Full::Others));
    // What is given back, kept no longer or dropped is there again.
    first.give_back(SMALL);
    assert_eq!(call().take(1), Ok(()));
    assert_eq!(first.room(), SMALL);
    first.keep(Some(0));
    drop(second);
    assert_eq!(call().take(4 * SMALL), Ok(()));
    drop((first, third, fourth));
    assert_eq!(pool.held.load(Ordering::Relaxed), 0);
}

/// A body that has this and never ends.
struct Endless(Option<Bytes>);

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let bytes = self.0.take();
        bytes.map_or(Poll::Pending, |bytes| {
            Poll::Ready(Some(Ok(Frame::data(bytes))))
        })
    }
}

fn router(pool: &Arc<Pool>) -> Router {
    let allowance = Allowance {
        pool: Arc::clone(pool),
        max_body: MaxBody(64 * KIB),
    };
    let length = |body: Bytes| async move { body.len().to_string() };
    Router::new()
        .route("/", post(length))
        .layer(from_fn_with_state(allowance, hold))
}

fn call(body: Body) -> Request {
    let request = Request::builder().method("POST").uri("/");
    request.body(body).unwrap()
}

#[tokio::test]
async fn bodies_that_never_end_leave_no_room_and_wait_for_none() {
    let pool = Pool::new(64 * KIB, 0, 64 * KIB);
    let router = router(&pool);
    let endless = Endless(Some(Bytes::from(vec![b' '; 60 * KIB])));
    let unfinished = tokio::spawn(router.clone().oneshot(call(Body::new(endless))));
    while pool.held.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let second = call(Body::from(vec![b' '; 5 * KIB]));
    let refused = router.clone().oneshot(second).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()[RETRY_AFTER], "1");
    drop(refused);
    // There is room as soon as the first is given up.
    unfinished.abort();
    assert!(unfinished.await.is_err());
    let third = call(Body::from(vec![b' '; 5 * KIB]));
    let answered = router.oneshot(third).await.unwrap();
    assert_eq!(answered.status(), StatusCode::OK);
    // Of a call that was answered only its answer is held, until it is sent.
    assert_eq!(pool.held.load(Ordering::Relaxed), "5120".len());
    drop(answered);
    assert_eq!(pool.held.load(Ordering::Relaxed), 0);
}
