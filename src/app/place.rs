//! Turns an order to call into a running session.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use sidetone_core::{
    amd::{AmdConfig, Verdict},
    call::{CallConfig, CallId, HangupReason},
    campaign::RetryTable,
    frame::SampleRate,
    scenario::{MachineAction, Scenario, ScenarioRun},
    text::PhrasePack,
};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    asr::models,
    config::Config,
    dialer::{CallSpec, Line, NotReady, PlaceCall, PlaceError},
    scenario_file,
    session::{self, Leg, Order, Shells},
    store::{AdHoc, Origin, Store, now_ms},
    switch::{Originate, esl::Adopted},
};

/// How much longer than a call may last its channel may stay parked: the dead man's timer.
const DEAD_MAN: Duration = Duration::from_secs(60);

/// Every live call of this process.
pub(super) struct Places {
    config: Arc<Config>,
    shells: Shells,
    live: Mutex<HashMap<CallId, Live>>,
    scenarios: Mutex<HashMap<PathBuf, Parsed>>,
    tasks: TaskTracker,
    switch_ready: AtomicBool,
    draining: AtomicBool,
}

/// A scenario, and when its file was last changed as it was read.
type Parsed = (Option<SystemTime>, Arc<Scenario>);

struct Live {
    campaign: Option<i64>,
    end: watch::Sender<Option<HangupReason>>,
}

impl Places {
    pub(super) fn new(config: Arc<Config>, shells: Shells) -> Arc<Self> {
        Arc::new(Self {
            config,
            shells,
            live: Mutex::default(),
            scenarios: Mutex::default(),
            tasks: TaskTracker::new(),
            switch_ready: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        })
    }

    pub(super) fn instance(&self) -> &str {
        &self.config.switch.instance
    }

    pub(super) fn live(&self) -> usize {
        lock(&self.live).len()
    }

    pub(super) fn is_known(&self, call: &CallId) -> bool {
        lock(&self.live).contains_key(call)
    }

    /// Whether the switch is there and cleared of what an earlier process left.
    pub(super) fn set_switch(&self, ready: bool) {
        self.switch_ready.store(ready, Ordering::Relaxed);
    }

    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.tasks.close();
    }

    /// Until the last call's outcome is stored.
    pub(super) async fn wait(&self) {
        self.tasks.wait().await;
    }

    pub(super) fn end_all(&self, reason: HangupReason) {
        for live in lock(&self.live).values() {
            live.end.send_replace(Some(reason));
        }
    }

    /// Runs a session and stores what it came to.
    fn start(self: &Arc<Self>, order: Start, retries: RetryTable) {
        let Start { call, config, script, language, among, leg, campaign, line } = order;
        let (end, ended) = watch::channel(None);
        lock(&self.live).insert(call.clone(), Live { campaign, end });
        let gone = Gone { places: self.clone(), call: call.clone() };
        let order = Order { call: call.clone(), config, script, language, among, leg, end: ended };
        let (shells, store) = (self.shells.clone(), self.shells.store.clone());
        let metrics = self.shells.metrics.clone();
        self.tasks.spawn(async move {
            let finished = session::run(shells, order).await;
            metrics.settled(&finished.account);
            if let Some(line) = line {
                let unanswered = finished.hangup_cause.as_ref().filter(|_| finished.answered_ms.is_none());
                line.ended(unanswered);
            }
            if let Err(error) = store.finish_attempt(&call, &finished, &retries).await {
                tracing::error!(%call, %error, "the outcome could not be stored");
            }
            drop(gone);
        });
    }

    fn call_config(&self, language: &str, with_amd: bool) -> Result<CallConfig, String> {
        call_config(&self.config, self.shells.rate, language, with_amd)
    }

    /// The parsed scenario, read again when its file changed.
    fn scenario(&self, name: &str) -> Result<Arc<Scenario>, String> {
        let path = scenario_file::resolve(name, &self.config.scenarios.dir);
        let changed = std::fs::metadata(&path).and_then(|meta| meta.modified()).ok();
        if let Some((known, scenario)) = lock(&self.scenarios).get(&path)
            && *known == changed
            && changed.is_some()
        {
            return Ok(scenario.clone());
        }
        let scenario =
            scenario_file::load(&path, &self.config.prompts.dir).map_err(|error| error.to_string())?;
        lock(&self.scenarios).insert(path, (changed, scenario.clone()));
        Ok(scenario)
    }

    fn heard(&self, language: &str) -> Result<(), String> {
        match &self.shells.asr {
            Some(asr) if !asr.hears(language) => Err(format!(
                "the model {} does not understand `{language}`; get one that does: {}",
                self.config.asr.model_for(language),
                models::suggestion(language)
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn told_apart(&self, languages: &[String]) -> Result<(), String> {
        match &self.shells.asr {
            Some(asr) if !asr.detects(languages) => Err(format!(
                "`language: auto` ({}) needs a multilingual model on this machine, which `asr.model = \"{}\"` with \
                 `asr.backend = \"{}\"` is not: {}, and name it in asr.model or asr.models, or give one language",
                languages.join(", "),
                self.config.asr.model,
                self.config.asr.backend.name(),
                models::suggestion(
                    languages.iter().find(|language| *language != "en").map_or("fr", String::as_str)
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn prepare(
        &self,
        scenario: &Arc<Scenario>,
        language: Option<&str>,
        with_amd: bool,
    ) -> Result<Prepared, String> {
        let is_open = language.is_none() && scenario.languages.len() > 1;
        let among = is_open.then(|| Arc::from(scenario.languages.clone()));
        let language: Arc<str> = language.unwrap_or(&scenario.language).into();
        match &among {
            Some(languages) => self.told_apart(languages)?,
            None => self.heard(&language)?,
        }
        Ok(Prepared { config: self.call_config(&language, with_amd)?, language, among })
    }
}

struct Prepared {
    config: CallConfig,
    language: Arc<str>,
    among: Option<Arc<[String]>>,
}

/// What a call in this language is told.
///
/// # Errors
/// When there is no phrase pack for the language.
pub(crate) fn call_config(
    config: &Config,
    rate: SampleRate,
    language: &str,
    with_amd: bool,
) -> Result<CallConfig, String> {
    let pack = PhrasePack::for_language(language)
        .ok_or_else(|| format!("there is no phrase pack for the language `{language}`"))?;
    let mut call = CallConfig::new(rate, pack);
    call.ring_timeout = config.call.ring_timeout;
    call.max_duration = config.call.max_duration;
    call.amd_transcript_wait = config.amd.transcript_wait;
    call.amd = with_amd.then(|| AmdConfig {
        profile: config.amd.profile,
        window: config.amd.window,
        max_human_as_machine: config.amd.max_human_as_machine as f32,
        careful: config.asr.careful_for(language).is_some(),
        ..AmdConfig::default()
    });
    Ok(call)
}

struct Start {
    call: CallId,
    config: CallConfig,
    script: ScenarioRun,
    language: Arc<str>,
    among: Option<Arc<[String]>>,
    leg: Leg,
    campaign: Option<i64>,
    /// A call that came in has none.
    line: Option<Line>,
}

/// Forgets the call when its task ends, however it ends.
struct Gone {
    places: Arc<Places>,
    call: CallId,
}

impl Drop for Gone {
    fn drop(&mut self) {
        lock(&self.places.live).remove(&self.call);
    }
}

/// The dialer's view: cloning it copies a pointer.
#[derive(Clone)]
pub(super) struct Placer(pub(super) Arc<Places>);

impl PlaceCall for Placer {
    fn ready(&self) -> Result<(), NotReady> {
        let places = &self.0;
        if places.draining.load(Ordering::Relaxed) {
            return Err(NotReady("the service is stopping".to_owned()));
        }
        if !places.switch_ready.load(Ordering::Relaxed) {
            return Err(NotReady(format!("FreeSWITCH at {} is not connected", places.config.switch.esl)));
        }
        match places.shells.asr.as_ref().map(crate::asr::AsrHandle::admits) {
            Some(Err(why)) => Err(NotReady(why.to_string())),
            Some(Ok(())) | None => Ok(()),
        }
    }

    fn place(&self, spec: CallSpec, line: Line) -> Result<(), PlaceError> {
        let places = &self.0;
        // What was claimed just before is given back: a call placed now would find everything closing.
        if places.draining.load(Ordering::Relaxed) {
            return Err(PlaceError::NotNow("the service is stopping".to_owned()));
        }
        if spec.caller_id.is_empty() {
            let message = "switch.caller_id is not set: give the number to show to those you call";
            return Err(PlaceError::Campaign(message.to_owned()));
        }
        let scenario = places.scenario(&spec.scenario).map_err(PlaceError::Campaign)?;
        let mut prepared =
            places.prepare(&scenario, spec.language.as_deref(), true).map_err(PlaceError::Campaign)?;
        if let Some(amd) = &mut prepared.config.amd {
            amd.prior.earlier = spec.earlier;
        }
        let instead = overrides(&scenario, &spec.machine).map_err(PlaceError::Campaign)?;
        let script = ScenarioRun::new(scenario, &spec.variables)
            .map_err(|error| PlaceError::Contact(error.to_string()))?
            .instead(instead);
        let ring_timeout = places.config.call.ring_timeout.max(spec.ring_at_least);
        let originate = Originate {
            dial_string: spec.dial_string,
            caller_id: spec.caller_id,
            caller_name: None,
            ring_timeout,
            park_timeout: places.config.call.max_duration + DEAD_MAN,
            stream_url: String::new(),
            variables: Vec::new(),
        };
        let start = Start {
            call: spec.call,
            config: CallConfig { ring_timeout, ..prepared.config },
            script,
            language: prepared.language,
            among: prepared.among,
            leg: Leg::Originate(originate),
            campaign: spec.campaign,
            line: Some(line),
        };
        places.start(start, spec.retries);
        Ok(())
    }

    fn is_live(&self, call: &CallId) -> bool {
        self.0.is_known(call)
    }

    fn end_campaign_calls(&self, campaign: i64, reason: HangupReason) {
        for live in lock(&self.0.live).values().filter(|live| live.campaign == Some(campaign)) {
            live.end.send_replace(Some(reason));
        }
    }
}

/// What a campaign does with machines, by its scenario as it is now.
fn overrides(
    scenario: &Scenario,
    machine: &BTreeMap<String, String>,
) -> Result<BTreeMap<Verdict, MachineAction>, String> {
    machine.iter().map(|(class, action)| scenario.machine_override(class, action)).collect()
}

/// Takes over the channels that the dialplan parks for us.
pub(super) async fn adopt(
    mut adopted: mpsc::Receiver<Adopted>,
    places: Arc<Places>,
    store: Store,
    shutdown: CancellationToken,
) {
    loop {
        let channel = tokio::select! {
            () = shutdown.cancelled() => return,
            channel = adopted.recv() => match channel {
                Some(channel) => channel,
                None => return,
            },
        };
        let call = channel.call.clone();
        if let Err(error) = adopt_one(&places, &store, channel).await {
            tracing::error!(%call, error, "a parked call could not be taken over");
            let cause = sidetone_core::call::HangupCause::new("NORMAL_TEMPORARY_FAILURE");
            let hang_up = crate::switch::SwitchCommand::HangUp { cause };
            places.shells.switch.send(&call, hang_up).ok();
        }
    }
}

async fn adopt_one(places: &Arc<Places>, store: &Store, channel: Adopted) -> Result<(), String> {
    if places.is_known(&channel.call) || places.draining.load(Ordering::Relaxed) {
        return Ok(());
    }
    let scenario = places.scenario(&channel.scenario)?;
    let prepared = places.prepare(&scenario, None, false)?;
    let variables = channel
        .variables
        .into_iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("sidetone_")?.to_owned(), value)))
        .collect();
    let script = ScenarioRun::new(scenario, &variables).map_err(|error| error.to_string())?;
    let attempt = AdHoc {
        call: Some(channel.call.clone()),
        origin: Origin::Adopted,
        instance: places.instance().to_owned(),
        number: Some(channel.caller).filter(|caller| !caller.is_empty()),
        dial_string: None,
        scenario: channel.scenario,
    };
    let call = store.begin_adhoc_attempt(&attempt, now_ms()).await.map_err(|error| error.to_string())?;
    let Prepared { config, language, among } = prepared;
    let start =
        Start { call, config, script, language, among, leg: Leg::Adopted, campaign: None, line: None };
    places.start(start, RetryTable::with_max_attempts(1));
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
