//! A call's events as lines for people.

use serde_json::Value;

use crate::store::StoredEvent;

/// `+850 ms  verdict  human, cause short_greeting...`: the time since `origin_ms` (unix), the event's word, what it
/// says.
pub(super) fn line(origin_ms: i64, stored: &StoredEvent) -> String {
    let body = serde_json::to_value(&stored.event).unwrap_or_default();
    let word = body.get("event").and_then(Value::as_str).unwrap_or("?").replace('_', " ");
    let mut details = Vec::new();
    if let Some(fields) = body.as_object() {
        for (name, value) in fields.iter().filter(|(name, _)| *name != "event") {
            let shown = show(value);
            if shown.is_empty() {
                continue;
            }
            // A field that has the event's own name needs none.
            match *name == word {
                true => details.insert(0, shown),
                false => details.push(format!("{} {shown}", name.replace('_', " "))),
            }
        }
    }
    let at = format!("{:+} ms", stored.at_ms - origin_ms);
    format!("{at:>11}  {word:<16} {}", details.join(", ")).trim_end().to_owned()
}

/// A value in words; empty for what says nothing.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.contains(' ') => format!("\"{text}\""),
        Value::String(text) => text.clone(),
        Value::Bool(truth) => if *truth { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => format!("{float:.2}"),
            Some(_) | None => number.to_string(),
        },
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(show).filter(|item| !item.is_empty()).collect();
            if items.is_empty() { String::new() } else { format!("[{}]", items.join("; ")) }
        }
        Value::Object(fields) => fields.values().map(show).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use sidetone_core::{
        amd::{Cause, Evidence, Verdict},
        call::{Disposition, Event},
    };

    use super::*;

    fn shown(event: Event) -> String {
        line(1000, &StoredEvent { seq: 1, at_ms: 1850, media_ms: None, event })
    }

    #[test]
    fn events_read_as_lines() {
        assert_eq!(shown(Event::Answered), "    +850 ms  answered");
        let verdict = Event::Verdict {
            verdict: Verdict::Human,
            cause: Cause::ShortGreeting,
            confidence: 0.9,
            evidence: vec![Evidence::Text { text: "Hello?".to_owned() }],
            at_ms: 850,
            after_speech_ms: None,
        };
        assert_eq!(
            shown(verdict),
            "    +850 ms  verdict          human, at ms 850, cause short_greeting, confidence 0.90, \
             evidence [text Hello?]"
        );
        let ended =
            Event::Ended { disposition: Disposition::HungUp, outcome: Some("asked to stop".to_owned()) };
        assert_eq!(
            shown(ended),
            "    +850 ms  ended            disposition hung_up, outcome \"asked to stop\""
        );
    }
}
