//! `sidetone campaign status NAME --watch`: where it stands, each second, until it is done.

use std::{collections::VecDeque, process::ExitCode, time::Duration};

use console::Term;
use sidetone_core::campaign::{CampaignState, Tally};
use tokio::time::Instant;

use super::Standing;
use crate::{
    cli::{
        Context,
        output::{document, say},
        table::{self, local_time},
    },
    store::{Attempt, Store, now_ms},
};

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The pace is that of the latest so long.
const PACE_OVER: Duration = Duration::from_secs(30);
/// Live calls that are shown.
const CALLS: usize = 5;
/// What the view is made for.
const WIDTH: usize = 80;
const BAR: usize = 40;

/// One look.
struct Look {
    standing: Standing,
    tally: Tally,
    live: Vec<Attempt>,
    /// Calls ended a second, lately.
    pace: f64,
}

/// Shows a campaign until it is done or stopped, or ctrl-C. On a terminal the view is drawn anew each second; else there is
/// a line whenever something changed. `--json`: one document at the end.
pub(super) async fn watch(ctx: &Context, store: &Store, name: &str) -> anyhow::Result<ExitCode> {
    tokio::select! {
        done = follow(ctx, store, name) => done?,
        _ = tokio::signal::ctrl_c() => {}
    }
    if ctx.json {
        document(&look(store, name).await?)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn look(store: &Store, name: &str) -> anyhow::Result<Standing> {
    let campaign = store.campaign(name).await?;
    let counts = store.campaign_counts(campaign.id).await?;
    let gateways = store.gateways(now_ms()).await?;
    Ok(Standing { campaign, counts, gateways })
}

async fn follow(ctx: &Context, store: &Store, name: &str) -> anyhow::Result<()> {
    let term = Term::stdout();
    let mut drawn = 0;
    let mut last = String::new();
    let mut ended = VecDeque::new();
    loop {
        let standing = look(store, name).await?;
        let (state, id) = (standing.campaign.state, standing.campaign.id);
        let is_over =
            matches!(state, CampaignState::Done | CampaignState::Stopped) && standing.counts.live == 0;
        let pace = pace(&mut ended, Instant::now(), standing.counts.attempts);
        if !ctx.json && term.is_term() {
            let tally = store.tally(id, 0).await?;
            let calls = store.recent_calls(Some(id), 200).await?;
            let live = calls.into_iter().filter(|call| call.ended_ms.is_none()).take(CALLS).collect();
            let lines = view(&Look { standing, tally, live, pace }, now_ms());
            let (rows, _) = term.size();
            let shown = lines.len().min(usize::from(rows).saturating_sub(1).max(1));
            term.clear_last_lines(drawn)?;
            term.write_str(&lines[..shown].iter().map(|line| format!("{line}\n")).collect::<String>())?;
            drawn = shown;
        } else if !ctx.json {
            let line = line(&standing);
            if line != last {
                say(format_args!("{} {line}", local_time(now_ms())))?;
                last = line;
            }
        }
        if is_over {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Calls ended a second over the latest [`PACE_OVER`].
fn pace(ended: &mut VecDeque<(Instant, u64)>, now: Instant, attempts: u64) -> f64 {
    ended.push_back((now, attempts));
    while ended.len() > 2 && now - ended[1].0 >= PACE_OVER {
        ended.pop_front();
    }
    let Some((since, before)) = ended.front().copied() else { return 0.0 };
    let seconds = (now - since).as_secs_f64();
    if seconds > 0.0 { attempts.saturating_sub(before) as f64 / seconds } else { 0.0 }
}

fn line(Standing { campaign, counts, .. }: &Standing) -> String {
    let mut line =
        format!("{}: {}; {} calls", campaign.state.word(), table::summary(counts), counts.attempts);
    for note in [&campaign.note, &campaign.throttle_note].into_iter().flatten() {
        line.push_str(&format!(" ({note})"));
    }
    line
}

fn view(look: &Look, now_ms: i64) -> Vec<String> {
    let Look { standing: Standing { campaign, counts, .. }, tally, live, pace } = look;
    let over = counts.contacts - counts.waiting - counts.live;
    let share = if counts.contacts == 0 { 0.0 } else { over as f64 / counts.contacts as f64 };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of the bar, 0 to BAR"
    )]
    let full = (share * BAR as f64) as usize;
    let mut lines = vec![
        format!("{}  {}", campaign.name, campaign.state.word()),
        format!("[{}{}] {:.1} %", "#".repeat(full), "-".repeat(BAR - full), share * 100.0),
        table::summary(counts),
        format!(
            "pace {pace:.1}/s of {:.1}, at once {} of {}{}",
            campaign.pace().cps,
            counts.live,
            campaign.pace().max_concurrent,
            left(counts.waiting, *pace)
        ),
    ];
    if let Some(due) = counts.next_due_ms.filter(|due| counts.live == 0 && *due > now_ms + 2000) {
        lines.push(format!("the next may be called at {}", local_time(due)));
    }
    if campaign.throttle < 1.0 {
        let note = campaign.throttle_note.as_deref().unwrap_or_default();
        lines.extend(wrapped(&format!("slowed to {:.0} %: {note}", campaign.throttle * 100.0)));
    }
    if let Some(note) = &campaign.note {
        lines.extend(wrapped(&format!("paused by the service: {note}")));
    }
    let rate =
        tally.abandoned_share(0.0).map_or_else(String::new, |rate| format!(" ({:.1} %)", rate * 100.0));
    let (people, machines, abandoned) = (tally.live(), tally.machines, tally.all_abandoned());
    lines.push(format!("answered by {people} people and {machines} machines; abandoned {abandoned}{rate}"));
    lines.push(String::new());
    lines.push(format!("{:<22}{:>10}", "disposition", "calls"));
    let most = counts.by_disposition.values().max().copied().unwrap_or(1).max(1);
    for (disposition, n) in &counts.by_disposition {
        let bar = usize::try_from(n * 40 / most).unwrap_or_default();
        lines.push(format!("{:<22}{n:>10}  {}", table::word(Some(*disposition)), "#".repeat(bar)));
    }
    lines.push(format!("{:<22}{:>10}", "all", counts.attempts));
    if !live.is_empty() {
        lines.push(String::new());
        lines.push(format!("{:<38}{:<20}{:>10}", "being called", "number", "seconds"));
        for call in live {
            let seconds = (now_ms - call.started_ms).max(0) / 1000;
            let number = call.number.as_deref().unwrap_or("-");
            lines.push(format!("{:<38}{number:<20}{seconds:>10}", call.call.as_str()));
        }
    }
    lines.iter().map(|line| console::truncate_str(line, WIDTH, "…").into_owned()).collect()
}

/// Words in lines of [`WIDTH`], indented from the second on.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if console::measure_text_width(line) + 1 + console::measure_text_width(word) <= WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(format!("  {word}"));
        }
    }
    lines
}

fn left(waiting: u64, pace: f64) -> String {
    if waiting == 0 || pace <= 0.0 {
        return String::new();
    }
    let minutes = waiting as f64 / pace / 60.0;
    match minutes {
        ..1.0 => ", under a minute left at this pace".to_owned(),
        ..120.0 => format!(", {minutes:.0} min left at this pace"),
        _ => format!(", {:.0} h left at this pace", minutes / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use sidetone_core::{call::Disposition, campaign::Brake};

    use super::*;
    use crate::store::{CampaignCounts, NewCampaign};

    async fn look() -> Look {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).await.unwrap();
        let new = NewCampaign {
            name: "a name as long as names may become, and then some more of it to be sure that it is cut"
                .to_owned(),
            scenario: String::new(),
            language: None,
            caller_id: None,
            max_concurrent: 10,
            cps: 4.0,
            max_attempts: 1,
        };
        let made = store.create_campaign(&new, 0).await.unwrap();
        let note = "abandoned calls: 28 of 1000 live answers in 24 h; uk-ofcom allows 3.0 %";
        store.throttle_campaign(made.id, Brake::Slow(0.5), note).await.unwrap();
        let campaign = store.campaign(&new.name).await.unwrap();
        let counts = CampaignCounts {
            contacts: 1_000_000,
            waiting: 749_990,
            live: 10,
            done: 250_000,
            suppressed: 1234,
            attempts: 251_000,
            by_disposition: [(Disposition::Completed, 250_000), (Disposition::NotInService, 1)].into(),
            ..CampaignCounts::default()
        };
        let tally = Tally { persons: 972, silent: 28, machines: 4000, ..Tally::default() };
        let standing = Standing { campaign, counts, gateways: Vec::new() };
        Look { standing, tally, live: Vec::new(), pace: 2.0 }
    }

    #[tokio::test]
    async fn the_view_fits_eighty_columns() {
        let lines = view(&look().await, 1_700_000_000_000);
        assert!(lines.iter().all(|line| console::measure_text_width(line) <= WIDTH), "{lines:#?}");
        assert_eq!(lines[1], format!("[{}{}] 25.0 %", "#".repeat(10), "-".repeat(30)));
        assert!(
            lines.contains(&"answered by 1000 people and 4000 machines; abandoned 28 (2.8 %)".to_owned())
        );
        assert!(
            lines.iter().any(|line| line.starts_with("pace 2.0/s of 2.0, at once 10 of 5")),
            "{lines:#?}"
        );
    }

    #[test]
    fn the_pace_is_that_of_late() {
        let mut ended = VecDeque::new();
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        assert!(pace(&mut ended, at(0), 100).abs() < f64::EPSILON);
        assert!((pace(&mut ended, at(10), 150) - 5.0).abs() < 1e-9);
        assert!((pace(&mut ended, at(40), 150) - 0.0).abs() < 1e-9, "nothing in the latest half minute");
        assert_eq!(left(0, 2.0), "");
        assert_eq!(left(600, 2.0), ", 5 min left at this pace");
        assert_eq!(left(720_000, 2.0), ", 100 h left at this pace");
    }
}
