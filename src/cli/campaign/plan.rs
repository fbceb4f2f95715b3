//! `sidetone campaign plan`: who can be called now, why the others cannot, and when it will be done.

use std::{collections::BTreeMap, process::ExitCode};

use serde::Serialize;
use sidetone_core::campaign::{Resting, Standing, Waiting, done_at};

use crate::{
    cli::{
        Context,
        output::{document, say},
        table,
    },
    store::{Campaign, CampaignCounts, Cohort, CohortWaiting, Pastime, Store, now_ms},
};

/// How long a call is taken to last before there were any.
const USUAL_CALL_MS: u64 = 30_000;
/// From so many contacts on their attempts say how many the others will take.
const ENOUGH: u64 = 20;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sidetone campaign plan spring --json\n\n\
    The end is an estimate: from the pace, the windows and how long calls lasted so far. Times are unix milliseconds.")]
pub(super) struct Plan {
    /// The campaign.
    name: String,
}

/// What `--json` prints. Every contact is counted once.
#[derive(Debug, Default, Serialize)]
struct Planned {
    campaign: String,
    state: &'static str,
    /// `null`: none.
    policy: Option<String>,
    now_ms: i64,
    contacts: u64,
    callable_now: u64,
    not_now: NotNow,
    /// Those outside hours, by zones.
    outside_hours: Vec<OutsideHours>,
    /// When a window that is open now closes.
    open_until_ms: Option<i64>,
    /// When the next window opens that is closed now.
    next_window_ms: Option<i64>,
    /// When the next of those is due who are to be called at some time.
    next_due_ms: Option<i64>,
    /// `null`: not within a year, or nobody is left.
    done_at_ms: Option<i64>,
    estimate: Estimate,
}

#[derive(Debug, Default, Serialize)]
struct NotNow {
    outside_hours: u64,
    unknown_zone: u64,
    /// Their zones' windows never meet.
    never_open: u64,
    no_consent: u64,
    suppressed: u64,
    caps_reached: u64,
    after_abandoned: u64,
    after_refusal: u64,
    /// To be called at some time: again, or as they asked.
    retry_waiting: u64,
    /// Of a list that is not read to its end.
    loading: u64,
    being_called: u64,
    done: u64,
    forgotten: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct OutsideHours {
    zones: String,
    contacts: u64,
    opens_ms: i64,
}

#[derive(Debug, Default, Serialize)]
struct Estimate {
    calls: u64,
    calls_per_second: f64,
    call_ms: u64,
    /// Nobody was called yet: a usual length was taken.
    call_ms_assumed: bool,
    attempts_per_contact: f64,
}

impl Plan {
    pub(super) async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let store = Store::open(&ctx.config.store.url).await?;
        let campaign = store.campaign(&self.name).await?;
        let now = now_ms();
        let counts = store.campaign_counts(campaign.id).await?;
        let waiting = store.waiting(&campaign, now).await?;
        let cohorts = store.cohorts(campaign.id).await?;
        let past = store.pastime(campaign.id).await?;
        let planned = Planned::new(&campaign, (&counts, past), (&cohorts, waiting), now);
        match ctx.json {
            true => document(&planned)?,
            false => planned.say(&campaign)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Planned {
    fn new(
        campaign: &Campaign,
        (counts, past): (&CampaignCounts, Pastime),
        (cohorts, mut waiting): (&[Cohort], BTreeMap<i64, CohortWaiting>),
        now: i64,
    ) -> Self {
        let mut plan = Self {
            campaign: campaign.name.clone(),
            state: campaign.state.word(),
            policy: campaign.terms.policy.as_ref().map(|policy| policy.name.clone()),
            now_ms: now,
            ..Self::default()
        };
        plan.not_now.suppressed = counts.suppressed;
        plan.not_now.being_called = counts.live;
        plan.not_now.done = counts.done;
        plan.not_now.forgotten = counts.forgotten;
        let mut to_call = Vec::new();
        for cohort in cohorts {
            let cohort_waiting = waiting.remove(&cohort.id).unwrap_or_default();
            let standing = campaign.terms.standing(cohort, now);
            let calls = plan.count(cohort, &cohort_waiting, standing);
            if calls > 0 {
                to_call.push((cohort, calls, cohort_waiting.last_later_ms));
            }
        }
        // What is left belongs to no published list.
        plan.not_now.loading = waiting.values().map(|cohort| cohort.due + cohort.later).sum();
        plan.contacts = counts.contacts + plan.not_now.loading;
        plan.outside_hours.sort_by(|a, b| (a.opens_ms, &a.zones).cmp(&(b.opens_ms, &b.zones)));
        plan.estimate(campaign, past, &to_call);
        plan
    }

    /// Counts a cohort's contacts and says how many of them are to be called sooner or later.
    fn count(&mut self, cohort: &Cohort, waiting: &CohortWaiting, standing: Standing) -> u64 {
        let all = waiting.due + waiting.later;
        let not_now = &mut self.not_now;
        match standing {
            Standing::NoConsent => not_now.no_consent += all,
            Standing::UnknownZone => not_now.unknown_zone += all,
            Standing::NeverOpen => not_now.never_open += all,
            Standing::Open { .. } | Standing::Closed { .. } => {}
        }
        if !standing.may_open() || all == 0 {
            return 0;
        }
        let resting = |why: Resting| waiting.resting.get(&why).copied().unwrap_or_default();
        let ready = waiting.due - waiting.suppressed - waiting.resting.values().sum::<u64>();
        not_now.suppressed += waiting.suppressed;
        not_now.caps_reached += resting(Resting::PerDay) + resting(Resting::Per30Days);
        not_now.after_abandoned += resting(Resting::AfterAbandoned);
        not_now.after_refusal += resting(Resting::AfterRefusal);
        not_now.retry_waiting += waiting.later;
        self.next_due_ms = least(self.next_due_ms, waiting.first_later_ms);
        match standing {
            Standing::Open { until_ms } => {
                self.callable_now += ready;
                self.open_until_ms = least(self.open_until_ms, until_ms);
            }
            Standing::Closed { opens_ms } => {
                self.not_now.outside_hours += ready;
                self.next_window_ms = least(self.next_window_ms, Some(opens_ms));
                self.outside(cohort, ready, opens_ms);
            }
            Standing::UnknownZone | Standing::NeverOpen | Standing::NoConsent => {}
        }
        all - waiting.suppressed
    }

    fn outside(&mut self, cohort: &Cohort, contacts: u64, opens_ms: i64) {
        let same =
            |outside: &&mut OutsideHours| outside.zones == cohort.zones && outside.opens_ms == opens_ms;
        match self.outside_hours.iter_mut().find(same) {
            Some(known) => known.contacts += contacts,
            None if contacts > 0 => {
                self.outside_hours.push(OutsideHours { zones: cohort.zones.clone(), contacts, opens_ms });
            }
            None => {}
        }
    }

    fn estimate(&mut self, campaign: &Campaign, past: Pastime, to_call: &[(&Cohort, u64, Option<i64>)]) {
        let call_ms = past.total_ms.checked_div(past.calls);
        let per_contact = match past.contacts_done >= ENOUGH {
            true => (past.attempts as f64 / past.contacts_done as f64).max(1.0),
            false => 1.0,
        };
        let pace = campaign.pace();
        let call_s = call_ms.unwrap_or(USUAL_CALL_MS).max(1) as f64 / 1000.0;
        let per_second = pace.cps.min(f64::from(pace.max_concurrent) / call_s);
        let calls: u64 = to_call.iter().map(|(_, calls, _)| calls).sum();
        self.estimate = Estimate {
            calls: (calls as f64 * per_contact).round() as u64,
            calls_per_second: per_second,
            call_ms: call_ms.unwrap_or(USUAL_CALL_MS),
            call_ms_assumed: call_ms.is_none(),
            attempts_per_contact: per_contact,
        };
        let standings: Vec<_> =
            to_call.iter().map(|(cohort, ..)| |at: i64| campaign.terms.standing(cohort, at)).collect();
        let waiting = to_call.iter().zip(&standings).map(|((_, calls, last), standing)| Waiting {
            calls: *calls as f64 * per_contact,
            due_ms: last.unwrap_or(self.now_ms),
            standing,
        });
        let waiting: Vec<_> = waiting.collect();
        let call_ms = i64::try_from(self.estimate.call_ms).unwrap_or_default();
        self.done_at_ms =
            (!waiting.is_empty()).then(|| done_at(waiting, per_second, call_ms, self.now_ms)).flatten();
    }

    fn say(&self, campaign: &Campaign) -> anyhow::Result<()> {
        say(format_args!("campaign `{}` is {}", self.campaign, self.state))?;
        say(super::policy::line(campaign))?;
        say(table::pairs(["contacts", &format!("of {}", self.contacts)], &self.rows()))?;
        for outside in &self.outside_hours {
            let zones = if outside.zones.is_empty() { "the default zone" } else { &outside.zones };
            let opens = table::local_time(outside.opens_ms);
            say(format_args!("{} in {zones}: open at {opens}", outside.contacts))?;
        }
        let estimate = &self.estimate;
        let moments = [
            ("windows begin to close at", self.open_until_ms),
            ("the next window opens at", self.next_window_ms),
            ("the next one to be called again is due at", self.next_due_ms),
        ];
        for (words, at) in moments {
            if let Some(at) = at {
                say(format_args!("{words} {}", table::local_time(at)))?;
            }
        }
        let assumed = if estimate.call_ms_assumed { ", assumed" } else { "" };
        let basis = format!(
            "{} calls at {:.2} a second, {} s each{assumed}",
            estimate.calls,
            estimate.calls_per_second,
            estimate.call_ms / 1000
        );
        match self.done_at_ms {
            Some(at) => say(format_args!("done at about {} ({basis})", table::local_time(at)))?,
            None if estimate.calls > 0 => say(format_args!("not done within a year ({basis})"))?,
            None => say("nobody is left to call")?,
        }
        Ok(())
    }

    fn rows(&self) -> Vec<(&'static str, u64)> {
        let not_now = &self.not_now;
        let all = [
            ("can be called now", self.callable_now),
            ("outside hours", not_now.outside_hours),
            ("time zone unknown: give --default-zone", not_now.unknown_zone),
            ("never open: their zones' windows do not meet", not_now.never_open),
            ("no consent", not_now.no_consent),
            ("on a do-not-call list", not_now.suppressed),
            ("called as often as allowed", not_now.caps_reached),
            ("resting after an abandoned call", not_now.after_abandoned),
            ("resting after a refusal", not_now.after_refusal),
            ("to be called again later", not_now.retry_waiting),
            ("of a list that is still being read", not_now.loading),
            ("being called", not_now.being_called),
            ("done", not_now.done),
            ("forgotten", not_now.forgotten),
        ];
        all.into_iter().filter(|(what, n)| *n > 0 || *what == "can be called now").collect()
    }
}

fn least(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a.into_iter().chain(b).min()
}
