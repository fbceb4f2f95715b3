//! The report as one page that needs nothing else, light or dark as the reader's system is.

use std::fmt::Write as _;

use super::{Gathered, Group, minutes, percent};
use crate::{cli::table::local_time, eval::html::escape, store::Figures};

const STYLE: &str = include_str!("page.css");

/// The parts of a bar, each with its class and what it counts, in the order they are stacked.
const PARTS: [(&str, &str); 4] = [
    ("people", "answered by a person"),
    ("machines", "answered by a machine"),
    ("other", "answered, nobody known"),
    ("none", "not answered"),
];

/// Of the chart of hours, in its own units.
const PLOT: (f64, f64) = (960.0, 240.0);

/// The whole page.
pub(super) fn page(report: &Gathered) -> String {
    let mut out = String::new();
    let name = escape(&report.campaign);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{name}: report</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<header><h1>{name}</h1>\n<p>{}</p></header>\n",
        subtitle(report)
    );
    cards(&mut out, report);
    out.push_str("<section aria-labelledby=\"hour\"><h2 id=\"hour\">By hour of the day</h2>");
    legend(&mut out);
    hours(&mut out, &report.by_hour);
    let _ = write!(out, "<p class=\"note\">When calls began, {}.</p></section>", escape(&report.time_zone));
    for (id, title, groups) in [
        ("disposition", "By disposition", &report.by_disposition),
        ("list", "By list", &report.by_list),
        ("caller", "By caller id", &report.by_caller_id),
    ] {
        let _ = write!(out, "<section aria-labelledby=\"{id}\"><h2 id=\"{id}\">{title}</h2>");
        bars(&mut out, title, groups);
        out.push_str("</section>");
    }
    let _ = write!(
        out,
        "<footer>Scenario {}. Written {} by Sidetone {}.</footer>\n</main>\n</body>\n</html>\n",
        escape(&report.scenario),
        local_time(report.made_ms),
        env!("CARGO_PKG_VERSION")
    );
    out
}

fn subtitle(report: &Gathered) -> String {
    let state = report.state.word();
    match (report.first_call_ms, report.last_call_ms) {
        (Some(first), Some(last)) => {
            format!("Campaign {state}, calls from {} to {}", local_time(first), local_time(last))
        }
        (Some(_) | None, _) => format!("Campaign {state}, no calls yet"),
    }
}

fn cards(out: &mut String, report: &Gathered) {
    let Figures { calls, answered, people, completed, talk_ms, .. } = report.total;
    let of = |k: u64, n: u64, what: &str| {
        if n == 0 { "-".to_owned() } else { format!("{} of {what}", percent(k as f64 / n as f64)) }
    };
    let counts = &report.counts;
    let cards = [
        (
            "Contacts",
            counts.contacts.to_string(),
            format!("{} waiting, {} done", counts.waiting, counts.done),
        ),
        ("Calls", calls.to_string(), format!("{} minutes of talk", minutes(talk_ms))),
        ("Answered", answered.to_string(), of(answered, calls, "calls")),
        ("By people", people.to_string(), of(people, answered, "answered")),
        ("Completed", completed.to_string(), of(completed, people, "people")),
        (
            "Abandoned",
            report.abandoned.to_string(),
            format!("{}, {} silent", of(report.abandoned, people, "people"), report.silent),
        ),
    ];
    out.push_str("<dl class=\"cards\">");
    for (name, value, note) in cards {
        let _ = write!(out, "<div><dt>{name}</dt><dd>{value}<small>{note}</small></dd></div>");
    }
    out.push_str("</dl>");
}

fn legend(out: &mut String) {
    out.push_str("<ul class=\"legend\">");
    for (class, name) in PARTS {
        let _ = write!(out, "<li><span class=\"{class}\"></span>{name}</li>");
    }
    out.push_str("</ul>");
}

/// Calls by [`PARTS`].
fn parts(figures: &Figures) -> [u64; 4] {
    let known = figures.people + figures.machines;
    [
        figures.people,
        figures.machines,
        figures.answered.saturating_sub(known),
        figures.calls.saturating_sub(figures.answered.max(known)),
    ]
}

/// Stacked columns, and the same as a table for those who do not see them.
fn hours(out: &mut String, groups: &[Group]) {
    let most = groups.iter().map(|group| group.figures.calls).max().unwrap_or_default();
    if most == 0 {
        out.push_str("<p>No calls yet.</p>");
        return;
    }
    let (width, height) = PLOT;
    let step = step(most);
    let top = most.div_ceil(step) * step;
    let y = |calls: u64| height - height * calls as f64 / top as f64;
    let _ = write!(
        out,
        "<div class=\"wide\"><svg viewBox=\"-50 -12 {} {}\" role=\"img\" aria-label=\"Calls by hour of the day; the table \
         below has the figures\">",
        width + 60.0,
        height + 44.0
    );
    for line in (0..=top).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
        let at = y(line);
        let _ = write!(
            out,
            "<line x1=\"0\" x2=\"{width}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text x=\"-8\" y=\"{:.1}\" class=\"end\">{line}</text>",
            at + 4.0
        );
    }
    let slot = width / groups.len() as f64;
    let column = (slot * 0.7).min(48.0);
    for (i, Group { name, figures }) in groups.iter().enumerate() {
        let x = slot * (i as f64 + 0.5) - column / 2.0;
        let mut below = 0;
        for ((class, what), n) in PARTS.iter().zip(parts(figures)).filter(|(_, n)| *n > 0) {
            let (low, high) = (y(below), y(below + n));
            let _ = write!(
                out,
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{high:.1}\" width=\"{column:.1}\" height=\"{:.1}\">\
                 <title>{name}, {what}: {n}</title></rect>",
                low - high
            );
            below += n;
        }
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" class=\"middle\">{name}</text>",
            x + column / 2.0,
            height + 20.0
        );
    }
    out.push_str("</svg></div><details><summary>The figures</summary>");
    bars(out, "Hour", groups);
    out.push_str("</details>");
}

/// A round number of calls between two lines, so that there are at most five.
fn step(most: u64) -> u64 {
    let magnitudes = (0..19).map(|power| 10_u64.pow(power));
    let mut steps = magnitudes.flat_map(|power| [1, 2, 5].map(|digit| power.saturating_mul(digit)));
    steps.find(|step| most.div_ceil(*step) <= 5).unwrap_or(most)
}

/// A table with a bar in each row, as long as its calls are many.
fn bars(out: &mut String, title: &str, groups: &[Group]) {
    let most = groups.iter().map(|group| group.figures.calls).max().unwrap_or_default();
    if most == 0 {
        out.push_str("<p>No calls yet.</p>");
        return;
    }
    let first = title.trim_start_matches("By ");
    let _ = write!(
        out,
        "<div class=\"wide\"><table><thead><tr><th scope=\"col\">{first}</th><th scope=\"col\" class=\"bar\">\
         <span class=\"hidden\">Bar</span></th>"
    );
    for column in ["calls", "answered", "people", "machines", "completed", "minutes"] {
        let _ = write!(out, "<th scope=\"col\">{column}</th>");
    }
    out.push_str("</tr></thead><tbody>");
    for Group { name, figures } in groups {
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"bar\" aria-hidden=\"true\"><div>",
            escape(&name.replace('_', " "))
        );
        for ((class, what), n) in PARTS.iter().zip(parts(figures)).filter(|(_, n)| *n > 0) {
            let _ = write!(
                out,
                "<span class=\"{class}\" style=\"width:{:.2}%\" title=\"{what}: {n}\"></span>",
                100.0 * n as f64 / most as f64
            );
        }
        out.push_str("</div></td>");
        let Figures { calls, answered, people, machines, completed, talk_ms } = *figures;
        for n in [calls, answered, people, machines, completed] {
            let _ = write!(out, "<td>{n}</td>");
        }
        let _ = write!(out, "<td>{}</td></tr>", minutes(talk_ms));
    }
    out.push_str("</tbody></table></div>");
}
