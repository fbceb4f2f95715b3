//! `uuid_audio_stream` and `uuid_audio_fork`: their arguments, replies and events.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    World,
    channel::Channel,
    event::Event,
    handshake::Target,
    hub::lock,
    report::StreamReport,
    slot::{Control, Mix, Module, Slot, Spec},
    wire::split_args,
};

const OK: &str = "+OK Success\n";
const FAILED: &str = "-ERR Operation Failed\n";
const USAGE: &str = "-USAGE: <uuid> [start | stop | send_text | pause | resume | graceful-shutdown ] \
    [wss-url | path] [mono | mixed | stereo] [8000 | 16000] [metadata]\n";

impl World {
    pub(super) async fn stream_command(self: &Arc<Self>, module: Module, args: &str) -> String {
        let limit = match module {
            Module::AudioStream => 6,
            Module::AudioFork => 7,
        };
        let argv = split_args(args, ' ', limit);
        let (Some(uuid), Some(verb)) = (argv.first(), argv.get(1)) else { return USAGE.to_owned() };
        if verb == "start" && argv.len() < 4 {
            return USAGE.to_owned();
        }
        let Some(channel) = self.channel(uuid) else { return FAILED.to_owned() };
        let done = match verb.as_str() {
            "start" => self.start_stream(&channel, module, &argv[2..]),
            "stop" => self.stop_stream(&channel, module, argv.get(2..).unwrap_or_default()).await,
            "send_text" => send_text(&channel, module, argv.get(2..).unwrap_or_default()),
            "pause" => pause(&channel, module, true),
            "resume" => pause(&channel, module, false),
            _ => false,
        };
        if done { OK.to_owned() } else { FAILED.to_owned() }
    }

    fn start_stream(self: &Arc<Self>, channel: &Arc<Channel>, module: Module, argv: &[String]) -> bool {
        let mut leg = lock(&channel.leg);
        let Some(spec) = spec(module, argv, |name| leg.var(name).map(str::to_owned)) else { return false };
        let taken = leg.streams.iter().any(|s| s.module == module && s.bug_name == spec.bug_name);
        if leg.is_over() || taken {
            return false;
        }
        // A ringing leg is made to send early media.
        if !leg.is_answered() && leg.progress_media_us == 0 {
            leg.progress_media_us = super::event::now_us();
            self.hub.publish(channel.event("CHANNEL_PROGRESS_MEDIA", &leg));
        }
        let url = format!("{}:{}{}", spec.target.host, spec.target.port, without_query(&spec.target.path));
        let mut number = 0;
        self.report.call(&channel.uuid, Some("stream starts".to_owned()), |call, now| {
            number = call.streams.len();
            call.streams.push(StreamReport { url, started_ms: now, ..StreamReport::default() });
        });
        let bug = Event::new("MEDIA_BUG_START")
            .with("Media-Bug-Function", module.bug())
            .with("Media-Bug-Target", "N/A");
        self.hub.publish(channel.describe(bug, &leg));
        leg.streams.push(Slot::start(self, &channel.uuid, spec, number));
        true
    }

    async fn stop_stream(&self, channel: &Arc<Channel>, module: Module, rest: &[String]) -> bool {
        let (bug_name, text) = bug_and_text(module, rest);
        let (sender, done) = oneshot::channel();
        let (number, wait) = {
            let leg = lock(&channel.leg);
            let Some(slot) = leg.streams.iter().find(|s| s.module == module && s.bug_name == bug_name) else {
                return false;
            };
            let wait = if slot.hang_if_too_soon() {
                self.stream_hung(&channel.uuid, slot.number);
                None
            } else {
                let _ = slot.control.try_send(Control::Stop { text, done: Some(sender) });
                Some(done)
            };
            (slot.number, (wait, slot.state.finished.clone()))
        };
        match wait {
            // A stream that is over already drops the sender.
            (Some(done), finished) => {
                tokio::select! {
                    _ = done => {}
                    () = finished.cancelled() => {}
                }
            }
            (None, finished) => finished.cancelled().await,
        }
        self.remove_bug(&channel.uuid, number);
        true
    }

    /// Takes the media bug off, if it is still there.
    pub(super) fn remove_bug(&self, uuid: &str, number: usize) {
        let Some(channel) = self.channel(uuid) else { return };
        let mut leg = lock(&channel.leg);
        if let Some(at) = leg.streams.iter().position(|s| s.number == number) {
            let slot = leg.streams.remove(at);
            self.publish_bug_stop(&channel, &leg, slot.module);
        }
    }

    pub(super) fn publish_bug_stop(&self, channel: &Channel, leg: &super::channel::Leg, module: Module) {
        let bug = Event::new("MEDIA_BUG_STOP")
            .with("Media-Bug-Function", module.bug())
            .with("Media-Bug-Target", "N/A");
        self.hub.publish(channel.describe(bug, leg));
    }

    pub(super) fn stream_event(&self, uuid: &str, subclass: &str, body: Option<String>) {
        let Some(channel) = self.channel(uuid) else { return };
        let leg = lock(&channel.leg);
        let mut event = channel.describe(Event::custom(subclass), &leg);
        event.body = body;
        self.hub.publish(event);
    }

    pub(super) fn stream_up(&self, uuid: &str, module: Module, number: usize) {
        self.note_stream(uuid, number, Some("stream is up"), |s, now| s.connected_ms = Some(now));
        let body = match module {
            Module::AudioStream => Some(r#"{"status":"connected"}"#.to_owned()),
            Module::AudioFork => None,
        };
        self.stream_event(uuid, &module.event("connect"), body);
    }

    pub(super) fn stream_message(&self, uuid: &str, number: usize) {
        self.note_stream(uuid, number, None, |s, _| s.messages += 1);
    }

    pub(super) fn stream_hung(&self, uuid: &str, number: usize) {
        let line = "stop came too soon after start: the stream hangs";
        self.note_stream(uuid, number, Some(line), |s, _| s.hung_stop = true);
    }

    pub(super) fn stream_ended(&self, uuid: &str, number: usize, end: &str) {
        self.note_stream(uuid, number, Some(&format!("stream {end}")), |s, now| {
            s.ended_ms = Some(now);
            s.end = Some(end.to_owned());
        });
    }

    /// What a server says: audio to play goes to a file, nothing is played; anything else is an event.
    pub(super) fn stream_text(&self, uuid: &str, module: Module, text: &str) {
        self.stream_event(uuid, &module.event("json"), Some(text.to_owned()));
    }

    fn note_stream(
        &self,
        uuid: &str,
        number: usize,
        line: Option<&str>,
        change: impl FnOnce(&mut StreamReport, u64),
    ) {
        self.report.call(uuid, line.map(str::to_owned), |call, now| {
            if let Some(stream) = call.streams.get_mut(number) {
                change(stream, now);
            }
        });
    }
}

/// What follows `start`, checked as the modules check it.
fn spec(module: Module, argv: &[String], var: impl Fn(&str) -> Option<String>) -> Option<Spec> {
    let target = Target::parse(argv.first()?)?;
    let mix = match argv.get(1)?.as_str() {
        "mono" => Mix::Mono,
        "mixed" => Mix::Mixed,
        "stereo" => Mix::Stereo,
        _ => return None,
    };
    let factor = match argv.get(2).map_or("8k", String::as_str) {
        "8k" => 1,
        "16k" => 2,
        hz => {
            hz.parse::<usize>().ok().filter(|hz| *hz > 0 && hz.is_multiple_of(8000) && *hz <= 48_000)? / 8000
        }
    };
    let rest = argv.get(3..).unwrap_or_default();
    let own = module == Module::AudioStream;
    let (bug_name, metadata) = match module {
        Module::AudioStream => (String::new(), rest.first().cloned()),
        Module::AudioFork => bug_and_text(module, rest),
    };
    let buffer =
        var("STREAM_BUFFER_SIZE").filter(|_| own).and_then(|v| v.parse::<usize>().ok()).unwrap_or(20);
    let headers = var("STREAM_EXTRA_HEADERS").filter(|_| own).unwrap_or_default();
    let headers: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&headers).unwrap_or_default();
    Some(Spec {
        module,
        bug_name,
        target,
        mix,
        factor,
        frames_per_message: if buffer > 0 && buffer.is_multiple_of(20) { buffer / 20 } else { 1 },
        heart_beat: var("STREAM_HEART_BEAT")
            .filter(|_| own)
            .and_then(|v| v.parse().ok())
            .filter(|s| *s > 0)
            .map(Duration::from_secs),
        extra_headers: headers
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
            .collect(),
        metadata: metadata.filter(|m| !m.is_empty()),
    })
}

/// `mod_audio_fork` takes a bug name before the text, unless the only argument looks like JSON.
fn bug_and_text(module: Module, rest: &[String]) -> (String, Option<String>) {
    match (module, rest) {
        (Module::AudioStream, rest) => (String::new(), rest.first().cloned()),
        (Module::AudioFork, []) => (String::new(), None),
        (Module::AudioFork, [one]) if one.starts_with(['{', '[']) => (String::new(), Some(one.clone())),
        (Module::AudioFork, [bug]) => (bug.clone(), None),
        (Module::AudioFork, [bug, text @ ..]) => (bug.clone(), text.first().cloned()),
    }
}

fn send_text(channel: &Channel, module: Module, rest: &[String]) -> bool {
    let (bug_name, text) = bug_and_text(module, rest);
    let Some(text) = text else { return false };
    let leg = lock(&channel.leg);
    let slot = leg.streams.iter().find(|s| s.module == module && s.bug_name == bug_name);
    // Cut at the first space, as the module's own argument splitting does, is done by the caller's split.
    slot.is_some_and(|slot| slot.control.try_send(Control::Text(text)).is_ok())
}

fn pause(channel: &Channel, module: Module, paused: bool) -> bool {
    let mut leg = lock(&channel.leg);
    let mut found = false;
    for slot in leg.streams.iter_mut().filter(|s| s.module == module) {
        slot.paused = paused;
        found = true;
    }
    found
}

fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}
