//! Where decisions go beside the log's own file, and spans of those that are traced. Each sink has a thread, a bounded queue and a bounded
//! place on disk of its own, so that none is held up by another, and nothing else by any. What a record
//! holds and what is masked of it is the business of `decision_log`.

mod broker;
mod collector;
mod config;
mod console;
mod event;
mod holding;
mod queue;
mod schedule;
mod sink;
mod spill;
mod traces;
mod upload;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::address::OwnPorts;
use crate::decision_log::Outlet;
use crate::kafka::Producer;
use crate::otlp;
use crate::service::Poster;
use crate::telemetry::Metrics;
use broker::Broker;
use collector::Collector;
use console::Console;
use event::Form;
use holding::Holding;
use queue::Queue;
use sink::Sink;
use spill::Spill;
use traces::Spans;
use upload::Upload;
use worker::Worker;

pub use config::{Kind, SinkConfig};
pub use event::Format;
pub use traces::TracesConfig;

/// How far a sink's thread steps back: checks come first.
const NICENESS: i32 = 5;
/// Threads of a sink's own runtime that wait for files and names.
const WAITING_THREADS: usize = 4;

/// The running sinks.
#[derive(Debug, Default)]
pub struct Sinks {
    running: Vec<Running>,
    /// Where spans go.
    exporter: Option<Running>,
}

#[derive(Debug)]
struct Running {
    queue: Arc<Queue>,
    thread: JoinHandle<()>,
}

/// What all sinks are given.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// Where each has a folder for what waits on disk.
    pub folder: &'a Path,
    /// What this process is known by in what is sent.
    pub id: String,
    /// Never asked on this machine.
    pub own_ports: OwnPorts,
    pub metrics: &'a Metrics,
}

// === impl Sinks ===

impl Sinks {
    /// Starts a thread a sink. What an earlier run left on disk is delivered first.
    pub fn start(
        configs: &[SinkConfig],
        traces: &TracesConfig,
        surroundings: &Surroundings<'_>,
    ) -> anyhow::Result<Self> {
        let start = |config: &SinkConfig, make: Make| {
            let running = start(config, make, surroundings);
            running.with_context(|| format!("the sink `{}` cannot be started", config.name()))
        };
        let mut sinks = Self::default();
        for config in configs {
            sinks.running.push(start(config, make)?);
        }
        if let Some(exporter) = traces.exporter() {
            sinks.exporter = Some(start(&exporter, make_exporter)?);
        }
        Ok(sinks)
    }

    /// Who takes the spans, if anybody does.
    pub fn exporter(&self) -> Option<Arc<dyn Outlet>> {
        let exporter = self.exporter.as_ref()?;
        Some(Arc::clone(&exporter.queue) as Arc<dyn Outlet>)
    }

    /// Who takes the records.
    pub fn outlets(&self) -> Vec<Arc<dyn Outlet>> {
        let queues = self
            .running
            .iter()
            .map(|running| Arc::clone(&running.queue));
        queues.map(|queue| queue as Arc<dyn Outlet>).collect()
    }

    /// Takes nothing more, and delivers what there is for so long at most. The rest is on disk then.
    pub fn stop(&mut self, grace: Duration) {
        let until = Instant::now() + grace;
        let running: Vec<_> = self.running.drain(..).chain(self.exporter.take()).collect();
        running.iter().for_each(|running| running.queue.end(until));
        for running in running {
            if running.thread.join().is_err() {
                tracing::error!("the thread of a sink panicked");
            }
        }
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

/// Makes a sink.
type Make = fn(&SinkConfig, &Surroundings<'_>) -> anyhow::Result<Box<dyn Sink>>;

fn start(
    config: &SinkConfig,
    make: Make,
    surroundings: &Surroundings<'_>,
) -> anyhow::Result<Running> {
    let name = config.name().to_owned();
    let counters = surroundings.metrics.of_sinks.of(&name);
    let spill = match config.spill_bytes.0 {
        0 => None,
        limit => {
            let folder = surroundings.folder.join(&name);
            let opened = Spill::open(&folder, limit);
            let shown = folder.display();
            let (spill, damaged) = opened.with_context(|| format!("{shown} cannot be used"))?;
            counters.recovered.inc_by(spill.records() + damaged);
            counters.dropped("damaged", damaged);
            Some(spill)
        }
    };
    let queue = Arc::new(Queue::new(config.queue_bytes.as_usize(), counters));
    let holding = Holding::new(&name, Arc::clone(&queue), spill);
    let sink = make(config, surroundings)?;
    let worker = Worker::new(&name, sink, holding, config.pace());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(WAITING_THREADS)
        .build()?;
    let thread = std::thread::Builder::new().name(format!("sink-{name}"));
    let thread = thread.spawn({
        let queue = Arc::clone(&queue);
        move || guarded(&name, &queue, runtime, worker)
    })?;
    Ok(Running { queue, thread })
}

fn make(config: &SinkConfig, surroundings: &Surroundings<'_>) -> anyhow::Result<Box<dyn Sink>> {
    let mut labels = config.labels.clone();
    let own = [
        ("id", surroundings.id.as_str()),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    labels.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let form = Form {
        format: config.format(),
        labels: Arc::<BTreeMap<_, _>>::new(labels),
    };
    let poster = || poster(config, surroundings);
    Ok(match config.kind {
        Kind::Console => Box::new(Console::standard(form)?),
        Kind::Otlp => {
            let resource = otlp::resource(&surroundings.id, &config.labels);
            Box::new(Collector::new(poster()?, resource))
        }
        Kind::Kafka => {
            let target = config.target().context("it has no `topic`")?;
            let producer = Producer::new(target, surroundings.own_ports.clone());
            Box::new(Broker::new(
                producer,
                form,
                config.key.clone(),
                config.timeout(),
            ))
        }
        Kind::Http => Box::new(Upload::new(poster()?, form, config.upload_size_limit())),
    })
}

fn make_exporter(
    config: &SinkConfig,
    surroundings: &Surroundings<'_>,
) -> anyhow::Result<Box<dyn Sink>> {
    let resource = otlp::resource(&surroundings.id, &config.labels);
    Ok(Box::new(Spans::new(
        poster(config, surroundings)?,
        resource,
    )))
}

fn poster(config: &SinkConfig, surroundings: &Surroundings<'_>) -> anyhow::Result<Poster> {
    let to = config.post_to().context("it has no `url`")?;
    Ok(Poster::new(to, surroundings.own_ports.clone()))
}

/// Does a sink's work. A panic ends the sink and nothing else: from then on its records are counted as
/// lost, and so is what it held in memory.
fn guarded(name: &str, queue: &Queue, runtime: Runtime, worker: Worker) {
    if let Err(error) = rustix::process::nice(NICENESS) {
        // Where a sandbox forbids it, sinks take time from checks, and nothing else.
        tracing::debug!(%error, sink = name, "a sink works at the same priority as checks");
    }
    let work = || runtime.block_on(worker.run());
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        let lost = queue.abandon();
        tracing::error!(
            lost,
            sink = name,
            "a sink of decisions panicked and has ended"
        );
    }
    // Whoever reads a pipe does not hold up the end.
    runtime.shutdown_background();
}
