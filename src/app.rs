//! Wiring: parts are built in order, sockets bound once all policy is loaded, and everything is
//! taken down in order when the process is told to stop.

mod reload;

use std::fs::DirBuilder;
use std::num::NonZeroUsize;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::activation::{self, Activation, ActivationSettings, ExpectedDownload, FileSources};
use crate::address::{self, OwnPorts};
use crate::config::{Config, ShutdownConfig};
use crate::decision_log::{DecisionLog, LogSettings, Tracing};
use crate::ext_authz;
use crate::external::{self, Outside};
use crate::fetch;
use crate::jwks::KeyFetcher;
use crate::listen::{Address, Listener};
use crate::management::{
    self, Access, Api, AuthZen, Configuration, Evaluations, Questions, Readiness, Streams,
};
use crate::pdp::Pdp;
use crate::remote::Downloader;
use crate::replay::Replays;
use crate::sinks::{Sinks, Surroundings};
use crate::store::{self, EmbeddedStore};
use crate::telemetry::Metrics;
use crate::tls::{self, Clients, Tls};
use reload::{Looks, Reloads};

/// Most threads of the runtime that block: as many as all parts take at most, so that none waits for
/// those of another.
pub const BLOCKING_THREADS: usize = activation::BLOCKING_THREADS
    + address::BLOCKING_THREADS
    + external::BLOCKING_THREADS
    + fetch::BLOCKING_THREADS
    + management::BLOCKING_THREADS
    + store::BLOCKING_THREADS
    + OWN_BLOCKING_THREADS;
/// To read certificates and tokens again, and to end the decision log.
const OWN_BLOCKING_THREADS: usize = 2;
/// Names of the two files in the data folder.
const POLICY_FILE: &str = "policy.db";
const LOG_FILE: &str = "decisions.db";
/// Longest that they may deliver at the end; what is left waits on disk.
const SINKS_GRACE: Duration = Duration::from_secs(5);
/// Folder beside them for what sinks of the decision log hold.
const SINKS: &str = "sinks";

/// A running server.
pub struct App {
    pub ext_authz: Address,
    pub management: Address,
    /// Of the first snapshot.
    pub revision: u64,
    ready: Readiness,
    health: ext_authz::Health,
    health_follower: JoinHandle<()>,
    key_follower: JoinHandle<()>,
    issuer_key_follower: JoinHandle<()>,
    reloader: JoinHandle<()>,
    policy_watcher: JoinHandle<()>,
    shutdown: ShutdownConfig,
    stop: watch::Sender<bool>,
    check_server: JoinHandle<()>,
    management_server: JoinHandle<()>,
    log: DecisionLog,
    sinks: Sinks,
}

impl App {
    /// Loads policy, binds both ports and serves.
    pub async fn start(config: Config, v0: bool) -> anyhow::Result<Self> {
        let metrics = Arc::new(metrics(&config));
        make_folder(&config.data_dir)?;
        // Those that are fixed are known before any key is fetched.
        let own_ports = OwnPorts::default();
        let configured = [&config.ext_authz.listen, &config.management.listen].into_iter();
        own_ports.add(configured.filter_map(Address::port));
        let activation = activate(&config, v0, own_ports.clone(), Arc::clone(&metrics)).await?;
        let activation = Arc::new(activation);
        let access = Arc::new(Access::new(&config.management, Arc::clone(&metrics))?);
        let issuer_keys = KeyFetcher::new(config.jwks, own_ports.clone(), Arc::clone(&metrics));
        // Rule: a proxy must have a certificate where there is an authority for them; callers may have
        // tokens instead, and probes neither.
        let check_tls = load_tls(
            config.ext_authz.tls.as_ref(),
            "ext_authz",
            Clients::Required,
            b"h2",
        )?;
        let management_tls = load_tls(
            config.management.tls.as_ref(),
            "management",
            Clients::Asked,
            b"http/1.1",
        )?;
        let check_listener = bind(&config.ext_authz.listen, "ext_authz").await?;
        let management_listener = bind(&config.management.listen, "management").await?;
        let ext_authz = check_listener.address()?;
        let management = management_listener.address()?;
        own_ports.add(
            [&ext_authz, &management]
                .into_iter()
                .filter_map(Address::port),
        );
        // Rule: what an end without notice cost the log is told to the start that serves.
        let id = uuid::Uuid::new_v4();
        let surroundings = Surroundings {
            folder: &config.data_dir.join(SINKS),
            id: id.to_string(),
            own_ports: own_ports.clone(),
            metrics: &metrics,
        };
        let sinks = Sinks::start(&config.decision_log.sinks, &config.traces, &surroundings)?;
        let tracer = config.traces.tracer(&metrics).map(Arc::new);
        let tracing = tracer.zip(sinks.exporter());
        let log = DecisionLog::start(
            &config.data_dir.join(LOG_FILE),
            LogSettings {
                outlets: sinks.outlets(),
                tracing: tracing.map(|(tracer, outlet)| Tracing { tracer, outlet }),
                ..LogSettings::from(&config.decision_log)
            },
            Arc::clone(&metrics),
        )?;
        let pdp = Arc::new(Pdp::new(
            activation.snapshot(),
            log.recorder(),
            Arc::clone(&metrics),
        ));
        let revision = pdp.snapshot().revision;

        let outside = Arc::new(Outside::new(
            &config.external,
            config.outside_deadline(),
            own_ports.clone(),
            Arc::clone(&metrics),
        ));
        let sources = config.bundles.iter();
        let sources = sources.filter_map(|(name, source)| source.remote(name));
        let downloader = Arc::new(Downloader::start(
            sources.collect(),
            &activation,
            own_ports,
            &metrics,
        ));

        let (stop, stopped) = watch::channel(false);
        let grace = config.shutdown.grace.0;
        let (server, health) = ext_authz::Server::new(
            &config.ext_authz,
            Arc::clone(&pdp),
            Arc::clone(&outside),
            Arc::clone(&metrics),
        )
        .await;
        let check_server = tokio::spawn(server.run(
            check_listener,
            check_tls.clone(),
            wait(stopped.clone()),
            grace,
        ));

        let ready = Readiness::default();
        if access.is_open() {
            tracing::warn!(
                "the management API is open to everybody on this machine; set `management.tokens`"
            );
        }
        let router = management::router(Api {
            pdp,
            evaluations: Arc::new(Evaluations::new(outside)),
            activation: Arc::clone(&activation),
            downloader,
            log: Questions::to(log.readers()),
            replays: Arc::new(Replays::new(
                log.readers(),
                config.decision_log.enabled,
                config.replay,
                Arc::clone(&metrics),
            )),
            streams: Streams::of(log.followers(), stopped.clone()),
            metrics: Arc::clone(&metrics),
            ready: ready.clone(),
            access: Arc::clone(&access),
            authzen: Arc::new(AuthZen::new(&config.authzen, management_tls.is_some())),
            configuration: Arc::new(Configuration {
                shown: config.shown(),
                id,
            }),
        });
        let management_server = tokio::spawn(management::run(
            router,
            management_listener,
            management_tls.clone(),
            wait(stopped),
            grace,
        ));
        ready.set_open(true);
        let looks = |every| Looks::new(every).context("SIGHUP cannot be waited for");
        let every = config.watch.enabled.then_some(config.watch.interval.0);
        let watcher = reload::watch_policy(Arc::clone(&activation), looks(every)?);
        let reloads = Reloads {
            access: Arc::clone(&access),
            ext_authz: check_tls,
            management: management_tls,
        };
        let app = Self {
            ext_authz,
            management,
            revision,
            ready,
            health_follower: tokio::spawn(follow_policy(health.clone(), activation.loaded())),
            key_follower: tokio::spawn(activation.follow_keys()),
            issuer_key_follower: tokio::spawn(follow_issuer(issuer_keys, Arc::clone(&access))),
            reloader: tokio::spawn(reload::run(
                reloads,
                looks(Some(reload::INTERVAL))?,
                metrics,
            )),
            policy_watcher: tokio::spawn(watcher),
            health,
            shutdown: config.shutdown,
            stop,
            check_server,
            management_server,
            log,
            sinks,
        };
        Ok(app)
    }

    /// Serves until told to stop, then drains: readiness falls first, running checks end, the
    /// decision log is written out.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        stop.await;
        tracing::info!("shutting down");
        self.ready.set_open(false);
        // A push from now on must not make proxies come back.
        self.health_follower.abort();
        drop((&mut self.health_follower).await);
        self.health.set(false).await;
        tokio::time::sleep(self.shutdown.drain_delay.0).await;
        self.stop.send_replace(true);
        self.check_server.await.context("the check server ends")?;
        self.management_server
            .await
            .context("the management server ends")?;
        self.key_follower.abort();
        self.issuer_key_follower.abort();
        self.reloader.abort();
        self.policy_watcher.abort();
        // What the log hands over at its end is delivered, too.
        let end = move || {
            self.log.stop();
            self.sinks.stop(self.shutdown.grace.0.min(SINKS_GRACE));
        };
        tokio::task::spawn_blocking(end)
            .await
            .context("the decision log ends")?;
        Ok(())
    }
}

fn metrics(config: &Config) -> Metrics {
    let metrics = Metrics::default();
    match config.rego.performance_metrics {
        true => metrics.with_plugin(config.rego.duration_buckets.clone().into()),
        false => metrics,
    }
}

async fn activate(
    config: &Config,
    v0: bool,
    own_ports: OwnPorts,
    metrics: Arc<Metrics>,
) -> anyhow::Result<Activation> {
    let path = config.data_dir.join(POLICY_FILE);
    let mut policy = config.policy_settings()?;
    policy.rego.at_once = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let store =
        EmbeddedStore::open(&path, config.store).context("the policy store cannot be opened")?;
    let activation = Activation::start(
        ActivationSettings {
            bundles: config.bundle_settings(v0)?,
            policy,
            cache: config.cache.into(),
        },
        file_sources(config),
        Arc::new(store),
        KeyFetcher::new(config.jwks, own_ports, Arc::clone(&metrics)),
        metrics,
    );
    Ok(activation.await?)
}

/// Policy that the configuration names.
pub fn file_sources(config: &Config) -> FileSources {
    let bundles = config
        .bundles
        .iter()
        .filter_map(|(name, source)| Some((name.clone(), source.path.clone()?)));
    let remote = config.bundles.iter();
    let remote = remote.filter_map(|(name, source)| source.remote(name));
    let downloads = remote.map(|source| ExpectedDownload {
        from: source.url.to_string(),
        name: source.name,
        keeps: source.persist,
    });
    FileSources {
        paths: config.policies.clone(),
        downloads: downloads.collect(),
        bundles: bundles.collect::<Vec<(String, PathBuf)>>(),
    }
}

fn make_folder(path: &Path) -> anyhow::Result<()> {
    let mut folder = DirBuilder::new();
    folder
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("the data folder {} cannot be made", path.display()))
}

async fn bind(address: &Address, what: &str) -> anyhow::Result<Listener> {
    Listener::bind(address)
        .await
        .with_context(|| format!("{what} cannot listen on {address}; is another process there?"))
}

fn load_tls(
    config: Option<&tls::Config>,
    what: &str,
    clients: Clients,
    protocol: &'static [u8],
) -> anyhow::Result<Option<Arc<Tls>>> {
    let load = |config| Tls::load(config, clients, protocol).map(Arc::new);
    let loaded = config.map(load).transpose();
    loaded.with_context(|| format!("{what}.tls cannot be used"))
}

/// Keeps gRPC health in step with whether policy is loaded.
async fn follow_policy(health: ext_authz::Health, mut loaded: watch::Receiver<bool>) {
    loop {
        let serving = *loaded.borrow_and_update();
        health.set(serving).await;
        if loaded.changed().await.is_err() {
            return;
        }
    }
}

/// Keeps the keys that callers' tokens are checked with in step with what their issuer publishes.
async fn follow_issuer(fetcher: KeyFetcher, access: Arc<Access>) {
    let sources = access.key_sources();
    let mut changes = fetcher.changes();
    loop {
        access.set_keys(fetcher.follow(&sources));
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Ends when the channel says so, or is gone.
async fn wait(mut stopped: watch::Receiver<bool>) {
    drop(stopped.wait_for(|stopped| *stopped).await);
}
