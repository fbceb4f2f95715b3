//! Other processes of a measurement, talked to a line at a time: each counts only what it uses itself.

use std::{
    io::{self, BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, bail};
use serde::de::DeserializeOwned;

/// A running part of a measurement. Dropping it ends it.
pub(super) struct Worker {
    name: &'static str,
    child: Child,
    to: Option<ChildStdin>,
    from: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    pub(super) fn start(name: &'static str, command: &mut Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let (to, from) = (child.stdin.take(), child.stdout.take());
        let from = BufReader::new(from.context("no pipe")?).lines();
        Ok(Self { name, child, to, from })
    }

    pub(super) fn say(&mut self, line: &str) -> anyhow::Result<()> {
        let to = self.to.as_mut().context("no pipe")?;
        to.write_all(format!("{line}\n").as_bytes())
            .and_then(|()| to.flush())
            .with_context(|| format!("{} is gone", self.name))
    }

    pub(super) fn hear(&mut self) -> anyhow::Result<String> {
        match self.from.next() {
            Some(line) => Ok(line?),
            None => bail!("{} ended: {}", self.name, self.child.wait()?),
        }
    }

    /// Waits for one line.
    pub(super) fn expect(&mut self, wanted: &str) -> anyhow::Result<()> {
        let line = self.hear()?;
        if line != wanted {
            bail!("{} said `{line}` instead of `{wanted}`", self.name);
        }
        Ok(())
    }

    /// Reads a line that is one JSON document.
    pub(super) fn report<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let line = self.hear()?;
        serde_json::from_str(&line).with_context(|| format!("{} said `{line}`", self.name))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.to.take());
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// This program once more, as a part of a measurement.
pub(super) fn myself(part: &str) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "part", part]);
    Ok(command)
}

/// One line to the one who started us.
pub(super) fn tell(line: impl std::fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
