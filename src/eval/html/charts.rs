//! Curves, as SVG.

use std::ops::Range;

use plotters::{coord::Shift, prelude::*};
use sidetone_core::amd::Verdict;

use crate::eval::{
    manifest::{Label, is_machine, is_nobody},
    score::ClipResult,
};

const SIZE: (u32, u32) = (720, 400);
/// Told apart with any eyes.
const COLOURS: [RGBColor; 3] = [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115)];
/// The part of the trade-off that matters.
const MOST_PEOPLE: f64 = 20.0;

/// A curve with its name.
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

struct Axes {
    x: &'static str,
    y: &'static str,
    range: Range<f64>,
}

/// Machines found against people taken for machines.
pub(super) fn trade_off(clips: &[ClipResult]) -> Result<String, String> {
    let scores = |label: Label| -> Vec<f64> {
        clips.iter().filter(|clip| clip.label == label).map(machine_score).collect()
    };
    let (people, machines) = (scores(Label::Human), scores(Label::Machine));
    let mut cuts: Vec<f64> = people.iter().chain(&machines).copied().collect();
    cuts.sort_by(|a, b| b.total_cmp(a));
    cuts.dedup();
    let above =
        |scores: &[f64], cut: f64| share(scores.iter().filter(|score| **score >= cut).count(), scores.len());
    let curve = cuts.iter().map(|cut| (above(&people, *cut), above(&machines, *cut)));
    let points: Vec<(f64, f64)> =
        std::iter::once((0.0, 0.0)).chain(curve).take_while(|(x, _)| *x <= MOST_PEOPLE).collect();
    let axes = Axes { x: "people called machine, %", y: "machines found, %", range: 0.0..MOST_PEOPLE };
    let decided = [
        ("first verdict", decided(clips, |clip| clip.first)),
        ("final verdict", decided(clips, |clip| clip.last)),
    ];
    draw(&axes, &[Series { name: "by confidence".to_owned(), points }], &decided)
}

/// From the answer to the first verdict.
pub(super) fn verdicts(clips: &[ClipResult]) -> Result<String, String> {
    let of = |label: Label| {
        clips.iter().filter(move |clip| clip.label == label).filter_map(|clip| clip.verdict_ms)
    };
    let series = [cumulative("people", of(Label::Human)), cumulative("machines", of(Label::Machine))];
    times("from the answer to the verdict, ms", &series)
}

/// From the end of a person's speech to the first verdict.
pub(super) fn after_speech(clips: &[ClipResult]) -> Result<String, String> {
    let of = |low: i64, high: i64| {
        let speaks = move |clip: &&ClipResult| clip.speech_ms.is_some_and(|ms| low < ms && ms <= high);
        let people = clips.iter().filter(|clip| clip.label == Label::Human);
        people.filter(speaks).filter_map(|clip| clip.after_speech_ms)
    };
    let series = [
        cumulative("speak up to 2 s", of(0, 2000)),
        cumulative("2 to 3.5 s", of(2000, 3500)),
        cumulative("longer", of(3500, i64::MAX)),
    ];
    times("from the end of a person's speech to the verdict, ms", &series)
}

/// The recogniser's work up to the verdict.
pub(super) fn compute(clips: &[ClipResult]) -> Result<String, String> {
    let series = [cumulative("all clips", clips.iter().filter_map(|clip| clip.compute_ms))];
    times("recogniser's work until the verdict, ms", &series)
}

/// How much of a machine it is, 0 to 1, by the first verdict.
fn machine_score(clip: &ClipResult) -> f64 {
    let Some(first) = clip.run.verdicts.first() else { return 0.5 };
    let confidence = f64::from(first.confidence);
    match first.verdict {
        Verdict::Human => 1.0 - confidence,
        Verdict::Unknown | Verdict::Silence => 0.5,
        Verdict::Voicemail
        | Verdict::MailboxFull
        | Verdict::Screening
        | Verdict::Ivr
        | Verdict::Sit
        | Verdict::Fax
        | Verdict::Tone
        | Verdict::Music => confidence,
    }
}

fn decided(clips: &[ClipResult], verdict: impl Fn(&ClipResult) -> Option<Verdict>) -> (f64, f64) {
    let of = |label: Label, is: fn(Verdict) -> bool| {
        let all = clips.iter().filter(|clip| clip.label == label);
        share(all.clone().filter(|clip| verdict(clip).is_some_and(is)).count(), all.count())
    };
    (of(Label::Human, is_nobody), of(Label::Machine, is_machine))
}

/// In percent.
fn share(k: usize, n: usize) -> f64 {
    if n == 0 { 0.0 } else { 100.0 * k as f64 / n as f64 }
}

/// How many percent came by then.
fn cumulative(name: &str, values: impl Iterator<Item = i64>) -> Series {
    let mut sorted: Vec<i64> = values.collect();
    sorted.sort_unstable();
    let n = sorted.len();
    let points = sorted.iter().enumerate().map(|(i, value)| (*value as f64, share(i + 1, n))).collect();
    Series { name: format!("{name} ({n})"), points }
}

fn times(x: &'static str, series: &[Series]) -> Result<String, String> {
    let all = || series.iter().flat_map(|series| series.points.iter().map(|(x, _)| *x));
    let (low, high) = (all().fold(0.0, f64::min), all().fold(100.0, f64::max));
    draw(&Axes { x, y: "verdicts fallen, %", range: low..high * 1.02 }, series, &[])
}

fn draw(axes: &Axes, series: &[Series], points: &[(&str, (f64, f64))]) -> Result<String, String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        plot(&area, axes, series, points).map_err(|error| format!("a chart cannot be drawn: {error}"))?;
    }
    Ok(svg)
}

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn plot<'a>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    axes: &Axes,
    series: &[Series],
    points: &[(&str, (f64, f64))],
) -> Drawn<'a> {
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(45)
        .y_label_area_size(55)
        .build_cartesian_2d(axes.range.clone(), 0.0..102.0)?;
    chart
        .configure_mesh()
        .x_desc(axes.x)
        .y_desc(axes.y)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .label_style(("sans-serif", 14))
        .axis_desc_style(("sans-serif", 15))
        .light_line_style(WHITE)
        .draw()?;
    for (series, colour) in series.iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(series.points.iter().copied(), colour.stroke_width(2)))?
            .label(&series.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    for ((name, at), colour) in points.iter().zip(COLOURS.into_iter().skip(1)) {
        chart
            .draw_series(std::iter::once(Circle::new(*at, 5, colour.filled())))?
            .label(format!("{name}: {:.1} %, {:.1} %", at.0, at.1))
            .legend(move |(x, y)| Circle::new((x + 9, y), 5, colour.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 14))
        .draw()?;
    area.present()
}
