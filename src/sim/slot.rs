//! A media bug on a channel: what a stream was asked for, and its frames and controls on their way to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    World,
    audio::{Samples, mix},
    handshake::Target,
    stream::Stream,
};

/// The module's own send queue; further frames are dropped.
const FRAMES: usize = 1024;
const CONTROLS: usize = 64;
/// A `stop` so soon after `start` can block FreeSWITCH until the server closes.
const TOO_SOON: Duration = Duration::from_millis(50);

/// Which stream module was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Module {
    AudioStream,
    AudioFork,
}

impl Module {
    pub(super) fn event(self, what: &str) -> String {
        match self {
            Self::AudioStream => format!("mod_audio_stream::{what}"),
            Self::AudioFork => format!("mod_audio_fork::{what}"),
        }
    }

    pub(super) fn bug(self) -> &'static str {
        match self {
            Self::AudioStream => "audio_stream",
            Self::AudioFork => "audio_fork",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mix {
    /// What the far party says.
    Mono,
    /// Both, summed; nothing while nothing plays.
    Mixed,
    /// Left the far party, right what plays; nothing while nothing plays.
    Stereo,
}

/// What a `start` asked for, checked.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    pub(super) module: Module,
    pub(super) bug_name: String,
    pub(super) target: Target,
    pub(super) mix: Mix,
    /// Samples a second over 8000.
    pub(super) factor: usize,
    pub(super) frames_per_message: usize,
    pub(super) heart_beat: Option<Duration>,
    pub(super) extra_headers: Vec<(String, String)>,
    pub(super) metadata: Option<String>,
}

/// How a fault ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropStream {
    /// The TCP connection ends without a WebSocket Close.
    Eof,
    /// The TCP connection is reset.
    Reset,
}

pub(super) enum Control {
    Text(String),
    Stop { text: Option<String>, done: Option<oneshot::Sender<()>> },
    Drop(DropStream),
}

/// The media bug on a channel: stays after a clean close, until `stop`.
pub(super) struct Slot {
    pub(super) module: Module,
    pub(super) bug_name: String,
    pub(super) number: usize,
    pub(super) paused: bool,
    pub(super) control: mpsc::Sender<Control>,
    pub(super) state: Arc<State>,
    mix: Mix,
    frames: mpsc::Sender<Vec<i16>>,
    started: Instant,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) up: AtomicBool,
    /// The task is over; the bug may still be there.
    pub(super) finished: CancellationToken,
    /// `stop` came too soon: nothing more is done until the server closes.
    pub(super) hung: CancellationToken,
}

impl Slot {
    /// Starts connecting. `number` names the stream within the call's report.
    pub(super) fn start(world: &Arc<World>, uuid: &str, spec: Spec, number: usize) -> Self {
        let (frames, frames_in) = mpsc::channel(FRAMES);
        let (control, control_in) = mpsc::channel(CONTROLS);
        let state = Arc::new(State::default());
        let slot = Self {
            module: spec.module,
            bug_name: spec.bug_name.clone(),
            number,
            paused: false,
            control,
            state: state.clone(),
            mix: spec.mix,
            frames,
            started: Instant::now(),
        };
        let stream = Stream::new(world, uuid, spec, number, state);
        world.spawn(stream.run(frames_in, control_in));
        slot
    }

    /// 20 ms of the call. A full queue drops them, as the module does.
    pub(super) fn feed(&self, read: &Samples, bot: Option<&Samples>) {
        if self.paused || self.state.finished.is_cancelled() {
            return;
        }
        let samples = match (self.mix, bot) {
            (Mix::Mono, _) => read.to_vec(),
            (Mix::Mixed | Mix::Stereo, None) => return,
            (Mix::Mixed, Some(bot)) => {
                let mut both = *read;
                mix(&mut both, bot, 1.0);
                both.to_vec()
            }
            (Mix::Stereo, Some(bot)) => read.iter().zip(bot).flat_map(|(l, r)| [*l, *r]).collect(),
        };
        let _ = self.frames.try_send(samples);
    }

    /// Whether a `stop` now would hang FreeSWITCH; if so, the stream hangs from now on.
    pub(super) fn hang_if_too_soon(&self) -> bool {
        let soon = !self.state.up.load(Ordering::Acquire) || self.started.elapsed() < TOO_SOON;
        let hangs = soon && !self.state.finished.is_cancelled();
        if hangs {
            self.state.hung.cancel();
        }
        hangs
    }
}
