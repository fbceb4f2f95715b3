//! A PostgreSQL server of one's own in a temporary folder, for tests and benchmarks. It ends, and its folder goes, when
//! the handle is dropped or the process dies, however it dies.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{Connection as _, PgConnection};

/// Runs the server until its standard input ends: that is when the parent is gone. `$1`: the programs' folder, `$2`:
/// the port, `$3`: `on` where what is committed must survive a power cut.
const SUPERVISE: &str = r#"
set -e
umask 077
dir=$(mktemp -d "${TMPDIR:-/tmp}/sidetone-postgres-XXXXXX")
trap 'rm -rf "$dir"' EXIT
"$1/initdb" -D "$dir/data" -U sidetone -A trust -E UTF8 --locale=C --no-sync >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
"$1/postgres" -D "$dir/data" -h 127.0.0.1 -p "$2" -k "$dir" -c fsync="$3" -c max_connections=300 \
    -c shared_buffers=32MB >>"$dir/log" 2>&1 &
server=$!
for _ in $(seq 300); do
    "$1/pg_isready" -q -h 127.0.0.1 -p "$2" && break
    kill -0 $server 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
    sleep 0.1
done
echo ready
cat >/dev/null || true
kill -QUIT $server
wait $server || true
"#;

/// Where the programs are where PATH does not lead to them: Debian's folders, by version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    #[error("PostgreSQL is not installed (no initdb): on Debian, apt-get install postgresql")]
    Missing,
    /// PostgreSQL refuses to run as root.
    #[error("PostgreSQL does not run as root, and there is no user `postgres` to run it as")]
    NoUser,
    #[error("PostgreSQL did not start: {0}")]
    Start(String),
    #[error("no database could be made: {0}")]
    Database(#[from] sqlx::Error),
}

/// A running server.
#[derive(Debug)]
pub struct ScratchPostgres {
    port: u16,
    databases: AtomicU32,
    child: Child,
    /// Its end ends the server.
    alive: Option<ChildStdin>,
}

impl ScratchPostgres {
    /// Starts a server on a free port; takes a second or two, and blocks. It does not wait for the disk.
    ///
    /// # Errors
    /// [`ScratchError`] says what is missing.
    pub fn start() -> Result<Self, ScratchError> {
        Self::start_with("off")
    }

    /// Like [`Self::start`]; what is committed is on the disk.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_durable() -> Result<Self, ScratchError> {
        Self::start_with("on")
    }

    fn start_with(fsync: &str) -> Result<Self, ScratchError> {
        let programs = programs().ok_or(ScratchError::Missing)?;
        let failed = |error: std::io::Error| ScratchError::Start(error.to_string());
        let port =
            TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr()).map_err(failed)?;
        let mut child = shell()?
            .args(["-c", SUPERVISE, "sidetone-postgres"])
            .arg(&programs)
            .arg(port.port().to_string())
            .arg(fsync)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let alive = child.stdin.take();
        let mut said = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut said).map_err(failed)?;
        }
        if said.trim() != "ready" {
            let mut words = String::new();
            if let Some(mut errors) = child.stderr.take() {
                errors.read_to_string(&mut words).map_err(failed)?;
            }
            child.wait().map_err(failed)?;
            return Err(ScratchError::Start(words));
        }
        Ok(Self { port: port.port(), databases: AtomicU32::new(0), child, alive })
    }

    /// Makes an empty database and says its URL.
    ///
    /// # Errors
    /// The server's.
    pub async fn database(&self) -> Result<String, ScratchError> {
        let name = format!("scratch_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut server = PgConnection::connect(&self.url("postgres")).await?;
        let sql = sqlx::AssertSqlSafe(format!("create database {name}"));
        sqlx::query(sql).execute(&mut server).await?;
        server.close().await?;
        Ok(self.url(&name))
    }

    /// Cuts every connection to a database, as a network that breaks would. Says how many there were.
    ///
    /// # Errors
    /// The server's.
    pub async fn cut(&self, url: &str) -> Result<u64, ScratchError> {
        let mut server = PgConnection::connect(&self.url("postgres")).await?;
        let cut = sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1")
            .bind(url.rsplit('/').next().unwrap_or_default())
            .fetch_all(&mut server)
            .await?;
        server.close().await?;
        Ok(u64::try_from(cut.len()).unwrap_or(u64::MAX))
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://sidetone@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for ScratchPostgres {
    fn drop(&mut self) {
        drop(self.alive.take());
        self.child.wait().ok();
    }
}

fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |folder: &PathBuf| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    let mut debian: Vec<PathBuf> = std::fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    debian.sort();
    std::env::split_paths(&path).find(has).or_else(|| debian.into_iter().rev().find(has))
}

/// A shell that is not root: PostgreSQL refuses to be.
fn shell() -> Result<Command, ScratchError> {
    let root = std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    if !root {
        return Ok(Command::new("sh"));
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let known = users.lines().any(|line| line.starts_with("postgres:"));
    if !known || !Path::new("/usr/bin/setpriv").exists() {
        return Err(ScratchError::NoUser);
    }
    let mut command = Command::new("/usr/bin/setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"]);
    Ok(command)
}
