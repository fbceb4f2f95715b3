//! One event as FreeSWITCH words it, in either format.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970, as in `Event-Date-Timestamp`.
pub(super) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

/// `2026-11-20 23:59:22`.
pub(super) fn stamp(us: u64) -> String {
    zoned(us).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Plain,
    Json,
}

/// Ordered headers and perhaps a body. `Event-Name` and the common headers are put in by the hub.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) subclass: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
}

impl Event {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), subclass: None, headers: Vec::new(), body: None }
    }

    pub(super) fn custom(subclass: &str) -> Self {
        Self { subclass: Some(subclass.to_owned()), ..Self::new("CUSTOM") }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn body(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Puts the headers that every event begins with in front.
    pub(super) fn stamped(mut self, core_uuid: &str, sequence: u64) -> Self {
        let us = now_us();
        let gmt = zoned(us).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut all: Vec<(String, String)> = Vec::with_capacity(self.headers.len() + 12);
        let mut put = |name: &str, value: String| all.push((name.to_owned(), value));
        if let Some(subclass) = &self.subclass {
            put("Event-Subclass", subclass.clone());
        }
        put("Event-Name", self.name.clone());
        put("Core-UUID", core_uuid.to_owned());
        put("FreeSWITCH-Hostname", "stand-in".to_owned());
        put("FreeSWITCH-Switchname", "stand-in".to_owned());
        put("FreeSWITCH-IPv4", "127.0.0.1".to_owned());
        put("FreeSWITCH-IPv6", "::1".to_owned());
        put("Event-Date-Local", stamp(us));
        put("Event-Date-GMT", gmt);
        put("Event-Date-Timestamp", us.to_string());
        put("Event-Calling-File", "sidetone".to_owned());
        put("Event-Calling-Function", "simulate".to_owned());
        put("Event-Calling-Line-Number", "1".to_owned());
        put("Event-Sequence", sequence.to_string());
        all.append(&mut self.headers);
        self.headers = all;
        self
    }

    /// The whole message, outer header block included.
    pub(super) fn to_wire(&self, format: Format) -> String {
        let (kind, text) = match format {
            Format::Plain => ("plain", self.plain()),
            Format::Json => ("json", self.json()),
        };
        format!("Content-Length: {}\nContent-Type: text/event-{kind}\n\n{text}", text.len())
    }

    fn plain(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.headers {
            text.push_str(name);
            text.push_str(": ");
            escape(value, &mut text);
            text.push('\n');
        }
        match &self.body {
            Some(body) => text.push_str(&format!("Content-Length: {}\n\n{body}", body.len())),
            None => text.push('\n'),
        }
        text
    }

    fn json(&self) -> String {
        let mut map = serde_json::Map::new();
        for (name, value) in &self.headers {
            map.insert(name.clone(), value.clone().into());
        }
        if let Some(body) = &self.body {
            map.insert("Content-Length".to_owned(), body.len().to_string().into());
            map.insert("_body".to_owned(), body.clone().into());
        }
        serde_json::Value::Object(map).to_string()
    }
}

/// What FreeSWITCH encodes in a plain event's values: everything but letters, digits and a few signs.
fn escape(value: &str, into: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'(),/".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

fn zoned(us: u64) -> jiff::Zoned {
    let at = jiff::Timestamp::from_microsecond(us as i64).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.to_zoned(jiff::tz::TimeZone::UTC)
}
