//! A retry table's YAML.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use sidetone_core::{call::Disposition, campaign::RetryTable};

/// What holds without a file; the file explains itself.
#[cfg(test)]
const DEFAULT: &str = include_str!("../../../retries/default.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    max_attempts: u32,
    per_day: Option<u32>,
    per_30_days: Option<u32>,
    after: BTreeMap<Disposition, String>,
}

/// Reads a table.
///
/// # Errors
/// Names the file and what is wrong in it, for the user's eyes.
pub(super) fn read(file: &Path) -> Result<RetryTable, String> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
    parse(&text).map_err(|message| format!("{shown}: {message}"))
}

fn parse(text: &str) -> Result<RetryTable, String> {
    let written: Written = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let caps = [
        ("max_attempts", Some(written.max_attempts)),
        ("per_day", written.per_day),
        ("per_30_days", written.per_30_days),
    ];
    if let Some((key, _)) = caps.iter().find(|(_, cap)| *cap == Some(0)) {
        return Err(format!("{key}: 0 would call nobody: write 1 or more, or leave it out"));
    }
    let after_ms = written
        .after
        .into_iter()
        .map(|(disposition, wait)| match milliseconds(&wait) {
            Some(ms) => Ok((disposition, ms)),
            None => {
                Err(format!("after: `{wait}` is no wait: write 5m, 1h or 24h; never: leave the line out"))
            }
        })
        .collect::<Result<_, _>>()?;
    let Written { max_attempts, per_day, per_30_days, .. } = written;
    Ok(RetryTable { max_attempts, per_day, per_30_days, after_ms })
}

/// Not under a second: who hangs up would be called again at once.
fn milliseconds(text: &str) -> Option<u64> {
    let wait: jiff::SignedDuration = text.parse().ok()?;
    u64::try_from(wait.as_millis()).ok().filter(|ms| *ms >= 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_table_is_the_default() {
        assert_eq!(parse(DEFAULT).unwrap(), RetryTable::default());
    }

    #[test]
    fn caps_and_waits_are_read() {
        let table =
            parse("max_attempts: 4\nper_day: 1\nper_30_days: 4\nafter: {busy: 90s, lost: 1h}\n").unwrap();
        assert_eq!((table.max_attempts, table.per_day, table.per_30_days), (4, Some(1), Some(4)));
        assert_eq!(table.after_ms, [(Disposition::Busy, 90_000), (Disposition::Lost, 3_600_000)].into());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, words) in [
            ("max_attempts: 0\nafter: {}\n", "max_attempts: 0 would call nobody"),
            ("max_attempts: 3\nper_day: 0\nafter: {}\n", "per_day: 0 would call nobody"),
            ("max_attempts: 3\nafter: {busy: soon}\n", "`soon` is no wait"),
            ("max_attempts: 3\nafter: {busy: 0s}\n", "`0s` is no wait"),
            ("max_attempts: 3\nafter: {bussy: 5m}\n", "bussy"),
            ("max_attempts: 3\nafer: {busy: 5m}\n", "afer"),
            ("after: {}\n", "max_attempts"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(words), "{text:?}: {message}");
        }
    }
}
