//! A call's life: originate or inbound, ringing, answer, park, hangup.

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{
    World,
    cast::{Callee, Pickup},
    channel::{Channel, Stage},
    dial::{Originate, Route, Unreadable},
    event::{Event, now_us},
    hub::lock,
    performer::Performer,
    report::{CallReport, EndedBy},
};

/// FreeSWITCH's default where `originate_timeout` is not set.
const RING_FOR: u64 = 60;

impl World {
    /// Runs until the leg is answered (or sends early media that is not ignored), or refused: the job's body.
    pub(super) async fn originate(self: &Arc<Self>, args: &str) -> String {
        let asked = match Originate::parse(args) {
            Ok(asked) => asked,
            Err(Unreadable(reply)) => return reply.to_owned(),
        };
        let (name, number, context, loopback) = match asked.route() {
            Route::Leg { name, number, context, loopback } => (name, number, context, loopback),
            Route::Nothing(cause) => return self.refused(&asked, &cause),
            Route::BadProfile => {
                self.hub.publish(Event::new("CHANNEL_DESTROY"));
                return self.refused(&asked, "INVALID_PROFILE");
            }
        };
        let Some(callee) = self.callee(&number, &asked.dial_string) else {
            return self.refused(&asked, "NO_ROUTE_DESTINATION");
        };
        if let Pickup::Absent { cause } = &callee.pickup {
            return self.refused(&asked, cause);
        }
        let uuid = asked
            .variable("origination_uuid")
            .map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
        if self.channel(&uuid).is_some() {
            return "-ERR DESTINATION_OUT_OF_ORDER\n".to_owned();
        }
        let mut channel = Channel::new(&uuid, self.next_session(), &name, &number);
        channel.context = context;
        lock(&channel.leg).vars.clone_from(&asked.variables);
        let channel = Arc::new(channel);
        self.open(&channel, &asked.dial_string, &callee);
        if loopback {
            self.open_twin(&channel);
        }
        match self.ring(&channel, &callee, &asked).await {
            Ok(()) => {
                self.execute_soon(channel, asked.application);
                format!("+OK {uuid}\n")
            }
            Err(cause) => format!("-ERR {cause}\n"),
        }
    }

    /// An incoming call, answered and parked by the dialplan.
    pub(super) fn inbound(self: &Arc<Self>, number: &str, scenario: &str) -> String {
        let uuid = uuid::Uuid::new_v4().to_string();
        let name = format!("sofia/external/{number}@127.0.0.1");
        let mut channel = Channel::new(&uuid, self.next_session(), &name, "sidetone");
        channel.inbound = true;
        channel.context = "sidetone".to_owned();
        {
            let mut leg = lock(&channel.leg);
            leg.set_var("origination_caller_id_number", number);
            leg.set_var("sidetone_scenario", scenario);
        }
        let channel = Arc::new(channel);
        let callee = self
            .callee(number, &name)
            .unwrap_or_else(|| Arc::new(Callee::answering("caller", Duration::ZERO)));
        self.open(&channel, &name, &callee);
        self.answer(&channel, &callee);
        let world = self.clone();
        self.spawn(async move {
            world.on_answer(&channel).await;
            world.execute(&channel, "park");
        });
        uuid
    }

    /// After the job is done: BACKGROUND_JOB comes before CHANNEL_PARK.
    fn execute_soon(self: &Arc<Self>, channel: Arc<Channel>, application: String) {
        let world = self.clone();
        self.spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            world.execute(&channel, &application);
        });
    }

    /// `park`, `echo` or an extension, after the answer.
    pub(super) fn execute(&self, channel: &Arc<Channel>, application: &str) {
        let mut leg = lock(&channel.leg);
        if leg.is_over() {
            return;
        }
        leg.stage = Stage::Executing;
        let extension = !matches!(application, "park" | "echo");
        let app = if extension && application != "sidetone_test" { "park" } else { application };
        let app = if app == "sidetone_test" { "echo" } else { app };
        if app == "echo"
            && let Some(performer) = &mut leg.performer
        {
            performer.echo();
        }
        leg.set_var("current_application", app);
        let app_uuid = uuid::Uuid::new_v4().to_string();
        let begun = channel.event("CHANNEL_EXECUTE", &leg).with("Application", app);
        self.hub.publish(begun.with("Application-UUID", app_uuid.as_str()));
        if app == "park" {
            leg.parked = Some(app_uuid);
            channel.park_for(&mut leg);
            self.hub.publish(channel.event("CHANNEL_PARK", &leg));
        }
    }

    /// Leaves the parking place for an extension.
    pub(super) fn transfer(&self, channel: &Arc<Channel>, target: &str) {
        let mut leg = lock(&channel.leg);
        self.report.call(&channel.uuid, Some(format!("transferred to {target}")), |call, _| {
            call.transfers.push(target.to_owned());
        });
        leg.park_deadline = None;
        if let Some(app_uuid) = leg.parked.take() {
            self.hub.publish(channel.event("CHANNEL_UNPARK", &leg));
            self.publish_park_over(channel, &leg, &app_uuid);
        }
    }

    fn callee(&self, number: &str, dial: &str) -> Option<Arc<Callee>> {
        if number == "sidetone_test" {
            return Some(Arc::new(Callee::echo_test()));
        }
        self.cast.pick(number, dial, &mut lock(&self.turn))
    }

    fn refused(&self, asked: &Originate, cause: &str) -> String {
        let uuid = asked.variable("origination_uuid").unwrap_or_default().to_owned();
        let call = CallReport {
            uuid: uuid.clone(),
            number: asked.dial_string.rsplit('/').next().unwrap_or_default().to_owned(),
            dial_string: asked.dial_string.clone(),
            variables: shown(&asked.variables),
            ..CallReport::default()
        };
        self.report.open(call, lock(&self.channels).len());
        self.report.call(&uuid, Some(format!("refused, {cause}")), |call, now| {
            call.ended_ms = Some(now);
            call.hangup_cause = Some(cause.to_owned());
        });
        format!("-ERR {cause}\n")
    }

    fn open(self: &Arc<Self>, channel: &Arc<Channel>, dial: &str, callee: &Callee) {
        let up = {
            let mut channels = lock(&self.channels);
            channels.insert(channel.uuid.clone(), channel.clone());
            channels.len()
        };
        let leg = lock(&channel.leg);
        let number = if channel.inbound { leg.var("origination_caller_id_number") } else { None };
        let call = CallReport {
            uuid: channel.uuid.clone(),
            number: number.unwrap_or(&channel.number).to_owned(),
            dial_string: dial.to_owned(),
            callee: callee.name.clone(),
            what: callee.what.clone(),
            inbound: channel.inbound,
            variables: shown(&leg.vars),
            ..CallReport::default()
        };
        self.report.open(call, up);
        self.hub.publish(channel.event("CHANNEL_CREATE", &leg));
        if !channel.inbound {
            self.hub.publish(channel.event("CHANNEL_ORIGINATE", &leg));
        }
        drop(leg);
        self.spawn(super::media::run(self.clone(), channel.clone()));
    }

    /// The other end of a loopback call: its events come too, under its own uuid.
    fn open_twin(self: &Arc<Self>, channel: &Arc<Channel>) {
        let uuid = uuid::Uuid::new_v4().to_string();
        let name = channel.name.trim_end_matches("-a").to_owned() + "-b";
        let mut twin = Channel::new(&uuid, self.next_session(), &name, &channel.number);
        twin.inbound = true;
        twin.context.clone_from(&channel.context);
        {
            let mut leg = lock(&channel.leg);
            let mut twin_leg = lock(&twin.leg);
            twin_leg.vars.clone_from(&leg.vars);
            twin_leg.set_var("loopback_leg", "B");
            twin_leg.set_var("other_loopback_leg_uuid", &channel.uuid);
            leg.set_var("loopback_leg", "A");
            leg.set_var("other_loopback_leg_uuid", &uuid);
            leg.twin = Some(uuid.clone());
            self.hub.publish(twin.event("CHANNEL_CREATE", &twin_leg));
        }
        lock(&self.channels).insert(uuid, Arc::new(twin));
    }

    /// Until the answer; the error is the cause of there being none.
    async fn ring(
        self: &Arc<Self>,
        channel: &Arc<Channel>,
        callee: &Arc<Callee>,
        asked: &Originate,
    ) -> Result<(), String> {
        let number = |name: &str| asked.variable(name).and_then(|v| v.parse::<u64>().ok());
        let ring_for = number("originate_timeout").unwrap_or(RING_FOR);
        // It counts whole seconds and fires up to one early.
        let early = Duration::from_secs_f64(0.04 + 0.76 * self.hub.chance());
        let start = Instant::now();
        let timeout = start + Duration::from_secs(ring_for).saturating_sub(early);
        self.progress(channel);
        let early_media = callee.early.as_ref().map(|e| (start + e.after, e.clip.clone()));
        let returns_early = early_media.is_some() && asked.variable("ignore_early_media") != Some("true");
        if let Some((at, clip)) = early_media {
            self.pass(channel, at.min(timeout)).await?;
            let mut leg = lock(&channel.leg);
            leg.stage = Stage::Early;
            leg.progress_media_us = now_us();
            leg.early_clip = clip.map(|clip| (clip, 0));
            self.hub.publish(channel.event("CHANNEL_PROGRESS_MEDIA", &leg));
        }
        let (at, outcome) = match &callee.pickup {
            Pickup::Answers { after } => (start + *after, None),
            Pickup::Refuses { cause, after } => (start + *after, Some(cause.clone())),
            Pickup::Rings | Pickup::Absent { .. } => (timeout, Some("NO_ANSWER".to_owned())),
        };
        let (at, outcome) =
            if at >= timeout { (timeout, Some("NO_ANSWER".to_owned())) } else { (at, outcome) };
        if returns_early {
            let (world, channel, callee) = (self.clone(), channel.clone(), callee.clone());
            self.spawn(async move {
                let _ = world.settle(&channel, &callee, at, outcome).await;
            });
            return Ok(());
        }
        self.settle(channel, callee, at, outcome).await
    }

    /// Waits for `at`, then answers, or hangs up with the cause.
    async fn settle(
        self: &Arc<Self>,
        channel: &Arc<Channel>,
        callee: &Arc<Callee>,
        at: Instant,
        outcome: Option<String>,
    ) -> Result<(), String> {
        self.pass(channel, at).await?;
        match outcome {
            None => {
                self.answer(channel, callee);
                self.on_answer(channel).await;
                Ok(())
            }
            Some(cause) => {
                let by = if cause == "NO_ANSWER" { EndedBy::RingTimeout } else { EndedBy::Callee };
                self.hang_up(channel, &cause, by);
                Err(cause)
            }
        }
    }

    /// Waits, unless somebody hangs up meanwhile.
    async fn pass(&self, channel: &Channel, until: Instant) -> Result<(), String> {
        tokio::select! {
            () = channel.ended.cancelled() => {
                Err(lock(&channel.leg).cause.clone().unwrap_or_else(|| "NORMAL_CLEARING".to_owned()))
            }
            () = sleep_until(until) => Ok(()),
        }
    }

    fn progress(&self, channel: &Channel) {
        let mut leg = lock(&channel.leg);
        leg.progress_us = now_us();
        leg.stage = Stage::Ringing;
        self.hub.publish(channel.event("CHANNEL_PROGRESS", &leg));
    }

    fn answer(&self, channel: &Arc<Channel>, callee: &Arc<Callee>) {
        let mut leg = lock(&channel.leg);
        if leg.is_over() {
            return;
        }
        leg.answered_us = now_us();
        leg.stage = leg.stage.max(Stage::Answered);
        leg.early_clip = None;
        leg.set_var("endpoint_disposition", "ANSWER");
        leg.performer = Some(Performer::new(callee.clone()));
        self.report.call(&channel.uuid, Some("answers".to_owned()), |call, now| call.answered_ms = Some(now));
        self.hub.publish(channel.event("CHANNEL_ANSWER", &leg));
        if let Some(twin) = leg.twin.as_ref().and_then(|uuid| self.channel(uuid)) {
            let mut leg = lock(&twin.leg);
            leg.answered_us = now_us();
            leg.stage = Stage::Executing;
            self.hub.publish(twin.event("CHANNEL_ANSWER", &leg));
        }
    }

    /// Runs `api_on_answer`. One that names a variable is refused, as `originate` does.
    async fn on_answer(self: &Arc<Self>, channel: &Channel) {
        let command = lock(&channel.leg).var("api_on_answer").map(str::to_owned);
        let Some(command) = command.filter(|c| !c.contains("${")) else { return };
        let (name, args) = command.split_once(' ').unwrap_or((command.as_str(), ""));
        let reply = self.boxed_api(name, args).await;
        self.note_refusal(&command, &reply);
    }

    /// An originate may run a command that could again be one.
    fn boxed_api<'a>(
        self: &'a Arc<Self>,
        name: &'a str,
        args: &'a str,
    ) -> Pin<Box<dyn Future<Output = String> + Send + 'a>> {
        Box::pin(self.api(name, args))
    }
}

/// What follows a URL's `?` may be a token: it stays out of reports.
fn shown(variables: &[(String, String)]) -> BTreeMap<String, String> {
    let cut = |value: &str| value.split('?').next().unwrap_or_default().to_owned();
    variables.iter().map(|(name, value)| (name.clone(), cut(value))).collect()
}
