//! Sink `http`: decisions posted to a server as OPA uploads them, compressed lists of events, each list
//! no larger than the server takes.

use std::io::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::StatusCode;

use super::event::Form;
use super::sink::{Accepted, Failure, Sent, Sink};
use crate::decision_log::{Breath, Finished};
use crate::fetch::one_line;
use crate::service::{AskerError, Posted, Poster};

/// Longest message about a failure, in characters.
const MAX_MESSAGE: usize = 200;
/// Part of the limit that is aimed at, since how well events compress is only guessed.
const AIM: f64 = 0.9;
/// How much the last list counts for the guess.
const WEIGHT: f64 = 0.3;
/// Bytes that are compressed at a time.
const PIECE: usize = 16 << 10;

pub(super) struct Upload {
    poster: Poster,
    form: Form,
    /// Of a compressed list, in bytes.
    limit: usize,
    /// Compressed bytes for each byte of events.
    ratio: f64,
}

/// A list of events.
#[derive(Debug)]
struct List {
    /// `None` if the one event is too large however it is written.
    body: Option<Vec<u8>>,
    count: usize,
}

// === impl Upload ===

impl Upload {
    pub(super) fn new(poster: Poster, form: Form, limit: usize) -> Self {
        Self {
            poster,
            form,
            limit,
            ratio: 1.0,
        }
    }

    /// A list of the first records, of as many as fit.
    fn list(&mut self, records: &[Arc<Finished>]) -> List {
        let aim = self.limit as f64 * AIM;
        let mut texts = Vec::new();
        let mut raw = 0;
        let mut breath = Breath::new();
        for record in records {
            breath.draw();
            let text = self.form.text(record);
            raw += text.len() + 1;
            if !texts.is_empty() && raw as f64 * self.ratio > aim {
                break;
            }
            texts.push(text);
        }
        loop {
            let (body, raw) = compressed(&texts);
            let ratio = body.len() as f64 / raw as f64;
            self.ratio += (ratio - self.ratio) * WEIGHT;
            if body.len() <= self.limit {
                return List {
                    body: Some(body),
                    count: texts.len(),
                };
            }
            if texts.len() < 2 {
                return self.short(records);
            }
            // As many as fit by what is known now, and fewer in any case.
            let fitting = (texts.len() as f64 * aim / body.len() as f64) as usize;
            texts.truncate(fitting.clamp(1, texts.len() - 1));
        }
    }

    /// Rule: an event that is too large goes without input and result rather than not at all.
    fn short(&self, records: &[Arc<Finished>]) -> List {
        let text = records
            .first()
            .and_then(|first| self.form.short_text(first));
        let body = text.map(|text| compressed(&[text]).0);
        List {
            body: body.filter(|body| body.len() <= self.limit),
            count: 1,
        }
    }
}

#[async_trait]
impl Sink for Upload {
    async fn deliver(&mut self, records: &[Arc<Finished>]) -> Sent {
        let List { body, count } = self.list(records);
        let Some(body) = body else {
            let too_large = Accepted {
                too_large: 1,
                ..Accepted::default()
            };
            return Sent {
                count,
                result: Ok(too_large),
            };
        };
        let result = match self.poster.post("application/json", body).await {
            Ok(posted) => meaning(&posted).map(|()| Accepted::default()),
            Err(error) => Err(failed(&error)),
        };
        Sent { count, result }
    }
}

/// What an answer means for what was posted. Rule: only what says that the content is wrong is final;
/// everything else may be a server that is not right yet.
pub(super) fn meaning(posted: &Posted) -> Result<(), Failure> {
    let status = posted.status;
    let why = format!("the server answered with status {}", status.as_u16());
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Err(Failure::Final { why }),
        StatusCode::PAYLOAD_TOO_LARGE => Err(Failure::TooLarge { why }),
        _ => Err(Failure::MayPass {
            why,
            after: posted.retry_after,
        }),
    }
}

/// No answer came.
pub(super) fn failed(error: &AskerError) -> Failure {
    Failure::may_pass(one_line(&error.to_string(), MAX_MESSAGE))
}

/// A list in JSON, compressed, and its length before.
fn compressed(texts: &[String]) -> (Vec<u8>, usize) {
    let mut raw = String::from("[");
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            raw.push(',');
        }
        raw.push_str(text);
    }
    raw.push(']');
    (gzip(raw.as_bytes()), raw.len())
}

pub(super) fn gzip(raw: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut breath = Breath::new();
    for piece in raw.chunks(PIECE) {
        // Memory takes everything.
        drop(encoder.write_all(piece));
        breath.draw();
    }
    encoder.finish().unwrap_or_default()
}
