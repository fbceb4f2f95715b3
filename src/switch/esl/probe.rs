//! One look at a switch, apart from the running adapter: for `doctor`.

use std::time::Duration;

use freeswitch_esl_tokio::{EslClient, EslError, EslEventStream};
use sidetone_core::call::{CallId, HangupCause};

use super::{
    command::{self, Dialect},
    connection::{api, body, connect, quietly},
    event::cause_of_refusal,
    options::EslOptions,
};
use crate::{
    config::StreamModule,
    switch::{Originate, SwitchError},
};

/// An authenticated connection.
pub struct EslProbe {
    client: EslClient,
    _events: EslEventStream,
    dialect: Dialect,
}

/// What is wrong, and so what to do.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error(
        "nothing answers at {host}:{port}: is FreeSWITCH running, and mod_event_socket loaded? ({reason})"
    )]
    Unreachable { host: String, port: u16, reason: String },
    #[error("the password is refused: `switch.password` must be that of event_socket.conf.xml")]
    Password,
    #[error("this machine is refused: see `apply-inbound-acl` in event_socket.conf.xml")]
    Acl,
    #[error("the switch does not answer as FreeSWITCH would: {reason}")]
    Protocol { reason: String },
    #[error(transparent)]
    Unsendable(#[from] SwitchError),
    #[error("the call failed: {}", .cause.as_str())]
    Call { cause: HangupCause },
}

impl EslProbe {
    /// # Errors
    /// [`ProbeError`] says what to do.
    pub async fn connect(options: &EslOptions) -> Result<Self, ProbeError> {
        let (client, events) = connect(options).await.map_err(|error| Self::refused(options, &error))?;
        let dialect = Dialect::new(options);
        Ok(Self { client, _events: events, dialect })
    }

    fn refused(options: &EslOptions, error: &EslError) -> ProbeError {
        if matches!(error, EslError::AuthenticationFailed { .. }) {
            ProbeError::Password
        } else if matches!(error, EslError::AccessDenied { .. }) {
            ProbeError::Acl
        } else if matches!(error, EslError::Io(_) | EslError::Timeout { .. } | EslError::ConnectionClosed) {
            let (host, port) = (options.host.clone(), options.port);
            ProbeError::Unreachable { host, port, reason: error.to_string() }
        } else {
            protocol(error)
        }
    }

    /// The answer to an `api` command, as it came.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn api(&self, command: &str) -> Result<String, ProbeError> {
        let reply = quietly(&self.client, api(command.to_owned())).await.map_err(|error| protocol(&error))?;
        Ok(body(&reply).to_owned())
    }

    /// FreeSWITCH's own words, such as `FreeSWITCH Version 1.10.12 ...`.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn version(&self) -> Result<String, ProbeError> {
        self.api("version").await
    }

    /// Whether the configured stream module is loaded.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn module_loaded(&self) -> Result<bool, ProbeError> {
        let module = match self.dialect.module {
            StreamModule::AudioStream => "mod_audio_stream",
            StreamModule::AudioFork => "mod_audio_fork",
        };
        Ok(self.api(&format!("module_exists {module}")).await? == "true")
    }

    /// Places a call and waits until it is answered or has failed.
    ///
    /// # Errors
    /// [`ProbeError::Call`] has the cause.
    pub async fn originate(&self, call: &CallId, order: &Originate) -> Result<(), ProbeError> {
        let text = self.dialect.originate(call, order)?;
        self.client.set_command_timeout(order.ring_timeout + Duration::from_secs(5));
        let answer = self.api(&text).await?;
        if answer.starts_with("+OK") {
            Ok(())
        } else {
            Err(ProbeError::Call { cause: cause_of_refusal(&answer) })
        }
    }

    /// Hangs a call up; one that is gone already is no error.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn hang_up(&self, call: &CallId) -> Result<(), ProbeError> {
        let text = command::kill(call, &HangupCause::new("NORMAL_CLEARING"))?;
        self.api(&text).await.map(|_| ())
    }
}

fn protocol(error: &EslError) -> ProbeError {
    ProbeError::Protocol { reason: error.to_string() }
}
