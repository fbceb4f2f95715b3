//! From frames to bursts: one pitch, held steady.

use std::{f32::consts::TAU, sync::LazyLock, time::Duration};

use crate::{
    frame::FRAME,
    spectrum::{BINS, HOP, KEPT, Spectrum, bin, lobe, peak_hz},
    vad::NoiseFloor,
};

/// The telephone band, less the hum below it: what a line's power is compared with.
const BAND: std::ops::Range<usize> = bin(250.0)..bin(3400.0);
/// Where a tone's line may lie.
const LINES: std::ops::RangeInclusive<usize> = bin(330.0)..=bin(2200.0);
/// Least part of the band's power in one line. White noise 10 dB below the tone leaves 0.9.
const PURE: f32 = 0.8;
/// The same, averaged over a burst: a short one must be purer, for notes of music are short.
const PURE_BURST: f32 = 0.87;
const PURE_SHORT: f32 = 0.93;
const SHORT: u32 = 9;
/// Quieter than this is no tone anybody means to be heard.
const QUIET_DBFS: f32 = -58.0;
/// How far one frame's pitch may be off the burst's mean: a beating line noise needs more than 0.5 %.
const DRIFT: f32 = 0.01;
const DRIFT_HZ: f32 = 8.0;
/// Pitch and level range over the steady part of a burst. No voice is as steady for 120 ms.
const WOBBLE: f32 = 0.007;
const WOBBLE_HZ: f32 = 6.0;
const WOBBLE_DB: f32 = 1.8;
/// Frames of a burst, its two edges included, before it counts.
const ESTABLISHED: u32 = 7;
/// Samples of the fine analysis: 100 ms, 10 Hz a bin.
const FINE: usize = KEPT * HOP;
/// Frames in a row, all their power low, before the fine analysis looks for two lines.
const LOW_FRAMES: u32 = 5;
/// A tone that follows something hardly quieter may be a note.
const ISOLATED_DB: f32 = 6.0;
/// A sine's lobe is measured against its peak, a frame against its root mean square.
const LOBE_DB: f32 = 3.0;
const SILENT_DBFS: f32 = -100.0;
/// Voices are this much louder than the line's noise.
const OVER_NOISE_DB: f32 = 12.0;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pitch {
    Single(f32),
    /// Two lines too close for a single frame's spectrum, the lower first.
    Pair(f32, f32),
}

/// A steady tone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Burst {
    pub(super) pitch: Pitch,
    pub(super) start: Duration,
    /// So far, while it sounds.
    pub(super) end: Duration,
    /// It was quieter just before: a melody's notes follow one another.
    pub(super) isolated: bool,
}

impl Burst {
    pub(super) fn length(&self) -> Duration {
        self.end - self.start
    }
}

/// What one frame told.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) sounding: Option<Burst>,
    pub(super) ended: Option<Burst>,
    /// A steady pitch too short for a tone ended: a note of a melody, or a vowel.
    pub(super) note: Option<f32>,
    /// The pitch of the line just now, steady or not.
    pub(super) pitch: Option<f32>,
    /// Something loud that is no tone: speech, most likely.
    pub(super) voice_like: bool,
}

#[derive(Debug)]
pub(super) struct Tracker {
    floor: NoiseFloor,
    /// Frames since audio was lost, no more than the fine analysis takes.
    unbroken: usize,
    now: Duration,
    /// Levels of the two frames before the newest.
    before: [f32; 2],
    run: Option<Run>,
    low: LowBand,
}

/// Frames in a row with one line at one pitch.
#[derive(Debug)]
struct Run {
    start: Duration,
    end: Duration,
    frames: u32,
    mean_hz: f32,
    purity: f32,
    /// Level of the frame before the one before its first, which shares no window with it.
    before_dbfs: f32,
    hz: (f32, f32),
    db: (f32, f32),
    /// Frames just now without the line.
    missed: u32,
    /// Known not to be two lines.
    single: bool,
}

/// Frames in a row whose power all lies from 330 to 660 Hz: perhaps two lines.
#[derive(Debug, Default)]
struct LowBand {
    frames: u32,
    pair: Option<Burst>,
}

/// The line of one frame.
#[derive(Clone, Copy)]
struct Line {
    hz: f32,
    purity: f32,
    db: f32,
    low: bool,
}

impl Tracker {
    pub(super) fn new() -> Self {
        Self {
            floor: NoiseFloor::new(),
            unbroken: 0,
            now: Duration::ZERO,
            before: [SILENT_DBFS; 2],
            run: None,
            low: LowBand::default(),
        }
    }

    /// Media time after the newest frame.
    pub(super) fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn push(&mut self, sound: &mut Spectrum) -> Heard {
        self.unbroken = (self.unbroken + 1).min(KEPT);
        let start = self.now;
        self.now += FRAME;
        let dbfs = sound.dbfs();
        let loud = dbfs > (self.floor.dbfs() + OVER_NOISE_DB).max(QUIET_DBFS);
        self.floor.push(dbfs);
        let line = (dbfs > QUIET_DBFS).then(|| strongest_line(sound.power()));
        let mut heard = Heard::default();
        self.follow_pair(line, start, sound, &mut heard);
        let tonal = line.filter(|line| line.purity >= PURE);
        self.follow_line(tonal, start, sound, &mut heard);
        self.before = [self.before[1], dbfs];
        heard.pitch = self.run.as_ref().map(|run| run.mean_hz);
        heard.voice_like = loud && tonal.is_none() && self.low.frames < LOW_FRAMES;
        heard
    }

    pub(super) fn gap(&mut self, frames: u32) -> Heard {
        let mut heard = Heard::default();
        self.end_run(&mut heard);
        self.end_pair(&mut heard);
        self.unbroken = 0;
        self.before = [SILENT_DBFS; 2];
        self.now += FRAME * frames;
        heard
    }

    fn follow_line(&mut self, line: Option<Line>, start: Duration, sound: &Spectrum, heard: &mut Heard) {
        let (now, before) = (self.now, self.before[0]);
        let goes_on = self.run.as_mut().is_some_and(|run| line.is_some_and(|line| run.extend(line, now)));
        let forgiven = !goes_on && self.run.as_mut().is_some_and(Run::forgive);
        if !goes_on && !forgiven {
            self.end_run(heard);
            self.run = line.map(|line| Run::new(line, start, before));
        }
        let check = self.run.as_ref().is_some_and(|run| run.steady() && !run.single);
        if check {
            let single = !self.run.as_ref().is_some_and(|run| run.mean_hz < 700.0)
                || fine_lines(sound, self.unbroken).is_none();
            if let Some(run) = &mut self.run {
                run.single = single;
            }
        }
        if self.low.pair.is_none() {
            heard.sounding = heard.sounding.or(self.run.as_ref().and_then(Run::burst));
        }
    }

    fn end_run(&mut self, heard: &mut Heard) {
        let Some(run) = self.run.take() else { return };
        if self.low.pair.is_some() {
            return;
        }
        match run.burst() {
            Some(burst) => heard.ended = heard.ended.or(Some(burst)),
            None if run.frames >= LOW_FRAMES => heard.note = Some(run.mean_hz),
            None => {}
        }
    }

    /// Looks for two close lines once in 100 ms; a pair counts when two looks in a row agree.
    fn follow_pair(&mut self, line: Option<Line>, start: Duration, sound: &Spectrum, heard: &mut Heard) {
        if !line.is_some_and(|line| line.low) {
            return self.end_pair(heard);
        }
        self.low.frames += 1;
        if self.low.frames.is_multiple_of(LOW_FRAMES) {
            let began = start.saturating_sub(FRAME * (LOW_FRAMES - 1));
            match (fine_lines(sound, self.unbroken), &mut self.low.pair) {
                (Some((a, b)), Some(pair)) if same_pair(pair.pitch, a, b) => pair.end = self.now,
                (Some((a, b)), _) => {
                    self.end_pair(heard);
                    self.low.pair =
                        Some(Burst { pitch: Pitch::Pair(a, b), start: began, end: self.now, isolated: true });
                }
                (None, _) => self.end_pair(heard),
            }
        }
        heard.sounding = self.low.established();
    }

    fn end_pair(&mut self, heard: &mut Heard) {
        heard.ended = heard.ended.or(self.low.established());
        self.low = LowBand::default();
    }
}

impl LowBand {
    fn established(&self) -> Option<Burst> {
        self.pair.filter(|pair| pair.length() >= FRAME * LOW_FRAMES * 2)
    }
}

impl Run {
    fn new(line: Line, start: Duration, before_dbfs: f32) -> Self {
        Self {
            start,
            end: start + FRAME,
            frames: 1,
            mean_hz: line.hz,
            purity: line.purity,
            before_dbfs,
            hz: (line.hz, line.hz),
            db: (line.db, line.db),
            missed: 0,
            single: false,
        }
    }

    /// False where the line does not go on: another pitch, or quite another level.
    fn extend(&mut self, line: Line, now: Duration) -> bool {
        if self.frames == 1 && line.db > self.db.1 + 1.0 {
            // The first window held the tone's onset only: it says where it began, nothing else.
            *self = Self { frames: 1, end: now, ..Self::new(line, self.start, self.before_dbfs) };
            return (self.end - self.start) <= FRAME * 3;
        }
        if (line.hz - self.mean_hz).abs() > DRIFT_HZ.max(DRIFT * self.mean_hz) || line.db < self.db.1 - 3.0 {
            return false;
        }
        if self.frames < ESTABLISHED {
            (self.hz, self.db) = (widen(self.hz, line.hz), widen(self.db, line.db));
            if self.hz.1 - self.hz.0 > WOBBLE_HZ.max(WOBBLE * self.mean_hz)
                || self.db.1 - self.db.0 > WOBBLE_DB
            {
                return false;
            }
        }
        (self.end, self.missed) = (now, 0);
        self.frames += 1;
        let weight = 1.0 / self.frames as f32;
        self.mean_hz += (line.hz - self.mean_hz) * weight;
        self.purity += (line.purity - self.purity) * weight;
        true
    }

    /// An established tone outlives one spoilt frame: a fax answers with phase reversals.
    fn forgive(&mut self) -> bool {
        self.missed += 1;
        self.steady() && self.missed == 1
    }

    fn steady(&self) -> bool {
        self.frames + 1 >= ESTABLISHED
            && self.purity >= if self.frames < SHORT { PURE_SHORT } else { PURE_BURST }
    }

    fn burst(&self) -> Option<Burst> {
        (self.steady() && self.single).then_some(Burst {
            pitch: Pitch::Single(self.mean_hz),
            start: self.start,
            end: self.end,
            isolated: self.before_dbfs < self.db.1 - LOBE_DB - ISOLATED_DB,
        })
    }
}

fn widen((low, high): (f32, f32), x: f32) -> (f32, f32) {
    (low.min(x), high.max(x))
}

fn same_pair(pitch: Pitch, a: f32, b: f32) -> bool {
    matches!(pitch, Pitch::Pair(x, y) if (x - a).abs() < 12.0 && (y - b).abs() < 12.0)
}

fn strongest_line(power: &[f32; BINS]) -> Line {
    let total: f32 = power[BAND].iter().sum::<f32>().max(1e-12);
    let k = LINES.max_by(|&a, &b| power[a].total_cmp(&power[b])).unwrap_or(bin(1000.0));
    let peak = power[k] >= power[k - 1] && power[k] >= power[k + 1];
    let line = lobe(power, k);
    let low: f32 = power[bin(300.0)..=bin(700.0)].iter().sum();
    Line {
        hz: peak_hz(power, k),
        purity: if peak { line / total } else { 0.0 },
        db: 10.0 * line.max(1e-12).log10(),
        low: low / total > PURE_BURST,
    }
}

/// The two lines from 330 to 680 Hz that hold nearly all the power of the last 100 ms and are alike in level;
/// `None` for one line, and for anything else. Of the frames only the last `unbroken` belong together.
fn fine_lines(sound: &Spectrum, unbroken: usize) -> Option<(f32, f32)> {
    let mut windowed = [0.0f32; FINE];
    let mut energy = 0.0f32;
    let first = KEPT - unbroken;
    let samples = (first..KEPT).flat_map(|at| sound.frame(KEPT - 1 - at));
    for ((to, hann), x) in windowed.iter_mut().zip(HANN.iter()).skip(first * HOP).zip(samples) {
        *to = hann * x;
        energy += *to * *to;
    }
    let power = goertzel_bank(&windowed);
    let local = |i: usize| (i == 0 || power[i] >= power[i - 1]) && (i + 1 == BANK || power[i] > power[i + 1]);
    let strongest = |but: Option<usize>| {
        (0..BANK)
            .filter(|&i| local(i) && but.is_none_or(|b| i.abs_diff(b) >= 3))
            .max_by(|&a, &b| power[a].total_cmp(&power[b]))
    };
    let one = strongest(None)?;
    let two = strongest(Some(one))?;
    let (low, high) = (one.min(two), one.max(two));
    let dip = power[low..=high].iter().copied().fold(f32::INFINITY, f32::min);
    // One filter's share of a sine's windowed energy: |X|^2 = (A N / 4)^2, energy = A^2 / 2 * 3 N / 8.
    let share = |i: usize| power[i] * 3.0 / FINE as f32 / energy.max(1e-6);
    let alike = power[two] > power[one] * 0.1 && dip < power[two] * 0.5;
    (alike && share(one) + share(two) > 0.6).then(|| (bank_hz(&power, low), bank_hz(&power, high)))
}

/// The fine analysis' filters, 10 Hz apart.
const BANK: usize = 36;
const BANK_FROM_HZ: f32 = 330.0;
const BANK_STEP_HZ: f32 = 10.0;

static HANN: LazyLock<[f32; FINE]> =
    LazyLock::new(|| std::array::from_fn(|i| 0.5 - 0.5 * (TAU * i as f32 / FINE as f32).cos()));
static COEFFICIENTS: LazyLock<[f32; BANK]> = LazyLock::new(|| {
    std::array::from_fn(|i| 2.0 * (TAU * (BANK_FROM_HZ + i as f32 * BANK_STEP_HZ) / 8000.0).cos())
});

/// Goertzel's recurrence for every filter, side by side.
fn goertzel_bank(samples: &[f32; FINE]) -> [f32; BANK] {
    let coefficients = &*COEFFICIENTS;
    let (mut s1, mut s2) = ([0.0f32; BANK], [0.0f32; BANK]);
    for &x in samples {
        for i in 0..BANK {
            let s0 = x + coefficients[i] * s1[i] - s2[i];
            s2[i] = s1[i];
            s1[i] = s0;
        }
    }
    std::array::from_fn(|i| s1[i] * s1[i] + s2[i] * s2[i] - coefficients[i] * s1[i] * s2[i])
}

/// Frequency of the peak at filter `i`, between filters, as in [`peak_hz`].
fn bank_hz(power: &[f32; BANK], i: usize) -> f32 {
    let side = |i: Option<usize>| i.and_then(|i| power.get(i)).copied().unwrap_or(0.0).sqrt();
    let (left, right) = (side(i.checked_sub(1)), side(Some(i + 1)));
    let a = left.max(right) / power[i].sqrt().max(1e-6);
    let offset = ((2.0 * a - 1.0) / (1.0 + a)).clamp(-0.5, 0.5);
    BANK_FROM_HZ + (i as f32 + if right > left { offset } else { -offset }) * BANK_STEP_HZ
}
