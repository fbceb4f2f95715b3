//! A test call to something that echoes: does its stream arrive, does a prompt play, does the audio come back?

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use sidetone_core::{
    call::{CallId, HangupCause, PlayId, PlaybackEnd},
    frame::SampleRate,
};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{finding::Finding, local};
use crate::{
    config::Config,
    media::{self, MediaEvent, MediaOptions, MediaReceiver, MediaRegistry, MediaStats, stream_url},
    switch::{
        Link, Originate, Switch, SwitchCommand, SwitchEvent,
        esl::{Esl, EslOptions},
    },
};

const CALL: &str = "test call";
const STREAM: &str = "audio stream";
const PROMPT: &str = "prompt and its echo";

/// How long the adapter may take to connect; the switch was reached a moment ago.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// The whole call, ringing included.
const CALL_TIME: Duration = Duration::from_secs(15);
/// How much of a prompt is played.
const PLAY_TIME: Duration = Duration::from_secs(3);
/// How long after the answer a stream may take.
const STREAM_TIME: Duration = Duration::from_secs(4);
/// Half a second of audio is enough to say that it flows.
const ENOUGH_FRAMES: u32 = 25;
/// Quieter than this is a line's own noise, not a prompt.
const AUDIBLE_DBFS: f32 = -50.0;

pub(super) fn skipped(why: &str) -> [Finding; 3] {
    [CALL, STREAM, PROMPT].map(|check| Finding::skipped(check, why))
}

/// Places the call and says what was found.
pub(super) async fn examine(config: &Config, dial: &str) -> [Finding; 3] {
    let (listener, base) = match listener(config).await {
        Ok(bound) => bound,
        Err(finding) => return or_skipped(finding),
    };
    let options = match EslOptions::from_config(config) {
        // A name of its own: `serve` may be running, and its calls are not ours to settle.
        Ok(options) => EslOptions { instance: format!("{}-doctor", options.instance), ..options },
        Err(error) => return or_skipped(Finding::failed(CALL, error.to_string(), "mend the configuration")),
    };
    let stop = CancellationToken::new();
    let registry = MediaRegistry::new();
    let stats = Arc::new(MediaStats::default());
    let media_options = MediaOptions::from(&config.media);
    let media = tokio::spawn(media::run(listener, registry.clone(), media_options, stats, stop.clone()));
    // Its receiver of adopted channels is held until the end: calls that come in meanwhile are `serve`'s.
    let running = Esl::start(options, stop.clone());
    let mut link = running.esl.link();
    let up = timeout(CONNECT_TIME, link.wait_for(|link| *link == Link::Up)).await.is_ok_and(|up| up.is_ok());
    let findings = if up {
        let seen = TestCall::new(config, dial, &base).run(&running.esl, &registry).await;
        judge(&seen, &base, dial)
    } else {
        let todo = "try again; look at FreeSWITCH's log";
        or_skipped(Finding::failed(CALL, "the switch does not let us listen to its events", todo))
    };
    stop.cancel();
    timeout(CONNECT_TIME, async { tokio::join!(running.supervisor, media) }).await.ok();
    findings
}

fn or_skipped(call: Finding) -> [Finding; 3] {
    [call, Finding::skipped(STREAM, "needs the test call"), Finding::skipped(PROMPT, "needs the test call")]
}

/// Our own media port, or another where `serve` has it; with the address to give to the switch.
async fn listener(config: &Config) -> Result<(TcpListener, String), Finding> {
    let wanted = config.media.listen;
    let public = config.public_url();
    if let Ok(listener) = TcpListener::bind(wanted).await {
        return Ok((listener, public));
    }
    let bound = async {
        let listener = TcpListener::bind((wanted.ip(), 0)).await?;
        let port = listener.local_addr()?.port();
        Ok::<_, std::io::Error>((listener, with_port(&public, port)))
    };
    bound.await.map_err(|error| {
        let todo = format!("set media.listen to an address of this host: {error}");
        Finding::failed(CALL, format!("no stream can be taken on {wanted}"), todo)
    })
}

/// `ws://host:old` with another port.
pub(super) fn with_port(url: &str, port: u16) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("ws", url));
    let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
    format!("{scheme}://{host}:{port}")
}

/// What a test call is made of.
#[derive(Debug)]
pub(super) struct TestCall {
    id: Option<CallId>,
    dial: String,
    caller_id: String,
    base: String,
    rate: SampleRate,
    prompt: Option<PathBuf>,
}

/// What was seen of it.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Seen {
    pub(super) answered: bool,
    pub(super) ended: Option<HangupCause>,
    /// What the switch or its stream module refused.
    pub(super) refused: Option<String>,
    /// From the answer to the stream.
    pub(super) stream_after: Option<Duration>,
    pub(super) frames: u32,
    pub(super) prompt: Option<PathBuf>,
    pub(super) started: bool,
    pub(super) played: Option<PlaybackEnd>,
    /// The loudest frame while the prompt played.
    pub(super) echo_dbfs: f32,
}

impl TestCall {
    pub(super) fn new(config: &Config, dial: &str, base: &str) -> Self {
        let caller = &config.switch.caller_id;
        Self {
            id: CallId::new(&uuid::Uuid::new_v4().to_string()),
            dial: dial.to_owned(),
            caller_id: if caller.is_empty() { "1000".to_owned() } else { caller.clone() },
            base: base.to_owned(),
            rate: SampleRate::new(config.media.sample_rate).unwrap_or(SampleRate::HZ_8000),
            prompt: local::any_prompt(&config.prompts.dir).map(|file| config.switch_prompts_dir().join(file)),
        }
    }

    pub(super) async fn run(self, switch: &dyn Switch, registry: &MediaRegistry) -> Seen {
        let mut seen = Seen { prompt: self.prompt.clone(), echo_dbfs: -100.0, ..Seen::default() };
        let Some(id) = self.id.clone() else { return seen };
        let events = switch.attach(&id);
        let (token, media) = registry.expect(&id);
        let url = stream_url(&self.base, &id, &token, self.rate);
        if let Err(error) = switch.send(&id, SwitchCommand::Originate(self.originate(url))) {
            seen.refused = Some(error.to_string());
            return seen;
        }
        let mut watch = Watch { switch, id: &id, events, media, answered_at: None, played_at: None, seen };
        timeout(CALL_TIME, watch.follow(self.prompt.as_ref())).await.ok();
        watch.finish().await
    }

    fn originate(&self, stream_url: String) -> Originate {
        Originate {
            dial_string: self.dial.clone(),
            caller_id: self.caller_id.clone(),
            caller_name: None,
            ring_timeout: Duration::from_secs(8),
            park_timeout: Duration::from_secs(30),
            stream_url,
            variables: Vec::new(),
        }
    }
}

/// A call under way.
struct Watch<'a> {
    switch: &'a dyn Switch,
    id: &'a CallId,
    events: mpsc::Receiver<SwitchEvent>,
    media: MediaReceiver,
    answered_at: Option<Instant>,
    played_at: Option<Instant>,
    seen: Seen,
}

impl Watch<'_> {
    /// Until the call ended or everything was seen.
    async fn follow(&mut self, prompt: Option<&PathBuf>) {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        while self.seen.ended.is_none() && !self.is_complete() {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.take_event(event),
                    None => return,
                },
                Some(event) = self.media.recv() => self.take_media(&event),
                _ = tick.tick() => {}
            }
            if let Some(file) = prompt.filter(|_| self.played_at.is_none() && self.seen.frames > 0) {
                self.play(file.clone());
            }
        }
    }

    /// The stream flows, and the prompt (where there is one) was heard or had its time.
    fn is_complete(&self) -> bool {
        let played = self.played_at.is_none_or(|at| self.seen.played.is_some() || at.elapsed() > PLAY_TIME);
        let tried = self.seen.prompt.is_none() || self.played_at.is_some();
        self.seen.frames >= ENOUGH_FRAMES && tried && played || self.no_stream_came()
    }

    fn no_stream_came(&self) -> bool {
        self.seen.frames == 0 && self.answered_at.is_some_and(|at| at.elapsed() > STREAM_TIME)
    }

    fn play(&mut self, file: PathBuf) {
        self.played_at = Some(Instant::now());
        self.command(SwitchCommand::Play { id: PlayId(1), file, from: Duration::ZERO });
    }

    fn command(&mut self, command: SwitchCommand) {
        if let Err(error) = self.switch.send(self.id, command) {
            self.seen.refused = Some(error.to_string());
        }
    }

    fn take_event(&mut self, event: SwitchEvent) {
        match event {
            SwitchEvent::Answered => {
                self.seen.answered = true;
                self.answered_at.get_or_insert_with(Instant::now);
            }
            SwitchEvent::PlaybackStarted(_) => self.seen.started = true,
            SwitchEvent::PlaybackDone { end, .. } => self.seen.played = Some(end),
            SwitchEvent::StreamFailed { reason, .. } => self.seen.refused = Some(reason),
            SwitchEvent::CommandFailed { what, reply } => {
                self.seen.refused = Some(format!("{what}: {reply}"))
            }
            SwitchEvent::HungUp(cause) => self.seen.ended = Some(cause),
            SwitchEvent::Ringing | SwitchEvent::StreamConnected | SwitchEvent::Dtmf(_) => {}
        }
    }

    fn take_media(&mut self, event: &MediaEvent) {
        match event {
            MediaEvent::Up => {
                self.seen.stream_after = Some(self.answered_at.map_or(Duration::ZERO, |at| at.elapsed()));
            }
            MediaEvent::Frame(frame) => {
                self.seen.frames += 1;
                if self.played_at.is_some() {
                    self.seen.echo_dbfs = self.seen.echo_dbfs.max(frame.dbfs());
                }
            }
            MediaEvent::Lost(_) | MediaEvent::Metadata(_) | MediaEvent::Down(_) => {}
        }
    }

    async fn finish(mut self) -> Seen {
        if self.seen.ended.is_none() {
            self.command(SwitchCommand::HangUp { cause: HangupCause::new("NORMAL_CLEARING") });
            // Long enough for the switch to confirm; what it says any more is of no interest.
            let confirmed = async {
                while let Some(event) = self.events.recv().await {
                    if matches!(event, SwitchEvent::HungUp(_)) {
                        break;
                    }
                }
            };
            timeout(Duration::from_secs(2), confirmed).await.ok();
        }
        self.seen
    }
}

/// What the call says about each check.
pub(super) fn judge(seen: &Seen, base: &str, dial: &str) -> [Finding; 3] {
    let why = seen.refused.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    if !seen.answered {
        let cause = seen.ended.as_ref().map_or("no answer", HangupCause::as_str);
        let todo = "copy dialplans/sidetone.xml to FreeSWITCH's conf/dialplan/, `fs_cli -x reloadxml`, load mod_loopback";
        return or_skipped(Finding::failed(CALL, format!("{dial} was not answered: {cause}{why}"), todo));
    }
    let call = Finding::ok(CALL, format!("{dial} was answered"));
    if seen.frames < ENOUGH_FRAMES {
        let detail = match seen.stream_after {
            None => format!("no stream came to {base}{why}"),
            Some(_) => format!("the stream opened and brought {} frames{why}", seen.frames),
        };
        let todo = format!(
            "see that FreeSWITCH's host reaches {base} (media.listen, media.public_url, firewall) and what its log says"
        );
        return [call, Finding::failed(STREAM, detail, todo), Finding::skipped(PROMPT, "needs the stream")];
    }
    let after = seen.stream_after.unwrap_or_default().as_millis();
    let stream = Finding::ok(STREAM, format!("{} frames, first {after} ms after the answer", seen.frames));
    [call, stream, judge_prompt(seen, &why)]
}

fn judge_prompt(seen: &Seen, why: &str) -> Finding {
    let Some(file) = &seen.prompt else {
        return Finding::skipped(PROMPT, "needs a prompt in prompts.dir");
    };
    let file = file.display();
    if seen.played == Some(PlaybackEnd::Missing) || !seen.started {
        let todo = "set switch.prompts_dir to the folder where FreeSWITCH sees prompts.dir; its user must be able to read it";
        return Finding::failed(PROMPT, format!("FreeSWITCH did not play {file}{why}"), todo);
    }
    if seen.echo_dbfs < AUDIBLE_DBFS {
        let todo = "dial something that echoes (--dial), such as sidetone_test of dialplans/sidetone.xml";
        return Finding::failed(PROMPT, format!("{file} played, and only silence came back{why}"), todo);
    }
    Finding::ok(PROMPT, format!("{file} played and came back at {:.0} dBFS", seen.echo_dbfs))
}
