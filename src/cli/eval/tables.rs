//! Figures for people to read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use crate::eval::{
    AmdReport, Group, Label,
    bargein::{BargeInReport, Cut},
};

/// The whole report of `eval amd`.
pub(super) fn amd(report: &AmdReport) -> String {
    let mut out = String::new();
    let models: Vec<String> =
        report.models.iter().map(|(language, model)| format!("{language}: {model}")).collect();
    let _ = writeln!(out, "{} clips. Heard by {}.\n", report.all.clips, models.join(", "));
    let _ = writeln!(out, "First verdict\n{}\n", confusion(&report.confusion.first));
    let _ =
        writeln!(out, "Final verdict, late corrections included\n{}\n", confusion(&report.confusion.last));
    let _ = writeln!(out, "{}\n", key_figures(&report.all));
    for (title, groups) in [
        ("language", &report.by_language),
        ("effect", &report.by_effect),
        ("subtype", &report.by_subtype),
        ("recording", &report.by_real_or_tts),
        ("people who speak", &report.by_speech),
    ] {
        if !groups.is_empty() {
            let _ = writeln!(out, "{}\n", breakdown(title, groups));
        }
    }
    let _ = write!(
        out,
        "Times: p50 / p95 in ms. After speech: people only, from the end of what they say within the clip."
    );
    out
}

/// The whole report of `eval bargein`.
pub(super) fn bargein(report: &BargeInReport) -> String {
    let mut table = plain(&["track", "language", "expected", "detected", "latency ms", "false cuts"]);
    for track in &report.tracks {
        let of = |pick: &dyn Fn(&Cut) -> Option<String>| {
            track.cuts.iter().filter_map(pick).collect::<Vec<_>>().join(", ")
        };
        let latency = of(&|cut| cut.latency_ms.map(|ms| ms.to_string()));
        let wrong =
            of(&|cut| cut.wrong.as_ref().map(|kind| format!("{kind} at {:.1} s", cut.at_ms as f64 / 1000.0)));
        table.add_row([
            Cell::new(&track.id),
            Cell::new(&track.language),
            right(track.expected),
            right(track.detected),
            right(latency),
            Cell::new(wrong),
        ]);
    }
    let kinds: Vec<String> =
        report.false_cuts_by_kind.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    format!(
        "{table}\n\nInterruptions detected: {}\nLatency from the start of speech, ms p50 / p95: {}\n\
         False cuts: {}{kinds}\nTracks with nothing to interrupt that were cut: {} of {}",
        report.detection, report.latency_ms, report.false_cuts, report.quiet_tracks_cut, report.quiet_tracks
    )
}

fn key_figures(all: &Group) -> Table {
    let mut table = plain(&["", "k/n, rate (95 % Wilson interval)"]);
    for (name, count) in [
        ("person called machine, at any moment", all.human_as_machine),
        ("person called machine, first verdict", all.human_as_machine_first),
        ("machine recall, first verdict", all.machine_recall_first),
        ("machine recall, final", all.machine_recall_final),
        ("tone, fax, music, silence called person", all.other_as_human),
        ("right in the end", all.right),
    ] {
        table.add_row([name.to_owned(), count.to_string()]);
    }
    for (name, spread) in [
        ("verdict after the answer, ms p50 / p95", all.verdict_ms),
        ("verdict after a person's speech", all.after_speech_ms),
        ("recogniser's work until the verdict", all.compute_ms),
    ] {
        table.add_row([name.to_owned(), spread.to_string()]);
    }
    table
}

fn breakdown(title: &str, groups: &BTreeMap<String, Group>) -> Table {
    let mut table = plain(&[
        title,
        "clips",
        "person as machine",
        "(first)",
        "recall, first",
        "recall, final",
        "other as person",
        "verdict ms",
        "after speech ms",
    ]);
    for (name, group) in groups {
        table.add_row([
            Cell::new(name),
            right(group.clips),
            count(&group.human_as_machine),
            count(&group.human_as_machine_first),
            count(&group.machine_recall_first),
            count(&group.machine_recall_final),
            count(&group.other_as_human),
            right(group.verdict_ms),
            right(group.after_speech_ms),
        ]);
    }
    table
}

fn confusion(rows: &BTreeMap<Label, BTreeMap<String, usize>>) -> Table {
    let verdicts: BTreeSet<&String> = rows.values().flat_map(BTreeMap::keys).collect();
    let mut table = plain(&[]);
    table.set_header(std::iter::once("").chain(verdicts.iter().map(|verdict| verdict.as_str())));
    for (label, counts) in rows {
        let numbers = verdicts.iter().map(|verdict| match counts.get(*verdict) {
            Some(n) => right(n),
            None => right(""),
        });
        table.add_row(std::iter::once(Cell::new(label.word())).chain(numbers));
    }
    table
}

fn count(count: &crate::eval::Count) -> Cell {
    if count.n == 0 { right("-") } else { right(count) }
}

fn right(text: impl std::fmt::Display) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    table
}
