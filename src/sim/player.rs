//! What a channel plays: a queue of files, one at a time, stepped every 20 ms.

use std::collections::VecDeque;

use super::audio::{Clip, FRAME, Library, Samples, frame_at};

/// `uuid_broadcast` plays so many frames of nothing first.
pub(super) const BROADCAST_LEAD: u8 = 5;

/// One `playback` as it was asked for.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) app_uuid: String,
    /// `{turn=7}/path/file.wav@@3200`.
    pub(super) arg: String,
    /// Frames of silence before the file.
    pub(super) lead: u8,
}

/// What came of a step, to be told in this order.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Started(Playing),
    NotFound(Job),
    Stopped { was: Playing, broken: bool },
}

#[derive(Debug, Clone)]
pub(super) struct Playing {
    pub(super) job: Job,
    pub(super) path: String,
    /// From `{name=value}` before the file: they come back as headers.
    pub(super) params: Vec<(String, String)>,
    clip: Clip,
    /// From the file's start, in samples.
    pub(super) position: usize,
}

/// What a break found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakEffect {
    /// The file that plays will stop.
    Stops,
    /// A broadcast was about to start: it plays all the same.
    Lost,
    /// Only what waited was dropped.
    Flushed,
    /// Nothing played.
    Idle,
}

#[derive(Debug, Default)]
enum Now {
    #[default]
    Idle,
    Lead(Job, u8),
    Playing(Playing),
}

#[derive(Debug, Default)]
pub(super) struct Player {
    queue: VecDeque<Job>,
    now: Now,
    broken: bool,
}

impl Player {
    pub(super) fn push(&mut self, job: Job) {
        if job.lead > 0 && matches!(self.now, Now::Idle) && self.queue.is_empty() {
            let lead = job.lead;
            self.now = Now::Lead(job, lead);
        } else {
            self.queue.push_back(job);
        }
    }

    /// `all` also drops what waits.
    pub(super) fn stop(&mut self, all: bool) -> BreakEffect {
        let waited = all && !self.queue.is_empty();
        if all {
            self.queue.clear();
        }
        match self.now {
            Now::Playing(_) => {
                self.broken = true;
                BreakEffect::Stops
            }
            Now::Lead(..) => BreakEffect::Lost,
            Now::Idle if waited => BreakEffect::Flushed,
            Now::Idle => BreakEffect::Idle,
        }
    }

    /// The end of the channel: what plays stops with no further frame.
    pub(super) fn abort(&mut self) -> Option<Playing> {
        self.queue.clear();
        match std::mem::take(&mut self.now) {
            Now::Playing(playing) => Some(playing),
            Now::Idle | Now::Lead(..) => None,
        }
    }

    /// Ends and begins what is due. A next file follows without a gap.
    pub(super) fn step(&mut self, library: &Library) -> Vec<Step> {
        let mut steps = Vec::new();
        loop {
            match std::mem::take(&mut self.now) {
                Now::Playing(was) if self.broken || was.position >= was.clip.len() => {
                    steps.push(Step::Stopped { was, broken: std::mem::take(&mut self.broken) });
                }
                playing @ Now::Playing(_) => {
                    self.now = playing;
                    return steps;
                }
                Now::Lead(job, left) if left > 0 => {
                    self.now = Now::Lead(job, left - 1);
                    return steps;
                }
                Now::Lead(job, _) => self.start(job, library, &mut steps),
                Now::Idle => match self.queue.pop_front() {
                    Some(job) if job.lead > 0 => {
                        let lead = job.lead;
                        self.now = Now::Lead(job, lead);
                    }
                    Some(job) => self.start(job, library, &mut steps),
                    None => return steps,
                },
            }
        }
    }

    /// The next 20 ms for the far end.
    pub(super) fn frame(&mut self) -> Option<Samples> {
        let Now::Playing(playing) = &mut self.now else { return None };
        let frame = frame_at(&playing.clip, playing.position);
        playing.position += FRAME;
        Some(frame)
    }

    fn start(&mut self, job: Job, library: &Library, steps: &mut Vec<Step>) {
        let (path, params, from) = file_argument(&job.arg);
        match library.playable(&path) {
            Ok(clip) => {
                let playing = Playing { job, path, params, clip, position: from };
                steps.push(Step::Started(playing.clone()));
                self.now = Now::Playing(playing);
            }
            Err(_) => steps.push(Step::NotFound(job)),
        }
    }
}

/// `{turn=7,id=x}/path/file.wav@@3200` in its parts.
fn file_argument(arg: &str) -> (String, Vec<(String, String)>, usize) {
    let (params, path) = match arg.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((params, path)) => (params, path),
        None => ("", arg),
    };
    let params = super::wire::split_args(params, ',', usize::MAX)
        .iter()
        .filter_map(|p| p.split_once('='))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    let (path, from) = match path.rsplit_once("@@") {
        Some((path, samples)) => (path, samples.parse().unwrap_or(0)),
        None => (path, 0),
    };
    (path.to_owned(), params, from)
}
