//! One person who talks, and what the recogniser made of it, as a listening call asks for it.

use std::{sync::Arc, time::Duration};

use sidetone_core::{
    call::{AsrFailure, CallId, Heard, Purpose, Transcribe, Transcript},
    frame::{FRAME, Frame, SampleRate},
    turn::{Turn, TurnConfig, TurnStep},
    vad::{Edge, Vad, VadConfig},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::Utterance;
use crate::asr::{AsrHandle, Job, JobDone, SAMPLE_RATE, Segment};

const RATE: usize = SAMPLE_RATE as usize;
/// Answers on their way to one talker: as for a call.
const ANSWERS: usize = 16;

/// The recogniser they all share.
#[derive(Clone)]
pub(super) struct Stage {
    engine: AsrHandle,
    language: Arc<str>,
}

impl Stage {
    pub(super) fn new(engine: AsrHandle, language: &str) -> Self {
        Self { engine, language: language.into() }
    }

    pub(super) fn depth(&self) -> usize {
        self.engine.depth()
    }

    /// Queues a job as a session does.
    pub(super) fn submit(
        &self,
        call: &CallId,
        request: &Transcribe,
        pcm: Arc<[i16]>,
        reply: mpsc::Sender<JobDone>,
    ) -> bool {
        let patience = match request.purpose {
            Purpose::Amd | Purpose::AmdCareful | Purpose::AmdLate => 400,
            Purpose::EndOfTurn => 1500,
            Purpose::Partial | Purpose::PostCall => 1000,
        };
        let job = Job {
            call: call.clone(),
            utterance: request.utterance,
            purpose: request.purpose,
            language: self.language.clone(),
            among: None,
            segment: Segment { pcm, voiced: request.voiced },
            to: request.to,
            deadline: Instant::now() + Duration::from_millis(patience),
            reply,
        };
        self.engine.submit(job).is_ok()
    }
}

/// What a talker says and when: half the time speech.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    pub(super) talker: usize,
    pub(super) pcm: Arc<[i16]>,
    /// Words with their ends in the timeline, in seconds.
    pub(super) words: Arc<[(f64, String)]>,
}

impl Timeline {
    pub(super) fn new(utterances: &[Utterance], talker: usize, length: Duration) -> anyhow::Result<Self> {
        let whole = length.as_secs() as usize * RATE;
        // Nobody begins together.
        let mut pcm = vec![0i16; (talker * 7919 % 4000) * RATE / 1000];
        let mut words = Vec::new();
        let mut at = talker * 13;
        while pcm.len() < whole {
            let utterance = &utterances[at % utterances.len()];
            at += 1;
            let start = pcm.len() as f64 / RATE as f64;
            words.extend(utterance.words.iter().map(|(end, word)| (start + end, word.clone())));
            let sound = utterance.clip.pcm()?;
            pcm.extend_from_slice(&sound);
            // As long silent as speaking, on the line's own faint noise.
            pcm.extend((0..sound.len()).map(|i| ((i * 2_654_435_761) >> 7 & 7) as i16 - 4));
        }
        pcm.truncate(whole);
        let end = length.as_secs_f64() - 1.5;
        words.retain(|(at, _)| *at < end);
        Ok(Self { talker, pcm: pcm.into(), words: words.into() })
    }
}

/// A text as it came: when (seconds since the timeline's start), and what stretch it is of.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) at: f64,
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) text: String,
}

/// What came of one talker.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) texts: Vec<Text>,
    pub(super) partials: u64,
    pub(super) failed: u64,
}

struct Talker {
    stage: Stage,
    timeline: Timeline,
    call: CallId,
    start: Instant,
    vad: Vad,
    turn: Option<Turn>,
    next_id: u32,
    replies: mpsc::Sender<JobDone>,
    /// Requests under way: which stretch they are of.
    asked: Vec<Transcribe>,
    said: Said,
}

/// Speaks a timeline through, 20 ms at a time from `start`.
pub(super) async fn speak(stage: Stage, timeline: Timeline, start: Instant) -> Said {
    let (replies, mut answers) = mpsc::channel(ANSWERS);
    let Some(call) = CallId::new(&format!("talker-{}", timeline.talker)) else { return Said::default() };
    let mut talker = Talker {
        stage,
        call,
        start,
        vad: Vad::new(SampleRate::HZ_16000, VadConfig::default()),
        turn: None,
        next_id: 1,
        replies,
        asked: Vec::new(),
        said: Said::default(),
        timeline,
    };
    let samples = SampleRate::HZ_16000.samples_per_frame();
    let frames = talker.timeline.pcm.len() / samples;
    let mut alarm = std::pin::pin!(sleep_until(start));
    let mut frame = 0;
    while frame < frames {
        tokio::select! {
            biased;
            Some(done) = answers.recv() => talker.answer(done),
            () = &mut alarm => {
                frame += 1;
                // A frame is there once it is spoken.
                alarm.as_mut().reset(start + FRAME * (frame as u32 + 1));
                let pcm = talker.timeline.pcm.clone();
                talker.frame(&pcm[(frame - 1) * samples..frame * samples]);
            }
        }
    }
    talker.said
}

impl Talker {
    fn frame(&mut self, samples: &[i16]) {
        let Some(frame) = Frame::new(SampleRate::HZ_16000, samples) else { return };
        let heard = self.vad.push(&frame);
        let media = self.vad.now();
        if self.turn.is_none()
            && let Some(Edge::Start { at }) = heard.edge
        {
            self.turn = Some(Turn::new(TurnConfig::default(), at, media, self.next_id));
        }
        let Some(turn) = &mut self.turn else { return };
        match turn.frame(media, heard.voiced, heard.dbfs) {
            Some(TurnStep::Transcribe(request)) => self.ask(request),
            Some(TurnStep::Over(_)) => {
                self.next_id = turn.next_id();
                self.turn = None;
            }
            None => {}
        }
    }

    fn ask(&mut self, request: Transcribe) {
        let sample = |time: Duration| (time.as_millis() as usize * RATE / 1000).min(self.timeline.pcm.len());
        let pcm = self.timeline.pcm[sample(request.from)..sample(request.to)].into();
        self.said.partials += u64::from(request.purpose == Purpose::Partial);
        if self.stage.submit(&self.call, &request, pcm, self.replies.clone()) {
            self.asked.push(request);
        } else {
            self.failed(&request);
        }
    }

    fn answer(&mut self, done: JobDone) {
        let same = |asked: &Transcribe| {
            asked.utterance == done.utterance && asked.purpose == done.purpose && asked.to == done.to
        };
        let Some(at) = self.asked.iter().position(same) else { return };
        let request = self.asked.remove(at);
        let outcome = match done.result {
            Ok(Ok(text)) => {
                self.said.texts.push(Text {
                    at: self.start.elapsed().as_secs_f64(),
                    from: request.from.as_secs_f64(),
                    to: request.to.as_secs_f64(),
                    text: text.clone(),
                });
                Heard::Text(text)
            }
            Ok(Err(gate)) => Heard::Nothing(gate),
            Err(_) => return self.failed(&request),
        };
        self.tell(&request, outcome);
    }

    fn failed(&mut self, request: &Transcribe) {
        self.said.failed += 1;
        self.tell(request, Heard::Failed(AsrFailure::Late));
    }

    fn tell(&mut self, request: &Transcribe, outcome: Heard) {
        if let Some(turn) = &mut self.turn {
            turn.transcript(&Transcript {
                utterance: request.utterance,
                purpose: request.purpose,
                to: request.to,
                outcome,
                others: Vec::new(),
                queued: Duration::ZERO,
                compute: Duration::ZERO,
            });
        }
    }
}
