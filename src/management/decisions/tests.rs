//! How many questions are answered at once. The answers are tested beside the log.

use std::pin::pin;
use std::task::{Context, Waker};

use super::*;
use crate::decision_log::LogStore;

#[tokio::test]
async fn a_question_waits_for_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.db");
    LogStore::open(&path).unwrap();
    let questions = Questions::to(Arc::new(LogReaders::of(&path)));
    let held = Held::alone();
    for _ in 0..2 * MAX_QUESTIONS {
        assert!(questions.page(Filter::default(), &held).await.is_ok());
    }
    let many = u32::try_from(MAX_QUESTIONS).unwrap();
    let others = questions.places.acquire_many(many).await.unwrap();
    let mut asked = pin!(questions.page(Filter::default(), &held));
    let mut context = Context::from_waker(Waker::noop());
    assert!(asked.as_mut().poll(&mut context).is_pending());
    // No thread was taken for it.
    assert_eq!(Arc::strong_count(&questions.log), 1);
    drop(others);
    assert!(asked.await.is_ok());
}
