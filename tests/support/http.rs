//! A plain HTTP client: status and body, whatever they are.

use serde_json::Value;
use ureq::Agent;
use ureq::http::{Request, Response};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    pub headers: http::HeaderMap,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Checks the status, showing the body when it is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into()
}

fn answer(response: Result<Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut response = response.unwrap();
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.body_mut().read_to_string().unwrap(),
    }
}

pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let agent = agent();
    if body.is_empty() && method != "PUT" && method != "POST" {
        return answer(agent.run(request.body(()).unwrap()));
    }
    // With its length told, so that nothing is left to write for an empty one.
    answer(agent.run(request.body(body).unwrap()))
}

pub fn get(url: &str) -> Answer {
    send("GET", url, &[], b"")
}

pub fn put(url: &str, body: &[u8]) -> Answer {
    send("PUT", url, &[("content-type", "application/gzip")], body)
}

pub fn delete(url: &str) -> Answer {
    send("DELETE", url, &[], b"")
}
