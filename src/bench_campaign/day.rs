//! A day of a campaign in virtual time: the real store and the real decisions (claims, pace, hours, retries, leases given
//! back), with calls that only pretend. One of the sidecars dies with its calls, soon after London may be called, and
//! comes back an hour later.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::Serialize;
use sidetone_core::{
    call::{CallId, Disposition},
    campaign::{Control, Pacer, Policy, zones_of},
};

use super::{audit, measure::rounded};
use crate::{
    random::Random,
    store::{
        Campaign, CampaignCounts, Cohort, FinishedCall, NewCampaign, NewContact, NewImport, Store, Terms,
    },
};

const CAMPAIGN: &str = "day";
/// Hours where the callee is, consent, attempts a day.
const POLICY: &str = "us-tsr";
/// Monday 2026-03-02T00:00Z.
const START_MS: i64 = 1_772_409_600_000;
const HOUR_MS: i64 = 3_600_000;
/// How often each sidecar looks whether it may dial; they take turns within it.
const TICK_MS: i64 = 2_000;
/// How far time leaps where nothing can happen.
const LEAP_MS: i64 = 60_000;
/// The most contacts that a sidecar claims at once.
const CLAIM: u32 = 50;
const BATCH: usize = 500;

/// How many, and who answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) contacts: u32,
    pub(super) sidecars: u32,
    pub(super) seed: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Day {
    pub(super) hours: i64,
    pub(super) wall_s: f64,
    pub(super) cps: f64,
    pub(super) max_concurrent: u32,
    /// Calls that the sidecars dialled.
    pub(super) dialled: u64,
    /// The contacts' states and what the attempts came to, as the database counts them.
    pub(super) counts: CampaignCounts,
    /// Calls of the sidecar that died.
    pub(super) lost: u64,
    pub(super) claims: u64,
    /// Calls to somebody at an hour at which the policy lets nobody call them.
    pub(super) outside_hours: u64,
}

/// A call that was dialled, and what it will have come to.
#[derive(Debug, Clone)]
pub(super) struct Dialled {
    pub(super) contact: i64,
    pub(super) started_ms: i64,
    pub(super) ends_ms: i64,
    pub(super) disposition: Disposition,
    pub(super) sidecar: usize,
}

struct Sidecar {
    store: Store,
    instance: String,
    pacer: Pacer,
    alive: bool,
}

struct World {
    campaign: Campaign,
    sidecars: Vec<Sidecar>,
    dialled: HashMap<CallId, Dialled>,
    /// When calls end, the next first.
    ends: BinaryHeap<Reverse<(i64, String)>>,
    live: Vec<u32>,
    random: Random,
    claims: u64,
    outside_hours: u64,
}

pub(super) async fn run(plan: &Plan, folder: &Path) -> anyhow::Result<(Day, audit::Books)> {
    let begun = Instant::now();
    // The day is about what is written, not about how long a disk takes for it.
    let memory = tempfile::Builder::new().prefix("sidetone-bench-").tempdir_in("/dev/shm").ok();
    let folder = memory.as_ref().map_or(folder, tempfile::TempDir::path);
    let url = format!("sqlite:{}", folder.join("day.db").display());
    let store = Store::open(&url).await?;
    let campaign = fill(&store, plan).await?;
    let mut sidecars = Vec::new();
    for number in 0..plan.sidecars {
        sidecars.push(Sidecar {
            store: Store::open(&url).await?,
            instance: format!("sidecar-{number}"),
            pacer: Pacer::new(campaign.pace()),
            alive: true,
        });
    }
    let mut world = World {
        live: vec![0; sidecars.len()],
        campaign,
        sidecars,
        dialled: HashMap::new(),
        ends: BinaryHeap::new(),
        random: Random(plan.seed),
        claims: 0,
        outside_hours: 0,
    };
    let end = START_MS + 24 * HOUR_MS;
    world.until(end).await?;
    let counts = store.campaign_counts(world.campaign.id).await?;
    let books = audit::balance(&store, &world.campaign, &world.dialled, (plan.contacts, &counts)).await?;
    let lost = counts.by_disposition.get(&Disposition::Lost).copied().unwrap_or(0);
    // A crash that nobody was talking in would prove nothing.
    anyhow::ensure!(plan.sidecars == 1 || lost > 0, "the sidecar that died had no call: another --seed");
    for sidecar in &world.sidecars {
        sidecar.store.close().await;
    }
    store.close().await;
    let day = Day {
        hours: 24,
        wall_s: rounded(begun.elapsed().as_secs_f64()),
        cps: world.campaign.cps,
        max_concurrent: world.campaign.max_concurrent,
        dialled: u64::try_from(world.dialled.len())?,
        counts,
        lost,
        claims: world.claims,
        outside_hours: world.outside_hours,
    };
    Ok((day, books))
}

/// A campaign at a pace that reaches everybody in some hours.
async fn fill(store: &Store, plan: &Plan) -> anyhow::Result<Campaign> {
    let cps = (f64::from(plan.contacts) / 20_000.0).ceil().max(2.0);
    let new = NewCampaign {
        name: CAMPAIGN.to_owned(),
        scenario: "/none.yaml".to_owned(),
        language: None,
        caller_id: None,
        max_concurrent: (cps * 30.0) as u32,
        cps,
        max_attempts: 3,
    };
    let policy = Policy::presets().iter().find(|policy| policy.name == POLICY).cloned();
    anyhow::ensure!(policy.is_some(), "the policy {POLICY} is missing");
    let terms = Terms { policy, ..Terms::default() };
    let campaign = store.create_campaign_with(&new, &terms, START_MS).await?;
    let new = NewImport { campaign: campaign.id, list: "day".to_owned(), digest: "day".to_owned() };
    let mut import = store.begin_import(&new, START_MS).await?;
    let mut batch = Vec::with_capacity(BATCH);
    for i in 0..plan.contacts {
        batch.push(NewContact { consent: true, ..NewContact::new(number(i), [].into()) });
        if batch.len() == BATCH || i + 1 == plan.contacts {
            store.add_to_import(&mut import, &batch, u64::from(i) + 1, START_MS).await?;
            batch.clear();
        }
    }
    store.publish_import(&import, START_MS).await?;
    Ok(store.control_campaign(CAMPAIGN, Control::Run, START_MS).await?)
}

/// People of five time zones.
fn number(i: u32) -> String {
    let (zone, subscriber) = (i % 5, i / 5);
    match zone {
        0 => format!("+336{subscriber:08}"),
        1 => format!("+4479{:08}", 11_000_000 + subscriber),
        2 => format!("+1212{}", 2_000_000 + subscriber),
        3 => format!("+1312{}", 2_000_000 + subscriber),
        _ => format!("+1213{}", 2_000_000 + subscriber),
    }
}

impl World {
    async fn until(&mut self, end: i64) -> anyhow::Result<()> {
        let mut now = START_MS;
        let dies = (self.sidecars.len() > 1).then_some(1);
        // The clock leaps a minute at most: by then London's first calls are under way.
        let (dead, back) = (START_MS + 8 * HOUR_MS + HOUR_MS / 40, START_MS + 9 * HOUR_MS);
        let (mut settled, mut first) = (false, 0);
        while now < end {
            if let Some(sidecar) = dies {
                if now >= dead && self.sidecars[sidecar].alive && !settled {
                    self.sidecars[sidecar].alive = false;
                } else if now >= dead + 10_000 && !settled {
                    self.give_back(sidecar, now).await?;
                    settled = true;
                } else if now >= back {
                    self.sidecars[sidecar].alive = true;
                }
            }
            self.end_calls(now).await?;
            let mut claimed = 0;
            // Whoever looks first finds most room: each in its turn.
            first = (first + 1) % self.sidecars.len();
            for turn in 0..self.sidecars.len() {
                let sidecar = (first + turn) % self.sidecars.len();
                claimed += self.tick(sidecar, turn, now).await?;
            }
            now += TICK_MS;
            if claimed == 0 {
                let next = self.ends.peek().map_or(i64::MAX, |Reverse((at, _))| *at);
                now = now.max(next.min(now + LEAP_MS));
            }
        }
        // What is said at midnight is said to its end.
        self.end_calls(i64::MAX).await
    }

    /// What the dialer does at each look. Sidecars look one after another, a part of the tick apart.
    async fn tick(&mut self, index: usize, turn: usize, now: i64) -> anyhow::Result<usize> {
        let of_all = i64::try_from(self.sidecars.len()).unwrap_or(1);
        let now = now + i64::try_from(turn).unwrap_or(0) * TICK_MS / of_all;
        let sidecar = &mut self.sidecars[index];
        if !sidecar.alive {
            return Ok(0);
        }
        let since = Duration::from_millis(u64::try_from(now - START_MS).unwrap_or(0));
        let allowed = sidecar.pacer.allowed(since, self.live.iter().sum()).min(CLAIM);
        if allowed == 0 {
            return Ok(0);
        }
        let claimed = sidecar.store.claim_contacts(self.campaign.id, allowed, &sidecar.instance, now).await?;
        self.claims += 1;
        for claim in &claimed {
            sidecar.pacer.started(since);
            self.outside_hours += u64::from(!may_be_called(&self.campaign, &claim.number, now));
            let (disposition, lasts_ms) = outcome(&mut self.random);
            let ends_ms = now + lasts_ms;
            self.live[index] += 1;
            self.ends.push(Reverse((ends_ms, claim.call.to_string())));
            let call =
                Dialled { contact: claim.contact, started_ms: now, ends_ms, disposition, sidecar: index };
            let before = self.dialled.insert(claim.call.clone(), call);
            anyhow::ensure!(before.is_none(), "a call id was given twice");
        }
        Ok(claimed.len())
    }

    async fn end_calls(&mut self, now: i64) -> anyhow::Result<()> {
        while let Some(Reverse((at, _))) = self.ends.peek()
            && *at <= now
        {
            let Some(Reverse((at, id))) = self.ends.pop() else { break };
            let call = CallId::new(&id).context("a call id")?;
            let dialled = self.dialled.get(&call).context("a call that was dialled")?;
            let sidecar = &self.sidecars[dialled.sidecar];
            // The calls of one that died end without a word of it.
            if !sidecar.alive || dialled.disposition == Disposition::Lost {
                continue;
            }
            let mut finished = FinishedCall::new(dialled.disposition, at);
            finished.answered_ms = answered(dialled.disposition).then_some(dialled.started_ms + 5_000);
            sidecar.store.finish_attempt(&call, &finished, &self.campaign.retries).await?;
            self.live[dialled.sidecar] -= 1;
        }
        Ok(())
    }

    /// What another sidecar does once it has not heard this one's heart for a while.
    async fn give_back(&mut self, dead: usize, now: i64) -> anyhow::Result<()> {
        let instance = self.sidecars[dead].instance.clone();
        let other = &self.sidecars[0].store;
        for orphan in other.orphans(&instance).await? {
            if let Some(dialled) = self.dialled.get_mut(&orphan.call) {
                dialled.disposition = Disposition::Lost;
                dialled.ends_ms = now;
            }
            other.settle_orphan(&orphan, now).await?;
        }
        self.live[dead] = 0;
        Ok(())
    }
}

fn may_be_called(campaign: &Campaign, number: &str, now: i64) -> bool {
    let zones = zones_of(number).to_owned();
    let alone = Cohort { id: 0, zones, consent: true, timed_ms: None, has_fresh: true };
    campaign.terms.is_open(&alone, now)
}

fn answered(disposition: Disposition) -> bool {
    matches!(disposition, Disposition::Completed | Disposition::Machine)
}

/// What a call comes to, and how long it lasts in milliseconds.
fn outcome(random: &mut Random) -> (Disposition, i64) {
    let (disposition, shortest_s, longest_s) = match random.below(100) {
        0..35 => (Disposition::Completed, 20, 60),
        35..60 => (Disposition::Machine, 10, 30),
        60..85 => (Disposition::NoAnswer, 25, 35),
        85..93 => (Disposition::Busy, 1, 4),
        93..95 => (Disposition::Congestion, 1, 3),
        95..98 => (Disposition::Unreachable, 1, 6),
        _ => (Disposition::Failed, 1, 2),
    };
    let lasts_ms = shortest_s * 1000 + random.below((longest_s - shortest_s) * 1000);
    (disposition, i64::try_from(lasts_ms).unwrap_or(0))
}
