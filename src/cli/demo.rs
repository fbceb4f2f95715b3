//! `sidetone demo`: a campaign of simulated calls, in real time, with the real recogniser over real sockets.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use sidetone_core::campaign::Control;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    Context, campaign, exit,
    output::{note, unavailable},
    service::Service,
};
use crate::{
    app::{self, Addresses, Parts},
    config::Config,
    sim::{Cast, Contact, Sim, SimConfig, SimHandle},
    store::{NewCampaign, NewContact, Store, now_ms},
};

const CAMPAIGN: &str = "demo";
const SCENARIO: &str = "appointment-reminder";
/// Shown as the caller; from the range kept for fiction.
const CALLER_ID: &str = "+442079460000";
const CALLS_AT_ONCE: u32 = 8;
const CALLS_A_SECOND: f64 = 2.0;

/// Runs twenty simulated calls against a FreeSWITCH stand-in and shows what came of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sidetone demo --keep /tmp/demo\n\n\
    Run it in the project's folder: it plays the prompts of the shipped scenario.")]
pub struct Demo {
    /// Keep the database, the metrics page and what the stand-in saw here [default: thrown away].
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Leave the metrics page up until ctrl-C.
    #[arg(long)]
    stay: bool,
}

impl Demo {
    pub(super) async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let scenario = ctx.config.scenarios.dir.join(SCENARIO).with_extension("yaml");
        if !scenario.is_file() {
            return Ok(unavailable(format_args!(
                "{} is not here: run the demo in the project's folder",
                scenario.display()
            )));
        }
        let thrown_away = tempfile::tempdir()?;
        let folder = self.keep.clone().unwrap_or_else(|| thrown_away.path().to_owned());
        std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
        let sim = Sim::start(SimConfig { cast: Cast::demo()?, ..SimConfig::default() }).await?;
        let ctx =
            Context { config: Arc::new(configuration(&ctx.config, &folder, sim.esl_addr())), json: ctx.json };
        let code = self.calls(&ctx, &folder, &sim, std::fs::canonicalize(&scenario)?).await;
        let report = sim.shutdown().await;
        if self.keep.is_some() {
            let file = folder.join("stand-in.json");
            std::fs::write(&file, serde_json::to_vec_pretty(&report)?)?;
            note(format_args!("what the stand-in saw: {}", file.display()));
        }
        code
    }

    async fn calls(
        &self,
        ctx: &Context,
        folder: &Path,
        sim: &SimHandle,
        scenario: PathBuf,
    ) -> anyhow::Result<ExitCode> {
        let shutdown = CancellationToken::new();
        let (ready, listening) = oneshot::channel();
        let parts = Parts { ready: Some(ready), ..Parts::default() };
        let task = tokio::spawn(app::serve_with(ctx.config.clone(), parts, shutdown.clone()));
        let service = Service::Here { task, shutdown };
        let Ok(addresses) = listening.await else {
            // It says itself what kept it from starting.
            return service.end().await.map(|()| ExitCode::from(exit::FAILED));
        };
        let store = Store::open(&ctx.config.store.url).await?;
        let contacts = Cast::demo()?.contacts().collect::<Vec<_>>();
        fill(&store, &contacts, scenario).await?;
        note(format_args!(
            "{} simulated calls, {CALLS_AT_ONCE} at once; FreeSWITCH's stand-in is on {}, metrics on {}",
            contacts.len(),
            sim.esl_addr(),
            metrics_page(addresses)
        ));
        store.control_campaign(CAMPAIGN, Control::Run, now_ms()).await?;
        let shown = tokio::select! {
            shown = campaign::watch_to_the_end(ctx, &store, &service, CAMPAIGN) => shown,
            _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(exit::FAILED)),
        };
        if shown.is_ok() {
            self.metrics(folder, addresses).await?;
        }
        service.end().await?;
        shown
    }

    /// The page's address; the page itself for those who come too late for it.
    async fn metrics(&self, folder: &Path, addresses: Addresses) -> anyhow::Result<()> {
        let page = metrics_page(addresses);
        if self.keep.is_some() {
            let url = page.clone();
            let text =
                tokio::task::spawn_blocking(move || ureq::get(&url).call()?.body_mut().read_to_string())
                    .await??;
            let file = folder.join("metrics.txt");
            std::fs::write(&file, text)?;
            note(format_args!("the metrics page, as it was: {}", file.display()));
        }
        if self.stay {
            note(format_args!("metrics: {page} until ctrl-C"));
            tokio::signal::ctrl_c().await?;
        } else {
            note(format_args!("metrics were on {page} (`sidetone demo --stay` keeps the page up)"));
        }
        Ok(())
    }
}

/// The demo's own: nothing of it touches a service that runs here already.
fn configuration(user: &Config, folder: &Path, esl: SocketAddr) -> Config {
    let mut config = user.clone();
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    config.media.listen = anywhere;
    config.media.public_url = String::new();
    config.http.listen = if is_free(user.http.listen) { user.http.listen } else { anywhere };
    config.switch = crate::config::Switch {
        esl: esl.to_string(),
        caller_id: CALLER_ID.to_owned(),
        dial_string: "sofia/gateway/demo/{e164}".to_owned(),
        instance: "sidetone-demo".to_owned(),
        ..crate::config::Switch::default()
    };
    config.store.url = format!("sqlite:{}", folder.join("demo.db").display());
    config.call.ring_timeout = Duration::from_secs(12);
    config.shutdown.grace = Duration::from_secs(5);
    config
}

fn is_free(address: SocketAddr) -> bool {
    address.ip().is_loopback() && std::net::TcpListener::bind(address).is_ok()
}

fn metrics_page(addresses: Addresses) -> String {
    format!("http://{}/metrics", addresses.http)
}

async fn fill(store: &Store, contacts: &[Contact], scenario: PathBuf) -> anyhow::Result<()> {
    let scenario = scenario.into_os_string().into_string().ok().context("the folder's name must be UTF-8")?;
    let campaign = NewCampaign {
        name: CAMPAIGN.to_owned(),
        scenario,
        language: None,
        caller_id: None,
        max_concurrent: CALLS_AT_ONCE,
        cps: CALLS_A_SECOND,
        max_attempts: 1,
    };
    let made = store.create_campaign(&campaign, now_ms()).await?;
    let contacts: Vec<NewContact> = contacts.iter().filter_map(new_contact).collect();
    store.import_contacts(made.id, &contacts, now_ms()).await?;
    Ok(())
}

fn new_contact(contact: &Contact) -> Option<NewContact> {
    let variables = BTreeMap::from([
        ("name".to_owned(), contact.name.clone()),
        ("kind".to_owned(), contact.what.clone()),
    ]);
    Some(NewContact::new(contact.number.clone()?, variables))
}
