//! Whether who is to hear of calls can be reached, and does.

use sidetone_core::webhook::{Next, Reply};

use super::finding::Finding;
use crate::{
    config::Config,
    store::{Store, now_ms},
    webhooks::Poster,
};

const WEBHOOKS: &str = "webhooks";

/// Posts a signed `ping`, which is no event and stands in no outbox.
pub(super) async fn examine(config: &Config) -> Finding {
    let options = &config.webhooks;
    if options.url.is_empty() {
        return Finding::skipped(WEBHOOKS, "not configured (webhooks.url)");
    }
    let poster = Poster::new(options);
    let now = now_ms();
    let id = format!("ping-{now}");
    let body = serde_json::json!({ "id": id, "event": "ping", "created_ms": now }).to_string();
    let posted = tokio::task::spawn_blocking(move || poster.post("ping", &id, &body, now / 1000)).await;
    let (reply, error) = posted.unwrap_or((Reply::Unreachable, Some("the try failed".to_owned())));
    if Next::after(reply, 1, 1, 0.0) != Next::Delivered {
        let todo = "is webhooks.url right, and does its service take a signed POST with the event `ping`?";
        return Finding::failed(WEBHOOKS, error.unwrap_or_default(), todo);
    }
    let outbox = match Store::open(&config.store.url).await {
        Ok(store) => store.outbox().await,
        Err(error) => Err(error),
    };
    match outbox {
        Ok(outbox) if outbox.dead > 0 => Finding::failed(
            WEBHOOKS,
            format!("the receiver answers, but {} were given up before", outbox.dead),
            "`sidetone webhooks list --dead` says why, `sidetone webhooks replay --dead` sends them again",
        ),
        Ok(outbox) => Finding::ok(WEBHOOKS, format!("a ping was taken; {} wait", outbox.waiting)),
        Err(error) => Finding::skipped(WEBHOOKS, format!("a ping was taken; the outbox: {error}")),
    }
}
