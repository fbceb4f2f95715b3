//! Who answered: a person, or which kind of machine.

use serde::{Deserialize, Serialize};

use crate::tones::Tone;

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Human,
    Voicemail,
    MailboxFull,
    /// A call-screening assistant that asks who is calling and why.
    Screening,
    /// An interactive menu or a company's announcement.
    Ivr,
    /// Special information tones or an operator's announcement: not in service.
    Sit,
    Fax,
    /// Any other tone: beep, busy, ringback.
    Tone,
    Music,
    Silence,
    /// Nothing was sure enough. Acted on like a person.
    Unknown,
}

impl Verdict {
    /// Whether it takes what answered for anything but somebody to talk to.
    #[must_use]
    pub fn is_machine(self) -> bool {
        match self {
            Self::Human | Self::Silence | Self::Unknown => false,
            Self::Voicemail
            | Self::MailboxFull
            | Self::Screening
            | Self::Ivr
            | Self::Sit
            | Self::Fax
            | Self::Tone
            | Self::Music => true,
        }
    }
}

/// What decided a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A phrase of the language's pack.
    Phrase,
    /// How long they spoke and paused.
    Cadence,
    Tone,
    /// A person's short greeting, then silence.
    ShortGreeting,
    NoSpeech,
    /// Evidence was weighed and no single kind decided.
    Score,
    /// The recogniser was late or down.
    AsrUnavailable,
    /// Nothing spoke for or against.
    NoEvidence,
}

/// One thing a verdict rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Evidence {
    /// What was heard, as transcribed: the likeliest reading, or the one that made a machine of them.
    Text {
        text: String,
    },
    /// A phrase that matched, the class it speaks for and its weight.
    Phrase {
        phrase: String,
        speaks_for: Verdict,
        weight: f32,
    },
    Tone {
        tone: Tone,
        at_ms: u64,
    },
    Cadence {
        voiced_ms: u64,
        greeting_ms: u64,
        longest_pause_ms: u64,
    },
    Level {
        peak_dbfs: f32,
    },
    /// What was known before: how long it rang, who answered the last time.
    Prior {
        rang_ms: Option<u64>,
        earlier: Option<Verdict>,
        log_odds: f32,
    },
}

mod judge;
mod late;
mod looks;
mod prior;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use judge::Decision;
use judge::Judged;
use looks::{Careful, Looks};
pub use prior::Prior;

use crate::{
    call::{Heard, Purpose, Transcript},
    frame::FRAME,
    text::PhrasePack,
    tones::ToneEvent,
};

/// How AMD decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmdProfile {
    /// As soon as the evidence allows, looking several times.
    #[default]
    Anytime,
    /// The rule of the reference bots: the whole window in one batch, then keywords.
    Batch,
    /// Without a recogniser: how long they speak and pause, as Asterisk's `app_amd` does.
    Cadence,
}

/// How AMD listens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AmdConfig {
    pub profile: AmdProfile,
    /// The first verdict falls when so much was heard, or before.
    pub window: Duration,
    /// Less voice than this in the window is silence, and is never transcribed.
    pub min_voiced: Duration,
    /// So is anything whose loudest frame is below this.
    pub min_peak_dbfs: f32,
    /// The share of people that may be taken for machines, 0 to 1: moves the threshold.
    pub max_human_as_machine: f32,
    /// What is known before anything is heard.
    pub prior: Prior,
    /// A second recogniser, slower and better, hears the end of the window too, and the later looks alone.
    pub careful: bool,
}

impl Default for AmdConfig {
    fn default() -> Self {
        Self {
            profile: AmdProfile::Anytime,
            window: Duration::from_millis(2300),
            min_voiced: Duration::from_millis(200),
            min_peak_dbfs: -50.0,
            max_human_as_machine: 0.01,
            prior: Prior::default(),
            careful: false,
        }
    }
}

/// While they speak, the recogniser looks at these times after the answer.
const LOOKS: [Duration; 2] = [Duration::from_millis(800), Duration::from_millis(1400)];
/// A pause this long may be the end of a greeting: time to transcribe it.
const PAUSE: Duration = Duration::from_millis(160);
/// A short greeting and so much silence: they wait for an answer.
const GREETED: Duration = Duration::from_millis(440);
/// A longer one, or one whose words nobody knows, may only be drawing breath.
const GREETED_LONGER: Duration = Duration::from_millis(700);
const SHORT_GREETING: Duration = Duration::from_millis(1100);
/// Voice that is worth a look.
const LOOK_VOICED: Duration = Duration::from_millis(240);

/// What AMD wants after a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum AmdStep {
    /// Transcribe this stretch; the answer goes to [`Amd::transcript`].
    Transcribe {
        from: Duration,
        to: Duration,
        voiced: Duration,
        look: Look,
    },
    /// The window is over, and the verdict waits for a transcript that was asked for already.
    Wait,
    Decided(Decision),
}

/// What a transcript is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The verdict may come of it.
    Early,
    /// The window is over, and the verdict waits for it.
    Last,
    /// Behind the last look, by the careful recogniser.
    Careful,
    /// After the first verdict, by the careful recogniser where there is one.
    Late,
}

/// What one frame brings to AMD.
#[derive(Debug, Clone, Copy)]
pub struct AmdFrame<'a> {
    /// Media time at the frame's end.
    pub media: Duration,
    pub voiced: bool,
    /// Where the speech began that was noticed with this frame: its first voiced frames have passed already.
    pub started: Option<Duration>,
    pub dbfs: f32,
    pub tone: Option<&'a ToneEvent>,
    /// 0 to 1: how much all of it so far sounds like music.
    pub music: f32,
}

/// Listens from the answer on, until it can say who answered, and goes on listening for having been wrong.
#[derive(Debug)]
pub struct Amd {
    config: AmdConfig,
    pack: &'static PhrasePack,
    cadence: Cadence,
    peak_dbfs: f32,
    music: f32,
    looks: Looks,
    /// The first verdict has fallen.
    decided: bool,
    late: late::Late,
}

/// How they spoke so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cadence {
    pub(crate) voiced: Duration,
    pub(crate) first_voice: Option<Duration>,
    pub(crate) last_voice: Duration,
    pub(crate) longest_pause: Duration,
    pub(crate) media: Duration,
}

impl Cadence {
    /// From the first voiced frame to the last.
    pub(crate) fn greeting(&self) -> Duration {
        self.first_voice.map_or(Duration::ZERO, |first| self.last_voice.saturating_sub(first))
    }

    /// Silence since the last voiced frame.
    pub(crate) fn trailing_silence(&self) -> Duration {
        self.media.saturating_sub(self.last_voice)
    }

    fn frame(&mut self, media: Duration, voiced: bool, started: Option<Duration>) {
        self.media = media;
        if !voiced {
            return;
        }
        let frame = media.saturating_sub(FRAME);
        let begin = started.map_or(frame, |at| at.clamp(self.last_voice, frame));
        self.voiced += frame - begin;
        if self.first_voice.is_none() {
            self.first_voice = Some(begin);
        } else {
            self.longest_pause = self.longest_pause.max(begin.saturating_sub(self.last_voice));
        }
        self.voiced += FRAME;
        self.last_voice = media;
    }
}

impl Amd {
    #[must_use]
    pub fn new(config: AmdConfig, pack: &'static PhrasePack) -> Self {
        Self {
            config,
            pack,
            cadence: Cadence::default(),
            peak_dbfs: -100.0,
            music: 0.0,
            looks: Looks::default(),
            decided: false,
            late: late::Late::default(),
        }
    }

    /// Their language turned out to be this pack's.
    pub fn speaks(&mut self, pack: &'static PhrasePack) {
        self.pack = pack;
    }

    /// Takes the next frame since the answer. Before the first verdict a decision is that verdict; afterwards it
    /// is a correction.
    pub fn frame(&mut self, frame: AmdFrame<'_>) -> Option<AmdStep> {
        self.cadence.frame(frame.media, frame.voiced, frame.started);
        if frame.voiced {
            self.peak_dbfs = self.peak_dbfs.max(frame.dbfs);
        }
        self.music = frame.music;
        if self.decided {
            return self.late_frame(frame);
        }
        if let Some(tone) = frame.tone {
            return Some(AmdStep::Decided(self.first(self.judged().tone(tone))));
        }
        let over = frame.media >= self.config.window;
        if over && !self.audible() {
            return Some(AmdStep::Decided(self.first(self.judged().silence())));
        }
        match self.config.profile {
            AmdProfile::Anytime => self.anytime(over),
            AmdProfile::Batch => over.then(|| self.last_look()).flatten(),
            AmdProfile::Cadence => self.by_cadence(over),
        }
    }

    /// Takes a transcript. `Some`: a verdict, or a correction of it.
    pub fn transcript(&mut self, transcript: &Transcript) -> Option<Decision> {
        let Transcript { to, outcome: heard, others, .. } = transcript;
        let (to, careful) = (*to, transcript.purpose == Purpose::AmdCareful);
        self.looks.in_flight = self.looks.in_flight.saturating_sub(1);
        if self.decided {
            return self.late_transcript(to, heard, others);
        }
        let failed = matches!(heard, Heard::Failed(_));
        if careful {
            self.looks.careful = if failed { Careful::Failed } else { Careful::Came };
        } else {
            self.looks.last_came |= self.looks.last_to.is_some_and(|last| last <= to);
        }
        if self.looks.is_news(to, heard, careful) {
            self.looks.heard = Some((to, heard.clone()));
        }
        let decision = self.weigh();
        let decision =
            if decision.verdict.is_machine() { decision } else { self.reread(others).unwrap_or(decision) };
        (decision.verdict.is_machine() || self.heard_all()).then(|| self.first(decision))
    }

    /// The first other reading that makes a machine of them: of what is hard to hear the likeliest words are often
    /// not the ones that were said, and people hardly ever say a machine's words by chance.
    fn reread(&self, others: &[String]) -> Option<Decision> {
        let judged = self.judged();
        others.iter().find_map(|text| judged.reading(text))
    }

    /// Nothing more is waited for.
    fn heard_all(&self) -> bool {
        match self.looks.careful {
            Careful::Came => true,
            Careful::Failed => self.looks.last_came,
            Careful::NotAsked | Careful::Asked => self.looks.last_came && !self.has_careful(),
        }
    }

    fn has_careful(&self) -> bool {
        self.config.careful && self.config.profile == AmdProfile::Anytime
    }

    /// The last transcript was waited for long enough: decides without it.
    pub fn without_transcript(&mut self) -> Option<Decision> {
        if self.decided {
            return None;
        }
        let decision = self.weigh();
        Some(self.first(decision))
    }

    /// End of the last speech, where there was any.
    #[must_use]
    pub fn speech_end(&self) -> Option<Duration> {
        self.cadence.first_voice.map(|_| self.cadence.last_voice)
    }

    fn anytime(&mut self, over: bool) -> Option<AmdStep> {
        if !self.audible() {
            return None;
        }
        if self.greeted() && self.covered() {
            let decision = self.weigh();
            if decision.verdict == Verdict::Human || decision.cause == Cause::ShortGreeting {
                return Some(AmdStep::Decided(self.first(decision)));
            }
        }
        if over {
            return self.last_look();
        }
        let look_due = LOOKS.get(self.looks.passed).is_some_and(|at| self.cadence.media >= *at);
        if look_due {
            self.looks.passed += 1;
        }
        let paused = self.cadence.trailing_silence() >= PAUSE && !self.asked_for_all();
        let worth = self.cadence.voiced >= LOOK_VOICED && self.looks.in_flight == 0;
        ((look_due && worth && !self.asked_for_all()) || paused).then(|| self.ask(Look::Early))
    }

    /// The window is over: one transcript has to reach its end, or the end of the speech within it.
    fn last_look(&mut self) -> Option<AmdStep> {
        if self.looks.last_to.is_some() {
            let due = self.has_careful() && self.looks.careful == Careful::NotAsked;
            return due.then(|| {
                self.looks.careful = Careful::Asked;
                self.ask(Look::Careful)
            });
        }
        if self.covered() {
            let decision = self.weigh();
            return Some(AmdStep::Decided(self.first(decision)));
        }
        if self.asked_for_all() && self.looks.in_flight > 0 {
            // What is on its way has all the speech: the wait for it starts now.
            self.looks.last_to = self.looks.asked_to;
            return Some(AmdStep::Wait);
        }
        self.looks.last_to = Some(self.cadence.media);
        Some(self.ask(Look::Last))
    }

    fn ask(&mut self, look: Look) -> AmdStep {
        let to = self.cadence.media;
        self.looks.asked_to = Some(to);
        self.looks.in_flight += 1;
        AmdStep::Transcribe { from: Duration::ZERO, to, voiced: self.cadence.voiced, look }
    }

    /// Asterisk's rule, with its published defaults.
    fn by_cadence(&mut self, over: bool) -> Option<AmdStep> {
        let (greeting, silence) = (self.cadence.greeting(), self.cadence.trailing_silence());
        let judged = self.judged();
        let decision = if greeting >= Duration::from_millis(1500) {
            judged.by_cadence(Verdict::Voicemail)
        } else if self.audible() && silence >= Duration::from_millis(800) {
            judged.by_cadence(Verdict::Human)
        } else if over {
            judged.without_transcript()
        } else {
            return None;
        };
        Some(AmdStep::Decided(self.first(decision)))
    }

    /// A transcript has all the speech so far.
    fn covered(&self) -> bool {
        self.looks.heard.as_ref().is_some_and(|(to, _)| *to >= self.cadence.last_voice)
    }

    fn asked_for_all(&self) -> bool {
        self.looks.asked_to.is_some_and(|to| to >= self.cadence.last_voice)
    }

    fn greeted(&self) -> bool {
        let understood = matches!(self.looks.heard, Some((_, Heard::Text(_))));
        let short = understood && self.cadence.greeting() <= SHORT_GREETING;
        self.cadence.trailing_silence() >= if short { GREETED } else { GREETED_LONGER }
    }

    fn weigh(&self) -> Decision {
        let judged = self.judged();
        match &self.looks.heard {
            Some((_, Heard::Text(text))) => judged.text(text),
            Some((_, Heard::Nothing(_))) => judged.no_words(),
            Some((_, Heard::Failed(_))) | None => judged.without_transcript(),
        }
    }

    fn first(&mut self, decision: Decision) -> Decision {
        self.decided = true;
        self.late.begin(&decision, self.cadence.media);
        decision
    }

    fn audible(&self) -> bool {
        self.cadence.voiced >= self.config.min_voiced && self.peak_dbfs > self.config.min_peak_dbfs
    }

    fn judged(&self) -> Judged<'_> {
        Judged {
            pack: self.pack,
            profile: self.config.profile,
            cadence: self.cadence,
            peak_dbfs: self.peak_dbfs,
            music: self.music,
            threshold: judge::threshold(self.config.max_human_as_machine),
            prior: self.config.prior,
        }
    }
}
