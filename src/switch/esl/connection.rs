//! One pair of connections while it lasts: orders out, events in.

use std::{sync::Arc, time::Duration};

use freeswitch_esl_tokio::{
    AuthMethod, EslClient, EslCommand, EslConnectOptions, EslError, EslEventStream, EslResponse, EventFormat,
};
use sidetone_core::call::{CallId, HangupCause, PlaybackEnd};
use tokio::{
    sync::mpsc,
    time::{Instant, interval, timeout},
};
use tracing::{instrument::WithSubscriber, subscriber::NoSubscriber};

use super::{
    Shared,
    calls::Followup,
    command,
    event::{Adopted, Seen, cause_of_refusal},
    options::EslOptions,
    order::{Act, Order},
};
use crate::switch::SwitchEvent;

/// Events that may wait for us; one more is dropped by the library, which counts it.
const EVENTS: usize = 20_000;
/// How long the switch's own word on an ending playback or call is waited for before we say it ourselves.
const OWN_WORD: Duration = Duration::from_millis(500);
/// `PLAYBACK_STOP` and the end of its application come in any order, but together.
const TOGETHER: Duration = Duration::from_millis(60);
/// After `CHANNEL_HANGUP` the rest follows in milliseconds, unless the stream module hangs.
const AFTER_HANGUP: Duration = Duration::from_secs(1);
/// A `stop` can hang as long as the stream's other side; ours lets go after the idle timeout.
const STOP_WAIT: Duration = Duration::from_secs(12);
const LOST: &str = HangupCause::LOST;

/// Both connections, authenticated.
pub(super) struct Connection {
    control: EslClient,
    voice: EslClient,
    events: EslEventStream,
    /// Brings nothing; ends with its connection.
    voice_events: EslEventStream,
}

/// The order being sent. It outlives its connection: what happened to it is settled on the next one.
#[derive(Default)]
pub(super) struct Held(Option<Order>);

/// One way out.
pub(super) struct Outlet {
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) held: Held,
}

impl Connection {
    pub(super) async fn open(options: &EslOptions, events: &str) -> Result<Self, EslError> {
        let (control, event_stream) = connect(options).await?;
        let (voice, voice_events) = connect(options).await?;
        control.subscribe_events_raw(EventFormat::Json, events).await?;
        Ok(Self { control, voice, events: event_stream, voice_events })
    }

    pub(super) fn client(&self) -> EslClient {
        self.control.clone()
    }

    /// Asks the switch which of our calls it still has.
    pub(super) async fn reconcile(&self, shared: &Arc<Shared>) -> Result<(), EslError> {
        for (call, playing) in shared.calls.on_switch() {
            let reply = quietly(&self.control, api(command::exists(&call))).await?;
            if body(&reply) != "true" {
                tracing::warn!(%call, "the switch no longer has this call");
                shared.calls.tell(&call, SwitchEvent::HungUp(HangupCause::new(LOST)));
            } else if playing {
                // Its end may have come while nobody listened: make sure of one.
                stop_playback(shared, &self.voice, &call).await?;
            }
        }
        Ok(())
    }

    /// Works until a connection ends; says why.
    pub(super) async fn serve(
        &mut self,
        shared: &Arc<Shared>,
        control: &mut Outlet,
        voice: &mut Outlet,
        adopt: &mpsc::Sender<Adopted>,
    ) -> EslError {
        tokio::select! {
            error = read(shared, &mut self.events, adopt) => error,
            error = write(shared, &self.control, control) => error,
            error = write(shared, &self.voice, voice) => error,
            error = stay_alive(shared, [&self.control, &self.voice]) => error,
            error = ended(&mut self.voice_events) => error,
        }
    }

    /// Sends what was ordered before the end.
    pub(super) async fn flush(&self, shared: &Arc<Shared>, control: &mut Outlet, voice: &mut Outlet) {
        let flush = async {
            for (client, outlet) in [(&self.voice, voice), (&self.control, control)] {
                while let Some(order) = outlet.held.0.take().or_else(|| outlet.orders.try_recv().ok()) {
                    carry_out(shared, client, &order).await?;
                }
            }
            Ok::<_, EslError>(())
        };
        let _ = timeout(Duration::from_secs(1), flush).await;
    }

    pub(super) async fn close(self) {
        for client in [self.control, self.voice] {
            let _ = timeout(Duration::from_millis(200), client.disconnect()).await;
        }
    }
}

pub(super) async fn connect(options: &EslOptions) -> Result<(EslClient, EslEventStream), EslError> {
    let connect =
        EslConnectOptions::new().with_event_queue_size(EVENTS).with_connect_timeout(options.timeout);
    let auth = AuthMethod::password(options.password.reveal());
    let (client, events) = EslClient::connect_with_auth(&options.host, options.port, auth, connect).await?;
    client.set_command_timeout(options.timeout);
    Ok((client, events))
}

/// Sends one command unseen by any log: the library would show tokens and numbers at its debug level.
pub(super) async fn quietly(client: &EslClient, command: EslCommand) -> Result<EslResponse, EslError> {
    client.send_command(command).with_subscriber(NoSubscriber::new()).await
}

pub(super) fn api(command: String) -> EslCommand {
    EslCommand::Api { command }
}

/// The answer's words, wherever they stand.
pub(super) fn body(reply: &EslResponse) -> &str {
    reply.body().or(reply.reply_text()).unwrap_or_default().trim()
}

fn refused(reply: &EslResponse) -> Option<String> {
    let words = body(reply);
    words.starts_with('-').then(|| words.to_owned())
}

async fn read(shared: &Arc<Shared>, events: &mut EslEventStream, adopt: &mpsc::Sender<Adopted>) -> EslError {
    loop {
        match events.recv().await {
            Some(Ok(event)) => {
                if let Some(seen) = Seen::read(&event, &shared.options.instance) {
                    take(shared, seen, adopt);
                }
            }
            Some(Err(error)) if error.is_recoverable() => {
                tracing::warn!(%error, "events of the switch were lost")
            }
            Some(Err(error)) => return error,
            None => return EslError::ConnectionClosed,
        }
    }
}

fn take(shared: &Arc<Shared>, seen: Seen, adopt: &mpsc::Sender<Adopted>) {
    let call = seen.call.clone();
    match shared.calls.see(seen, Instant::now()) {
        Followup::Nothing => {}
        Followup::Adopt(adopted) => {
            if adopt.try_send(adopted).is_err() {
                tracing::warn!(%call, "a parked channel is hung up: too many wait to be taken");
                hang_up(shared, call, HangupCause::new("NORMAL_TEMPORARY_FAILURE"));
            }
        }
        Followup::Kill(cause) => hang_up(shared, call, cause),
        Followup::EndSoon(cause) => end_later(shared, call, cause),
        Followup::MissingSoon(id) => {
            shared.later(TOGETHER, move |shared| shared.calls.end_play(&call, id, PlaybackEnd::Missing));
        }
    }
}

async fn write(shared: &Arc<Shared>, client: &EslClient, outlet: &mut Outlet) -> EslError {
    if let Some(order) = outlet.held.0.take() {
        settle(shared, order, outlet);
    }
    loop {
        if outlet.held.0.is_none() {
            let Some(order) = outlet.orders.recv().await else { return EslError::ConnectionClosed };
            outlet.held.0 = Some(order);
        }
        if let Some(order) = &outlet.held.0
            && let Err(error) = carry_out(shared, client, order).await
        {
            return error;
        }
        outlet.held.0 = None;
    }
}

/// An order was under way when its connection broke. What does no harm twice is sent again.
fn settle(shared: &Arc<Shared>, order: Order, outlet: &mut Outlet) {
    match order.act {
        Act::StopPlayback | Act::HangUp { .. } | Act::Stop(_) | Act::Restart(_) => {
            outlet.held.0 = Some(order)
        }
        // The reconciliation has asked the switch about the call, and stopped what played.
        Act::Originate(_) | Act::Play { .. } => {}
        Act::Start { .. } | Act::StartAgain(_) | Act::Transfer(_) => {
            fail(shared, &order, "the connection broke")
        }
    }
}

async fn carry_out(shared: &Arc<Shared>, client: &EslClient, order: &Order) -> Result<(), EslError> {
    if order.act.max_age().is_some_and(|max| order.asked.elapsed() > max) {
        fail(shared, order, "the switch could not be reached in time");
        return Ok(());
    }
    let call = &order.call;
    match &order.act {
        Act::Originate(text) => {
            shared.calls.asked_to_dial(call);
            if let Some(words) = bgapi(client, text).await? {
                tracing::warn!(%call, reply = %words, "the switch refused to dial");
                shared.calls.tell(call, SwitchEvent::HungUp(cause_of_refusal(&words)));
            }
        }
        Act::Start { take_over, start } => start_stream(shared, client, call, take_over, start).await?,
        Act::StartAgain(start) => start_stream(shared, client, call, &[], start).await?,
        Act::Restart(url) => {
            if shared.calls.want_restart(call, url.clone()) {
                tokio::spawn(restart_stream(shared.clone(), call.clone()));
            }
        }
        Act::Stop(text) => {
            bgapi(client, text).await?;
        }
        Act::Play { id, message } => {
            let reply = quietly(client, (**message).clone()).await?;
            if refused(&reply).is_some() {
                shared.calls.end_play(call, *id, PlaybackEnd::Broken);
                end_later(shared, call.clone(), HangupCause::new(LOST));
            }
        }
        Act::StopPlayback => stop_playback(shared, client, call).await?,
        Act::Transfer(text) => {
            let reply = quietly(client, api(text.clone())).await?;
            if let Some(words) = refused(&reply) {
                fail(shared, order, &words);
            }
        }
        Act::HangUp { text, cause } => {
            let reply = quietly(client, api(text.clone())).await?;
            if refused(&reply).is_some() && !shared.calls.kill_when_seen(call, cause) {
                end_later(shared, call.clone(), HangupCause::new(LOST));
            }
        }
    }
    Ok(())
}

/// What an order that was not carried out means to its call.
fn fail(shared: &Arc<Shared>, order: &Order, why: &str) {
    let call = &order.call;
    tracing::warn!(%call, what = order.act.name(), why, "a command was not carried out");
    match &order.act {
        Act::Originate(_) => shared.calls.tell(call, SwitchEvent::HungUp(HangupCause::new(LOST))),
        Act::Play { id, .. } => shared.calls.end_play(call, *id, PlaybackEnd::Broken),
        Act::Start { .. } | Act::StartAgain(_) | Act::Restart(_) => {
            shared.calls.tell(call, SwitchEvent::StreamFailed { code: None, reason: why.to_owned() });
        }
        Act::Transfer(_) => {
            let what = order.act.name();
            shared.calls.tell(call, SwitchEvent::CommandFailed { what, reply: why.to_owned() });
        }
        Act::StopPlayback | Act::Stop(_) | Act::HangUp { .. } => {}
    }
}

/// `Some`: refused, in these words. What comes of it is told by `BACKGROUND_JOB`.
async fn bgapi(client: &EslClient, text: &str) -> Result<Option<String>, EslError> {
    let reply = quietly(client, EslCommand::BgApi { command: text.to_owned() }).await?;
    Ok(refused(&reply))
}

async fn start_stream(
    shared: &Arc<Shared>,
    client: &EslClient,
    call: &CallId,
    before: &[String],
    start: &str,
) -> Result<(), EslError> {
    for set in before {
        let reply = quietly(client, api(set.clone())).await?;
        if body(&reply).contains("No such channel") {
            end_later(shared, call.clone(), HangupCause::new(LOST));
            return Ok(());
        }
    }
    shared.calls.stream_starts(call, Instant::now());
    if let Some(reason) = bgapi(client, start).await? {
        shared.calls.tell(call, SwitchEvent::StreamFailed { code: None, reason });
    }
    Ok(())
}

/// Stop, wait until it is done, start: in this order, and the stop never too early, or it hangs the switch.
async fn restart_stream(shared: Arc<Shared>, call: CallId) {
    loop {
        match shared.calls.until_stoppable(&call, Instant::now()) {
            None => return,
            Some(wait) if wait.is_zero() => break,
            Some(wait) => tokio::time::sleep(wait.min(Duration::from_millis(20))).await,
        }
    }
    let stopped = shared.calls.stopping(&call);
    let order = |act| Order { call: call.clone(), asked: Instant::now(), act };
    let _ = shared.control.send(order(Act::Stop(shared.dialect.stop_stream(&call)))).await;
    let _ = timeout(STOP_WAIT, stopped).await;
    if let Some(url) = shared.calls.restarting(&call)
        && let Ok(start) = shared.dialect.start_stream(&call, &url)
    {
        let _ = shared.control.send(order(Act::StartAgain(start))).await;
    }
}

async fn stop_playback(shared: &Arc<Shared>, client: &EslClient, call: &CallId) -> Result<(), EslError> {
    let plays = shared.calls.plays(call);
    let reply = quietly(client, api(command::stop_playback(call))).await?;
    if refused(&reply).is_some() {
        end_later(shared, call.clone(), HangupCause::new(LOST));
    }
    if !plays.is_empty() {
        let call = call.clone();
        // What had not begun is dropped without an event.
        shared.later(OWN_WORD, move |shared| {
            for id in plays {
                shared.calls.end_play(&call, id, PlaybackEnd::Broken);
            }
        });
    }
    Ok(())
}

/// Says that the call is over, unless the switch does so first.
fn end_later(shared: &Arc<Shared>, call: CallId, cause: HangupCause) {
    shared.later(AFTER_HANGUP, move |shared| shared.calls.tell(&call, SwitchEvent::HungUp(cause)));
}

fn hang_up(shared: &Arc<Shared>, call: CallId, cause: HangupCause) {
    if let Ok(text) = command::kill(&call, &cause) {
        let order = Order { call, asked: Instant::now(), act: Act::HangUp { text, cause } };
        if shared.enqueue(order).is_err() {
            tracing::warn!("a hang-up was not sent: too many commands wait for the switch");
        }
    }
}

async fn stay_alive(shared: &Arc<Shared>, clients: [&EslClient; 2]) -> EslError {
    let mut tick = interval(shared.options.liveness);
    loop {
        tick.tick().await;
        shared.calls.sweep();
        for client in clients {
            // Any answer will do.
            if let Err(error) = client.api(command::ALIVE).await {
                return error;
            }
        }
    }
}

async fn ended(events: &mut EslEventStream) -> EslError {
    while events.recv().await.is_some() {}
    EslError::ConnectionClosed
}
