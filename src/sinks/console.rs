//! Sink `console`: decisions on standard output, one line of JSON each, as OPA with `console: true`.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::event::Form;
use super::sink::{Failure, Sent, Sink};
use crate::decision_log::Finished;

pub(super) struct Console {
    form: Form,
    output: Arc<Mutex<Output>>,
}

/// Where lines go.
struct Output {
    to: Box<dyn Write + Send>,
    /// Whether the last line was not written to its end.
    is_midline: bool,
}

// === impl Console ===

impl Console {
    /// To standard output, past what else of this program is written there: only whole lines are.
    pub(super) fn standard(form: Form) -> io::Result<Self> {
        let to = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Self::to(form, Box::new(to)))
    }

    pub(super) fn to(form: Form, to: Box<dyn Write + Send>) -> Self {
        let output = Output {
            to,
            is_midline: false,
        };
        Self {
            form,
            output: Arc::new(Mutex::new(output)),
        }
    }
}

#[async_trait]
impl Sink for Console {
    async fn deliver(&mut self, records: &[Arc<Finished>]) -> Sent {
        let mut lines = String::new();
        for record in records {
            lines.push_str(&self.form.line(record));
            lines.push('\n');
        }
        let output = Arc::clone(&self.output);
        // Whoever reads may be slow.
        let written = tokio::task::spawn_blocking(move || {
            let output = output.lock();
            output.unwrap_or_else(PoisonError::into_inner).write(&lines)
        });
        match written.await {
            // What was written to its end is delivered; the rest is tried again.
            Ok((lines @ 1.., _)) => Sent::all(lines),
            Ok((0, Ok(()))) => Sent::failed(1, Failure::may_pass("nothing was written")),
            Ok((0, Err(error))) => Sent::failed(1, Failure::may_pass(error.to_string())),
            Err(error) => Sent::failed(1, Failure::may_pass(error.to_string())),
        }
    }
}

// === impl Output ===

impl Output {
    /// Writes lines. Returns how many are whole.
    fn write(&mut self, lines: &str) -> (usize, io::Result<()>) {
        let mut text = Vec::new();
        if self.is_midline {
            text.push(b'\n');
        }
        let skipped = text.len();
        text.extend_from_slice(lines.as_bytes());
        let mut written = 0;
        let mut result = Ok(());
        while let Some(rest) = text.get(written..).filter(|rest| !rest.is_empty()) {
            match self.to.write(rest) {
                Ok(0) => {
                    result = Err(io::ErrorKind::WriteZero.into());
                    break;
                }
                Ok(count) => {
                    written += count;
                    self.is_midline = text.get(written.wrapping_sub(1)) != Some(&b'\n');
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        let whole = text.get(skipped..written).unwrap_or_default();
        let whole = whole.iter().filter(|byte| **byte == b'\n').count();
        (whole, result.and_then(|()| self.to.flush()))
    }
}
