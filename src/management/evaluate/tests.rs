use super::*;
use crate::address::OwnPorts;

#[test]
fn nothing_is_begun_when_the_time_is_up() {
    let now = Instant::now();
    assert!(Running::until(now + MAX_TIME).goes_on().is_ok());
    let error = Running::until(now).goes_on().unwrap_err();
    assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
    let running = Running::until(now + MAX_TIME);
    running.gone.cancel();
    assert!(running.goes_on().is_err());
}

#[test]
fn a_document_far_longer_than_it_is_large_is_not_written() {
    let running = Running::until(Instant::now());
    let twice = |inner: Data| Data::object([("a", inner.clone()), ("b", inner)]);
    let times = |count| (0..count).fold(Data::null(), |inner, _| twice(inner));
    // Longer than what is tried first, and held no more once it is given back.
    assert_eq!(running.text(&times(14)).unwrap().len(), 245_749);
    let error = running.text(&times(60)).unwrap_err();
    assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(running.text(&times(1)).is_ok());
}

#[tokio::test]
async fn lists_leave_places_for_others() {
    let outside = Outside::new(
        &crate::external::Config::default(),
        MAX_TIME,
        OwnPorts::default(),
        Arc::default(),
    );
    let places = Evaluations::new(Arc::new(outside));
    let mut held = Vec::new();
    for _ in 0..MAX_LISTS {
        held.push(places.place(Load::List).await.unwrap());
    }
    let waits = tokio::time::timeout(Duration::ZERO, places.place(Load::List)).await;
    assert!(waits.is_err());
    for _ in MAX_LISTS..MAX_RUNNING {
        held.push(places.place(Load::One).await.unwrap());
    }
    let waits = tokio::time::timeout(Duration::ZERO, places.place(Load::One)).await;
    assert!(waits.is_err());
}
