//! The report as one file that needs nothing else.

mod charts;

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    manifest::Label,
    score::{AmdReport, ClipResult, Group},
    stats::{Count, Spread},
};

/// So many wrong clips are listed.
const LISTED: usize = 200;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse;margin:.5rem 0}\
th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #ddd;vertical-align:top}\
th:first-child,td:first-child,.text{text-align:left}.wide{overflow-x:auto}svg{max-width:100%;height:auto}\
small{color:#555}";

/// The whole page. Fails only where a chart cannot be drawn.
///
/// # Errors
/// What the drawing library says.
pub fn page(report: &AmdReport, clips: &[ClipResult]) -> Result<String, String> {
    let mut out = String::new();
    let _ = write!(
        out,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Who answered</title><style>{STYLE}</style>\
         <h1>Who answered: {} recorded calls</h1>",
        report.all.clips
    );
    let models: Vec<String> =
        report.models.iter().map(|(language, model)| format!("{language}: {model}")).collect();
    let _ = write!(out, "<p>Heard by {}.</p>", escape(&models.join(", ")));
    figures(&mut out, &report.all);
    let _ = write!(
        out,
        "<h2>Trade-off</h2>{}<p><small>The curve: the first verdict's confidence, from sure machine to sure \
         person, cut at every possible place. The points: what was decided.</small></p>",
        charts::trade_off(clips)?
    );
    let _ = write!(
        out,
        "<h2>Latency</h2>{}{}{}",
        charts::verdicts(clips)?,
        charts::after_speech(clips)?,
        charts::compute(clips)?
    );
    confusion(&mut out, "First verdict", &report.confusion.first);
    confusion(&mut out, "Final verdict", &report.confusion.last);
    for (title, groups) in [
        ("By language", &report.by_language),
        ("By effect", &report.by_effect),
        ("By subtype", &report.by_subtype),
        ("By recording", &report.by_real_or_tts),
        ("People by how long they speak", &report.by_speech),
    ] {
        breakdown(&mut out, title, groups);
    }
    wrong(&mut out, clips);
    out.push_str("</html>\n");
    Ok(out)
}

fn figures(out: &mut String, all: &Group) {
    out.push_str("<table><tr><th></th><th>k/n</th><th>rate</th><th>95 % interval</th></tr>");
    for (name, count) in [
        ("Person called machine, at any moment", all.human_as_machine),
        ("Person called machine, first verdict", all.human_as_machine_first),
        ("Machine recall, first verdict", all.machine_recall_first),
        ("Machine recall, final", all.machine_recall_final),
        ("Tone, fax, music, silence called person", all.other_as_human),
        ("Right in the end", all.right),
    ] {
        let Count { k, n, .. } = count;
        let _ = write!(
            out,
            "<tr><td>{name}</td><td>{k}/{n}</td><td>{}</td><td>{}</td></tr>",
            rate(&count),
            interval(&count)
        );
    }
    out.push_str("</table><table><tr><th>milliseconds</th><th>p50</th><th>p95</th><th>n</th></tr>");
    for (name, Spread { n, p50, p95 }) in [
        ("Verdict after the answer", all.verdict_ms),
        ("Verdict after a person's speech", all.after_speech_ms),
        ("Recogniser's work until the verdict", all.compute_ms),
    ] {
        let _ = write!(out, "<tr><td>{name}</td><td>{}</td><td>{}</td><td>{n}</td></tr>", ms(p50), ms(p95));
    }
    out.push_str("</table>");
}

fn confusion(out: &mut String, title: &str, rows: &BTreeMap<Label, BTreeMap<String, usize>>) {
    let mut verdicts: Vec<&String> = rows.values().flat_map(BTreeMap::keys).collect();
    verdicts.sort_unstable();
    verdicts.dedup();
    let _ = write!(out, "<h2>{title}</h2><div class=\"wide\"><table><tr><th></th>");
    for verdict in &verdicts {
        let _ = write!(out, "<th>{}</th>", escape(verdict));
    }
    out.push_str("</tr>");
    for (label, counts) in rows {
        let _ = write!(out, "<tr><td>{}</td>", label.word());
        for verdict in &verdicts {
            let n = counts.get(*verdict).map_or(String::new(), usize::to_string);
            let _ = write!(out, "<td>{n}</td>");
        }
        out.push_str("</tr>");
    }
    out.push_str("</table></div>");
}

fn breakdown(out: &mut String, title: &str, groups: &BTreeMap<String, Group>) {
    if groups.is_empty() {
        return;
    }
    let _ = write!(
        out,
        "<h2>{title}</h2><div class=\"wide\"><table><tr><th></th><th>clips</th><th>person as machine</th>\
         <th>recall, first</th><th>recall, final</th><th>verdict ms, p50 / p95</th>\
         <th>after speech ms, p50 / p95</th></tr>"
    );
    for (name, group) in groups {
        let cells = [&group.human_as_machine, &group.machine_recall_first, &group.machine_recall_final].map(
            |count| {
                if count.n == 0 { "-".to_owned() } else { format!("{}/{} {}", count.k, count.n, rate(count)) }
            },
        );
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(name),
            group.clips,
            cells[0],
            cells[1],
            cells[2],
            group.verdict_ms,
            group.after_speech_ms
        );
    }
    out.push_str("</table></div>");
}

fn wrong(out: &mut String, clips: &[ClipResult]) {
    let is_wrong = |clip: &&ClipResult| {
        clip.human_as_machine || !clip.last.is_some_and(|verdict| clip.label.is(verdict))
    };
    let all: Vec<&ClipResult> = clips.iter().filter(is_wrong).collect();
    let _ = write!(
        out,
        "<h2>Wrong: {}</h2><div class=\"wide\"><table><tr><th>clip</th><th>is</th><th>verdicts</th>\
         <th class=\"text\">heard</th></tr>",
        all.len()
    );
    for clip in all.iter().take(LISTED) {
        let fell: Vec<String> =
            clip.run.verdicts.iter().map(|fell| format!("{:?} at {}", fell.verdict, fell.at_ms)).collect();
        let heard = clip.run.transcripts.iter().filter_map(|heard| heard.text.as_deref()).next_back();
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"text\">{}</td></tr>",
            escape(&clip.file),
            clip.label.word(),
            escape(&fell.join(", ")),
            escape(heard.unwrap_or("-"))
        );
    }
    out.push_str("</table></div>");
}

fn rate(count: &Count) -> String {
    count.rate.map_or("-".to_owned(), |rate| format!("{:.1} %", rate * 100.0))
}

fn interval(count: &Count) -> String {
    count.ci95.map_or("-".to_owned(), |[low, high]| format!("{:.1} to {:.1} %", low * 100.0, high * 100.0))
}

fn ms(value: Option<i64>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

/// Text as HTML shows it.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
