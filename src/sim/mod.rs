//! A FreeSWITCH stand-in for the demo, the tests and load: an ESL server and the client side of the stream
//! modules, with callees from a [`Cast`]. It behaves as a FreeSWITCH 1.10 with `mod_audio_stream` was measured to,
//! late and out-of-order events and lost breaks included.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{net::TcpListener, sync::broadcast};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

mod api;
mod audio;
mod calls;
mod cast;
mod channel;
mod demo;
mod dial;
mod esl;
mod event;
mod handshake;
mod hangup;
mod hub;
mod media;
mod performer;
mod player;
mod report;
mod slot;
mod stream;
mod stream_api;
#[cfg(test)]
mod tests;
mod wire;

pub use cast::{Cast, CastError, Contact};
pub use demo::DEMO_CONTACTS;
pub use hub::Delivery;
pub use player::BreakEffect;
pub use report::{BreakReport, CallReport, EndedBy, PlayReport, SaidReport, SimReport, StreamReport};
pub use slot::DropStream;

use channel::Channel;
use hub::{Hub, lock};
use report::Recorder;

/// What a stand-in is started with.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Port 0 takes a free one.
    pub esl_listen: SocketAddr,
    pub password: String,
    pub cast: Cast,
    /// The same seed makes the same coincidences.
    pub seed: u64,
    pub delivery: Delivery,
    /// The stream modules that are loaded.
    pub modules: Vec<String>,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            esl_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            password: "ClueCon".to_owned(),
            cast: Cast::default(),
            seed: 1,
            delivery: Delivery::default(),
            modules: vec!["mod_audio_stream".to_owned(), "mod_audio_fork".to_owned()],
        }
    }
}

/// The stand-in.
#[derive(Debug)]
pub struct Sim;

impl Sim {
    /// Binds the ESL socket and serves it until [`SimHandle::shutdown`], or until the handle is dropped.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn start(config: SimConfig) -> io::Result<SimHandle> {
        let listener = TcpListener::bind(config.esl_listen).await?;
        let esl_addr = listener.local_addr()?;
        let world = Arc::new(World::new(config));
        world.spawn(esl::serve(world.clone(), listener));
        world.spawn(esl::heartbeat(world.clone()));
        Ok(SimHandle { world, esl_addr })
    }
}

/// A running stand-in: what tests ask of it and do to it.
pub struct SimHandle {
    world: Arc<World>,
    esl_addr: SocketAddr,
}

impl SimHandle {
    #[must_use]
    pub fn esl_addr(&self) -> SocketAddr {
        self.esl_addr
    }

    /// What was seen so far.
    #[must_use]
    pub fn report(&self) -> SimReport {
        self.world.report.snapshot()
    }

    /// One printed line for each thing that happens to a call. A reader more than 1024 lines behind loses the oldest.
    #[must_use]
    pub fn lines(&self) -> broadcast::Receiver<String> {
        self.world.report.lines()
    }

    /// The uuids of the channels that are up.
    #[must_use]
    pub fn channels(&self) -> Vec<String> {
        self.world.channels().iter().map(|c| c.uuid.clone()).collect()
    }

    /// Resets every ESL connection; calls go on.
    pub fn drop_esl(&self) {
        self.world.esl.lock().unwrap_or_else(PoisonError::into_inner).cancel();
    }

    /// While refused, ESL connections are accepted and dropped at once; live ones are dropped too.
    pub fn refuse_esl(&self, refuse: bool) {
        self.world.refuse_esl.store(refuse, Ordering::Release);
        if refuse {
            self.drop_esl();
        }
    }

    /// Breaks the connections of a channel's streams; `false`: it has none.
    pub fn drop_stream(&self, uuid: &str, how: DropStream) -> bool {
        self.world.drop_stream(uuid, how)
    }

    /// The leg is gone, as if the network had ended it; `false`: there is none.
    pub fn kill_channel(&self, uuid: &str, cause: &str) -> bool {
        self.world.channel(uuid).is_some_and(|c| self.world.hang_up(&c, cause, EndedBy::Fault))
    }

    /// From now on events come so late and in such disorder.
    pub fn set_delivery(&self, delivery: Delivery) {
        self.world.hub.set_delivery(delivery);
    }

    /// A call comes in and is parked in the `sidetone` context with this scenario; returns its uuid. The caller is
    /// cast by `number`.
    pub fn inbound(&self, number: &str, scenario: &str) -> String {
        self.world.inbound(number, scenario)
    }

    /// Waits until no channel is up.
    pub async fn idle(&self) {
        while !self.world.channels().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Hangs up every call, closes every socket and waits for the end.
    pub async fn shutdown(self) -> SimReport {
        for channel in self.world.channels() {
            self.world.hang_up(&channel, "SYSTEM_SHUTDOWN", EndedBy::Fault);
        }
        self.world.over.cancel();
        self.world.tasks.close();
        self.world.tasks.wait().await;
        self.report()
    }
}

impl Drop for SimHandle {
    fn drop(&mut self) {
        self.world.over.cancel();
    }
}

/// Everything that connections, calls and streams share.
struct World {
    password: String,
    modules: Vec<String>,
    cast: Cast,
    /// Who of the nameless callees is next.
    turn: Mutex<usize>,
    channels: Mutex<HashMap<String, Arc<Channel>>>,
    sessions: AtomicU64,
    hub: Hub,
    library: audio::Library,
    report: Recorder,
    /// Cancels the live ESL connections; a new one takes its place.
    esl: Mutex<CancellationToken>,
    esl_clients: AtomicUsize,
    refuse_esl: AtomicBool,
    over: CancellationToken,
    tasks: TaskTracker,
}

impl World {
    fn new(config: SimConfig) -> Self {
        let over = CancellationToken::new();
        Self {
            password: config.password,
            modules: config.modules,
            cast: config.cast,
            turn: Mutex::default(),
            channels: Mutex::default(),
            sessions: AtomicU64::new(1),
            hub: Hub::new(config.seed, config.delivery),
            library: audio::Library::default(),
            report: Recorder::new(),
            esl: Mutex::new(over.child_token()),
            esl_clients: AtomicUsize::new(0),
            refuse_esl: AtomicBool::new(false),
            over,
            tasks: TaskTracker::new(),
        }
    }

    /// Runs until it ends or the stand-in does.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let over = self.over.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = work => {}
            }
        });
    }

    fn channel(&self, uuid: &str) -> Option<Arc<Channel>> {
        lock(&self.channels).get(uuid).cloned()
    }

    /// In the order of their creation.
    fn channels(&self) -> Vec<Arc<Channel>> {
        let mut all: Vec<_> = lock(&self.channels).values().cloned().collect();
        all.sort_by_key(|c| c.session);
        all
    }

    fn next_session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }

    /// A token that the next `drop_esl` cancels.
    fn esl_token(&self) -> CancellationToken {
        let mut token = lock(&self.esl);
        if token.is_cancelled() {
            *token = self.over.child_token();
        }
        token.child_token()
    }

    fn drop_stream(&self, uuid: &str, how: DropStream) -> bool {
        let Some(channel) = self.channel(uuid) else { return false };
        let leg = lock(&channel.leg);
        leg.streams.iter().filter(|s| s.control.try_send(slot::Control::Drop(how)).is_ok()).count() > 0
    }
}
