//! Which calls may have a stream, and what their streams brought.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use sidetone_core::{
    call::{CallId, StreamEnd},
    frame::SampleRate,
};
use subtle::ConstantTimeEq;
use tokio::sync::oneshot;

use super::{
    MediaEvent,
    ring::Ring,
    stats::MediaStats,
    wire::{OddLength, Wire},
};

/// Tokens of one call that are valid at once: the running stream's and those of starts still under way.
const TOKENS: usize = 4;

/// 128 random bits that let one stream in. Shown to nobody but the switch.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 16]);

impl Token {
    /// For the stream's URL, and nowhere else.
    #[must_use]
    pub fn hex(&self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(32), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    pub(super) fn parse(hex: &str) -> Option<Self> {
        if hex.len() != 32 || !hex.is_ascii() {
            return None;
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16);
            *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
        }
        Some(Self(bytes))
    }

    fn random() -> Self {
        let mut bytes = [0; 16];
        // As in `std`'s hash maps: an operating system without random bytes cannot be worked with.
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        Self(bytes)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// The URL that a stream is started with: `base` as in `ws://10.0.0.1:8090`. It holds the token: never log it.
#[must_use]
pub fn stream_url(base: &str, call: &CallId, token: &Token, rate: SampleRate) -> String {
    let base = base.trim_end_matches('/');
    let rate = if rate == SampleRate::HZ_8000 { String::new() } else { format!("&rate={}", rate.hz()) };
    format!("{base}/media/{call}?t={}{rate}", token.hex())
}

/// The calls whose streams are let in. Cloning it copies a pointer.
#[derive(Debug, Clone, Default)]
pub struct MediaRegistry {
    calls: Arc<Mutex<HashMap<CallId, Arc<Slot>>>>,
}

impl MediaRegistry {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a stream of this call in. Expecting a call again forgets what was there: its receiver ends and its
    /// tokens are void.
    #[must_use]
    pub fn expect(&self, call: &CallId) -> (Token, MediaReceiver) {
        let slot = Arc::new(Slot::default());
        let token = slot.new_token();
        let before = lock(&self.calls).insert(call.clone(), slot.clone());
        if let Some(before) = before {
            before.release();
        }
        (token, MediaReceiver { call: call.clone(), slot, registry: Arc::downgrade(&self.calls) })
    }

    /// A fresh token for a start of the stream; earlier ones stay valid, so that a start under way is not cut.
    /// `None`: the call is not expected (any more).
    #[must_use]
    pub fn renew(&self, call: &CallId) -> Option<Token> {
        self.slot(call).map(|slot| slot.new_token())
    }

    /// Forgets the call: later connections get 404, a live one is closed. Dropping the receiver does the same.
    pub fn release(&self, call: &CallId) {
        let slot = lock(&self.calls).remove(call);
        if let Some(slot) = slot {
            slot.release();
        }
    }

    /// The stream was paused on purpose: no audio is expected until [`Self::resume`].
    pub fn pause(&self, call: &CallId) {
        if let Some(slot) = self.slot(call) {
            slot.state().paused = true;
        }
    }

    /// Audio is expected again, from now.
    pub fn resume(&self, call: &CallId) {
        if let Some(slot) = self.slot(call) {
            let mut state = slot.state();
            state.paused = false;
            state.last_audio = Instant::now();
        }
    }

    /// How many calls are expected.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.calls).len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn slot(&self, call: &CallId) -> Option<Arc<Slot>> {
        lock(&self.calls).get(call).cloned()
    }

    /// Closes every stream that has brought no audio for `timeout`.
    pub(super) fn close_idle(&self, timeout: Duration) {
        let slots: Vec<Arc<Slot>> = lock(&self.calls).values().cloned().collect();
        let now = Instant::now();
        for slot in slots {
            let mut state = slot.state();
            let idle = !state.paused && now.saturating_duration_since(state.last_audio) >= timeout;
            if idle && let Some(stop) = state.live.take() {
                let _ = stop.send(StreamEnd::Idle);
            }
        }
    }

    /// Closes every stream.
    pub(super) fn close_all(&self, end: StreamEnd) {
        let slots: Vec<Arc<Slot>> = lock(&self.calls).values().cloned().collect();
        for slot in slots {
            if let Some(stop) = slot.state().live.take() {
                let _ = stop.send(end);
            }
        }
    }
}

/// One call's end of its streams. Dropping it [releases](MediaRegistry::release) the call.
#[derive(Debug)]
pub struct MediaReceiver {
    call: CallId,
    slot: Arc<Slot>,
    registry: Weak<Mutex<HashMap<CallId, Arc<Slot>>>>,
}

impl MediaReceiver {
    /// The next event; `None` once the call was released and everything was taken. Cancelling loses nothing.
    pub async fn recv(&mut self) -> Option<MediaEvent> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<MediaEvent>> {
        let mut state = self.slot.state();
        if let Some(event) = state.ring.pop() {
            return Poll::Ready(Some(event));
        }
        if state.released {
            return Poll::Ready(None);
        }
        state.waiting = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The next event if one waits: for taking a burst without going back to the runtime.
    pub fn try_recv(&mut self) -> Option<MediaEvent> {
        self.slot.state().ring.pop()
    }
}

impl Drop for MediaReceiver {
    fn drop(&mut self) {
        if let Some(calls) = self.registry.upgrade() {
            let mut calls = lock(&calls);
            if calls.get(&self.call).is_some_and(|slot| Arc::ptr_eq(slot, &self.slot)) {
                calls.remove(&self.call);
            }
        }
        self.slot.release();
    }
}

/// What is known of one expected call's stream.
#[derive(Debug)]
pub(super) struct Slot {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: VecDeque<Token>,
    ring: Ring,
    /// The call, while it waits for something in the ring.
    waiting: Option<Waker>,
    /// Counts connections; only the newest may bring anything.
    generation: u64,
    /// `Up` was said and `Down` was not.
    up: bool,
    /// Ends the live connection; whoever takes it decides why.
    live: Option<oneshot::Sender<StreamEnd>>,
    last_audio: Instant,
    paused: bool,
    released: bool,
}

/// One connection's way to its call. Nothing of it arrives once another connection took over.
#[derive(Debug)]
pub(super) struct Feed {
    slot: Arc<Slot>,
    generation: u64,
}

impl Feed {
    /// One binary message: one lock and at most one wake-up, however many frames it holds.
    pub(super) fn audio(&self, wire: &mut Wire, message: &[u8], stats: &MediaStats) -> Result<(), OddLength> {
        let Some(mut state) = self.current() else { return Ok(()) };
        let (mut taken, mut dropped) = (0, 0);
        wire.push(message, |frame| {
            taken += 1;
            dropped += u64::from(state.ring.push_frame(frame));
        })?;
        if !message.is_empty() {
            state.last_audio = Instant::now();
        }
        if taken > 0 {
            wake(state);
        }
        stats.count_frames(taken, dropped);
        Ok(())
    }

    pub(super) fn text(&self, text: String, stats: &MediaStats) {
        let Some(mut state) = self.current() else { return };
        if state.ring.push_text(text) {
            wake(state);
        } else {
            stats.count_dropped_text();
        }
    }

    pub(super) fn down(&self, end: StreamEnd) {
        let Some(mut state) = self.current() else { return };
        if !std::mem::take(&mut state.up) {
            return;
        }
        state.live = None;
        state.ring.push_control(MediaEvent::Down(end));
        wake(state);
    }

    fn current(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.slot.state();
        (state.generation == self.generation && !state.released).then_some(state)
    }
}

impl Drop for Feed {
    /// A connection's task that dies without a word has lost its stream.
    fn drop(&mut self) {
        self.down(StreamEnd::Lost);
    }
}

impl Default for Slot {
    fn default() -> Self {
        let state = State {
            tokens: VecDeque::with_capacity(1),
            ring: Ring::default(),
            waiting: None,
            generation: 0,
            up: false,
            live: None,
            last_audio: Instant::now(),
            paused: false,
            released: false,
        };
        Self { state: Mutex::new(state) }
    }
}

impl Slot {
    /// Compares with every valid token, always all of them and always all bytes.
    pub(super) fn admits(&self, token: &Token) -> bool {
        let state = self.state();
        let mut admitted = subtle::Choice::from(0);
        for valid in &state.tokens {
            admitted |= valid.0.ct_eq(&token.0);
        }
        admitted.into()
    }

    /// Makes an upgraded connection the call's stream; the one before it is told that it was replaced. `None`: the
    /// call was released meanwhile.
    pub(super) fn connect(self: &Arc<Self>) -> Option<(Feed, oneshot::Receiver<StreamEnd>)> {
        let (stop, stopped) = oneshot::channel();
        let mut state = self.state();
        if state.released {
            return None;
        }
        state.generation += 1;
        state.last_audio = Instant::now();
        if state.up {
            state.ring.push_control(MediaEvent::Down(StreamEnd::Replaced));
        }
        state.up = true;
        if let Some(before) = state.live.replace(stop) {
            let _ = before.send(StreamEnd::Replaced);
        }
        state.ring.push_control(MediaEvent::Up);
        let feed = Feed { slot: self.clone(), generation: state.generation };
        wake(state);
        Some((feed, stopped))
    }

    fn new_token(&self) -> Token {
        let token = Token::random();
        let mut state = self.state();
        if state.tokens.len() == TOKENS {
            state.tokens.pop_front();
        }
        state.tokens.push_back(token.clone());
        token
    }

    fn release(&self) {
        let mut state = self.state();
        state.released = true;
        state.tokens.clear();
        if let Some(stop) = state.live.take() {
            let _ = stop.send(StreamEnd::Closed);
        }
        wake(state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Lets the call look, if it waits; the lock is free by then.
fn wake(mut state: MutexGuard<'_, State>) {
    let waiting = state.waiting.take();
    drop(state);
    if let Some(waiting) = waiting {
        waiting.wake();
    }
}

/// Nothing panics while it holds one of these locks; should it, the data is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
