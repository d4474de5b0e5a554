//! Notes which numbers are given while decisions come: beside the log's thread, which gathers, masks and
//! waits for the disk. What a crash costs is then known but for the last moment before it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::LogStore;
use super::queue::Queue;

/// How often.
const INTERVAL: Duration = Duration::from_millis(10);
/// After so many times without anything new it waits until something comes.
const QUIET: u32 = 50;

/// The thread that notes.
#[derive(Debug)]
pub(super) struct Noter {
    thread: JoinHandle<()>,
    has_ended: Arc<AtomicBool>,
}

impl Noter {
    pub(super) fn start(queue: &Arc<Queue>, store: &Arc<LogStore>) -> io::Result<Self> {
        let has_ended = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&has_ended);
        let (of_queue, store) = (Arc::clone(queue), Arc::clone(store));
        let thread = std::thread::Builder::new()
            .name("log-numbers".to_owned())
            .spawn(move || note(&of_queue, &store, &ended))?;
        queue.wakes(thread.thread().clone());
        Ok(Self { thread, has_ended })
    }

    pub(super) fn stop(self) {
        self.has_ended.store(true, Ordering::Release);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::error!("the thread that notes numbers of decisions panicked");
        }
    }
}

fn note(queue: &Queue, store: &LogStore, has_ended: &AtomicBool) {
    let (mut noted, mut quiet) = (0, 0);
    while !has_ended.load(Ordering::Acquire) {
        let next = queue.next_seq();
        quiet = if next == noted { quiet + 1 } else { 0 };
        noted = next;
        store.has_given(next);
        if quiet < QUIET {
            std::thread::park_timeout(INTERVAL);
        } else {
            std::thread::park();
        }
    }
}
