//! Signed webhooks: takes what waits in the outbox and delivers it.
//!
//! At least once, in no promised order: a delivery whose answer is lost is repeated under the same id.

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sidetone_core::webhook::{Next, Reply};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use ureq::Agent;

use crate::{
    config::{Secret, Webhooks},
    metrics::{Delivery, Metrics},
    store::{Store, Tried, Webhook, now_ms},
};

/// How often the outbox is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How often what lies in it is counted.
const COUNT: Duration = Duration::from_secs(5);
/// How much longer than a try may take nobody else repeats it.
const SLACK: Duration = Duration::from_secs(15);
/// So much of a receiver's answer is kept where it refused.
const LONGEST_ANSWER: usize = 200;

/// Posts one document, and says what the receiver did.
#[derive(Debug)]
pub struct Poster {
    agent: Agent,
    url: String,
    secret: Secret,
}

/// Delivers until `shutdown`; what is under way then is finished.
pub async fn deliver(
    store: Store,
    options: Webhooks,
    instance: String,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let poster = Arc::new(Poster::new(&options));
    let (connections, most, lease) = (options.connections, options.tries, options.timeout + SLACK);
    let mut under_way = JoinSet::new();
    let mut count = tokio::time::interval(COUNT);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            // A try that panicked is repeated when its lease is over.
            Some(_) = under_way.join_next() => {}
            _ = count.tick() => match store.outbox().await {
                Ok(outbox) => metrics.webhooks(outbox.waiting, outbox.dead),
                Err(error) => tracing::warn!(%error, "the outbox could not be counted"),
            },
            () = tokio::time::sleep(LOOK) => {}
        }
        let free = connections.saturating_sub(under_way.len());
        if free == 0 {
            continue;
        }
        match store.take_webhooks(&instance, free, lease, now_ms()).await {
            Ok(due) => due.into_iter().for_each(|due| {
                under_way.spawn(attempt(store.clone(), poster.clone(), metrics.clone(), (due, most)));
            }),
            Err(error) => tracing::warn!(%error, "the outbox could not be read"),
        }
    }
    while under_way.join_next().await.is_some() {}
}

async fn attempt(store: Store, poster: Arc<Poster>, metrics: Metrics, (due, most): (Webhook, u32)) {
    let began = std::time::Instant::now();
    let (event, event_id, body) = (due.event.word(), due.event_id.clone(), due.body.clone());
    let posted = tokio::task::spawn_blocking(move || poster.post(event, &event_id, &body, now_ms() / 1000));
    let Ok((reply, error)) = posted.await else { return };
    let next = Next::after(reply, due.tries, most, jitter());
    let outcome = match next {
        Next::Delivered => Delivery::Delivered,
        Next::Again(_) => Delivery::Failed,
        Next::Dead => Delivery::Dead,
    };
    metrics.webhook_tried(outcome, began.elapsed());
    let status = match reply {
        Reply::Status { code, .. } => Some(code),
        Reply::Unreachable => None,
    };
    if let Some(error) = &error {
        tracing::warn!(webhook = due.id, tries = due.tries, ?next, error, "a webhook was not delivered");
    }
    if let Err(error) = store.webhook_tried(&due, &Tried { next, status, error }, now_ms()).await {
        tracing::warn!(webhook = due.id, %error, "what came of a webhook could not be stored: it is repeated");
    }
}

impl Poster {
    /// Connects to nothing yet.
    #[must_use]
    pub fn new(options: &Webhooks) -> Self {
        let agent = Agent::config_builder()
            .timeout_global(Some(options.timeout))
            .http_status_as_error(false)
            // What is sent is meant for the receiver that was configured, and for no other.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections_per_host(options.connections)
            .user_agent(concat!("sidetone/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: agent.into(), url: options.url.clone(), secret: options.secret.clone() }
    }

    /// Posts `body`, signed as of `unix_s`. Blocks. The words are of what went wrong.
    pub fn post(&self, event: &str, id: &str, body: &str, unix_s: i64) -> (Reply, Option<String>) {
        let Some(signature) = signature(self.secret.reveal(), unix_s, body) else {
            return (Reply::Unreachable, Some("webhooks.secret cannot be used as a key".to_owned()));
        };
        let sent = self
            .agent
            .post(&self.url)
            .header("Content-Type", "application/json")
            .header("Sidetone-Event", event)
            .header("Sidetone-Id", id)
            .header("Sidetone-Signature", signature)
            .send(body.as_bytes());
        let mut response = match sent {
            Ok(response) => response,
            // The address may hold a password: the error's own words do not name it.
            Err(error) => return (Reply::Unreachable, Some(error.to_string())),
        };
        let code = response.status().as_u16();
        let header = response.headers().get("retry-after");
        let seconds = header.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let reply = Reply::Status { code, retry_after: seconds.map(Duration::from_secs) };
        // Read to its end, so that the connection can be used again.
        let answer = response.body_mut().with_config().limit(64 * 1024).read_to_string().unwrap_or_default();
        if (200..300).contains(&code) {
            return (reply, None);
        }
        let words: String = answer.chars().filter(|c| !c.is_control()).take(LONGEST_ANSWER).collect();
        (reply, Some(format!("status {code}{}{words}", if words.is_empty() { "" } else { ": " })))
    }
}

/// The header's value: `t=UNIX_SECONDS,v1=HEX`, the HMAC-SHA256 of `UNIX_SECONDS.BODY` under the secret.
#[must_use]
pub fn signature(secret: &str, unix_s: i64, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(format!("{unix_s}.").as_bytes());
    mac.update(body.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("t={unix_s},v1={hex}"))
}

/// 0 to 1; without a source of randomness always the same.
fn jitter() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}
