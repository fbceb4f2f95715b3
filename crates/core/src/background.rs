//! How loud is what is not the person: the line's noise, a television, people in the same room.
//!
//! Learned while the bot speaks, from every frame that is neither the prompt's echo nor the person. Whoever holds
//! the telephone is nearer to it than anything else, and stands clearly above it. As long as nothing is known,
//! a telephone call's usual speech level has to do; what the person said before sets it right.

#[cfg(test)]
mod tests;

/// Bins of 1 dB up to full scale.
const BINS: usize = 90;
/// The histogram forgets with a time constant of 8 s.
const KEEP: f32 = 1.0 - 1.0 / 400.0;
/// So many frames must have been heard before the background counts: a second.
const ENOUGH: f32 = 50.0;
/// A person is so much (in dB) louder than the background's loud moments.
const LOUD: (f32, f32) = (0.95, 3.0);
/// What sounds less often than this is no background, however loud: the person's own "mm-hm", a door.
const LASTING: (f32, f32) = (0.8, 8.0);
/// A voice that may be the person's while nobody has been heard yet: speech on telephones lies around -26 dBFS.
const UNKNOWN: f32 = -34.0;
/// A known person's voice is above this much below its own loud moments.
const RANGE: f32 = 13.0;
/// Neither very quiet nor very loud people move the bounds beyond these.
const FLOORS: (f32, f32) = (-50.0, -30.0);
/// Within a turn a voice may be so much below what it had to reach to begin one.
const WITHIN: f32 = 6.0;
/// Frames of the person's voice before its level is believed.
const VOICE: f32 = 12.0;

/// The levels of one call.
#[derive(Debug, Clone)]
pub struct Levels {
    background: Histogram,
    /// The person, while they speak alone or interrupt.
    person: Histogram,
}

#[derive(Debug, Clone)]
struct Histogram {
    bins: [f32; BINS],
    total: f32,
}

impl Default for Levels {
    fn default() -> Self {
        Self { background: Histogram::new(), person: Histogram::new() }
    }
}

impl Levels {
    /// A frame of whatever is there when the person is silent.
    pub fn background(&mut self, dbfs: f32) {
        self.background.forget();
        self.background.add(dbfs);
    }

    /// A voiced frame of the person.
    pub fn person(&mut self, dbfs: f32) {
        self.person.forget();
        self.person.add(dbfs);
    }

    /// What a frame must reach to begin an interruption, in dBFS.
    #[must_use]
    pub fn near(&self) -> f32 {
        self.floor().max(self.loud_background())
    }

    /// What it must reach once one has begun.
    #[must_use]
    pub fn within(&self) -> f32 {
        self.near() - WITHIN
    }

    /// While the bot is silent and waits, only what is surely background is not the person.
    #[must_use]
    pub fn waiting(&self) -> f32 {
        let floor = if self.person.total >= VOICE { self.floor() } else { UNKNOWN - WITHIN };
        floor.min(self.loud_background())
    }

    fn loud_background(&self) -> f32 {
        if self.background.total < ENOUGH {
            return -BINS_DB;
        }
        let above = |(share, margin): (f32, f32)| self.background.quantile(share) + margin;
        above(LOUD).min(above(LASTING))
    }

    fn floor(&self) -> f32 {
        if self.person.total < VOICE {
            return UNKNOWN;
        }
        (self.person.quantile(LOUD.0) - RANGE).clamp(FLOORS.0, FLOORS.1)
    }
}

const BINS_DB: f32 = BINS as f32;

impl Histogram {
    fn new() -> Self {
        Self { bins: [0.0; BINS], total: 0.0 }
    }

    fn forget(&mut self) {
        self.bins.iter_mut().for_each(|bin| *bin *= KEEP);
        self.total *= KEEP;
    }

    fn add(&mut self, dbfs: f32) {
        let bin = (dbfs + BINS_DB).clamp(0.0, BINS_DB - 1.0) as usize;
        self.bins[bin] += 1.0;
        self.total += 1.0;
    }

    fn quantile(&self, share: f32) -> f32 {
        let mut above = self.total * (1.0 - share);
        for (bin, weight) in self.bins.iter().enumerate().rev() {
            above -= weight;
            if above < 0.0 {
                return bin as f32 + 0.5 - BINS_DB;
            }
        }
        -BINS_DB
    }
}
