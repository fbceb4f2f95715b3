//! Connects, and connects again.

use std::{sync::Arc, time::Duration};

use freeswitch_esl_tokio::EslError;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    connection::{Connection, Held, Outlet},
    event::Adopted,
    order::Order,
};
use crate::switch::Link;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

pub(super) struct Supervisor {
    shared: Arc<Shared>,
    control: Outlet,
    voice: Outlet,
    adopt: mpsc::Sender<Adopted>,
}

impl Supervisor {
    pub(super) fn new(
        shared: Arc<Shared>,
        control: mpsc::Receiver<Order>,
        voice: mpsc::Receiver<Order>,
        adopt: mpsc::Sender<Adopted>,
    ) -> Self {
        let outlet = |orders| Outlet { orders, held: Held::default() };
        Self { shared, control: outlet(control), voice: outlet(voice), adopt }
    }

    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let mut wait = FIRST_WAIT;
        let mut said = false;
        while !shutdown.is_cancelled() {
            let opened = tokio::select! {
                () = shutdown.cancelled() => return,
                opened = self.open() => opened,
            };
            match opened {
                Ok(connection) => {
                    tracing::info!("connected to the switch");
                    (wait, said) = (FIRST_WAIT, false);
                    self.serve(connection, &shutdown).await;
                }
                Err(error) if !said => {
                    said = true;
                    tracing::warn!(%error, "the switch cannot be reached; trying on");
                }
                Err(error) => tracing::debug!(%error, "the switch cannot be reached"),
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
            }
        }
    }

    async fn open(&self) -> Result<Connection, EslError> {
        let connection = Connection::open(&self.shared.options, &self.shared.dialect.events()).await?;
        connection.reconcile(&self.shared).await?;
        Ok(connection)
    }

    async fn serve(&mut self, mut connection: Connection, shutdown: &CancellationToken) {
        let shared = &self.shared;
        shared.set_client(Some(connection.client()));
        shared.link.send_replace(Link::Up);
        tokio::select! {
            () = shutdown.cancelled() => connection.flush(shared, &mut self.control, &mut self.voice).await,
            error = connection.serve(shared, &mut self.control, &mut self.voice, &self.adopt) => {
                tracing::warn!(%error, "the connection to the switch is lost");
            }
        }
        shared.link.send_replace(Link::Down(Instant::now()));
        shared.set_client(None);
        connection.close().await;
    }
}
