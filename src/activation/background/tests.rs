//! Who has the turn, whoever waits for it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;

use super::*;

/// A caller who hangs up sends no second thread to work beside the first.
#[tokio::test]
async fn a_turn_ends_with_its_work_and_not_with_who_waits() {
    let turn = Turn::new();
    let (begun, has_begun) = mpsc::channel();
    let (end, may_end) = mpsc::channel::<()>();
    {
        let mut first = pin!(turn.run(move || {
            begun.send(()).unwrap();
            Ok(may_end.recv())
        }));
        // Begins, and is dropped.
        poll_fn(|context| {
            assert!(first.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    has_begun.recv().unwrap();
    assert_eq!(turn.0.available_permits(), 0);
    end.send(()).unwrap();
    assert_eq!(turn.run(|| Ok(2)).await.unwrap(), 2);
    // Nor does one that panics keep it.
    assert!(
        turn.run(|| -> Result<(), _> { panic!("as intended") })
            .await
            .is_err()
    );
    assert_eq!(turn.run(|| Ok(3)).await.unwrap(), 3);
}
