//! One leg: its variables and states, and the headers that every event of it carries.

use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    event::{Event, now_us, stamp},
    hub::lock,
    performer::Performer,
    player::Player,
    slot::Slot,
};

pub(super) struct Channel {
    pub(super) uuid: String,
    pub(super) session: u64,
    pub(super) name: String,
    pub(super) number: String,
    pub(super) context: String,
    pub(super) inbound: bool,
    pub(super) created_us: u64,
    pub(super) leg: Mutex<Leg>,
    /// Cancelled with the hangup.
    pub(super) ended: CancellationToken,
}

/// Where a leg is, as FreeSWITCH counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Init,
    Ringing,
    Early,
    Answered,
    Executing,
    HungUp,
    Reporting,
}

pub(super) struct Leg {
    pub(super) vars: Vec<(String, String)>,
    pub(super) stage: Stage,
    pub(super) answered_us: u64,
    pub(super) progress_us: u64,
    pub(super) progress_media_us: u64,
    pub(super) hangup_us: u64,
    pub(super) cause: Option<String>,
    /// The `park` application's uuid while it runs.
    pub(super) parked: Option<String>,
    pub(super) park_deadline: Option<Instant>,
    pub(super) player: Player,
    pub(super) performer: Option<Performer>,
    pub(super) early_clip: Option<(super::audio::Clip, usize)>,
    pub(super) streams: Vec<Slot>,
    /// The other end of a `loopback/` call.
    pub(super) twin: Option<String>,
}

impl Leg {
    pub(super) fn new(vars: Vec<(String, String)>) -> Self {
        Self {
            vars,
            stage: Stage::Init,
            answered_us: 0,
            progress_us: 0,
            progress_media_us: 0,
            hangup_us: 0,
            cause: None,
            parked: None,
            park_deadline: None,
            player: Player::default(),
            performer: None,
            early_clip: None,
            streams: Vec::new(),
            twin: None,
        }
    }

    pub(super) fn var(&self, name: &str) -> Option<&str> {
        super::wire::find(&self.vars, name)
    }

    /// An empty value unsets.
    pub(super) fn set_var(&mut self, name: &str, value: &str) {
        self.vars.retain(|(n, _)| n != name);
        if !value.is_empty() {
            self.vars.push((name.to_owned(), value.to_owned()));
        }
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answered_us > 0
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage >= Stage::HungUp
    }
}

impl Channel {
    pub(super) fn new(uuid: &str, session: u64, name: &str, number: &str) -> Self {
        Self {
            uuid: uuid.to_owned(),
            session,
            name: name.to_owned(),
            number: number.to_owned(),
            context: "default".to_owned(),
            inbound: false,
            created_us: now_us(),
            leg: Mutex::new(Leg::new(Vec::new())),
            ended: CancellationToken::new(),
        }
    }

    /// An event of this channel as it is now.
    pub(super) fn event(&self, name: &str, leg: &Leg) -> Event {
        self.describe(Event::new(name), leg)
    }

    /// The channel's headers and variables, after whatever the event has already.
    pub(super) fn describe(&self, mut event: Event, leg: &Leg) -> Event {
        if event.name == "CHANNEL_HANGUP_COMPLETE" || event.name == "CHANNEL_DESTROY" {
            self.final_headers(leg, &mut event);
        }
        self.headers(leg, &mut event);
        for (name, value) in &leg.vars {
            event = event.with(&format!("variable_{name}"), value.as_str());
        }
        event
    }

    /// The same as text: `uuid_dump`.
    pub(super) fn dump(&self) -> Event {
        let leg = lock(&self.leg);
        self.event("CHANNEL_DATA", &leg)
    }

    /// A line of `show channels`.
    pub(super) fn row(&self) -> serde_json::Value {
        let leg = lock(&self.leg);
        let (state, _, call_state) = states(leg.stage);
        serde_json::json!({
            "uuid": self.uuid,
            "direction": if self.inbound { "inbound" } else { "outbound" },
            "created": stamp(self.created_us),
            "created_epoch": (self.created_us / 1_000_000).to_string(),
            "name": self.name,
            "state": state,
            "cid_name": "",
            "cid_num": leg.var("origination_caller_id_number").unwrap_or_default(),
            "ip_addr": "",
            "dest": self.number,
            "application": leg.var("current_application").unwrap_or_default(),
            "application_data": leg.var("current_application_data").unwrap_or_default(),
            "dialplan": "XML",
            "context": self.context,
            "read_codec": "L16",
            "read_rate": "8000",
            "read_bit_rate": "128000",
            "write_codec": "L16",
            "write_rate": "8000",
            "write_bit_rate": "128000",
            "secure": "",
            "hostname": "stand-in",
            "presence_id": "",
            "presence_data": "",
            "accountcode": "",
            "callstate": call_state,
            "callee_name": "Outbound Call",
            "callee_num": self.number,
            "callee_direction": "",
            "call_uuid": self.uuid,
            "sent_callee_name": "",
            "sent_callee_num": "",
            "initial_cid_name": "",
            "initial_cid_num": leg.var("origination_caller_id_number").unwrap_or_default(),
            "initial_ip_addr": "",
            "initial_dest": self.number,
            "initial_dialplan": "XML",
            "initial_context": self.context,
        })
    }

    pub(super) fn park_for(&self, leg: &mut Leg) {
        let seconds = leg.var("park_timeout").and_then(|v| v.split(':').next()?.parse::<u64>().ok());
        leg.park_deadline = seconds.filter(|s| *s > 0).map(|s| Instant::now() + Duration::from_secs(s));
    }

    fn headers(&self, leg: &Leg, event: &mut Event) {
        let (state, number, call_state) = states(leg.stage);
        let direction = if self.inbound { "inbound" } else { "outbound" };
        let caller = leg.var("origination_caller_id_number").unwrap_or("0000000000").to_owned();
        let answer = match leg.stage {
            Stage::HungUp | Stage::Reporting => "hangup",
            Stage::Init | Stage::Ringing | Stage::Early | Stage::Answered | Stage::Executing => {
                if leg.is_answered() {
                    "answered"
                } else if leg.progress_media_us > 0 {
                    "early"
                } else {
                    "ringing"
                }
            }
        };
        let mut put = |name: &str, value: &str| event.headers.push((name.to_owned(), value.to_owned()));
        put("Channel-State", state);
        put("Channel-Call-State", call_state);
        put("Channel-State-Number", number);
        put("Channel-Name", &self.name);
        put("Unique-ID", &self.uuid);
        put("Call-Direction", direction);
        put("Presence-Call-Direction", direction);
        put("Channel-HIT-Dialplan", if leg.stage >= Stage::Executing { "true" } else { "false" });
        put("Channel-Call-UUID", &self.uuid);
        put("Answer-State", answer);
        if let Some(cause) = &leg.cause {
            put("Hangup-Cause", cause);
        }
        for (name, value) in [("Name", "L16"), ("Rate", "8000"), ("Bit-Rate", "128000")] {
            put(&format!("Channel-Read-Codec-{name}"), value);
            put(&format!("Channel-Write-Codec-{name}"), value);
        }
        put("Caller-Direction", direction);
        put("Caller-Logical-Direction", direction);
        put("Caller-Dialplan", "xml");
        put("Caller-Caller-ID-Number", &caller);
        put("Caller-Orig-Caller-ID-Number", &caller);
        put("Caller-ANI", &caller);
        put("Caller-Destination-Number", &self.number);
        put("Caller-Unique-ID", &self.uuid);
        put("Caller-Context", &self.context);
        put("Caller-Channel-Name", &self.name);
        put("Caller-Profile-Index", "1");
        for (name, us) in [
            ("Profile-Created", self.created_us),
            ("Channel-Created", self.created_us),
            ("Channel-Answered", leg.answered_us),
            ("Channel-Progress", leg.progress_us),
            ("Channel-Progress-Media", leg.progress_media_us),
            ("Channel-Hangup", leg.hangup_us),
        ] {
            put(&format!("Caller-{name}-Time"), &us.to_string());
        }
        put("variable_direction", direction);
        put("variable_is_outbound", if self.inbound { "false" } else { "true" });
        put("variable_session_id", &self.session.to_string());
        put("variable_channel_name", &self.name);
        put("variable_uuid", &self.uuid);
        put("variable_call_uuid", &self.uuid);
    }

    /// What only the last events carry.
    fn final_headers(&self, leg: &Leg, event: &mut Event) {
        let since = |from: u64| if from == 0 { 0 } else { leg.hangup_us.saturating_sub(from) };
        let waited = if leg.is_answered() { leg.answered_us.saturating_sub(self.created_us) } else { 0 };
        let cause = leg.cause.as_deref().unwrap_or("NORMAL_CLEARING");
        let mut put = |name: &str, value: String| event.headers.push((name.to_owned(), value));
        put("Hangup-Cause", cause.to_owned());
        put("variable_hangup_cause", cause.to_owned());
        put("variable_hangup_cause_q850", q850(cause).to_string());
        put("variable_start_epoch", (self.created_us / 1_000_000).to_string());
        put("variable_answer_epoch", (leg.answered_us / 1_000_000).to_string());
        put("variable_end_epoch", (leg.hangup_us / 1_000_000).to_string());
        put("variable_start_stamp", stamp(self.created_us));
        put("variable_end_stamp", stamp(leg.hangup_us));
        put("variable_duration", (since(self.created_us) / 1_000_000).to_string());
        put("variable_mduration", (since(self.created_us) / 1000).to_string());
        put("variable_billsec", (since(leg.answered_us) / 1_000_000).to_string());
        put("variable_billmsec", (since(leg.answered_us) / 1000).to_string());
        put("variable_answersec", (waited / 1_000_000).to_string());
        put("variable_answermsec", (waited / 1000).to_string());
    }
}

fn states(stage: Stage) -> (&'static str, &'static str, &'static str) {
    match stage {
        Stage::Init => ("CS_INIT", "2", "DOWN"),
        Stage::Ringing => ("CS_CONSUME_MEDIA", "7", "RINGING"),
        Stage::Early => ("CS_CONSUME_MEDIA", "7", "EARLY"),
        Stage::Answered => ("CS_CONSUME_MEDIA", "7", "ACTIVE"),
        Stage::Executing => ("CS_EXECUTE", "4", "ACTIVE"),
        Stage::HungUp => ("CS_EXECUTE", "10", "ACTIVE"),
        Stage::Reporting => ("CS_REPORTING", "11", "HANGUP"),
    }
}

pub(super) fn q850(cause: &str) -> u32 {
    match cause {
        "UNALLOCATED_NUMBER" => 1,
        "NO_ROUTE_DESTINATION" => 3,
        "USER_BUSY" => 17,
        "NO_USER_RESPONSE" => 18,
        "NO_ANSWER" => 19,
        "SUBSCRIBER_ABSENT" => 20,
        "CALL_REJECTED" => 21,
        "NUMBER_CHANGED" => 22,
        "DESTINATION_OUT_OF_ORDER" => 27,
        "INVALID_NUMBER_FORMAT" => 28,
        "NORMAL_UNSPECIFIED" => 31,
        "NORMAL_CIRCUIT_CONGESTION" => 34,
        "NETWORK_OUT_OF_ORDER" => 38,
        "NORMAL_TEMPORARY_FAILURE" => 41,
        "RECOVERY_ON_TIMER_EXPIRE" => 102,
        _ => 16,
    }
}
