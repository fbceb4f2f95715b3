//! A language's phrases: what machines say, what people say when they pick up, what never interrupts, what
//! always does, what Whisper invents. Data in `keywords/*.yaml`, built into the program.

use std::sync::LazyLock;

use super::{PhraseSet, fold, fuzzy::FuzzySet, tokens};
use crate::{
    amd::Verdict,
    yaml::{At, Finding, Findings, Node},
};

/// A filler of so many letters may be heard with one wrong.
const MISHEARD_FILLER: usize = 5;

/// A phrase that speaks for a verdict. `start` and `end` count words of the text; `end` is past the last.
#[derive(Debug, Clone, PartialEq)]
pub struct PhraseHit {
    pub phrase: String,
    pub verdict: Verdict,
    /// Up to about 1: how much this phrase alone proves. 1 and more decides.
    pub weight: f32,
    pub start: usize,
    pub end: usize,
}

/// What is wrong with a pack: every finding, with file and line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.lines().join("\n"))]
pub struct PackError {
    pub file: String,
    pub findings: Vec<Finding>,
}

impl PackError {
    /// `file:line:column: key: message`, one each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.findings.iter().map(|finding| finding.line(&self.file)).collect()
    }
}

/// What a phrase says about who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaker {
    Is(Verdict),
    /// An ordinary sentence that holds a machine's phrase: it takes the words and says nothing.
    Anyone,
}

/// A language's phrases.
#[derive(Debug)]
pub struct PhrasePack {
    language: String,
    speakers: PhraseSet<Speaker>,
    /// Machine phrases as a recogniser may mishear them.
    misheard: FuzzySet<(Verdict, f32)>,
    /// How announcements begin; they count only there.
    openings: PhraseSet<Verdict>,
    fillers: PhraseSet<()>,
    hesitations: PhraseSet<()>,
    stop: PhraseSet<()>,
    hallucinations: PhraseSet<()>,
    yes: Vec<(String, f32)>,
    no: Vec<(String, f32)>,
    opt_out: Vec<(String, f32)>,
    neither: Vec<(String, f32)>,
    machine_phrases: usize,
    human_phrases: usize,
}

const SECTIONS: &[&str] = &[
    "language",
    "machine",
    "human",
    "openings",
    "ordinary",
    "fillers",
    "hesitations",
    "stop",
    "hallucinations",
    "yes",
    "no",
    "opt_out",
    "neither",
];
const MACHINES: [(&str, Verdict); 5] = [
    ("voicemail", Verdict::Voicemail),
    ("mailbox_full", Verdict::MailboxFull),
    ("screening", Verdict::Screening),
    ("ivr", Verdict::Ivr),
    ("sit", Verdict::Sit),
];
const MACHINE_KEYS: &[&str] = &["voicemail", "mailbox_full", "screening", "ivr", "sit"];

/// How much a misheard phrase weighs against the phrase itself: this where four letters in five agree, twice as much
/// where all do. Never enough alone.
const MISHEARD: f64 = 0.4;
/// How much an opening of weight 1 weighs: it needs the company of a long, unbroken announcement.
const OPENING: f32 = 0.55;

type Weighted = Vec<(String, f32)>;

impl PhrasePack {
    /// The languages that have a built-in pack.
    pub const LANGUAGES: [&'static str; 5] = ["de", "en", "es", "fr", "it"];

    /// The built-in pack of a language, such as `en` (or `en-GB`).
    #[must_use]
    pub fn for_language(language: &str) -> Option<&'static Self> {
        static PACKS: LazyLock<Vec<PhrasePack>> = LazyLock::new(|| {
            // A test parses each of them, so that none can be missing here.
            BUILT_IN.iter().filter_map(|(file, text)| PhrasePack::parse(text, file).ok()).collect()
        });
        let short = language.split(['-', '_']).next().unwrap_or_default().to_lowercase();
        PACKS.iter().find(|pack| pack.language == short)
    }

    /// Reads a pack; `file_name` is for the messages.
    ///
    /// # Errors
    /// Unknown keys, wrong shapes, phrases given twice: all of them, each with its line.
    pub fn parse(yaml: &str, file_name: &str) -> Result<Self, PackError> {
        let fail = |findings| PackError { file: file_name.to_owned(), findings };
        let node = Node::parse(yaml).map_err(|finding| fail(vec![finding]))?;
        let findings = Findings::default();
        let pack = read(&At::root(&node), &findings);
        match (pack, findings.any_error()) {
            (Some(pack), false) => Ok(pack),
            (None | Some(_), _) => Err(fail(findings.into_sorted())),
        }
    }

    #[must_use]
    pub fn language(&self) -> &str {
        &self.language
    }

    /// Phrases that only a machine says, in the text's order; the most specific wins where they overlap, also
    /// against a person's phrases.
    #[must_use]
    pub fn machine_hits(&self, text: &str) -> Vec<PhraseHit> {
        self.speaker_hits(text).filter(|hit| hit.verdict != Verdict::Human).collect()
    }

    /// Machine phrases that are not there to the letter, but nearly, where no phrase of anybody's is; lighter than
    /// the phrase itself. And how announcements begin, where this text begins so.
    #[must_use]
    pub fn machine_hints(&self, text: &str) -> Vec<PhraseHit> {
        let known: Vec<(usize, usize)> =
            self.speakers.hits(text).iter().map(|hit| (hit.start, hit.end)).collect();
        let free = |start: usize, end: usize| known.iter().all(|&(s, e)| end <= s || e <= start);
        let mut hints: Vec<PhraseHit> = self
            .misheard
            .near(text)
            .into_iter()
            .filter(|near| free(near.start, near.end))
            .map(|near| {
                let (verdict, weight) = *near.value;
                let (start, end) = (near.start, near.end);
                PhraseHit {
                    phrase: format!("~ {}", near.phrase),
                    verdict,
                    weight: weight * misheard(near.similarity),
                    start,
                    end,
                }
            })
            .collect();
        hints.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        let mut kept: Vec<PhraseHit> = Vec::new();
        for hint in hints {
            if kept.iter().all(|other| hint.end <= other.start || other.end <= hint.start) {
                kept.push(hint);
            }
        }
        kept.extend(self.opening(text).filter(|hit| free(hit.start, hit.end)));
        kept
    }

    /// How the text begins, behind a "hello".
    fn opening(&self, text: &str) -> Option<PhraseHit> {
        let greeted = self.speakers.hits(text).iter().take(2).fold(0, |at, hit| {
            if hit.start == at && *hit.value == Speaker::Is(Verdict::Human) { hit.end } else { at }
        });
        let hits = self.openings.hits(text);
        let hit = hits.iter().find(|hit| hit.start == 0 || hit.start == greeted)?;
        Some(PhraseHit {
            phrase: format!("{} ...", hit.phrase),
            verdict: *hit.value,
            weight: hit.weight,
            start: hit.start,
            end: hit.end,
        })
    }

    /// Phrases that a person says on picking up.
    #[must_use]
    pub fn human_hits(&self, text: &str) -> Vec<PhraseHit> {
        self.speaker_hits(text).filter(|hit| hit.verdict == Verdict::Human).collect()
    }

    /// Whether the text is nothing but sounds of listening ("mm-hm", "okay, right"): they interrupt nobody.
    #[must_use]
    pub fn is_filler(&self, text: &str) -> bool {
        self.fillers.covers(text)
    }

    /// Whether the text is nothing but "uh" and "well".
    #[must_use]
    pub fn is_hesitation(&self, text: &str) -> bool {
        self.hesitations.covers(text)
    }

    /// A phrase that asks the bot to be silent at once.
    #[must_use]
    pub fn stop_hit(&self, text: &str) -> Option<&str> {
        self.stop.hits(text).first().map(|hit| hit.phrase)
    }

    /// How many words are left when the fillers are taken out, those misheard by a letter among them.
    #[must_use]
    pub fn content_words(&self, text: &str) -> usize {
        let nearly = |word: &&String| {
            word.chars().count() >= MISHEARD_FILLER
                && self.fillers.phrases().any(|filler| {
                    filler.len() >= MISHEARD_FILLER && strsim::damerau_levenshtein(word, filler) <= 1
                })
        };
        let words = self.fillers.uncovered(text);
        words.len() - words.iter().filter(nearly).count()
    }

    /// Whether the whole text is something Whisper invents on silence and noise.
    #[must_use]
    pub fn hallucination(&self, text: &str) -> bool {
        self.hallucinations.covers(text)
    }

    /// The phrases of a built-in intent: `yes`, `no` or `opt_out`.
    #[must_use]
    pub fn intent(&self, name: &str) -> Option<&[(String, f32)]> {
        match name {
            "yes" => Some(&self.yes),
            "no" => Some(&self.no),
            "opt_out" => Some(&self.opt_out),
            _ => None,
        }
    }

    /// Phrases that hold a word of a yes or no and are neither ("not sure", "I have no idea").
    #[must_use]
    pub fn neither(&self) -> &[(String, f32)] {
        &self.neither
    }

    /// How many phrases speak for machines, and for people.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.machine_phrases, self.human_phrases)
    }

    fn speaker_hits(&self, text: &str) -> impl Iterator<Item = PhraseHit> {
        self.speakers.hits(text).into_iter().filter_map(|hit| match hit.value {
            Speaker::Is(verdict) => Some(PhraseHit {
                phrase: hit.phrase.to_owned(),
                verdict: *verdict,
                weight: hit.weight,
                start: hit.start,
                end: hit.end,
            }),
            Speaker::Anyone => None,
        })
    }
}

const BUILT_IN: [(&str, &str); 5] = [
    ("keywords/de.yaml", include_str!("../../../../keywords/de.yaml")),
    ("keywords/en.yaml", include_str!("../../../../keywords/en.yaml")),
    ("keywords/es.yaml", include_str!("../../../../keywords/es.yaml")),
    ("keywords/fr.yaml", include_str!("../../../../keywords/fr.yaml")),
    ("keywords/it.yaml", include_str!("../../../../keywords/it.yaml")),
];

fn misheard(similarity: f64) -> f32 {
    (MISHEARD * (1.0 + (similarity - 0.8) / 0.2)) as f32
}

fn read(root: &At<'_>, findings: &Findings) -> Option<PhrasePack> {
    let fields = root.fields(SECTIONS, findings);
    let language = fields.require("language", findings)?.text(findings)?;
    let list = |name: &str| fields.get(name).map(|at| phrases(&at, findings)).unwrap_or_default();
    let machine = fields.require("machine", findings)?.fields(MACHINE_KEYS, findings);
    let mut speakers: Vec<(String, Speaker, f32)> = Vec::new();
    for (name, verdict) in MACHINES {
        let of_class = machine.get(name).map(|at| phrases(&at, findings)).unwrap_or_default();
        speakers.extend(of_class.into_iter().map(|(phrase, weight)| (phrase, Speaker::Is(verdict), weight)));
    }
    let machine_phrases = speakers.len();
    let misheard = FuzzySet::new(speakers.iter().filter_map(|(phrase, speaker, weight)| match speaker {
        Speaker::Is(verdict) => Some((phrase.clone(), (*verdict, *weight))),
        Speaker::Anyone => None,
    }));
    let openings =
        list("openings").into_iter().map(|(phrase, weight)| (phrase, Verdict::Voicemail, weight * OPENING));
    let openings = compile(root, openings.collect(), findings)?;
    let human = list("human");
    let human_phrases = human.len();
    speakers.extend(human.into_iter().map(|(phrase, weight)| (phrase, Speaker::Is(Verdict::Human), weight)));
    speakers.extend(list("ordinary").into_iter().map(|(phrase, weight)| (phrase, Speaker::Anyone, weight)));
    refuse_doubles(root, &speakers, findings);
    Some(PhrasePack {
        language,
        speakers: compile(root, speakers, findings)?,
        misheard,
        openings,
        fillers: compile(root, plain([list("fillers"), list("hesitations")].concat()), findings)?,
        hesitations: compile(root, plain(list("hesitations")), findings)?,
        stop: compile(root, plain(list("stop")), findings)?,
        hallucinations: compile(root, plain(list("hallucinations")), findings)?,
        yes: list("yes"),
        no: list("no"),
        opt_out: list("opt_out"),
        neither: list("neither"),
        machine_phrases,
        human_phrases,
    })
}

fn phrases(at: &At<'_>, findings: &Findings) -> Weighted {
    at.one_or_many().iter().filter_map(|item| phrase(item, findings)).collect()
}

/// `phrase`, or `{phrase: .., weight: ..}`.
fn phrase(at: &At<'_>, findings: &Findings) -> Option<(String, f32)> {
    let (at, weight) = match &at.node.kind {
        crate::yaml::Kind::Map(_) => {
            let fields = at.fields(&["phrase", "weight"], findings);
            let weight = fields.require("weight", findings).and_then(|at| weight(&at, findings))?;
            (fields.require("phrase", findings)?, weight)
        }
        crate::yaml::Kind::Null | crate::yaml::Kind::Scalar(_) | crate::yaml::Kind::Seq(_) => {
            (at.clone(), 1.0)
        }
    };
    let text = at.text(findings)?;
    if tokens(&text).is_empty() {
        findings.error(&at, format!("`{text}` has no word in it"));
        return None;
    }
    Some((text, weight))
}

fn weight(at: &At<'_>, findings: &Findings) -> Option<f32> {
    let text = at.text(findings)?;
    let weight = text.parse::<f32>().ok().filter(|w| *w > 0.0 && *w <= 2.0);
    if weight.is_none() {
        findings.error(at, format!("`{text}` must be a number above 0 and at most 2"));
    }
    weight
}

fn refuse_doubles(root: &At<'_>, speakers: &[(String, Speaker, f32)], findings: &Findings) {
    let mut seen = std::collections::BTreeSet::new();
    for (phrase, _, _) in speakers {
        if !seen.insert(fold(phrase)) {
            findings.error(root, format!("`{phrase}` is given twice"));
        }
    }
}

fn plain(phrases: Weighted) -> Vec<(String, (), f32)> {
    phrases.into_iter().map(|(phrase, weight)| (phrase, (), weight)).collect()
}

fn compile<T>(root: &At<'_>, phrases: Vec<(String, T, f32)>, findings: &Findings) -> Option<PhraseSet<T>> {
    PhraseSet::new(phrases).map_err(|error| findings.error(root, error.to_string())).ok()
}
