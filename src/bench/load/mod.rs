//! `bench load`: many live calls through the real media server and sessions, no recogniser.
//!
//! Three servers take the same audio from the same generator, one after the other: Sidetone; a bare loop that reads
//! WebSocket frames and asks the voice detector; and the same in Python. The server has one core, the generator the
//! other.

mod bare;
mod generator;
mod limits;
mod server;
mod stamp;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    peer,
    process::{Worker, myself},
};

/// What the Python peer is made of: a WebSocket server, the same detector's Python package, and NumPy for levels.
const PEER: &[&str] = &["websockets==17.4", "webrtcvad-wheels==2.0.14.post1", "numpy==2.4.6"];
/// A Python server carries about 600 calls on one core; its cost a call is measured well below that.
const PEER_CALLS: usize = 200;
/// The first seconds are not counted: every call decides who answered, memory grows to its size.
const WARM_UP: Duration = Duration::from_secs(4);
const FRAMES_A_SECOND: f64 = 50.0;

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub calls: usize,
    pub seconds: u64,
    /// Leave the Python peer out.
    pub skip_peer: bool,
}

/// The parts that run in processes of their own.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    Server,
    Bare,
    Generator,
}

/// What a server says of itself; times from the end of the warm-up to the end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Served {
    pub cpu_s: f64,
    pub wall_s: f64,
    /// Frames from first to last.
    pub frames: u64,
    /// Frames that waited too long and were thrown away.
    pub dropped: u64,
    pub base_kb: u64,
    pub live_kb: u64,
    /// From the generator's `send` to the decision, in milliseconds.
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// Calls that ended before they should.
    pub ended: u64,
}

/// What the generator says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sent {
    pub frames: u64,
    /// How late it was itself, behind its 20 ms grid.
    pub late_p99_ms: f64,
    /// Frames that had to wait because the server did not read.
    pub blocked: u64,
    pub cpu_s: f64,
}

/// One server's outcome.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub calls: usize,
    /// Frames sent and not decided about.
    pub frames_dropped: u64,
    pub frames_sent: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// CPU milliseconds of one call in one second.
    pub cpu_ms_per_call_second: f64,
    pub cores: f64,
    pub memory_kb_per_call: f64,
    pub base_memory_kb: u64,
    pub calls_ended_early: u64,
    pub generator_late_p99_ms: f64,
    pub generator_blocked: u64,
}

/// The whole measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub seconds: u64,
    pub sidetone: Row,
    pub bare: Row,
    pub peer: Option<Row>,
    /// Sidetone's CPU a call over the bare loop's.
    pub cpu_over_bare: f64,
    /// The Python peer's CPU a call over Sidetone's.
    pub peer_cpu_ratio: Option<f64>,
    /// The Python peer's over the bare loop's: what there is to win at all.
    pub peer_cpu_over_bare: Option<f64>,
}

/// Measures. Blocks for a bit over three times `plan.seconds`.
///
/// # Errors
/// When the machine's limits are too small, a process cannot be started or dies, or the peer cannot be fetched.
pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    limits::check(plan.calls)?;
    // Everything that is fetched comes first.
    let python = (!plan.skip_peer).then(|| peer::python("load-peer", PEER)).transpose()?;
    let sidetone = measure("the server", myself("load-server")?, plan.calls, plan.seconds)?;
    let bare = measure("the bare loop", myself("load-bare")?, plan.calls, plan.seconds)?;
    let peer = match python {
        None => None,
        Some(python) => {
            let script = peer::script("load_peer.py", include_str!("../../../scripts/bench/load_peer.py"))?;
            let mut command = Command::new(python);
            command.arg(script);
            Some(measure("the Python peer", command, plan.calls.min(PEER_CALLS), plan.seconds)?)
        }
    };
    let cost = |row: &Row| row.cpu_ms_per_call_second;
    Ok(Report {
        seconds: plan.seconds,
        cpu_over_bare: cost(&sidetone) / cost(&bare),
        peer_cpu_ratio: peer.as_ref().map(|peer| cost(peer) / cost(&sidetone)),
        peer_cpu_over_bare: peer.as_ref().map(|peer| cost(peer) / cost(&bare)),
        sidetone,
        bare,
        peer,
    })
}

/// Runs one part until it is told to end; for processes that [`run`] starts.
///
/// # Errors
/// Whatever keeps it from working.
pub fn part(part: Part) -> anyhow::Result<()> {
    match part {
        Part::Server => server::run(),
        Part::Bare => bare::run(),
        Part::Generator => generator::run(),
    }
}

/// Server on the first core, generator on the last.
const SERVER_CORE: usize = 0;

fn generator_core() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).saturating_sub(1)
}

fn measure(name: &'static str, mut command: Command, calls: usize, seconds: u64) -> anyhow::Result<Row> {
    eprintln!("{name}: {calls} calls for {seconds} s");
    command.arg(calls.to_string());
    let mut server = Worker::start(name, &mut command)?;
    let mut generator = Worker::start("the load generator", &mut myself("load-generator")?)?;
    for _ in 0..calls {
        generator.say(&server.hear()?)?;
    }
    generator.say("")?;
    generator.expect("connected")?;
    server.say("go")?;
    std::thread::sleep(WARM_UP);
    server.say("mark")?;
    let end = Instant::now() + Duration::from_secs(seconds);
    std::thread::sleep(end.saturating_duration_since(Instant::now()));
    generator.say("end")?;
    let sent: Sent = generator.report()?;
    // What is on its way arrives.
    std::thread::sleep(Duration::from_millis(300));
    server.say("end")?;
    let served: Served = server.report()?;
    Ok(row(calls, &served, &sent))
}

fn row(calls: usize, served: &Served, sent: &Sent) -> Row {
    let per_call = 1.0 / calls as f64;
    let live_kb = served.live_kb.saturating_sub(served.base_kb) as f64;
    Row {
        calls,
        frames_sent: sent.frames,
        frames_dropped: served.dropped + sent.frames.saturating_sub(served.frames),
        p50_ms: served.p50_ms,
        p99_ms: served.p99_ms,
        max_ms: served.max_ms,
        cpu_ms_per_call_second: served.cpu_s / served.wall_s * 1000.0 * per_call,
        cores: served.cpu_s / served.wall_s,
        memory_kb_per_call: live_kb * per_call,
        base_memory_kb: served.base_kb,
        calls_ended_early: served.ended,
        generator_late_p99_ms: sent.late_p99_ms,
        generator_blocked: sent.blocked,
    }
}
