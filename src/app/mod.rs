//! Everything wired together: `serve`.

mod compliance;
mod engine;
mod ghosts;
mod place;
mod upkeep;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use sidetone_core::{call::HangupReason, frame::SampleRate};
use tokio::{net::TcpListener, sync::oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use place::Places;
pub(crate) use place::call_config;

use crate::{
    asr::{AsrHandle, Recognizer},
    config::Config,
    dialer::{DialSettings, Dialer},
    http::{self, HttpState, Readiness},
    media::{self, MediaOptions, MediaRegistry, MediaStats},
    metrics::Metrics,
    session::{PromptSounds, RecordingPlan, Shells},
    store::{Store, now_ms, record_dir},
    switch::esl::{Esl, EslOptions, Running},
    webhooks,
};

/// After the grace, calls that were told to end are waited for so long.
const LAST_WORDS: Duration = Duration::from_secs(6);

/// What tests bring along instead of the real thing.
#[derive(Default)]
pub struct Parts {
    /// Instead of the configured model.
    pub recognizer: Option<Arc<dyn Recognizer>>,
    /// Told the addresses once everything listens.
    pub ready: Option<oneshot::Sender<Addresses>>,
}

/// Where a running service listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    pub media: SocketAddr,
    pub http: SocketAddr,
}

/// Runs the service until `shutdown`, then lets live calls end within `shutdown.grace`.
///
/// # Errors
/// What kept it from starting, in words for the user.
pub async fn serve(config: Arc<Config>, shutdown: CancellationToken) -> anyhow::Result<()> {
    serve_with(config, Parts::default(), shutdown).await
}

/// [`serve`], with parts of one's own.
///
/// # Errors
/// As [`serve`].
pub async fn serve_with(
    config: Arc<Config>,
    parts: Parts,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let options = EslOptions::from_config(&config)?;
    raise_file_limit();
    let store = open_store(&config).await?;
    if !config.webhooks.url.is_empty() {
        store.tell(&config.webhooks.events);
    }
    store.start_serving(&config.switch.instance, now_ms()).await?;
    let beating = CancellationToken::new();
    // From here on others count on us: keep saying that we live while the model loads.
    let heart =
        tokio::spawn(upkeep::heartbeat(store.clone(), config.switch.instance.clone(), beating.clone()));
    let served = Service::start(config.clone(), store.clone(), options, parts).await;
    let served = match served {
        Ok(service) => service.run(shutdown).await,
        Err(error) => Err(error),
    };
    beating.cancel();
    heart.await.ok();
    store.stop_serving(&config.switch.instance).await?;
    store.close().await;
    served
}

/// Opens the configured database.
///
/// # Errors
/// As [`Store::open_with_record`].
pub async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let record = (!config.record.dir.is_empty()).then(|| config.record.dir.clone().into());
    Ok(Store::open_with_record(&config.store.url, record).await?)
}

struct Service {
    config: Arc<Config>,
    store: Store,
    metrics: Metrics,
    readiness: Readiness,
    places: Arc<Places>,
    asr: AsrHandle,
    esl: Running,
    /// Ends the listeners, after the calls.
    listeners: CancellationToken,
    tasks: TaskTracker,
}

impl Service {
    async fn start(
        config: Arc<Config>,
        store: Store,
        options: EslOptions,
        parts: Parts,
    ) -> anyhow::Result<Self> {
        let metrics = Metrics::new()?;
        let readiness = Readiness::default();
        readiness.set_store(true);
        let listeners = CancellationToken::new();
        let tasks = TaskTracker::new();
        let http = TcpListener::bind(config.http.listen)
            .await
            .with_context(|| format!("http.listen: cannot listen on {}", config.http.listen))?;
        let media = TcpListener::bind(config.media.listen)
            .await
            .with_context(|| format!("media.listen: cannot listen on {}", config.media.listen))?;
        let addresses = Addresses { media: media.local_addr()?, http: http.local_addr()? };
        // Metrics and health answer while the model loads.
        let state = HttpState {
            metrics: metrics.clone(),
            readiness: readiness.clone(),
            token: config.http.token.clone(),
        };
        tasks.spawn(http::run(http, state, listeners.clone()));
        let asr = engine::start(&config, parts.recognizer).await?;
        readiness.set_model(true);
        metrics.watch_asr(asr.clone());
        let registry = MediaRegistry::new();
        let stats = Arc::new(MediaStats::default());
        metrics.watch_media(stats.clone());
        let media_options = MediaOptions::from(&config.media);
        tasks.spawn(media::run(media, registry.clone(), media_options, stats, listeners.clone()));
        let esl = Esl::start(options, listeners.clone());
        let prompts = config.switch_prompts_dir();
        let shells = Shells {
            switch: Arc::new(esl.esl.clone()),
            media: registry,
            asr: Some(asr.clone()),
            metrics: metrics.clone(),
            store: store.clone(),
            public_url: public_url(&config, addresses),
            rate: SampleRate::new(config.media.sample_rate)
                .context("media.sample_rate: must be 8000 or 16000")?,
            // The switch has another working directory than we.
            prompts_dir: std::path::absolute(&prompts).unwrap_or(prompts),
            prompt_sounds: PromptSounds::new(&config.prompts.dir),
            recording: recording_plan(&config),
        };
        let places = Places::new(config.clone(), shells);
        tracing::info!(media = %addresses.media, http = %addresses.http, "serving");
        if let Some(ready) = parts.ready {
            ready.send(addresses).ok();
        }
        Ok(Self { config, store, metrics, readiness, places, asr, esl, listeners, tasks })
    }

    async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { config, store, metrics, readiness, places, asr, esl, listeners, tasks } = self;
        let working = CancellationToken::new();
        let switch = esl.esl.clone();
        tasks.spawn(ghosts::watch_link(
            switch,
            store.clone(),
            places.clone(),
            readiness.clone(),
            working.clone(),
        ));
        tasks.spawn(place::adopt(esl.adopted, places.clone(), store.clone(), working.clone()));
        tasks.spawn(upkeep::sweep_old(store.clone(), config.clone(), working.clone()));
        tasks.spawn(upkeep::sweep_imports(store.clone(), working.clone()));
        if !config.webhooks.url.is_empty() {
            let (options, instance) = (config.webhooks.clone(), config.switch.instance.clone());
            tasks.spawn(webhooks::deliver(
                store.clone(),
                options,
                instance,
                metrics.clone(),
                listeners.clone(),
            ));
        }
        tasks.spawn(compliance::watch(store.clone(), config.clone(), metrics.clone(), working.clone()));
        let watched = metrics.clone();
        tasks.spawn(upkeep::watch(store.clone(), asr.clone(), watched, readiness.clone(), working.clone()));
        let placer = Arc::new(place::Placer(places.clone()));
        let dialer = Dialer::new(store, placer, DialSettings::of(&config));
        metrics.watch_gateways(dialer.loads());
        let dialing = tokio::spawn(dialer.run(working.clone()));
        tasks.close();

        shutdown.cancelled().await;
        readiness.set_draining(true);
        places.drain();
        tracing::info!(live = places.live(), "stopping: no new call starts");
        working.cancel();
        // Only after the dialer's last step is it known which calls there are to wait for.
        tokio::time::timeout(LAST_WORDS, dialing).await.ok();
        if tokio::time::timeout(config.shutdown.grace, places.wait()).await.is_err() {
            tracing::info!(live = places.live(), "the grace is over: ending what still lives");
            places.end_all(HangupReason::Shutdown);
            tokio::time::timeout(LAST_WORDS, places.wait()).await.ok();
        }
        listeners.cancel();
        tokio::time::timeout(LAST_WORDS, tasks.wait()).await.ok();
        tokio::task::spawn_blocking(move || asr.shutdown()).await.ok();
        esl.supervisor.abort();
        Ok(())
    }
}

/// What the switch is told to connect to; with port 0 only the socket knows.
fn public_url(config: &Config, addresses: Addresses) -> String {
    if config.media.public_url.is_empty() { format!("ws://{}", addresses.media) } else { config.public_url() }
}

fn recording_plan(config: &Config) -> RecordingPlan {
    RecordingPlan { audio: config.record.audio, dir: record_dir(config) }
}

/// A call needs two sockets or so; the usual soft limit of 1024 is soon reached, the hard one is not.
fn raise_file_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => tracing::debug!(files, "file limit"),
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}
