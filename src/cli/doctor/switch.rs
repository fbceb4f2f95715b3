//! The switch: reachable, authorised, its stream module loaded, the prompts where it looks for them.

use std::path::Path;

use super::{finding::Finding, local};
use crate::{
    config::{Config, StreamModule},
    switch::esl::{EslOptions, EslProbe, ProbeError},
};

const SWITCH: &str = "switch";
const MODULE: &str = "stream module";
const PROMPTS: &str = "prompts, seen by the switch";

/// Adds what was found; true where a test call may be tried.
pub(super) async fn examine(config: &Config, findings: &mut Vec<Finding>) -> bool {
    let probe = match connect(config).await {
        Ok(probe) => probe,
        Err(finding) => {
            findings.push(finding);
            findings.extend([MODULE, PROMPTS].map(|check| Finding::skipped(check, "needs the switch")));
            return false;
        }
    };
    let version = probe.version().await.unwrap_or_default();
    let version = version.lines().next().unwrap_or("authorised");
    findings.push(Finding::ok(SWITCH, format!("{}: {version}", config.switch.esl)));
    let module = module(config, &probe).await;
    let loaded = module.is_ok();
    findings.push(module);
    findings.push(prompts(config, &probe).await);
    loaded
}

async fn connect(config: &Config) -> Result<EslProbe, Finding> {
    let esl = &config.switch.esl;
    let options = EslOptions::from_config(config).map_err(|error| {
        Finding::failed(SWITCH, error.to_string(), "mend it: `sidetone config example` explains every key")
    })?;
    EslProbe::connect(&options)
        .await
        .map_err(|error| Finding::failed(SWITCH, format!("{esl}: {error}"), what_to_do(&error)))
}

fn what_to_do(error: &ProbeError) -> &'static str {
    match error {
        ProbeError::Password => {
            "set switch.password (or SIDETONE_ESL_PASSWORD) to the password in FreeSWITCH's event_socket.conf.xml"
        }
        ProbeError::Acl => "name this host in apply-inbound-acl of FreeSWITCH's event_socket.conf.xml",
        ProbeError::Unreachable { .. }
        | ProbeError::Protocol { .. }
        | ProbeError::Unsendable(_)
        | ProbeError::Call { .. } => {
            "start FreeSWITCH, load mod_event_socket, and see that its listen-ip and listen-port are what switch.esl says"
        }
    }
}

async fn module(config: &Config, probe: &EslProbe) -> Finding {
    let name = match config.switch.module {
        StreamModule::AudioStream => "mod_audio_stream",
        StreamModule::AudioFork => "mod_audio_fork",
    };
    match probe.module_loaded().await {
        Ok(true) => Finding::ok(MODULE, format!("{name} is loaded")),
        Ok(false) => {
            let todo = format!(
                "install it and `fs_cli -x 'load {name}'` (and in modules.conf.xml), or set switch.module to the one you have"
            );
            Finding::failed(MODULE, format!("{name} is not loaded"), todo)
        }
        Err(error) => Finding::failed(MODULE, error.to_string(), "look at FreeSWITCH's log"),
    }
}

/// Whether a prompt of ours is a file to the switch, too.
async fn prompts(config: &Config, probe: &EslProbe) -> Finding {
    let Some(file) = local::any_prompt(&config.prompts.dir) else {
        return Finding::skipped(PROMPTS, "needs a prompt in prompts.dir");
    };
    let theirs = config.switch_prompts_dir().join(&file);
    let shown = theirs.display();
    if !is_plain(&theirs) {
        let todo = "use a folder and file names without spaces, quotes or line breaks";
        return Finding::failed(PROMPTS, format!("{shown} cannot be named to the switch"), todo);
    }
    match probe.api(&format!("file_exists {shown}")).await.as_deref().map(str::trim) {
        Ok("true") => Finding::ok(PROMPTS, format!("{shown} is there")),
        Ok("false") => {
            let todo = format!(
                "share {} with FreeSWITCH, readable by its user, and set switch.prompts_dir to the path it has there",
                local::absolute(&config.prompts.dir).display()
            );
            Finding::failed(PROMPTS, format!("FreeSWITCH does not see {shown}"), todo)
        }
        Ok(_) | Err(_) => Finding::skipped(PROMPTS, "the switch cannot say; the test call will"),
    }
}

fn is_plain(path: &Path) -> bool {
    let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '\'' | '"' | '\\');
    path.to_str().is_some_and(|text| !text.contains(odd))
}
