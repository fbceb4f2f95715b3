//! The phases of a call, each with only what it needs, and the ears that all of them share.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{HangupReason, PlayId, UtteranceId};
use crate::{
    barge_in::{BargeIn, BargeInConfig},
    echo::{Echo, PromptAudio},
    frame::{FRAME, Frame, SampleRate},
    music::MusicDetector,
    scenario::{ListenSpec, Prompt},
    spectrum::Spectrum,
    tones::{ToneDetector, ToneEvent},
    turn::{Turn, TurnConfig, TurnEnd},
    vad::{Edge, Vad, VadConfig},
};

pub(super) use super::near::Attention;
use super::near::Near;

#[derive(Debug)]
pub(super) enum Phase {
    /// Placed, not answered. Frames may overtake the answer; they are kept.
    Ringing {
        early: VecDeque<Frame>,
        /// When it began to ring.
        rang: Option<Instant>,
    },
    /// Answered; who it is remains to be seen.
    Amd,
    Speaking(Speaking),
    Listening(Listening),
    /// A machine answered: waiting until it records, or has asked who calls.
    AwaitingMessage(MessageWait),
    Transferring,
    /// Asked to hang up, not yet confirmed.
    HangingUp {
        reason: HangupReason,
        asked: u32,
    },
    Ended,
}

/// A phase's name, for gauges and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    Ringing,
    Amd,
    Speaking,
    Listening,
    AwaitingMessage,
    Transferring,
    HangingUp,
    Ended,
}

impl PhaseName {
    pub const ALL: [Self; 8] = [
        Self::Ringing,
        Self::Amd,
        Self::Speaking,
        Self::Listening,
        Self::AwaitingMessage,
        Self::Transferring,
        Self::HangingUp,
        Self::Ended,
    ];
}

impl Phase {
    pub(super) fn name(&self) -> PhaseName {
        match self {
            Self::Ringing { .. } => PhaseName::Ringing,
            Self::Amd => PhaseName::Amd,
            Self::Speaking(_) => PhaseName::Speaking,
            Self::Listening(_) => PhaseName::Listening,
            Self::AwaitingMessage(_) => PhaseName::AwaitingMessage,
            Self::Transferring => PhaseName::Transferring,
            Self::HangingUp { .. } => PhaseName::HangingUp,
            Self::Ended => PhaseName::Ended,
        }
    }
}

/// The bot speaks.
#[derive(Debug)]
pub(super) struct Speaking {
    pub(super) id: PlayId,
    pub(super) prompt: Prompt,
    /// Where in its file it began.
    pub(super) from: Duration,
    pub(super) audio: Option<Arc<PromptAudio>>,
    /// Until it is done, or told to stop.
    pub(super) playing: bool,
    /// Media time at which the switch said it began.
    pub(super) began: Option<Duration>,
    /// `None`: this prompt may not be interrupted.
    pub(super) policy: Option<BargeIn>,
    /// What the person said under the prompt without interrupting it.
    pub(super) aside: Option<TurnEnd>,
    /// Voice of the far side under a message for its recorder.
    pub(super) clash: Duration,
}

impl Speaking {
    /// For how long it has been heard by `media`.
    pub(super) fn played(&self, media: Duration) -> Duration {
        self.began.map_or(Duration::ZERO, |began| media.saturating_sub(began))
    }

    /// How far into its file it is.
    pub(super) fn position(&self, media: Duration) -> Duration {
        self.from + self.played(media)
    }
}

/// The bot is silent and waits for the person.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) spec: ListenSpec,
    /// Since when nobody has said anything that counts.
    pub(super) since: Duration,
    /// The interruption that led here, until it is plain that it was one.
    pub(super) broken: Option<Broken>,
}

/// A prompt that was interrupted.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) id: PlayId,
    pub(super) prompt: Prompt,
    pub(super) policy: BargeInConfig,
    /// Media time of the break.
    pub(super) at: Duration,
    /// How far into its file it had come.
    pub(super) position: Duration,
}

#[derive(Debug)]
pub(super) struct MessageWait {
    pub(super) since: Duration,
    pub(super) max_wait: Duration,
    /// Without a beep so much silence is the sign.
    pub(super) silence: Duration,
    pub(super) last_voice: Option<Duration>,
}

impl MessageWait {
    pub(super) fn new(media: Duration, max_wait: Duration, silence: Duration) -> Self {
        Self { since: media, max_wait, silence, last_voice: None }
    }
}

/// What one frame brought.
#[derive(Debug)]
pub(super) struct Ear {
    pub(super) voiced: bool,
    pub(super) dbfs: f32,
    pub(super) speech_started: Option<Duration>,
    pub(super) speech_ended: Option<(Duration, Duration)>,
    /// The voice is the person's: no echo of ours, and above what is in the background.
    pub(super) person: bool,
    /// The person began to speak, there.
    pub(super) person_started: Option<Duration>,
    /// A tone was recognised.
    pub(super) tone: Option<ToneEvent>,
    /// A beep ended.
    pub(super) beep_ended: Option<ToneEvent>,
    pub(super) music: f32,
}

/// The detectors, media time, and the turn being followed.
#[derive(Debug)]
pub(super) struct Ears {
    /// Media time since the answer, at the end of the last frame.
    pub(super) media: Duration,
    pub(super) turn: Option<Turn>,
    pub(super) echo: Echo,
    near: Near,
    vad: Vad,
    line: Spectrum,
    tones: ToneDetector,
    music: MusicDetector,
    next_utterance: u32,
}

impl Ears {
    pub(super) fn new(rate: SampleRate) -> Self {
        Self {
            media: Duration::ZERO,
            turn: None,
            echo: Echo::default(),
            near: Near::default(),
            vad: Vad::new(rate, VadConfig::default()),
            line: Spectrum::new(),
            tones: ToneDetector::new(),
            music: MusicDetector::new(),
            next_utterance: 1,
        }
    }

    /// `music`: somebody wants to know whether it is any.
    pub(super) fn frame(&mut self, frame: &Frame, attention: Attention, music: bool) -> Ear {
        self.media += FRAME;
        let heard = self.vad.push(frame);
        let (started, ended) = edges(heard.edge);
        self.line.feed(frame);
        let tone = self.tones.push(&mut self.line);
        let echo = self.echo.explains(self.media, frame);
        let (person, person_started) = self.near.push(self.media, &heard, echo, attention);
        Ear {
            voiced: heard.voiced && heard.speech,
            dbfs: heard.dbfs,
            speech_started: started,
            speech_ended: ended,
            person,
            person_started,
            tone: tone.filter(|tone| !tone.ended),
            beep_ended: tone.filter(|tone| tone.ended),
            music: if music {
                self.music.push(&mut self.line, heard.voiced)
            } else {
                self.music.likelihood()
            },
        }
    }

    /// Media time passes for lost frames.
    pub(super) fn gap(&mut self, frames: u32) {
        self.media += FRAME * frames;
        self.vad.gap(frames);
        self.tones.gap(frames);
    }

    pub(super) fn utterance(&mut self) -> UtteranceId {
        let id = UtteranceId(self.next_utterance);
        self.next_utterance += 1;
        id
    }

    /// Follows a turn from the speech that has just started.
    pub(super) fn begin_turn(&mut self, at: Duration, config: TurnConfig) {
        self.turn = Some(Turn::new(config, at, self.media, self.next_utterance));
        self.next_utterance += 1;
    }

    /// What was taken for the person was, or was not.
    pub(super) fn was_person(&mut self, person: bool) {
        self.near.settle(person);
    }

    /// Stops following; ids go on where the turn left off.
    pub(super) fn end_turn(&mut self) -> Option<Turn> {
        let turn = self.turn.take()?;
        self.next_utterance = self.next_utterance.max(turn.next_id());
        Some(turn)
    }
}

fn edges(edge: Option<Edge>) -> (Option<Duration>, Option<(Duration, Duration)>) {
    match edge {
        Some(Edge::Start { at }) => (Some(at), None),
        Some(Edge::End { at, voiced }) => (None, Some((at, voiced))),
        None => (None, None),
    }
}
