//! Channels of ours that nobody watches, and attempts that nobody ended: cleared whenever the switch is (re)gained.

use std::{sync::Arc, time::Duration};

use sidetone_core::call::HangupCause;
use tokio_util::sync::CancellationToken;

use super::place::Places;
use crate::{
    http::Readiness,
    store::{Store, now_ms},
    switch::{Link, Switch as _, esl::Esl},
};

/// A look that failed is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// Until it has looked once since the switch came up, no call starts.
pub(super) async fn watch_link(
    esl: Esl,
    store: Store,
    places: Arc<Places>,
    readiness: Readiness,
    shutdown: CancellationToken,
) {
    let mut link = esl.link();
    loop {
        let up = matches!(*link.borrow_and_update(), Link::Up);
        readiness.set_switch(up);
        places.set_switch(false);
        let clear = async {
            if up {
                while let Err(error) = clear(&esl, &store, &places).await {
                    tracing::warn!(error, "channels left over could not be cleared; trying again");
                    tokio::time::sleep(AGAIN).await;
                }
                places.set_switch(true);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = clear => {}
            changed = link.changed() => if changed.is_err() { return },
        }
    }
}

async fn clear(esl: &Esl, store: &Store, places: &Places) -> Result<(), String> {
    let channels = esl.our_channels().await.map_err(|error| error.to_string())?;
    for call in channels.iter().filter(|call| !places.is_known(call)) {
        tracing::warn!(%call, "hanging up a channel that nobody watches");
        esl.kill(call, HangupCause::new("NORMAL_CLEARING")).map_err(|error| error.to_string())?;
    }
    let orphans = store.orphans(places.instance()).await.map_err(|error| error.to_string())?;
    for orphan in orphans.iter().filter(|orphan| !places.is_known(&orphan.call)) {
        tracing::warn!(call = %orphan.call, "settling an attempt that nobody ended as lost");
        store.settle_orphan(orphan, now_ms()).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}
