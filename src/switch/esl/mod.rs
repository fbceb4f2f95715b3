//! FreeSWITCH over its event socket.
//!
//! Two connections: one for events and everything slow or many (`originate`, streams, hang-ups), one for voice only
//! (play and break, in order), so that a break waits for nothing but the breaks before it. Both are up or the link is
//! down; a supervisor reconnects, and then asks the switch which calls it still has.

mod calls;
mod command;
mod connection;
mod event;
mod options;
mod order;
mod probe;
mod supervisor;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use freeswitch_esl_tokio::EslClient;
use sidetone_core::call::{CallId, HangupCause};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use self::{
    calls::Calls,
    command::Dialect,
    order::{Act, Order},
};
pub use self::{
    event::Adopted,
    options::{EslOptions, check_password},
    probe::{EslProbe, ProbeError},
};
use super::{Link, Switch, SwitchCommand, SwitchError, SwitchEvent};

/// Commands that may wait for a connection; one more is refused with [`SwitchError::Busy`].
const ORDERS: usize = 1024;
/// Channels parked for us that nobody took yet; one more is hung up.
const ADOPTIONS: usize = 64;

/// The switch. Cloning it copies a pointer.
#[derive(Clone)]
pub struct Esl {
    shared: Arc<Shared>,
}

struct Shared {
    options: EslOptions,
    dialect: Dialect,
    calls: Calls,
    link: watch::Sender<Link>,
    /// Events, `originate`, streams, hang-ups.
    control: mpsc::Sender<Order>,
    /// Play and break, in order.
    voice: mpsc::Sender<Order>,
    /// For questions beside the queues.
    client: Mutex<Option<EslClient>>,
}

/// A running adapter.
pub struct Running {
    pub esl: Esl,
    /// Channels the dialplan handed to us: attach, then start their streams.
    pub adopted: mpsc::Receiver<Adopted>,
    /// Ends once `shutdown` is cancelled.
    pub supervisor: JoinHandle<()>,
}

impl Esl {
    /// Connects and stays connected until `shutdown`. Returns at once; [`Switch::link`] tells when it is up.
    #[must_use]
    pub fn start(options: EslOptions, shutdown: CancellationToken) -> Running {
        let (control, control_orders) = mpsc::channel(ORDERS);
        let (voice, voice_orders) = mpsc::channel(ORDERS);
        let (adopt, adopted) = mpsc::channel(ADOPTIONS);
        let dialect = Dialect::new(&options);
        let shared = Arc::new(Shared {
            options,
            dialect,
            calls: Calls::default(),
            link: watch::Sender::new(Link::Down(Instant::now())),
            control,
            voice,
            client: Mutex::new(None),
        });
        let supervisor = supervisor::Supervisor::new(shared.clone(), control_orders, voice_orders, adopt);
        let supervisor = tokio::spawn(supervisor.run(shutdown));
        Running { esl: Self { shared }, adopted, supervisor }
    }

    /// The channels on the switch that carry our instance's name: after a crash, those without a live session are
    /// ghosts to be [killed](Self::kill).
    ///
    /// # Errors
    /// The switch is not connected or does not answer as expected.
    pub async fn our_channels(&self) -> Result<Vec<CallId>, QueryError> {
        let listing = self.api("show channels as json").await?;
        let mut ours = Vec::new();
        for call in channels_in(&listing).ok_or(QueryError::Answer)? {
            if self.api(&command::instance_of(&call)).await?.trim() == self.shared.options.instance {
                ours.push(call);
            }
        }
        Ok(ours)
    }

    /// Hangs up a channel, attached or not.
    ///
    /// # Errors
    /// As [`Switch::send`].
    pub fn kill(&self, call: &CallId, cause: HangupCause) -> Result<(), SwitchError> {
        self.send(call, SwitchCommand::HangUp { cause })
    }

    /// Asks the switch something quick, beside the queues; the answer as it came.
    ///
    /// # Errors
    /// The switch is not connected or does not answer.
    pub async fn api(&self, command: &str) -> Result<String, QueryError> {
        let client = self.shared.client().ok_or(QueryError::NotConnected)?;
        let reply = client.api(command).await.map_err(|_| QueryError::NotConnected)?;
        Ok(reply.body().or(reply.reply_text()).unwrap_or_default().to_owned())
    }

    /// Events dropped because their call's session took none.
    #[must_use]
    pub fn dropped_events(&self) -> u64 {
        self.shared.calls.dropped()
    }
}

/// Why a question to the switch has no answer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum QueryError {
    #[error("the switch is not connected")]
    NotConnected,
    #[error("the switch's list of channels cannot be read")]
    Answer,
}

impl Switch for Esl {
    fn attach(&self, call: &CallId) -> mpsc::Receiver<SwitchEvent> {
        self.shared.calls.attach(call)
    }

    fn send(&self, call: &CallId, command: SwitchCommand) -> Result<(), SwitchError> {
        let order = self.shared.order(call, command)?;
        if matches!(*self.shared.link.borrow(), Link::Down(_)) {
            return Err(SwitchError::NotConnected);
        }
        self.shared.enqueue(order)
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.shared.link.subscribe()
    }
}

impl Shared {
    /// Checks a command and puts it into the switch's words.
    fn order(&self, call: &CallId, command: SwitchCommand) -> Result<Order, SwitchError> {
        let mut asked = Instant::now();
        let act = match command {
            SwitchCommand::Originate(order) => Act::Originate(self.dialect.originate(call, &order)?),
            SwitchCommand::StartStream { url } => Act::Start {
                take_over: self.dialect.take_over(call)?,
                start: self.dialect.start_stream(call, &url)?,
            },
            SwitchCommand::RestartStream { url } => {
                self.dialect.start_stream(call, &url)?;
                Act::Restart(url)
            }
            SwitchCommand::Play { id, file, from } => {
                let rate = self.calls.rate(call);
                Act::Play { id, message: Box::new(command::play(call, id, &file, from, rate)?) }
            }
            SwitchCommand::StopPlayback { asked: then } => {
                asked = then;
                Act::StopPlayback
            }
            SwitchCommand::Transfer { target } => Act::Transfer(command::transfer(call, &target)?),
            SwitchCommand::HangUp { cause } => Act::HangUp { text: command::kill(call, &cause)?, cause },
        };
        Ok(Order { call: call.clone(), asked, act })
    }

    fn enqueue(&self, order: Order) -> Result<(), SwitchError> {
        let queue = if order.act.is_voice() { &self.voice } else { &self.control };
        let slot = queue.try_reserve().map_err(|_| SwitchError::Busy)?;
        // Before it can be sent: its events must find it.
        match &order.act {
            Act::Play { id, .. } => self.calls.asked_to_play(&order.call, *id),
            Act::Start { .. } => self.calls.taken_over(&order.call),
            Act::Originate(_)
            | Act::Restart(_)
            | Act::Stop(_)
            | Act::StartAgain(_)
            | Act::StopPlayback
            | Act::Transfer(_)
            | Act::HangUp { .. } => {}
        }
        slot.send(order);
        Ok(())
    }

    /// Does something a little later, unless the process ends before.
    fn later(self: &Arc<Self>, after: Duration, act: impl FnOnce(&Self) + Send + 'static) {
        let shared = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            act(&shared);
        });
    }

    fn client(&self) -> Option<EslClient> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_client(&self, client: Option<EslClient>) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }
}

/// The uuids in `show channels as json`; without channels it has no rows.
fn channels_in(listing: &str) -> Option<Vec<CallId>> {
    let listing: serde_json::Value = serde_json::from_str(listing.trim()).ok()?;
    listing["row_count"].as_u64()?;
    let rows = listing["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    Some(rows.iter().filter_map(|row| CallId::new(row["uuid"].as_str()?)).collect())
}
