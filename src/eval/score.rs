//! What all clips together say.

use std::collections::BTreeMap;

use serde::Serialize;
use sidetone_core::amd::Verdict;

use super::{
    amd::{AmdRun, Fell, word},
    manifest::{BadRow, Label, Row, is_machine, is_nobody},
    stats::{Count, Spread},
};

/// People who speak for longer are counted apart.
const LONG_SPEECH_MS: i64 = 3500;
/// A greeting, for the fast path.
const GREETING_MS: i64 = 2000;

/// A clip and what came of it.
#[derive(Debug, Clone, Serialize)]
pub struct ClipResult {
    pub file: String,
    pub label: Label,
    pub lang: String,
    pub effect: String,
    pub subtype: String,
    pub real_or_tts: String,
    /// The language that was listened for.
    pub language: String,
    pub first: Option<Verdict>,
    #[serde(rename = "final")]
    pub last: Option<Verdict>,
    /// A person called machine, tone, fax or music at any moment.
    pub human_as_machine: bool,
    /// Of the first verdict, from the answer.
    pub verdict_ms: Option<i64>,
    /// From the end of speech (within the clip) to the first verdict; negative where it fell before.
    pub after_speech_ms: Option<i64>,
    pub speech_ms: Option<i64>,
    /// Of the transcripts that had come by the first verdict, all together.
    pub compute_ms: Option<i64>,
    #[serde(flatten)]
    pub run: AmdRun,
}

impl ClipResult {
    #[must_use]
    pub fn new(row: &Row, run: AmdRun) -> Self {
        let first = run.verdicts.first().cloned();
        let verdict_ms = first.as_ref().map(|fell| fell.at_ms);
        // What is said after the clip's cut is never heard.
        let speech = row.speech_ms.map(|(start, end)| (start.min(run.clip_ms), end.min(run.clip_ms)));
        let speech = speech.filter(|(start, end)| end > start);
        let is_person = row.label == Label::Human;
        Self {
            file: row.file.clone(),
            label: row.label,
            lang: row.lang.clone(),
            effect: row.effect.clone(),
            subtype: row.subtype.clone(),
            real_or_tts: row.real_or_tts.clone(),
            language: row.language.clone(),
            first: first.as_ref().map(|fell| fell.verdict),
            last: run.verdicts.last().map(|fell| fell.verdict),
            human_as_machine: is_person && run.verdicts.iter().any(|fell| is_nobody(fell.verdict)),
            verdict_ms,
            after_speech_ms: verdict_ms.zip(speech).map(|(at, (_, end))| at - end),
            speech_ms: speech.map(|(start, end)| end - start),
            compute_ms: compute(&run, first.as_ref()),
            run,
        }
    }

    fn first_is(&self, is: impl Fn(Verdict) -> bool) -> bool {
        self.first.is_some_and(is)
    }

    fn last_is(&self, is: impl Fn(Verdict) -> bool) -> bool {
        self.last.is_some_and(is)
    }

    fn speaks(&self, is: impl Fn(i64) -> bool) -> bool {
        self.label == Label::Human && self.speech_ms.is_some_and(is)
    }
}

fn compute(run: &AmdRun, first: Option<&Fell>) -> Option<i64> {
    let until = first?.at_ms;
    let came = run.transcripts.iter().filter(|heard| heard.at_ms <= until);
    let took: Vec<i64> = came.map(|heard| i64::try_from(heard.compute_ms).unwrap_or(i64::MAX)).collect();
    (!took.is_empty()).then(|| took.iter().sum())
}

/// The figures of some clips.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    pub clips: usize,
    /// Late corrections included.
    pub human_as_machine: Count,
    pub human_as_machine_first: Count,
    pub machine_recall_first: Count,
    pub machine_recall_final: Count,
    /// Neither person nor machine (tones, fax, music, silence), yet called a person at the end.
    pub other_as_human: Count,
    /// The final verdict is the label's.
    pub right: Count,
    pub verdict_ms: Spread,
    /// People only.
    pub after_speech_ms: Spread,
    pub compute_ms: Spread,
}

impl Group {
    fn of(clips: &[&ClipResult]) -> Self {
        let people = || clips.iter().filter(|clip| clip.label == Label::Human);
        let machines = || clips.iter().filter(|clip| clip.label == Label::Machine);
        let others = || clips.iter().filter(|clip| !matches!(clip.label, Label::Human | Label::Machine));
        Self {
            clips: clips.len(),
            human_as_machine: Count::of(people(), |clip| clip.human_as_machine),
            human_as_machine_first: Count::of(people(), |clip| clip.first_is(is_nobody)),
            machine_recall_first: Count::of(machines(), |clip| clip.first_is(is_machine)),
            machine_recall_final: Count::of(machines(), |clip| clip.last_is(is_machine)),
            other_as_human: Count::of(others(), |clip| clip.last_is(|verdict| verdict == Verdict::Human)),
            right: Count::of(clips, |clip| clip.last_is(|verdict| clip.label.is(verdict))),
            verdict_ms: Spread::new(clips.iter().filter_map(|clip| clip.verdict_ms)),
            after_speech_ms: Spread::new(people().filter_map(|clip| clip.after_speech_ms)),
            compute_ms: Spread::new(clips.iter().filter_map(|clip| clip.compute_ms)),
        }
    }
}

/// By the first and by the final verdict: label, verdict, how many. `none`: no verdict fell.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Confusion {
    pub first: BTreeMap<Label, BTreeMap<String, usize>>,
    #[serde(rename = "final")]
    pub last: BTreeMap<Label, BTreeMap<String, usize>>,
}

/// What all clips together say.
#[derive(Debug, Clone, Serialize)]
pub struct AmdReport {
    #[serde(flatten)]
    pub all: Group,
    pub by_language: BTreeMap<String, Group>,
    pub by_effect: BTreeMap<String, Group>,
    pub by_subtype: BTreeMap<String, Group>,
    pub by_real_or_tts: BTreeMap<String, Group>,
    /// People by how long they speak; `under_2_s` is within `up_to_3.5_s`.
    pub by_speech: BTreeMap<String, Group>,
    pub confusion: Confusion,
    /// Which model heard which language.
    pub models: BTreeMap<String, String>,
    pub bad_rows: Vec<BadRow>,
}

/// Puts the results together.
#[must_use]
pub fn report(clips: &[ClipResult], models: BTreeMap<String, String>, bad_rows: Vec<BadRow>) -> AmdReport {
    AmdReport {
        all: Group::of(&clips.iter().collect::<Vec<_>>()),
        by_language: by(clips, |clip| &clip.lang),
        by_effect: by(clips, |clip| &clip.effect),
        by_subtype: by(clips, |clip| &clip.subtype),
        by_real_or_tts: by(clips, |clip| &clip.real_or_tts),
        by_speech: by_speech(clips),
        confusion: confusion(clips),
        models,
        bad_rows,
    }
}

fn by(clips: &[ClipResult], key: impl Fn(&ClipResult) -> &String) -> BTreeMap<String, Group> {
    let mut sorted: BTreeMap<String, Vec<&ClipResult>> = BTreeMap::new();
    for clip in clips.iter().filter(|clip| !key(clip).is_empty()) {
        sorted.entry(key(clip).clone()).or_default().push(clip);
    }
    sorted.into_iter().map(|(name, clips)| (name, Group::of(&clips))).collect()
}

fn by_speech(clips: &[ClipResult]) -> BTreeMap<String, Group> {
    let group = |is: &dyn Fn(i64) -> bool| {
        Group::of(&clips.iter().filter(|clip| clip.speaks(is)).collect::<Vec<_>>())
    };
    BTreeMap::from([
        ("under_2_s".to_owned(), group(&|ms| ms < GREETING_MS)),
        ("up_to_3.5_s".to_owned(), group(&|ms| ms <= LONG_SPEECH_MS)),
        ("longer".to_owned(), group(&|ms| ms > LONG_SPEECH_MS)),
    ])
}

fn confusion(clips: &[ClipResult]) -> Confusion {
    let mut confusion = Confusion::default();
    let name = |verdict: Option<Verdict>| verdict.map_or("none".to_owned(), |verdict| word(&verdict));
    for clip in clips {
        *confusion.first.entry(clip.label).or_default().entry(name(clip.first)).or_default() += 1;
        *confusion.last.entry(clip.label).or_default().entry(name(clip.last)).or_default() += 1;
    }
    confusion
}
