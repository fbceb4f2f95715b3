//! The 20 ms of a channel: what plays ends and begins, the callee acts, the streams get their frames.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    World,
    audio::{SILENCE, Samples, frame_at},
    channel::{Channel, Leg},
    hub::lock,
    performer::Deed,
    player::{Job, Playing, Step},
    report::{EndedBy, PlayReport, SaidReport, millis, ms},
};

/// Length of a key's tone, in samples.
const KEY: &str = "2080";

/// Until the leg ends.
pub(super) async fn run(world: Arc<World>, channel: Arc<Channel>) {
    let mut clock = interval(Duration::from_millis(20));
    // Late ticks are caught up: a callee's speech must not become slower than real time.
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        tokio::select! {
            () = channel.ended.cancelled() => return,
            _ = clock.tick() => {}
        }
        let leaves = world.tick(&channel);
        if let Some((cause, by)) = leaves {
            world.hang_up(&channel, &cause, by);
        }
    }
}

impl World {
    /// 20 ms pass; returns how the leg ends, if it does.
    fn tick(&self, channel: &Channel) -> Option<(String, EndedBy)> {
        let mut leg = lock(&channel.leg);
        if leg.is_over() {
            return None;
        }
        for step in leg.player.step(&self.library) {
            self.took(channel, &mut leg, step);
        }
        let bot = leg.player.frame();
        let (read, deeds) = hear(&mut leg, bot.as_ref());
        if let Some(read) = read {
            for slot in &leg.streams {
                slot.feed(&read, bot.as_ref());
            }
        }
        let mut leaves = None;
        for deed in deeds {
            leaves = leaves.or(self.did(channel, &leg, deed));
        }
        let late = leg.parked.is_some() && leg.park_deadline.is_some_and(|at| Instant::now() >= at);
        leaves.or(late.then(|| ("NORMAL_CLEARING".to_owned(), EndedBy::ParkTimeout)))
    }

    /// Tells what the player did.
    fn took(&self, channel: &Channel, leg: &mut Leg, step: Step) {
        match step {
            Step::Started(playing) => {
                self.executes(channel, leg, &playing.job);
                if let Some(performer) = &mut leg.performer {
                    performer.prompt_started();
                }
                let play = PlayReport {
                    file: playing.path.clone(),
                    from_ms: ms(playing.position),
                    started_ms: self.report.now(),
                    stopped_ms: None,
                    position_ms: None,
                    broken: false,
                    not_found: false,
                };
                self.report.call(&channel.uuid, Some(format!("hears {}", playing.path)), |call, _| {
                    call.plays.push(play);
                });
                let mut event = channel.event("PLAYBACK_START", leg);
                event = event.with("Playback-File-Path", playing.path.as_str());
                for (name, value) in &playing.params {
                    event = event.with(name, value.as_str());
                }
                self.hub.publish(event);
            }
            Step::NotFound(job) => {
                self.executes(channel, leg, &job);
                let now = self.report.now();
                let line = format!("would hear {}, but the file cannot be played", job.arg);
                self.report.call(&channel.uuid, Some(line), |call, _| {
                    call.plays.push(PlayReport {
                        file: job.arg.clone(),
                        from_ms: 0,
                        started_ms: now,
                        stopped_ms: Some(now),
                        position_ms: None,
                        broken: false,
                        not_found: true,
                    });
                });
                self.executed(channel, leg, &job, "FILE NOT FOUND");
            }
            Step::Stopped { was, broken } => {
                self.playback_stopped(channel, leg, &was, broken);
            }
        }
    }

    /// PLAYBACK_STOP and what follows it.
    pub(super) fn playback_stopped(&self, channel: &Channel, leg: &mut Leg, was: &Playing, broken: bool) {
        if let Some(performer) = &mut leg.performer {
            performer.prompt_stopped(broken);
        }
        let line = if broken { "the prompt stops" } else { "the prompt is over" };
        self.report.call(&channel.uuid, Some(format!("{line} at {} ms", ms(was.position))), |call, now| {
            let Some(play) = call.plays.iter_mut().rev().find(|p| p.stopped_ms.is_none()) else { return };
            play.stopped_ms = Some(now);
            play.position_ms = Some(ms(was.position));
            play.broken = broken;
            let started = play.started_ms;
            call.bot_stopped(now, started);
        });
        leg.set_var("playback_last_offset_pos", &was.position.to_string());
        // The file's read-ahead, not what was heard.
        leg.set_var("playback_ms", "2048");
        leg.set_var("playback_samples", "16384");
        let hung_up = leg.is_over();
        let mut event = channel.event("PLAYBACK_STOP", leg);
        event = event.with("Playback-File-Path", was.path.as_str());
        for (name, value) in &was.params {
            event = event.with(name, value.as_str());
        }
        self.hub.publish(event.with("Playback-Status", if broken { "break" } else { "done" }));
        let response = if hung_up { "PLAYBACK ERROR" } else { "FILE PLAYED" };
        self.executed(channel, leg, &was.job, response);
    }

    fn executes(&self, channel: &Channel, leg: &mut Leg, job: &Job) {
        leg.set_var("current_application_data", &job.arg);
        leg.set_var("current_application", "playback");
        let event = channel.event("CHANNEL_EXECUTE", leg).with("Application", "playback");
        self.hub.publish(
            event.with("Application-Data", job.arg.as_str()).with("Application-UUID", job.app_uuid.as_str()),
        );
    }

    fn executed(&self, channel: &Channel, leg: &mut Leg, job: &Job, response: &str) {
        leg.set_var("current_application_response", response);
        let event = channel
            .event("CHANNEL_EXECUTE_COMPLETE", leg)
            .with("Application", "playback")
            .with("Application-Data", job.arg.as_str())
            .with("Application-Response", response)
            .with("Application-UUID", job.app_uuid.as_str());
        self.hub.publish(event);
    }

    /// What the callee did besides making sound; returns how the leg ends, if they hung up.
    fn did(&self, channel: &Channel, leg: &Leg, deed: Deed) -> Option<(String, EndedBy)> {
        match deed {
            Deed::Said { name, voice_in, lasts } => {
                let line = format!("says {name}");
                self.report.call(&channel.uuid, Some(line), |call, now| {
                    let voice_ms = voice_in.map(|d| now + millis(d));
                    call.said.push(SaidReport {
                        clip: name,
                        at_ms: now,
                        voice_ms,
                        until_ms: now + millis(lasts),
                        interrupts: false,
                        bot_silent_after_ms: None,
                    });
                });
                None
            }
            Deed::Pressed(key) => {
                self.report
                    .call(&channel.uuid, Some(format!("presses {key}")), |call, _| call.keys.push(key));
                let event = channel.event("DTMF", leg).with("DTMF-Digit", key).with("DTMF-Duration", KEY);
                self.hub.publish(event.with("DTMF-Source", "RTP"));
                None
            }
            Deed::HungUp(cause) => Some((cause, EndedBy::Callee)),
        }
    }
}

/// What comes from the far end: nothing before the answer, unless early media does.
fn hear(leg: &mut Leg, bot: Option<&Samples>) -> (Option<Samples>, Vec<Deed>) {
    if let Some(performer) = &mut leg.performer {
        let (frame, deeds) = performer.step(bot);
        return (Some(frame), deeds);
    }
    let ignored = leg.var("ignore_early_media") == Some("true");
    let open = leg.progress_media_us > 0 && leg.is_answered();
    match &mut leg.early_clip {
        Some((clip, at)) if !ignored => {
            let frame = frame_at(clip, *at);
            *at += frame.len();
            (Some(frame), Vec::new())
        }
        None if !ignored && open => (Some(SILENCE), Vec::new()),
        Some(_) | None => (None, Vec::new()),
    }
}
