use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

#[test]
fn what_is_not_asked_in_time_is_an_error_of_its_own() {
    let data = Data::from_json(json!({"x": 1}));
    let rego = RegoPolicies::of_data(data);
    let answers = |running: &Running| {
        let document = Data::from_json(json!({"inputs": {"a": {}, "b": 1}, "common_input": {}}));
        let batch = Batch::parse(&document, vec!["x".to_owned()], &Options::default()).unwrap();
        let answers = batch.answers(running, &rego).into_iter();
        let shown = answers.map(|(name, answer)| (name, answer.map_err(|error| error.in_batch())));
        shown.collect::<Vec<_>>()
    };
    let all = |answer: Result<Option<String>, String>| {
        vec![("a".to_owned(), answer.clone()), ("b".to_owned(), answer)]
    };
    let in_time = Running::until(Instant::now() + Duration::from_secs(3600));
    assert_eq!(answers(&in_time), all(Ok(Some("1".to_owned()))));
    let error = json!({
        "code": "unavailable",
        "http_status_code": "503",
        "message": "the call took longer than 10s: this was not asked",
    });
    let late = Running::until(Instant::now());
    assert_eq!(answers(&late), all(Err(error.to_string())));
}
