//! A cast's YAML.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::{Act, Callee, Cast, Early, Echo, Pickup, What, When};
use crate::sim::audio::{self, Clip};

/// What is wrong with a cast: file, line and key.
#[derive(Debug, thiserror::Error)]
pub enum CastError {
    #[error("{path}: cannot be read: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{file}: {message}")]
    Yaml { file: String, message: String },
    #[error("{file}:{line}: {key}: {message}")]
    Value { file: String, line: u64, key: &'static str, message: String },
}

/// Finds the clip of a name; the error says why there is none.
pub(in crate::sim) type FindClip<'a> = &'a dyn Fn(&str) -> Result<Clip, String>;

impl Cast {
    /// Reads a cast and every clip in it; clips are relative to the cast's own folder.
    ///
    /// # Errors
    /// Names the file, the line and the key.
    pub fn load(path: &Path) -> Result<Self, CastError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| CastError::Read { path: path.to_owned(), source })?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::parse_in(&text, &path.display().to_string(), &folder)
    }

    /// Parses a cast whose clips lie in `folder`; `file` is for error messages.
    ///
    /// # Errors
    /// Names the file, the line and the key.
    pub fn parse_in(text: &str, file: &str, folder: &Path) -> Result<Self, CastError> {
        let library = audio::Library::default();
        Self::parse(text, file, &|name| library.file(&folder.join(name)).map_err(|e| e.to_string()))
    }

    pub(in crate::sim) fn parse(text: &str, file: &str, find: FindClip<'_>) -> Result<Self, CastError> {
        let written: WrittenCast = serde_saphyr::from_str(text)
            .map_err(|e| CastError::Yaml { file: file.to_owned(), message: e.to_string() })?;
        let reader = Reader { file, find };
        let callees =
            written.callees.iter().map(|c| reader.callee(c).map(Arc::new)).collect::<Result<_, _>>()?;
        Ok(Self { callees })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCast {
    callees: Vec<Spanned<WrittenCallee>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCallee {
    name: String,
    #[serde(default)]
    what: String,
    number: Option<String>,
    dial: Option<String>,
    answer: Spanned<Answer>,
    early_media: Option<Spanned<WrittenEarly>>,
    background: Option<Spanned<Background>>,
    echo: Option<WrittenEcho>,
    #[serde(default)]
    does: Vec<Spanned<WrittenAct>>,
    hang_up_after: Option<Span>,
}

/// `answer: busy`, or a mapping.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Answer {
    After(Span),
    Busy,
    #[serde(rename = "no_answer")]
    Rings,
    Unallocated,
    NoRoute,
    Failure,
    Rejected,
    Absent,
    /// A Q.850 name of your choice.
    Cause(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEarly {
    clip: Option<String>,
    #[serde(default)]
    after: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Background {
    clip: String,
    #[serde(default)]
    gain_db: f32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEcho {
    gain_db: f32,
    delay: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAct {
    at: Option<Span>,
    then: Option<Span>,
    bot_spoken: Option<Span>,
    prompt: Option<u32>,
    prompt_done: Option<u32>,
    after: Option<Span>,
    bot_quiet: Option<Span>,
    interrupted: Option<Span>,
    say: Option<String>,
    #[serde(default)]
    gain_db: f32,
    beep: Option<Beep>,
    press: Option<String>,
    hang_up: Option<HangUp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Beep {
    hz: f64,
    #[serde(rename = "for")]
    long: Span,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum HangUp {
    Plain(bool),
    Cause(String),
}

/// `400ms`, `2s`.
#[derive(Clone, Copy, Default)]
struct Span(Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|d| Duration::try_from(d).ok())
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no duration: write 400ms or 2s")))
    }
}

struct Reader<'a> {
    file: &'a str,
    find: FindClip<'a>,
}

impl Reader<'_> {
    fn callee(&self, written: &Spanned<WrittenCallee>) -> Result<Callee, CastError> {
        let c = &written.value;
        let line = written.referenced.line();
        let acts = c.does.iter().map(|act| self.act(act)).collect::<Result<Vec<_>, _>>()?;
        if matches!(acts.first(), Some(Act { when: When::Then(_), .. })) {
            let line = c.does[0].referenced.line();
            return Err(self.wrong(line, "then", "the first act follows none: write at".to_owned()));
        }
        let background = match &c.background {
            Some(b) => {
                let clip = self.clip(b.referenced.line(), "background.clip", &b.value.clip)?;
                Some((clip, linear(b.value.gain_db)))
            }
            None => None,
        };
        if c.number.is_some() && c.dial.is_some() {
            return Err(self.wrong(line, "number", "write either number or dial".to_owned()));
        }
        Ok(Callee {
            name: c.name.clone(),
            what: c.what.clone(),
            number: c.number.clone(),
            dial: c.dial.clone(),
            pickup: pickup(&c.answer.value),
            early: self.early(c.early_media.as_ref())?,
            background,
            echo: c.echo.as_ref().map(|e| Echo { gain: linear(e.gain_db), delay: e.delay.0 }),
            acts,
            hang_up_after: c.hang_up_after.map(|s| s.0),
        })
    }

    fn early(&self, written: Option<&Spanned<WrittenEarly>>) -> Result<Option<Early>, CastError> {
        let Some(early) = written else { return Ok(None) };
        let clip = match &early.value.clip {
            Some(name) => Some(self.clip(early.referenced.line(), "early_media.clip", name)?),
            None => None,
        };
        Ok(Some(Early { clip, after: early.value.after.0 }))
    }

    fn act(&self, written: &Spanned<WrittenAct>) -> Result<Act, CastError> {
        let line = written.referenced.line();
        Ok(Act { when: self.when(line, &written.value)?, what: self.what(line, &written.value)? })
    }

    fn when(&self, line: u64, act: &WrittenAct) -> Result<When, CastError> {
        let after = act.after.unwrap_or_default().0;
        let triggers: Vec<When> = [
            act.at.map(|s| When::At(s.0)),
            act.then.map(|s| When::Then(s.0)),
            act.bot_spoken.map(|s| When::BotSpoken { long: s.0, prompt: act.prompt }),
            act.prompt_done.map(|prompt| When::PromptDone { prompt, after }),
            act.bot_quiet.map(|s| When::BotQuiet(s.0)),
            act.interrupted.map(|s| When::Interrupted(s.0)),
        ]
        .into_iter()
        .flatten()
        .collect();
        if act.prompt.is_some() && act.bot_spoken.is_none() {
            return Err(self.wrong(line, "prompt", "goes only with bot_spoken".to_owned()));
        }
        if act.after.is_some() && act.prompt_done.is_none() {
            return Err(self.wrong(line, "after", "goes only with prompt_done".to_owned()));
        }
        match triggers[..] {
            [one] => Ok(one),
            [] | [_, _, ..] => {
                let message =
                    "write exactly one of at, then, bot_spoken, prompt_done, bot_quiet, interrupted";
                Err(self.wrong(line, "does", message.to_owned()))
            }
        }
    }

    fn what(&self, line: u64, act: &WrittenAct) -> Result<What, CastError> {
        let gain = linear(act.gain_db);
        match (&act.say, &act.beep, &act.press, &act.hang_up) {
            (Some(name), None, None, None) => {
                Ok(What::Say { name: name.clone(), clip: self.clip(line, "say", name)?, gain })
            }
            (None, Some(beep), None, None) => {
                let clip = audio::tone(beep.hz, beep.long.0.as_millis() as u32).into();
                Ok(What::Say { name: format!("beep {} Hz", beep.hz), clip, gain })
            }
            (None, None, Some(key), None) => match key.chars().collect::<Vec<_>>()[..] {
                [key @ ('0'..='9' | '*' | '#' | 'A'..='D')] => Ok(What::Press(key)),
                _ => Err(self.wrong(line, "press", format!("`{key}` is no key: write one of 0-9 * # A-D"))),
            },
            (None, None, None, Some(HangUp::Cause(cause))) => Ok(What::HangUp(cause.clone())),
            (None, None, None, Some(HangUp::Plain(true))) => Ok(What::HangUp("NORMAL_CLEARING".to_owned())),
            _ => Err(self.wrong(line, "does", "write exactly one of say, beep, press, hang_up".to_owned())),
        }
    }

    fn clip(&self, line: u64, key: &'static str, name: &str) -> Result<Clip, CastError> {
        (self.find)(name).map_err(|message| self.wrong(line, key, message))
    }

    fn wrong(&self, line: u64, key: &'static str, message: String) -> CastError {
        CastError::Value { file: self.file.to_owned(), line, key, message }
    }
}

fn pickup(answer: &Answer) -> Pickup {
    let refuses = |cause: &str| Pickup::Refuses { cause: cause.to_owned(), after: Duration::ZERO };
    match answer {
        Answer::After(span) => Pickup::Answers { after: span.0 },
        Answer::Busy => refuses("USER_BUSY"),
        Answer::Rings => Pickup::Rings,
        Answer::Unallocated => refuses("UNALLOCATED_NUMBER"),
        Answer::NoRoute => refuses("NO_ROUTE_DESTINATION"),
        Answer::Failure => refuses("NORMAL_TEMPORARY_FAILURE"),
        Answer::Rejected => refuses("CALL_REJECTED"),
        Answer::Absent => Pickup::Absent { cause: "SUBSCRIBER_ABSENT".to_owned() },
        Answer::Cause(cause) => refuses(cause),
    }
}

fn linear(db: f32) -> f32 {
    10f32.powf(db / 20.0)
}
