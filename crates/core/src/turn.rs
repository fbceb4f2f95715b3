//! One turn of the person: when it starts, what to ask the recogniser and when, and when it is over.
//!
//! All times are media time. While the person speaks, partial hypotheses are asked for at a cadence and agree on
//! a prefix ([`crate::hypothesis`]); after a short silence the whole is transcribed once more, so that the
//! answer is there when the turn is taken to be over.

use std::time::Duration;

use crate::{
    call::{Heard, Purpose, Transcribe, Transcript, UtteranceId},
    frame::FRAME,
    hypothesis::{self, Hypothesis},
    text::{PhrasePack, tokens},
};

#[cfg(test)]
mod tests;

/// How much of a stretch cut in mid-speech is heard again with the next.
const CUT_KEEPS: Duration = Duration::from_secs(1);

/// When to look and when to stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TurnConfig {
    /// Audio kept from before the first voiced frame: VAD hears a word late.
    pub pre_roll: Duration,
    /// Silence after which the final transcript is asked for.
    pub settle: Duration,
    /// Silence after which the turn is over, as far as nothing is known of what was said; where it is plainly
    /// complete, and where it plainly goes on.
    pub endpoint: Duration,
    pub endpoint_short: Duration,
    pub endpoint_long: Duration,
    /// How long past `endpoint` a final transcript is waited for.
    pub transcript_wait: Duration,
    /// Voiced time of the first partial, and between partials.
    pub first_look: Duration,
    pub look_every: Duration,
    /// Less voice than this is a noise, and is never transcribed.
    pub min_voiced: Duration,
    /// Nor is anything whose loudest frame is below this.
    pub min_peak_dbfs: f32,
    /// A pause cuts a segment that is longer than this; nothing lets one grow past `hard_cut`.
    pub soft_cut: Duration,
    pub hard_cut: Duration,
}

impl Default for TurnConfig {
    fn default() -> Self {
        Self {
            pre_roll: Duration::from_millis(240),
            settle: Duration::from_millis(300),
            endpoint: Duration::from_millis(700),
            endpoint_short: Duration::from_millis(500),
            endpoint_long: Duration::from_millis(1500),
            transcript_wait: Duration::from_millis(1500),
            first_look: Duration::from_millis(500),
            look_every: Duration::from_millis(500),
            min_voiced: Duration::from_millis(200),
            min_peak_dbfs: -45.0,
            soft_cut: Duration::from_secs(6),
            hard_cut: Duration::from_secs(12),
        }
    }
}

/// How long a silence ends the turn, by what was said so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// It is an answer: nothing more has to come.
    Short,
    Usual,
    /// It stops in mid-sentence.
    Long,
}

/// What a turn wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum TurnStep {
    Transcribe(Transcribe),
    Over(TurnEnd),
}

/// A finished turn.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnEnd {
    pub reply: Reply,
    /// End of its last voiced frame.
    pub speech_end: Duration,
    pub voiced: Duration,
}

/// What a turn came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Said(String),
    /// Too short or too quiet to be speech, or a gate refused every text: as if nothing had been said.
    Noise,
    /// There was speech and the recogniser could not say what.
    Unheard,
}

/// A turn being followed, from its first voiced frame.
#[derive(Debug)]
pub struct Turn {
    config: TurnConfig,
    segment: Segment,
    pause: Pause,
    started: Duration,
    last_voiced: Duration,
    voiced: Duration,
    peak_dbfs: f32,
    /// Text of segments that were cut off.
    kept: Vec<Kept>,
    /// A segment cut in mid-speech whose text is still to come.
    cut: Option<UtteranceId>,
    next_id: u32,
}

/// A cut-off segment's text.
#[derive(Debug)]
struct Kept {
    text: String,
    /// The next segment heard its end again.
    overlaps: bool,
}

/// The stretch of audio that is transcribed as one.
#[derive(Debug)]
struct Segment {
    id: UtteranceId,
    from: Duration,
    voiced: Duration,
    next_look: Duration,
    partial_in_flight: bool,
    /// Where the last final request ended.
    asked_to: Option<Duration>,
    /// The final result and where it ended; stale once the person speaks on.
    settled: Option<(Duration, Settled)>,
    hypothesis: Hypothesis,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Settled {
    Text(String),
    Nothing,
    Failed,
}

impl Turn {
    /// A turn that was noticed at `media` and whose first voiced frame began at `at`. `first_id` is the id of its
    /// first segment; see [`Turn::next_id`].
    #[must_use]
    pub fn new(config: TurnConfig, at: Duration, media: Duration, first_id: u32) -> Self {
        let voiced = media.saturating_sub(at);
        let mut segment =
            Segment::new(UtteranceId(first_id), at.saturating_sub(config.pre_roll), config.first_look);
        segment.voiced = voiced;
        Self {
            config,
            segment,
            pause: Pause::Usual,
            started: at,
            last_voiced: media,
            voiced,
            peak_dbfs: -100.0,
            kept: Vec::new(),
            cut: None,
            next_id: first_id + 1,
        }
    }

    /// The id that the call's next turn starts with.
    #[must_use]
    pub fn next_id(&self) -> u32 {
        self.next_id
    }

    #[must_use]
    pub fn started(&self) -> Duration {
        self.started
    }

    #[must_use]
    pub fn voiced(&self) -> Duration {
        self.voiced
    }

    #[must_use]
    pub fn last_voiced(&self) -> Duration {
        self.last_voiced
    }

    /// The segment being transcribed now.
    #[must_use]
    pub fn utterance(&self) -> UtteranceId {
        self.segment.id
    }

    /// Whether a transcript of it is still to come.
    #[must_use]
    pub fn in_flight(&self) -> bool {
        let answered = self.segment.settled.as_ref().map(|(to, _)| *to);
        self.segment.partial_in_flight || self.segment.asked_to > answered
    }

    /// Where the audio that may still be asked for begins.
    #[must_use]
    pub fn audio_from(&self) -> Duration {
        self.segment.from
    }

    /// What was heard so far says how long a silence ends the turn.
    pub fn pause(&mut self, pause: Pause) {
        self.pause = pause;
    }

    /// Takes other cadence and endpointing from now on (the bot fell silent, or began to speak).
    pub fn configure(&mut self, config: TurnConfig) {
        self.config = config;
        self.segment.next_look = self.segment.next_look.min(self.segment.voiced + config.look_every);
    }

    /// Takes the frame that ends at `media`.
    pub fn frame(&mut self, media: Duration, voiced: bool, dbfs: f32) -> Option<TurnStep> {
        if voiced {
            self.voice(media, dbfs);
        }
        let silence = media.saturating_sub(self.last_voiced);
        if !self.audible() {
            return (silence >= self.config.endpoint).then(|| self.over(Reply::Noise));
        }
        if silence >= self.endpoint()
            && let Some(step) = self.ending(silence)
        {
            return Some(step);
        }
        let unasked = self.segment.asked_to.is_none_or(|to| to < self.last_voiced);
        if silence >= self.config.settle && unasked {
            return Some(self.ask(Purpose::EndOfTurn, media));
        }
        if media.saturating_sub(self.segment.from) >= self.config.hard_cut {
            return Some(self.hard_cut(media));
        }
        let due = self.segment.voiced >= self.segment.next_look && !self.segment.partial_in_flight;
        if due && silence < self.config.settle {
            self.segment.next_look = self.segment.voiced + self.config.look_every;
            self.segment.partial_in_flight = true;
            return Some(self.ask(Purpose::Partial, media));
        }
        None
    }

    /// Takes a transcript; `true` when it belongs to the segment being spoken (its text is then in
    /// [`Turn::hypothesis`]).
    pub fn transcript(&mut self, transcript: &Transcript) -> bool {
        if self.cut == Some(transcript.utterance) && transcript.purpose == Purpose::EndOfTurn {
            self.cut = None;
            if let Heard::Text(text) = &transcript.outcome {
                self.kept.push(Kept { text: text.clone(), overlaps: true });
            }
            return false;
        }
        if transcript.utterance != self.segment.id {
            return false;
        }
        if transcript.purpose == Purpose::EndOfTurn {
            let settled = match &transcript.outcome {
                Heard::Text(text) => Settled::Text(text.clone()),
                Heard::Nothing(_) => Settled::Nothing,
                Heard::Failed(_) => Settled::Failed,
            };
            self.segment.settled = Some((transcript.to, settled));
        } else {
            self.segment.partial_in_flight = false;
        }
        if let Heard::Text(text) = &transcript.outcome {
            self.segment.hypothesis.update(text, transcript.to);
        }
        true
    }

    /// Everything heard of this turn so far, stable or not.
    #[must_use]
    pub fn hypothesis(&self) -> String {
        joined(&self.kept, &self.segment.hypothesis.text())
    }

    fn voice(&mut self, media: Duration, dbfs: f32) {
        let resumed_after_final = self.segment.settled.is_some() || self.segment.asked_to.is_some();
        if resumed_after_final && media.saturating_sub(self.segment.from) >= self.config.soft_cut {
            self.soft_cut();
        }
        self.segment.settled = None;
        self.voiced += FRAME;
        self.segment.voiced += FRAME;
        self.last_voiced = media;
        self.peak_dbfs = self.peak_dbfs.max(dbfs);
    }

    fn endpoint(&self) -> Duration {
        match self.pause {
            Pause::Short => self.config.endpoint_short,
            Pause::Usual => self.config.endpoint,
            Pause::Long => self.config.endpoint_long,
        }
    }

    fn audible(&self) -> bool {
        self.voiced >= self.config.min_voiced && self.peak_dbfs > self.config.min_peak_dbfs
    }

    /// The silence is long enough: over, if the final transcript is there or has been waited for too long.
    fn ending(&self, silence: Duration) -> Option<TurnStep> {
        let waited = silence >= self.endpoint() + self.config.transcript_wait;
        if self.cut.is_some() && !waited {
            return None;
        }
        match &self.segment.settled {
            Some((to, settled)) if *to >= self.last_voiced => Some(self.over(self.reply(settled))),
            Some(_) | None => waited.then(|| self.over(self.reply(&Settled::Failed))),
        }
    }

    fn reply(&self, settled: &Settled) -> Reply {
        let last = match settled {
            Settled::Text(text) => text.clone(),
            Settled::Nothing => String::new(),
            // The final look failed: what the partials agreed on is better than nothing.
            Settled::Failed => self.segment.hypothesis.text(),
        };
        let said = joined(&self.kept, &last);
        match (said.is_empty(), settled) {
            (false, _) => Reply::Said(said),
            (true, Settled::Failed) => Reply::Unheard,
            (true, Settled::Nothing | Settled::Text(_)) => Reply::Noise,
        }
    }

    fn over(&self, reply: Reply) -> TurnStep {
        TurnStep::Over(TurnEnd { reply, speech_end: self.last_voiced, voiced: self.voiced })
    }

    fn ask(&mut self, purpose: Purpose, media: Duration) -> TurnStep {
        if purpose == Purpose::EndOfTurn {
            self.segment.asked_to = Some(media);
        }
        let Segment { id, from, voiced, .. } = self.segment;
        TurnStep::Transcribe(Transcribe { utterance: id, purpose, from, to: media, voiced })
    }

    /// The person went on after a pause and the segment is long: what it said is kept as it stands.
    fn soft_cut(&mut self) {
        let Some((to, settled)) = self.segment.settled.take() else { return };
        let text = match settled {
            Settled::Text(text) => text,
            Settled::Nothing => String::new(),
            Settled::Failed => self.segment.hypothesis.text(),
        };
        self.kept.push(Kept { text, overlaps: false });
        self.start_segment(to);
    }

    fn hard_cut(&mut self, media: Duration) -> TurnStep {
        if self.cut.is_some() {
            // The cut before this one was never answered: its partials are all there is.
            self.cut = None;
        }
        let ask = self.ask(Purpose::EndOfTurn, media);
        self.cut = Some(self.segment.id);
        // The cut may go through a word: the next stretch hears its end again.
        self.start_segment(media.saturating_sub(CUT_KEEPS));
        self.segment.voiced = CUT_KEEPS.min(media);
        self.segment.next_look += CUT_KEEPS;
        ask
    }

    fn start_segment(&mut self, from: Duration) {
        self.segment = Segment::new(UtteranceId(self.next_id), from, self.config.first_look);
        self.next_id += 1;
    }
}

impl Segment {
    fn new(id: UtteranceId, from: Duration, first_look: Duration) -> Self {
        Self {
            id,
            from,
            voiced: Duration::ZERO,
            next_look: first_look,
            partial_in_flight: false,
            asked_to: None,
            settled: None,
            hypothesis: Hypothesis::new(),
        }
    }
}

/// Whether a text stops where no sentence does: in a hesitation, or on a word that something must follow.
#[must_use]
pub fn looks_unfinished(text: &str, pack: &PhrasePack) -> bool {
    let words = tokens(text);
    let Some(last) = words.last() else { return false };
    if text.trim_end().ends_with("...") || pack.is_hesitation(last) {
        return true;
    }
    let hanging = HANGING.iter().find(|(language, _)| *language == pack.language());
    // A question mark is Whisper's word that the sentence is whole.
    !text.trim_end().ends_with('?') && hanging.is_some_and(|(_, hanging)| hanging.contains(&last.as_str()))
}

/// Conjunctions, articles, prepositions and the like, folded: nobody ends an answer with them.
const HANGING: [(&str, &[&str]); 5] = [
    (
        "en",
        &[
            "and", "or", "but", "because", "if", "the", "a", "an", "my", "your", "to", "of", "with", "at",
            "from", "for", "i", "im", "is",
        ],
    ),
    (
        "fr",
        &[
            "et", "ou", "mais", "parce", "que", "si", "le", "la", "les", "un", "une", "des", "mon", "ma",
            "mes", "de", "du", "avec", "pour", "je", "est", "a", "au",
        ],
    ),
    (
        "de",
        &[
            "und", "oder", "aber", "weil", "dass", "wenn", "der", "die", "das", "ein", "eine", "mein",
            "meine", "mit", "von", "zu", "fur", "ich", "ist", "am",
        ],
    ),
    (
        "es",
        &[
            "y", "o", "pero", "porque", "que", "si", "el", "la", "los", "las", "un", "una", "mi", "de",
            "del", "con", "para", "yo", "es", "a",
        ],
    ),
    (
        "it",
        &[
            "e", "o", "ma", "perche", "che", "se", "il", "lo", "la", "i", "gli", "un", "una", "mio", "mia",
            "di", "del", "con", "per", "io", "a",
        ],
    ),
];

/// One text of all segments', without what was heard twice.
fn joined(kept: &[Kept], last: &str) -> String {
    let mut text = String::new();
    let mut overlaps = false;
    for (part, next_overlaps) in
        kept.iter().map(|kept| (kept.text.trim(), kept.overlaps)).chain([(last.trim(), false)])
    {
        if text.is_empty() || part.is_empty() {
            text.push_str(part);
        } else if overlaps {
            text = hypothesis::joined(&text, part);
        } else {
            text.push(' ');
            text.push_str(part);
        }
        overlaps = next_overlaps;
    }
    text
}
