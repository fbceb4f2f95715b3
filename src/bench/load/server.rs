//! The real media server with a real session a call, beside a switch that answers from memory.

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    io::BufRead,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Context as _;
use sidetone_core::{
    call::{CallConfig, CallId, HangupReason, PlayId, PlaybackEnd},
    frame::SampleRate,
    scenario::{Scenario, ScenarioRun},
    text::PhrasePack,
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{SERVER_CORE, Served, limits, stamp};
use crate::{
    bench::{
        meter::{self, Delays},
        process::tell,
    },
    config::{self, RecordAudio},
    media::{self, MediaOptions, MediaRegistry, MediaStats},
    metrics::Metrics,
    session::{self, Leg, Order, PromptSounds, RecordingPlan, Shells},
    store::Store,
    switch::{EVENT_QUEUE, Link, Originate, Switch, SwitchCommand, SwitchError, SwitchEvent},
};

/// It greets, listens and begins again for as long as the call lives.
const SCENARIO: &str = "
name: load
language: en
max_visits: 1000
machine: {voicemail: continue, mailbox_full: continue, screening: continue, ivr: continue, sit: continue,
          fax: continue, tone: continue, music: continue}
steps:
  talk:
    play: {file: talk.wav, text: Hello.}
    listen:
      timeout: 5s
      on: {any: talk}
      no_input: {retries: 0, then: talk}
      no_match: {retries: 0, then: talk}
";

pub(super) fn run() -> anyhow::Result<()> {
    on_one_core(serve)
}

async fn serve(calls: usize) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let (registry, stats, metrics) = (MediaRegistry::new(), Arc::new(MediaStats::default()), Metrics::new()?);
    let options = MediaOptions::from(&config::Media::default());
    let shutdown = CancellationToken::new();
    tokio::spawn(media::run(listener, registry.clone(), options, stats.clone(), shutdown.clone()));
    let switch = Arc::new(Paper::default());
    let marks = Arc::new(Marks::new());
    let seen = marks.clone();
    metrics.watch_frames(move |frame| seen.decided(stamp::read(frame.samples())));
    let shells = Shells {
        switch: switch.clone(),
        media: registry,
        asr: None,
        metrics,
        store: Store::open(&format!("sqlite:{}", folder.path().join("load.db").display())).await?,
        public_url: format!("ws://{address}"),
        rate: SampleRate::HZ_8000,
        prompts_dir: PathBuf::from("/prompts"),
        prompt_sounds: PromptSounds::new(folder.path()),
        recording: RecordingPlan { audio: RecordAudio::Off, dir: folder.path().to_owned() },
    };
    let scenario = Arc::new(Scenario::parse(SCENARIO, "load.yaml").map_err(anyhow::Error::from)?);
    let base_kb = meter::resident_kb();
    let ended = Arc::new(AtomicU64::new(0));
    // One each, as in service, and never used.
    let ends: Vec<_> = (0..calls).map(|_| watch::channel(None)).collect();
    for (number, (_, end)) in ends.iter().enumerate() {
        let (order, ended) = (order(&scenario, number, end.clone())?, ended.clone());
        let running = session::run(shells.clone(), order);
        tokio::spawn(async move {
            running.await;
            ended.fetch_add(1, Relaxed);
        });
    }
    for _ in 0..calls {
        let url = switch.next_url().await;
        tell(url)?;
    }
    let counts = || (stats.frames(), stats.dropped_frames(), ended.load(Relaxed));
    answer(&marks, base_kb, || switch.answer_all(), counts).await
}

fn order(
    scenario: &Arc<Scenario>,
    number: usize,
    end: watch::Receiver<Option<HangupReason>>,
) -> anyhow::Result<Order> {
    let pack = PhrasePack::for_language("en").context("no English phrases")?;
    let mut config = CallConfig::new(SampleRate::HZ_8000, pack);
    config.max_duration = Duration::from_secs(24 * 3600);
    Ok(Order {
        call: CallId::new(&format!("load-{number}")).context("no call id")?,
        config,
        script: ScenarioRun::new(scenario.clone(), &BTreeMap::new()).map_err(anyhow::Error::from)?,
        language: "en".into(),
        among: None,
        leg: Leg::Originate(Originate {
            dial_string: "loopback/1".to_owned(),
            caller_id: String::new(),
            caller_name: None,
            ring_timeout: Duration::from_secs(120),
            park_timeout: Duration::from_secs(24 * 3600),
            stream_url: String::new(),
            variables: Vec::new(),
        }),
        end,
    })
}

/// A switch on paper: it answers when told, and every prompt plays until it is broken.
struct Paper {
    lines: Mutex<HashMap<CallId, Line>>,
    urls: mpsc::UnboundedSender<String>,
    waiting: tokio::sync::Mutex<mpsc::UnboundedReceiver<String>>,
    link: watch::Sender<Link>,
}

struct Line {
    events: mpsc::Sender<SwitchEvent>,
    playing: Option<PlayId>,
}

impl Default for Paper {
    fn default() -> Self {
        // As many URLs as calls, and nobody adds calls later.
        let (urls, waiting) = mpsc::unbounded_channel();
        Self {
            lines: Mutex::default(),
            urls,
            waiting: tokio::sync::Mutex::new(waiting),
            link: watch::Sender::new(Link::Up),
        }
    }
}

impl Paper {
    async fn next_url(&self) -> String {
        self.waiting.lock().await.recv().await.unwrap_or_default()
    }

    fn answer_all(&self) {
        for line in self.lines.lock().unwrap_or_else(PoisonError::into_inner).values() {
            line.events.try_send(SwitchEvent::Answered).ok();
        }
    }
}

impl Switch for Paper {
    fn attach(&self, call: &CallId) -> mpsc::Receiver<SwitchEvent> {
        let (events, receiver) = mpsc::channel(EVENT_QUEUE);
        let line = Line { events, playing: None };
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).insert(call.clone(), line);
        receiver
    }

    fn send(&self, call: &CallId, command: SwitchCommand) -> Result<(), SwitchError> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(line) = lines.get_mut(call) else { return Ok(()) };
        match command {
            SwitchCommand::Originate(originate) => {
                self.urls.send(originate.stream_url).ok();
            }
            SwitchCommand::Play { id, .. } => {
                line.playing = Some(id);
                line.events.try_send(SwitchEvent::PlaybackStarted(id)).ok();
            }
            SwitchCommand::StopPlayback { .. } => {
                if let Some(id) = line.playing.take() {
                    let done = SwitchEvent::PlaybackDone { id, end: PlaybackEnd::Broken, heard: None };
                    line.events.try_send(done).ok();
                }
            }
            SwitchCommand::StartStream { .. }
            | SwitchCommand::RestartStream { .. }
            | SwitchCommand::Transfer { .. }
            | SwitchCommand::HangUp { .. } => {}
        }
        Ok(())
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }
}

/// What is counted between the warm-up and the end.
pub(super) struct Marks {
    delays: Delays,
    counting: AtomicBool,
}

impl Marks {
    pub(super) fn new() -> Self {
        Self { delays: Delays::new(), counting: AtomicBool::new(false) }
    }

    /// A frame that was sent then is decided about now.
    pub(super) fn decided(&self, sent_ns: u64) {
        if self.counting.load(Relaxed) {
            self.delays.add_ns(meter::now_ns().saturating_sub(sent_ns));
        }
    }
}

/// Runs a server on one thread of its own core, as the program would run on a machine with one core; its argument
/// is the number of calls.
pub(super) fn on_one_core<F>(serve: impl FnOnce(usize) -> F + Send + 'static) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let calls = std::env::args().next_back().and_then(|n| n.parse().ok()).context("how many calls?")?;
    limits::raise_files();
    let thread = std::thread::spawn(move || {
        meter::pin(SERVER_CORE);
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(1).enable_all().build()?.block_on(serve(calls))
    });
    thread.join().map_err(|_| anyhow::anyhow!("the server panicked"))?
}

/// Follows the measurement's orders to its end. `counts`: frames, dropped frames, calls that ended.
pub(super) async fn answer(
    marks: &Marks,
    base_kb: u64,
    go: impl Fn(),
    counts: impl Fn() -> (u64, u64, u64),
) -> anyhow::Result<()> {
    let mut orders = orders();
    let mut begun = (meter::cpu(), Instant::now());
    while let Some(order) = orders.recv().await {
        match order.as_str() {
            "go" => go(),
            "mark" => {
                marks.delays.reset();
                marks.counting.store(true, Relaxed);
                begun = (meter::cpu(), Instant::now());
            }
            _ => {
                marks.counting.store(false, Relaxed);
                let (frames, dropped, ended) = counts();
                let served = Served {
                    cpu_s: (meter::cpu() - begun.0).as_secs_f64(),
                    wall_s: begun.1.elapsed().as_secs_f64(),
                    frames,
                    dropped,
                    base_kb,
                    live_kb: meter::resident_kb(),
                    p50_ms: marks.delays.quantile_ms(0.5),
                    p99_ms: marks.delays.quantile_ms(0.99),
                    max_ms: marks.delays.longest_ms(),
                    ended,
                };
                tell(serde_json::to_string(&served)?)?;
            }
        }
    }
    Ok(())
}

fn orders() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
