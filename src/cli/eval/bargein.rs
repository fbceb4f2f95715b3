//! `sidetone eval bargein`: is the bot interrupted by people, and by nothing else?

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

use super::{
    Listening,
    amd::{progress, write_lines},
    tables,
};
use crate::{
    app::call_config,
    cli::{
        Context, exit,
        output::{document, note, say, usage},
    },
    eval::{
        self, BadTrack, RATE, Track,
        bargein::{self, TrackResult},
    },
};

/// Measures what interrupts the bot, on recorded tracks.
///
/// INDEX.json is a list of tracks, each `{id, lang, file_8k, events: [{start, end, kind, should_interrupt}],
/// bot_echo: {prompt_file, starts_at_s}, tv, background}`, files relative to it, times in seconds. The bot speaks
/// all the time. An event with `should_interrupt` is to cut it within 1.5 s of its start; any other cut is false.
/// After a cut the bot speaks again 1 s after the event that cut it has ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sidetone eval bargein corpus/index.json --json\n\n\
    Exits with 2 where tracks cannot be used; the others are measured all the same.")]
pub struct BargeIn {
    #[arg(value_name = "INDEX.json")]
    index: PathBuf,
    #[command(flatten)]
    listening: Listening,
    /// Write one JSON line a track, with everything that was heard.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl BargeIn {
    pub(super) async fn run(self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let ctx = ctx.clone();
        tokio::task::spawn_blocking(move || self.evaluate(&ctx)).await?
    }

    fn evaluate(&self, ctx: &Context) -> anyhow::Result<ExitCode> {
        let (tracks, mut bad) = match eval::tracks(&self.index) {
            Ok(found) => found,
            Err(error) => return Ok(usage(error)),
        };
        let tracks = self.listening.pick(tracks, |track| &track.id);
        let languages: BTreeSet<String> = tracks.iter().map(|track| track.language.clone()).collect();
        let hearing =
            match self.listening.without_verdicts(&languages).load(ctx, languages.into_iter().collect())? {
                Ok(hearing) => hearing,
                Err(code) => return Ok(code),
            };
        let bar = progress(tracks.len());
        let one = |track: &Track| -> Result<TrackResult, BadTrack> {
            let config = call_config(&ctx.config, RATE, &track.language, false);
            let run = config.and_then(|config| bargein::run(track, config, &hearing));
            run.map_err(|reason| BadTrack { number: track.number, reason: format!("{}: {reason}", track.id) })
        };
        let results = eval::each(&tracks, self.listening.jobs, one, || bar.inc(1));
        bar.finish_and_clear();
        let mut heard = Vec::new();
        for result in results {
            match result {
                Ok(track) => heard.push(track),
                Err(track) => bad.push(track),
            }
        }
        for BadTrack { number, reason } in &bad {
            note(format_args!("{}, track {number}: {reason}", self.index.display()));
        }
        if let Some(path) = &self.out {
            write_lines(path, &heard)?;
        }
        let code = if bad.is_empty() && !heard.is_empty() { exit::OK } else { exit::USAGE };
        let report = bargein::report(heard, hearing.models(), bad);
        if ctx.json {
            document(&report)?;
        } else {
            say(tables::bargein(&report))?;
        }
        Ok(ExitCode::from(code))
    }
}
