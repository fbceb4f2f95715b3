//! Which tone a burst is: by its pitch, its length and what came before.

use std::time::Duration;

use super::{
    Tone, ToneEvent,
    track::{Burst, Heard, Pitch},
};
use crate::frame::FRAME;

/// Speech before which a ringing-like tone is ringing, and after which it is a beep.
const GREETING: Duration = ms(800);
/// Media time before which the line's noise is not known well enough to tell a voice from it.
const SETTLING: Duration = ms(1000);
/// Longest pause between two of the special information tones, window included.
const SIT_PAUSE: Duration = ms(120);
/// Ringing sounds at least this long (E.180: 0.67 s), busy never.
const RINGING: Duration = ms(680);
/// A tone that began this soon may have lost its beginning before the answer.
const CUT: Duration = ms(60);
/// Notes within this time make a melody.
const MELODY: Duration = ms(1000);

#[derive(Debug)]
pub(super) struct Progress {
    spoken: Duration,
    /// The last bursts, newest first.
    past: [Option<Burst>; 3],
    /// A burst that ended, and until when nothing may follow for it to have been a beep.
    held: Option<(Burst, Duration)>,
    /// The end of a beep that was told with the frame before.
    owed: Option<ToneEvent>,
    /// A beep's start has been told, not yet its end.
    beeping: bool,
    /// The burst now sounding has been told as something.
    settled: bool,
    told: Option<Tone>,
    notes: [Option<(f32, Duration)>; 3],
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            spoken: Duration::ZERO,
            past: [None; 3],
            held: None,
            owed: None,
            beeping: false,
            settled: false,
            told: None,
            notes: [None; 3],
        }
    }

    pub(super) fn step(&mut self, heard: &Heard, now: Duration) -> Option<ToneEvent> {
        if heard.voice_like && now > SETTLING {
            self.spoken += FRAME;
        }
        if let Some(hz) = heard.note {
            self.notes.rotate_right(1);
            self.notes[0] = Some((hz, now));
        }
        if matches!(self.told, Some(Tone::FaxCng | Tone::FaxCed)) {
            // What follows is the modems' own talk.
            return None;
        }
        let owed = self.owed.take();
        let ended = heard.ended.and_then(|burst| self.ended(burst));
        let sounding = heard.sounding.and_then(|burst| self.sounding(burst));
        let news = ended.or(sounding).or_else(|| self.held_beep(now, heard));
        if owed.is_some() && news.is_some() {
            self.owed = news;
        }
        owed.or(news)
    }

    /// A burst goes on.
    fn sounding(&mut self, burst: Burst) -> Option<ToneEvent> {
        if self.settled {
            return None;
        }
        let tone = match burst.pitch {
            Pitch::Pair(low, high) => known_pair(low, high),
            Pitch::Single(hz) => self.single(hz, &burst),
        }?;
        self.settled = true;
        self.held = None;
        if tone == Tone::Beep {
            self.beeping = true;
            return Some(event(tone, &burst, false));
        }
        let start = if tone == Tone::Sit { self.sit_start(&burst) } else { None };
        self.tell(tone, &start.unwrap_or(burst))
    }

    /// What a sounding single tone is already known to be.
    fn single(&self, hz: f32, burst: &Burst) -> Option<Tone> {
        let length = burst.length();
        if near(hz, 2100.0, 25.0) {
            return (length >= ms(600)).then_some(Tone::FaxCed);
        }
        if self.sit_start(burst).is_some() {
            return Some(Tone::Sit);
        }
        if ringing_pitch(hz) && self.rings_twice(burst) {
            return Some(Tone::Ringback);
        }
        if ringing_pitch(hz) && self.spoken < GREETING {
            return (length >= RINGING).then_some(Tone::Ringback);
        }
        if sit_third(hz) && self.past[0].is_some_and(|past| follows(&past, burst) && past.is(sit_second)) {
            return None;
        }
        let could_be_more = if cng_pitch(hz) {
            length < ms(640)
        } else {
            sit_first(hz) && length < ms(460) || sit_second(hz) && length < ms(460)
        };
        (!could_be_more && beep_pitch(hz) && !self.note(hz, burst)).then_some(Tone::Beep)
    }

    /// A burst is over.
    fn ended(&mut self, burst: Burst) -> Option<ToneEvent> {
        let settled = std::mem::take(&mut self.settled);
        let told = if std::mem::take(&mut self.beeping) {
            Some(event(Tone::Beep, &burst, true))
        } else if settled {
            None
        } else {
            self.ended_unknown(burst)
        };
        self.past.rotate_right(1);
        self.past[0] = Some(burst);
        told
    }

    fn ended_unknown(&mut self, burst: Burst) -> Option<ToneEvent> {
        // Another tone so soon after the held one: whatever that was, no lone beep.
        self.held = None;
        let Pitch::Single(hz) = burst.pitch else { return None };
        let length = burst.length();
        if cng_pitch(hz) && self.is_cng(&burst) {
            return self.tell(Tone::FaxCng, &burst);
        }
        if ringing_pitch(hz) && self.repeats(&burst, hz) {
            return self.tell(Tone::Busy, &burst);
        }
        if !beep_pitch(hz) || self.note(hz, &burst) {
            return None;
        }
        let wait = if ringing_pitch(hz) {
            // E.180: busy's pause is at most 1.5 times as long as its tone, and they repeat within 1.1 s.
            if burst.start < CUT { ms(950) } else { (length.mul_f32(1.6) + ms(160)).min(ms(950)) }
        } else if sit_first(hz) || sit_second(hz) {
            SIT_PAUSE + ms(60)
        } else {
            return Some(self.whole_beep(&burst));
        };
        self.held = Some((burst, burst.end + wait));
        None
    }

    /// Nothing followed the held burst in time: it was a beep.
    fn held_beep(&mut self, now: Duration, heard: &Heard) -> Option<ToneEvent> {
        let (burst, until) = self.held?;
        let next = |hz| match burst.pitch {
            Pitch::Single(first) if sit_first(first) => sit_second(hz),
            Pitch::Single(_) => sit_third(hz),
            Pitch::Pair(..) => false,
        };
        let coming = heard.pitch.is_some_and(next) && now < until + ms(200);
        if now < until || heard.sounding.is_some() || coming {
            return None;
        }
        self.held = None;
        Some(self.whole_beep(&burst))
    }

    /// A beep known only once it was over: its end is told with the next frame.
    fn whole_beep(&mut self, burst: &Burst) -> ToneEvent {
        self.owed = Some(event(Tone::Beep, burst, true));
        event(Tone::Beep, burst, false)
    }

    /// T.30: 0.5 s, or 3 s after another such; a first one may be cut by the answer. After a spoken greeting
    /// only the repetition tells it from a beep.
    fn is_cng(&self, burst: &Burst) -> bool {
        let half_second = (ms(400)..=ms(600)).contains(&burst.length());
        let cut = burst.start < CUT && burst.length() < ms(600);
        let again = self.past[0].is_some_and(|past| {
            past.is(cng_pitch) && (ms(2400)..=ms(3600)).contains(&burst.start.saturating_sub(past.end))
        });
        half_second && (again || self.spoken < GREETING) || cut
    }

    /// The burst that began the three tones, where this one completes them: the third after the first two, or
    /// after the second alone where the call began inside the first.
    fn sit_start(&self, third: &Burst) -> Option<Burst> {
        let Pitch::Single(hz) = third.pitch else { return None };
        let second = self.past[0]?;
        if !sit_third(hz) || !follows(&second, third) || !second.is(sit_second) {
            return None;
        }
        let first = self.past[1].filter(|first| follows(first, &second) && first.is(sit_first));
        let cut = second.start < ms(400) && third.length() >= ms(200);
        first.or(cut.then_some(second))
    }

    /// The same pitch sounded before for as long, with a pause of about that length between: busy, or
    /// congestion. A first burst may have lost its beginning before the answer.
    fn repeats(&self, burst: &Burst, hz: f32) -> bool {
        let Some(past) = self.past[0] else { return false };
        let same = matches!(past.pitch, Pitch::Single(before) if near(before, hz, 15.0));
        let pause = burst.start.saturating_sub(past.end).as_secs_f32();
        let (before, on) = (past.length().as_secs_f32(), burst.length().as_secs_f32());
        let alike = before < on * 1.25 && (before > on * 0.75 || past.start < CUT);
        same && alike && (0.13..RINGING.as_secs_f32()).contains(&on) && (0.55..1.7).contains(&(pause / on))
    }

    /// Two bursts of 0.4 s, 0.2 s apart, ring in the United Kingdom's way.
    fn rings_twice(&self, burst: &Burst) -> bool {
        self.past[0].is_some_and(|past| {
            let pause = burst.start.saturating_sub(past.end);
            (ms(330)..=ms(470)).contains(&past.length())
                && (ms(130)..=ms(260)).contains(&pause)
                && (ms(330)..=ms(470)).contains(&burst.length())
        })
    }

    /// A note of a melody, not somebody's beep: other notes came just before, or it follows on from something
    /// as loud and is short.
    fn note(&self, hz: f32, burst: &Burst) -> bool {
        let second =
            sit_second(hz) && self.past[0].is_some_and(|past| past.is(sit_first) && follows(&past, burst));
        !second && (self.melody(hz, burst) || !burst.isolated && burst.length() < ms(300))
    }

    fn melody(&self, hz: f32, burst: &Burst) -> bool {
        let recent = |at: Duration| at <= burst.start + FRAME * 3 && at + MELODY > burst.start;
        let notes =
            self.notes.iter().flatten().filter(|(note, at)| !near(*note, hz, 0.03 * hz) && recent(*at));
        let past = self.past.iter().flatten().filter(|past| {
            matches!(past.pitch, Pitch::Single(note) if !near(note, hz, 0.03 * hz)) && recent(past.end)
        });
        notes.count() + past.count() >= 2
    }

    fn tell(&mut self, tone: Tone, burst: &Burst) -> Option<ToneEvent> {
        self.held = None;
        let news = self.told != Some(tone);
        self.told = Some(tone);
        news.then(|| event(tone, burst, false))
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn event(tone: Tone, burst: &Burst, ended: bool) -> ToneEvent {
    let hz = match burst.pitch {
        Pitch::Single(hz) | Pitch::Pair(hz, _) => hz,
    };
    ToneEvent { tone, hz, at: burst.start, until: burst.end, ended }
}

fn follows(first: &Burst, second: &Burst) -> bool {
    second.start.saturating_sub(first.end) <= SIT_PAUSE
        && first.length() >= ms(160)
        && first.length() <= ms(480)
}

impl Burst {
    fn is(&self, pitch: fn(f32) -> bool) -> bool {
        matches!(self.pitch, Pitch::Single(hz) if pitch(hz))
    }
}

fn near(hz: f32, centre: f32, off: f32) -> bool {
    (hz - centre).abs() <= off
}

fn known_pair(low: f32, high: f32) -> Option<Tone> {
    let is = |a: f32, b: f32| near(low, a, 0.015 * a) && near(high, b, 0.015 * b);
    if is(440.0, 480.0) || is(400.0, 450.0) {
        Some(Tone::Ringback)
    } else if is(480.0, 620.0) {
        Some(Tone::Busy)
    } else {
        None
    }
}

fn beep_pitch(hz: f32) -> bool {
    (420.0..=2150.0).contains(&hz)
}

fn ringing_pitch(hz: f32) -> bool {
    (385.0..=460.0).contains(&hz)
}

fn cng_pitch(hz: f32) -> bool {
    near(hz, 1100.0, 40.0)
}

fn sit_first(hz: f32) -> bool {
    (890.0..=1015.0).contains(&hz)
}

fn sit_second(hz: f32) -> bool {
    near(hz, 1400.0, 60.0)
}

fn sit_third(hz: f32) -> bool {
    near(hz, 1790.0, 65.0)
}
