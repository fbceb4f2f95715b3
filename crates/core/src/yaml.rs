//! A YAML document as a tree whose every node knows its line, so that all the mistakes of a hand-written file
//! can be told in one go, each with its place.

use std::{cell::RefCell, fmt, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

/// A line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
pub struct Place {
    pub line: u64,
    pub column: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// It can be used, but somebody should look.
    Warning,
}

/// Something to say about a place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    #[serde(flatten)]
    pub place: Place,
    /// The path to it, such as `steps.greeting.play.file`; empty where there is none.
    pub key: String,
    pub message: String,
}

impl Finding {
    /// `file:line:column: key: message`.
    #[must_use]
    pub fn line(&self, file: &str) -> String {
        format!("{file}:{self}")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.place.line, self.place.column)?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Findings are gathered here while a document is read.
#[derive(Debug, Default)]
pub struct Findings(RefCell<Vec<Finding>>);

impl Findings {
    pub fn error(&self, at: &At<'_>, message: impl Into<String>) {
        self.push(Severity::Error, at.node.place, at.path.clone(), message.into());
    }

    pub fn warning(&self, at: &At<'_>, message: impl Into<String>) {
        self.push(Severity::Warning, at.node.place, at.path.clone(), message.into());
    }

    pub fn push(&self, severity: Severity, place: Place, key: String, message: String) {
        self.0.borrow_mut().push(Finding { severity, place, key, message });
    }

    /// Everything found, in the file's order.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Finding> {
        let mut all = self.0.into_inner();
        all.sort_by_key(|finding| finding.place);
        all
    }

    #[must_use]
    pub fn any_error(&self) -> bool {
        self.0.borrow().iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// A node and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub place: Place,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Null,
    /// Any scalar, as text.
    Scalar(String),
    Seq(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A mapping's key.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub place: Place,
    pub name: String,
}

impl Node {
    /// Reads one document.
    ///
    /// # Errors
    /// What is no YAML at all, with its place.
    pub fn parse(text: &str) -> Result<Self, Finding> {
        // YAML 1.1 would read the phrases `yes`, `no`, `on` and `off` as booleans.
        let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
        serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options).map(Self::from).map_err(|error| {
            let place = error
                .location()
                .map_or(Place { line: 1, column: 1 }, |l| Place { line: l.line(), column: l.column() });
            let message = error.to_string();
            let message = message.lines().next().unwrap_or("is not YAML").to_owned();
            Finding { severity: Severity::Error, place, key: String::new(), message }
        })
    }
}

/// A node with the path that leads to it.
#[derive(Debug, Clone)]
pub struct At<'a> {
    pub node: &'a Node,
    pub path: String,
}

impl<'a> At<'a> {
    #[must_use]
    pub fn root(node: &'a Node) -> Self {
        Self { node, path: String::new() }
    }

    #[must_use]
    pub fn child(&self, name: &str, node: &'a Node) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Self { node, path }
    }

    /// The scalar here, trimmed; anything else is a finding.
    #[must_use]
    pub fn text(&self, findings: &Findings) -> Option<String> {
        match &self.node.kind {
            Kind::Scalar(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Kind::Scalar(_) | Kind::Null => {
                findings.error(self, "is empty; a text belongs here");
                None
            }
            Kind::Seq(_) | Kind::Map(_) => {
                findings.error(self, "must be a text, not a list or mapping");
                None
            }
        }
    }

    #[must_use]
    pub fn boolean(&self, findings: &Findings) -> Option<bool> {
        match self.text(findings)?.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            other => {
                findings.error(self, format!("`{other}` must be true or false"));
                None
            }
        }
    }

    #[must_use]
    pub fn whole(&self, findings: &Findings, max: u32) -> Option<u32> {
        let text = self.text(findings)?;
        let number = text.parse::<u32>().ok().filter(|n| *n <= max);
        if number.is_none() {
            findings.error(self, format!("`{text}` must be a whole number from 0 to {max}"));
        }
        number
    }

    /// `800ms`, `8s`, `1.5s`, `2m`.
    #[must_use]
    pub fn duration(&self, findings: &Findings) -> Option<Duration> {
        let text = self.text(findings)?;
        let duration = parse_duration(&text);
        if duration.is_none() {
            findings.error(self, format!("`{text}` is no duration; write 800ms, 8s, 1.5s or 2m"));
        }
        duration
    }

    /// The list here, or the one thing here as a list of one.
    #[must_use]
    pub fn one_or_many(&self) -> Vec<Self> {
        match &self.node.kind {
            Kind::Seq(items) => items
                .iter()
                .enumerate()
                .map(|(i, node)| Self { node, path: format!("{}[{i}]", self.path) })
                .collect(),
            Kind::Null | Kind::Scalar(_) | Kind::Map(_) => vec![self.clone()],
        }
    }

    /// The entries of the mapping here; anything else is a finding.
    #[must_use]
    pub fn entries(&self, findings: &Findings) -> Vec<(&'a Key, Self)> {
        match &self.node.kind {
            Kind::Map(entries) => {
                entries.iter().map(|(key, node)| (key, self.child(&key.name, node))).collect()
            }
            Kind::Null | Kind::Scalar(_) | Kind::Seq(_) => {
                findings.error(self, "must be a mapping of `key: value` lines");
                Vec::new()
            }
        }
    }

    /// The mapping here with only `known` keys; every other key is a finding.
    #[must_use]
    pub fn fields(&self, known: &'static [&'static str], findings: &Findings) -> Fields<'a> {
        let entries = self.entries(findings);
        for (key, at) in &entries {
            if !known.contains(&key.name.as_str()) {
                let message =
                    format!("unknown key `{}`{}", key.name, suggestion(&key.name, known.iter().copied()));
                findings.push(Severity::Error, key.place, at.path.clone(), message);
            }
        }
        let strange = entries.iter().any(|(key, _)| !known.contains(&key.name.as_str()));
        Fields { entries, at: self.clone(), strange }
    }
}

/// The entries of a mapping, taken by name.
#[derive(Debug)]
pub struct Fields<'a> {
    entries: Vec<(&'a Key, At<'a>)>,
    pub at: At<'a>,
    /// Whether there were unknown keys: what seems missing is then likely one of them.
    pub strange: bool,
}

impl<'a> Fields<'a> {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<At<'a>> {
        self.entries.iter().find(|(key, _)| key.name == name).map(|(_, at)| at.clone())
    }

    /// Like `get`; its absence is a finding.
    #[must_use]
    pub fn require(&self, name: &str, findings: &Findings) -> Option<At<'a>> {
        let found = self.get(name);
        if found.is_none() && matches!(self.at.node.kind, Kind::Map(_)) {
            findings.error(&self.at, format!("`{name}` is missing"));
        }
        found
    }
}

/// `; did you mean ..?` where something near exists, else what is allowed.
#[must_use]
pub fn suggestion<'n>(wrong: &str, known: impl Iterator<Item = &'n str>) -> String {
    let known: Vec<&str> = known.collect();
    let near = known
        .iter()
        .map(|name| (strsim::jaro_winkler(wrong, name), *name))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((score, name)) if score > 0.8 => format!("; did you mean `{name}`?"),
        Some(_) => format!("; known are {}", known.join(", ")),
        None => String::new(),
    }
}

pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let number: f64 = number.trim().parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0)?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        "m" | "min" => number * 60.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok().filter(|d| *d <= Duration::from_secs(3600))
}

enum Raw {
    Null,
    Scalar(String),
    Seq(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl From<Spanned<Raw>> for Node {
    fn from(raw: Spanned<Raw>) -> Self {
        let place = place_of(&raw);
        let kind = match raw.value {
            Raw::Null => Kind::Null,
            Raw::Scalar(text) => Kind::Scalar(text),
            Raw::Seq(items) => Kind::Seq(items.into_iter().map(Self::from).collect()),
            Raw::Map(entries) => Kind::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| (Key { place: place_of(&key), name: key.value }, Self::from(value)))
                    .collect(),
            ),
        };
        Self { place, kind }
    }
}

fn place_of<T>(spanned: &Spanned<T>) -> Place {
    Place { line: spanned.referenced.line(), column: spanned.referenced.column() }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Raw, D::Error> {
        Raw::deserialize(from)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            items.push(item);
        }
        Ok(Raw::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = from.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}
