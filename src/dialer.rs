//! Turns waiting contacts and wishes into calls, at the pace allowed.
//!
//! Every attempt is in the database before [`PlaceCall::place`] is asked for it. Whoever places a call ends it
//! with [`Store::finish_attempt`]; the dialer ends only what was never placed.

mod lines;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use sidetone_core::{
    amd::Verdict,
    call::{CallId, Disposition, HangupReason},
    campaign::{CampaignState, Demand, Pacer, Policy, RetryTable, Shares, dialable},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    logging::mask_number,
    store::{
        ActiveCampaign, Campaign, ClaimOrder, Claimed, FinishedCall, GatewayStanding, LEASE, OpenElsewhere,
        Store, StoreError, TakenWish, now_ms,
    },
};

pub use lines::{Line, LineLimits, Load};
use lines::{Lines, Room};

/// How often states, wishes and the pace are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long after a database error nothing is tried.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// How often a stopped campaign's calls are asked to end until they have.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How often open attempts are compared with the calls that live.
const AUDIT: Duration = Duration::from_secs(5);
/// How often other instances' hearts are listened to.
const LISTEN: Duration = Duration::from_secs(1);
/// A claim that found nobody though somebody seemed due is not repeated before this.
const NOBODY: Duration = Duration::from_millis(500);
/// How long a contact waits whose call could not be placed just now.
const NOT_NOW_MS: i64 = 2_000;
/// How long a wish waits for the switch before it is refused with the reason.
const WISH_PATIENCE_MS: i64 = 5_000;

/// The one who places calls: the application in service, a list in tests. Nothing here may block.
pub trait PlaceCall: Send + Sync + 'static {
    /// Whether calls may start now; asked before contacts are claimed.
    ///
    /// # Errors
    /// [`NotReady`] with the reason: no switch, shutting down, the engine's queue is full.
    fn ready(&self) -> Result<(), NotReady>;

    /// Starts a call. What comes of it is stored by the one who took it, who keeps `line` until it has ended and says
    /// how it ended.
    ///
    /// # Errors
    /// [`PlaceError`] says what it means for the contact. The call was then not started and never will be.
    fn place(&self, spec: CallSpec, line: Line) -> Result<(), PlaceError>;

    /// Whether this call lives, or its outcome is still being stored.
    fn is_live(&self, call: &CallId) -> bool;

    /// Ends every live call of a campaign. Asked again each second until none is left.
    fn end_campaign_calls(&self, campaign: i64, reason: HangupReason);
}

/// Why no call may start now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotReady(pub String);

/// Why a call was not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Later may do: the contact waits again and the attempt does not count.
    #[error("{0}")]
    NotNow(String),
    /// This contact cannot be called: it is done with.
    #[error("{0}")]
    Contact(String),
    /// No contact of this campaign can be called: it is paused, with these words.
    #[error("{0}")]
    Campaign(String),
}

/// A call to start.
#[derive(Clone, PartialEq, Eq)]
pub struct CallSpec {
    pub call: CallId,
    /// E.164, where a number is called.
    pub number: Option<String>,
    /// What the switch is told to dial.
    pub dial_string: String,
    pub caller_id: String,
    /// The scenario file.
    pub scenario: String,
    /// Instead of the scenario's.
    pub language: Option<String>,
    pub variables: BTreeMap<String, String>,
    pub campaign: Option<i64>,
    /// The telephone rings at least so long.
    pub ring_at_least: Duration,
    /// By class of machine what to do instead of what the scenario says.
    pub machine: BTreeMap<String, String>,
    /// Who answered this number the last time.
    pub earlier: Option<Verdict>,
    /// For [`Store::finish_attempt`].
    pub retries: RetryTable,
}

/// Personal data stays out of logs.
impl std::fmt::Debug for CallSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = self.number.as_deref().map(mask_number);
        f.debug_struct("CallSpec")
            .field("call", &self.call)
            .field("number", &number)
            .field("scenario", &self.scenario)
            .field("campaign", &self.campaign)
            .finish_non_exhaustive()
    }
}

/// What the dialer takes from the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct DialSettings {
    pub instance: String,
    pub caller_id: String,
    pub lines: LineLimits,
}

impl DialSettings {
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            instance: config.switch.instance.clone(),
            caller_id: config.switch.caller_id.clone(),
            lines: LineLimits::of(&config.switch),
        }
    }
}

/// The dialer's task.
pub struct Dialer {
    store: Store,
    place: Arc<dyn PlaceCall>,
    settings: DialSettings,
    started: Instant,
    lines: Lines,
    /// By campaign; kept over a pause, so that resuming starts no burst.
    pacers: BTreeMap<i64, Pacer>,
    shares: Shares,
    /// Campaigns of which the latest claim found nobody.
    nobody: BTreeMap<i64, Instant>,
    /// How the gateways did when it was last written down.
    written: Vec<GatewayStanding>,
    /// When a stopped campaign's calls were last asked to end.
    asked: BTreeMap<i64, Instant>,
    /// Why no call started at the last look, so that it is logged once.
    not_ready: Option<NotReady>,
    /// Open attempts without a live call at the last audit.
    suspects: BTreeSet<CallId>,
    /// Other instances with open attempts: their latest heartbeat, and since when we have seen no later one.
    others: BTreeMap<String, (Option<i64>, Instant)>,
}

impl Dialer {
    #[must_use]
    pub fn new(store: Store, place: Arc<dyn PlaceCall>, settings: DialSettings) -> Self {
        Self {
            store,
            place,
            lines: Lines::new(&settings.lines),
            settings,
            started: Instant::now(),
            pacers: BTreeMap::new(),
            shares: Shares::default(),
            nobody: BTreeMap::new(),
            written: Vec::new(),
            asked: BTreeMap::new(),
            not_ready: None,
            suspects: BTreeSet::new(),
            others: BTreeMap::new(),
        }
    }

    /// What is counted of each gateway, by name.
    #[must_use]
    pub fn loads(&self) -> Vec<(Arc<str>, Arc<Load>)> {
        self.lines.loads()
    }

    /// Dials until `shutdown`. A step that has begun is carried through: what is claimed is placed or given back.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut audit = tokio::time::interval(AUDIT);
        audit.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        audit.tick().await;
        let mut listen = tokio::time::interval(LISTEN);
        listen.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut wait = TICK;
        loop {
            let done = tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => self.tick().await,
                _ = audit.tick() => self.audit().await,
                _ = listen.tick() => self.listen().await,
            };
            wait = TICK;
            if let Err(error) = done {
                tracing::warn!(%error, "the dialer could not use the database");
                wait = AFTER_ERROR;
            }
        }
    }

    async fn tick(&mut self) -> Result<(), StoreError> {
        let ready = self.ready();
        self.take_wishes(&ready).await?;
        let active = self.store.active_campaigns().await?;
        let running = |active: &&ActiveCampaign| active.campaign.state == CampaignState::Running;
        let wanted_cps = active.iter().filter(running).map(|active| active.campaign.cps).sum();
        self.lines.observe(self.started.elapsed(), wanted_cps);
        let mut demands = Vec::new();
        for active in &active {
            match active.campaign.state {
                CampaignState::Running => {
                    let wants = self.wants(active).await?;
                    let weight = active.campaign.terms.weight;
                    demands.push(Demand { campaign: active.campaign.id, weight, wants });
                }
                CampaignState::Stopped => self.end_calls(active.campaign.id),
                CampaignState::Draft | CampaignState::Paused | CampaignState::Done => {}
            }
        }
        if ready.is_ok() {
            let mut room = self.lines.room(self.started.elapsed());
            for (id, n) in self.shares.divide(room.total(), &demands) {
                let Some(active) = active.iter().find(|active| active.campaign.id == id) else { continue };
                self.advance(&active.campaign, n, &mut room).await?;
            }
        }
        Ok(())
    }

    async fn take_wishes(&mut self, ready: &Result<(), NotReady>) -> Result<(), StoreError> {
        let now = now_ms();
        let ready = match self.lines.room(self.started.elapsed()).total() {
            0 => ready.clone().and_then(|()| Err(NotReady("every gateway is at its limit".to_owned()))),
            _ => ready.clone(),
        };
        let placed_before = if ready.is_ok() { i64::MAX } else { now - WISH_PATIENCE_MS };
        let mut first_error = Ok(());
        for wish in self.store.take_wishes(&self.settings.instance, placed_before, now).await? {
            first_error = first_error.and(self.place_wish(wish, &ready).await);
        }
        first_error
    }

    fn ready(&mut self) -> Result<(), NotReady> {
        let ready = match self.store.holds_lease() {
            true => self.place.ready(),
            false => Err(NotReady("no heartbeat reached the database lately".to_owned())),
        };
        let reason = ready.clone().err();
        if reason != self.not_ready {
            match &reason {
                Some(reason) => tracing::warn!(%reason, "no call starts"),
                None => tracing::info!("calls may start again"),
            }
            self.not_ready = reason;
        }
        ready
    }

    async fn place_wish(&mut self, taken: TakenWish, ready: &Result<(), NotReady>) -> Result<(), StoreError> {
        let TakenWish { id, call, wish } = taken;
        let now = self.started.elapsed();
        let way = self.lines.room(now).take(1).pop();
        let dial_string = match (&wish.dial_string, &wish.number) {
            (Some(dial_string), _) => dial_string.clone(),
            (None, Some(number)) => self.lines.dial(way.unwrap_or_default(), number),
            (None, None) => String::new(),
        };
        let earlier = match &wish.number {
            Some(number) => self.store.last_verdict(number).await?,
            None => None,
        };
        let spec = CallSpec {
            call: call.clone(),
            number: wish.number,
            dial_string,
            caller_id: wish.caller_id.unwrap_or_else(|| self.settings.caller_id.clone()),
            scenario: wish.scenario,
            language: wish.language,
            variables: wish.variables,
            campaign: None,
            ring_at_least: Duration::ZERO,
            machine: BTreeMap::new(),
            earlier,
            retries: RetryTable::with_max_attempts(1),
        };
        let refused = spec.number.as_deref().and_then(|number| dialable(number).err());
        let placed = match (ready, way) {
            (Ok(()), _) if refused.is_some() => Err(refused.map(|why| why.to_string()).unwrap_or_default()),
            (Ok(()), Some(way)) => match self.lines.start(way, now) {
                Some(line) => self.place.place(spec, line).map_err(|error| error.to_string()),
                None => Err("there is no gateway".to_owned()),
            },
            (Ok(()), None) => Err("every gateway is at its limit".to_owned()),
            (Err(reason), _) => Err(reason.to_string()),
        };
        if let Err(reason) = placed {
            self.store.refuse_wish(id, &reason).await?;
            self.not_placed(&call, &reason).await?;
        }
        Ok(())
    }

    /// How many calls a running campaign could start now; ends it where nobody is left.
    async fn wants(&mut self, active: &ActiveCampaign) -> Result<u32, StoreError> {
        let ActiveCampaign { campaign, live } = active;
        let now = now_ms();
        let cohorts = self.store.cohorts(campaign.id).await?;
        let is_open = |cohort| campaign.terms.is_open(cohort, now);
        if !cohorts.iter().any(|cohort| cohort.is_due(now) && is_open(cohort)) {
            let may_open = |cohort| is_open(cohort) || campaign.terms.standing(cohort, now).may_open();
            let nobody = *live == 0 && !cohorts.iter().any(|cohort| cohort.waits() && may_open(cohort));
            if nobody && self.store.finish_campaign(campaign.id, now).await? {
                tracing::info!(campaign = campaign.name, "nobody is left to call");
            }
            return Ok(0);
        }
        if self.nobody.get(&campaign.id).is_some_and(|at| at.elapsed() < NOBODY) {
            return Ok(0);
        }
        let pacer = self.pacers.entry(campaign.id).or_insert_with(|| Pacer::new(campaign.pace()));
        pacer.set(campaign.pace());
        Ok(pacer.allowed(self.started.elapsed(), *live))
    }

    /// Starts up to `n` calls.
    async fn advance(&mut self, campaign: &Campaign, n: u32, room: &mut Room) -> Result<(), StoreError> {
        let ways = room.take(n);
        let gateways: Vec<String> = ways.iter().map(|way| self.lines.name(*way).to_owned()).collect();
        let order = ClaimOrder {
            campaign: campaign.id,
            n: u32::try_from(ways.len()).unwrap_or(u32::MAX),
            instance: &self.settings.instance,
            gateways: &gateways,
            now_ms: now_ms(),
        };
        let claim = self.store.claim(&order).await?;
        match claim.claimed.is_empty() && claim.passed_over == 0 {
            true => self.nobody.insert(campaign.id, Instant::now()),
            false => self.nobody.remove(&campaign.id),
        };
        let started = u32::try_from(claim.claimed.len()).unwrap_or(u32::MAX);
        self.shares.started(campaign.id, campaign.terms.weight, started);
        self.place_claimed(campaign, claim.claimed, &ways).await
    }

    async fn place_claimed(
        &mut self,
        campaign: &Campaign,
        claimed: Vec<Claimed>,
        ways: &[usize],
    ) -> Result<(), StoreError> {
        let mut held: Option<String> = None;
        // One that cannot be given back must not keep the others from being placed or given back.
        let mut first_error = Ok(());
        for (claim, way) in claimed.into_iter().zip(ways) {
            let call = claim.call.clone();
            // What is not known does not keep the call from being placed.
            let earlier = self.store.last_verdict(&claim.number).await.unwrap_or_default();
            let placed = match &held {
                Some(reason) => Err(PlaceError::Campaign(reason.clone())),
                // Others may have given its contacts up as lost.
                None if !self.store.holds_lease() => {
                    Err(PlaceError::NotNow("no heartbeat reached the database lately".to_owned()))
                }
                None => dialable(&claim.number)
                    .map_err(|error| PlaceError::Contact(error.to_string()))
                    .and_then(|()| self.place_one(campaign, (claim, earlier), *way)),
            };
            let kept = match placed {
                Ok(()) => Ok(()),
                Err(PlaceError::NotNow(reason)) => {
                    let now = now_ms();
                    self.store.give_back(&call, &reason, now + NOT_NOW_MS, now).await
                }
                Err(PlaceError::Contact(reason)) => self.not_placed(&call, &reason).await,
                Err(PlaceError::Campaign(reason)) => {
                    let now = now_ms();
                    let kept = self.store.give_back(&call, &reason, now, now).await;
                    held = Some(reason);
                    kept
                }
            };
            first_error = first_error.and(kept);
        }
        if let Some(reason) = held {
            tracing::error!(campaign = campaign.name, reason, "paused");
            self.store.hold_campaign(campaign.id, &reason, now_ms()).await?;
        }
        first_error
    }

    fn place_one(
        &mut self,
        campaign: &Campaign,
        (claim, earlier): (Claimed, Option<Verdict>),
        way: usize,
    ) -> Result<(), PlaceError> {
        let spec = self.spec(campaign, (claim, earlier), way);
        let now = self.started.elapsed();
        let Some(line) = self.lines.start(way, now) else {
            return Err(PlaceError::NotNow("there is no gateway".to_owned()));
        };
        self.place.place(spec, line)?;
        if let Some(pacer) = self.pacers.get_mut(&campaign.id) {
            pacer.started(now);
        }
        Ok(())
    }

    fn spec(
        &self,
        campaign: &Campaign,
        (claim, earlier): (Claimed, Option<Verdict>),
        way: usize,
    ) -> CallSpec {
        let terms = &campaign.terms;
        let usual = || campaign.caller_id.clone().unwrap_or_else(|| self.settings.caller_id.clone());
        CallSpec {
            call: claim.call,
            dial_string: self.lines.dial(way, &claim.number),
            number: Some(claim.number),
            caller_id: claim.caller_id.unwrap_or_else(usual),
            scenario: campaign.scenario.clone(),
            language: campaign.language.clone(),
            variables: claim.variables,
            campaign: Some(campaign.id),
            ring_at_least: terms.policy.as_ref().map(Policy::ring_at_least).unwrap_or_default(),
            machine: terms.machine.clone(),
            earlier,
            retries: campaign.retry_table(),
        }
    }

    /// Closes an attempt that was never dialled and never will be.
    async fn not_placed(&self, call: &CallId, reason: &str) -> Result<(), StoreError> {
        tracing::warn!(%call, reason, "not placed");
        let mut finished = FinishedCall::new(Disposition::Failed, now_ms());
        finished.outcome = Some(format!("not placed: {reason}"));
        self.store.finish_attempt(call, &finished, &RetryTable::with_max_attempts(1)).await?;
        Ok(())
    }

    fn end_calls(&mut self, campaign: i64) {
        let now = Instant::now();
        if self.asked.get(&campaign).is_none_or(|asked| now - *asked >= ASK_AGAIN) {
            self.asked.insert(campaign, now);
            self.place.end_campaign_calls(campaign, HangupReason::Operator);
        }
    }

    /// Gives back what instances that died have claimed. A heart is judged by our own clock: it must not have beaten
    /// for a lease's length while we listened, whatever the clock of its machine says.
    async fn listen(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        let standing = self.lines.standing(&self.settings.instance);
        if standing != self.written {
            self.store.report_gateways(&standing, now_ms()).await?;
            self.written = standing;
        }
        let open = self.store.open_elsewhere(&self.settings.instance).await?;
        self.others.retain(|instance, _| open.iter().any(|other| other.instance == *instance));
        for OpenElsewhere { instance, beat_ms } in open {
            let heard = self.others.entry(instance.clone()).or_insert((beat_ms, now));
            if heard.0 != beat_ms {
                *heard = (beat_ms, now);
            }
            if now - heard.1 < LEASE {
                continue;
            }
            let orphans = self.store.orphans(&instance).await?;
            tracing::warn!(instance, calls = orphans.len(), "an instance is silent: its calls are lost");
            for orphan in &orphans {
                self.store.settle_orphan(orphan, now_ms()).await?;
            }
        }
        Ok(())
    }

    /// Settles attempts that are open though their call does not live, seen so twice: a session that died must not
    /// hold its campaign for ever.
    async fn audit(&mut self) -> Result<(), StoreError> {
        let open = self.store.orphans(&self.settings.instance).await?;
        let dead: BTreeSet<CallId> =
            open.into_iter().map(|orphan| orphan.call).filter(|call| !self.place.is_live(call)).collect();
        for call in dead.intersection(&self.suspects) {
            tracing::error!(%call, "the attempt is open but its call does not live: settled as lost");
            self.store.settle_lost(call, &RetryTable::default(), now_ms()).await?;
        }
        self.suspects = dead;
        Ok(())
    }
}
