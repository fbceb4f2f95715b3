//! One callee on one call: hears the bot, speaks, presses keys, hangs up. Stepped every 20 ms of media time.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    audio::{Clip, FRAME, SILENCE, Samples, frame_at, mix, voiced},
    cast::{Callee, What, When},
};

const TICK: Duration = Duration::from_millis(20);

/// Something a callee did, for the switch and the report.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Deed {
    /// `voice_in`: how far into the clip the first voiced sample is; `None`: it has none.
    Said {
        name: String,
        voice_in: Option<Duration>,
        lasts: Duration,
    },
    Pressed(char),
    HungUp(String),
}

#[derive(Debug)]
pub(super) struct Performer {
    callee: Arc<Callee>,
    /// Since the answer.
    now: Duration,
    done: Vec<bool>,
    saying: Vec<Saying>,
    ears: Ears,
    /// The bot's recent frames, newest last, for the echo.
    heard: VecDeque<Samples>,
    background_at: usize,
    /// When the latest act was over.
    act_over: Duration,
    left: bool,
}

#[derive(Debug)]
struct Saying {
    clip: Clip,
    gain: f32,
    at: usize,
}

/// What the callee made of the bot so far.
#[derive(Debug, Default)]
struct Ears {
    /// How long the prompt that plays now has been audible.
    spoken: Duration,
    /// Prompts begun.
    prompt: u32,
    /// Prompts played to their end, and when.
    finished: Vec<(u32, Duration)>,
    interrupted: Option<Duration>,
    quiet_since: Option<Duration>,
    /// The bot has spoken since the callee last did something.
    news: bool,
}

impl Performer {
    pub(super) fn new(callee: Arc<Callee>) -> Self {
        Self {
            done: vec![false; callee.acts.len()],
            callee,
            now: Duration::ZERO,
            saying: Vec::new(),
            ears: Ears::default(),
            heard: VecDeque::new(),
            background_at: 0,
            act_over: Duration::ZERO,
            left: false,
        }
    }

    /// Gives the bot back everything it says: the `echo` application.
    pub(super) fn echo(&mut self) {
        self.callee = Arc::new(Callee::echo_test());
        self.done.clear();
        self.saying.clear();
    }

    pub(super) fn prompt_started(&mut self) {
        self.ears.prompt += 1;
        self.ears.spoken = Duration::ZERO;
        self.ears.quiet_since = None;
    }

    pub(super) fn prompt_stopped(&mut self, broken: bool) {
        if broken {
            self.ears.interrupted = Some(self.now);
        } else {
            self.ears.finished.push((self.ears.prompt, self.now));
        }
        self.ears.quiet_since = Some(self.now);
    }

    /// 20 ms pass: what the callee says in them, and what else they do.
    pub(super) fn step(&mut self, bot: Option<&Samples>) -> (Samples, Vec<Deed>) {
        if bot.is_some() {
            self.ears.spoken += TICK;
            // What the bot says while the callee talks is not listened to.
            self.ears.news |= self.saying.is_empty();
        }
        let mut deeds = Vec::new();
        for i in 0..self.callee.acts.len() {
            if !self.done[i] && self.due(i) {
                self.done[i] = true;
                deeds.push(self.act(i));
            }
        }
        let patience = self.callee.hang_up_after.is_some_and(|after| self.now >= after);
        if patience && !self.left {
            deeds.push(Deed::HungUp("NORMAL_CLEARING".to_owned()));
        }
        self.left |= deeds.iter().any(|d| matches!(d, Deed::HungUp(_)));
        let frame = self.voice(bot);
        self.now += TICK;
        (frame, deeds)
    }

    fn due(&self, i: usize) -> bool {
        let since = |at: Duration, long: Duration| self.now >= at + long;
        match self.callee.acts[i].when {
            When::At(at) => self.now >= at,
            When::Then(long) => i > 0 && self.done[i - 1] && since(self.act_over, long),
            When::BotSpoken { long, prompt } => {
                self.ears.quiet_since.is_none()
                    && self.ears.prompt > 0
                    && self.ears.spoken >= long
                    && prompt.is_none_or(|p| p == self.ears.prompt)
            }
            When::PromptDone { prompt, after } => {
                self.ears.finished.iter().any(|(p, at)| *p == prompt && since(*at, after))
            }
            // Only the first that is left: each waits for the bot to say something new.
            When::BotQuiet(long) => {
                let earlier =
                    (0..i).any(|j| !self.done[j] && matches!(self.callee.acts[j].when, When::BotQuiet(_)));
                let quiet = self.ears.quiet_since.is_some_and(|at| since(at.max(self.act_over), long));
                !earlier && self.ears.news && quiet && self.saying.is_empty()
            }
            When::Interrupted(long) => self.ears.interrupted.is_some_and(|at| since(at, long)),
        }
    }

    fn act(&mut self, i: usize) -> Deed {
        self.act_over = self.now;
        self.ears.news = false;
        match &self.callee.acts[i].what {
            What::Say { name, clip, gain } => {
                let lasts = Duration::from_micros(clip.len() as u64 * 125);
                self.act_over += lasts;
                let voice_in = voiced(clip).map(|(first, _)| Duration::from_micros(first as u64 * 125));
                self.saying.push(Saying { clip: clip.clone(), gain: *gain, at: 0 });
                Deed::Said { name: name.clone(), voice_in, lasts }
            }
            What::Press(key) => Deed::Pressed(*key),
            What::HangUp(cause) => Deed::HungUp(cause.clone()),
        }
    }

    fn voice(&mut self, bot: Option<&Samples>) -> Samples {
        let mut frame = SILENCE;
        for saying in &mut self.saying {
            mix(&mut frame, &frame_at(&saying.clip, saying.at), saying.gain);
            saying.at += FRAME;
        }
        self.saying.retain(|s| s.at < s.clip.len());
        if let Some((clip, gain)) = &self.callee.background {
            mix(&mut frame, &frame_at(clip, self.background_at), *gain);
            self.background_at += FRAME;
            if self.background_at + FRAME > clip.len() {
                self.background_at = 0;
            }
        }
        if let Some(echo) = self.callee.echo {
            self.heard.push_back(bot.copied().unwrap_or(SILENCE));
            let behind = (echo.delay.as_millis() / TICK.as_millis()) as usize;
            if self.heard.len() > behind
                && let Some(old) = self.heard.pop_front()
            {
                mix(&mut frame, &old, echo.gain);
            }
        }
        frame
    }
}
