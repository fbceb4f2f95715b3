//! The peer: WhisperLiveKit, a streaming server on faster-whisper that takes the same CTranslate2 model. It was
//! chosen because it runs offline on a processor, streams partial words, and agrees on them as we do.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, sleep_until},
};
use tokio_tungstenite::{client_async, tungstenite::Message};

use super::{Step, Task, WARM_UP, lag::Lags, talker::Text, talker::Timeline};
use crate::bench::peer;

const WHISPERLIVEKIT: &[&str] =
    &["whisperlivekit==0.2.26", "faster-whisper==1.2.1", "ctranslate2==4.8.5", "torch==2.15.0"];
/// Audio is sent in such pieces.
const PIECE: Duration = Duration::from_millis(100);
const READY: Duration = Duration::from_secs(120);
/// A text that has not changed for longer than this cannot show a word for the first time.
const REACH_S: f64 = 20.0;
/// What the server shows grows with the call; its last words are looked at.
const TAIL_WORDS: usize = 60;

/// Fetches the server where it is not there yet (several gigabytes: it brings PyTorch).
pub(super) fn fetch() -> anyhow::Result<PathBuf> {
    let python = peer::python("whisperlivekit", WHISPERLIVEKIT)?;
    Ok(python.with_file_name("whisperlivekit-server"))
}

/// One number of talkers against a server of its own.
pub(super) fn step(program: &PathBuf, task: &Task) -> anyhow::Result<Step> {
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let mut command = Command::new(program);
    command
        .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--backend", "faster-whisper"])
        .args(["--backend-policy", "localagreement", "--pcm-input", "--min-chunk-size", "0.5"])
        .args(["--language", &task.language, "--model_dir", &task.asr.model, "--log-level", "ERROR"])
        .env("HF_HUB_OFFLINE", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let server = Server(command.spawn().context("cannot start whisperlivekit-server")?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(follow(task, &server, port))
}

struct Server(Child);

impl Server {
    /// CPU seconds so far, in steps of the kernel's clock tick.
    fn cpu_s(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |at: usize| fields.get(at).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
        (ticks(11) + ticks(12)) / rustix::param::clock_ticks_per_second() as f64
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

async fn follow(task: &Task, server: &Server, port: u16) -> anyhow::Result<Step> {
    let length = Duration::from_secs(task.seconds) + WARM_UP;
    let timelines = super::timelines(task, length)?;
    let waiting = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        if waiting.elapsed() > READY {
            bail!("whisperlivekit-server does not listen");
        }
        sleep(Duration::from_millis(200)).await;
    }
    let start = Instant::now() + Duration::from_secs(1);
    let talkers: Vec<_> =
        timelines.iter().map(|timeline| tokio::spawn(speak(port, timeline.clone(), start, length))).collect();
    sleep_until(start + WARM_UP).await;
    let cpu = server.cpu_s();
    sleep_until(start + length).await;
    let cpu_s = server.cpu_s() - cpu;
    let (mut lags, mut updates) = (Lags::default(), 0);
    for (timeline, talker) in timelines.iter().zip(talkers) {
        let texts = talker.await??;
        updates += texts.len() as u64;
        lags.add(timeline, &texts, WARM_UP.as_secs_f64());
    }
    Ok(Step::new(task, &lags, cpu_s, (updates, 0)))
}

/// Sends a timeline in real time and keeps every text that comes.
async fn speak(port: u16, timeline: Timeline, start: Instant, length: Duration) -> anyhow::Result<Vec<Text>> {
    let socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket.set_nodelay(true)?;
    let (socket, _) = client_async(format!("ws://127.0.0.1:{port}/asr"), socket).await?;
    let (mut to, mut from) = socket.split();
    let sending = tokio::spawn(async move {
        let samples = PIECE.as_millis() as usize * 16;
        for (n, piece) in timeline.pcm.chunks(samples).enumerate() {
            sleep_until(start + PIECE * (n as u32 + 1)).await;
            let bytes: Vec<u8> = piece.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            to.send(Message::Binary(bytes.into())).await?;
        }
        anyhow::Ok(to)
    });
    let (mut texts, mut last) = (Vec::new(), String::new());
    while let Ok(Some(message)) = tokio::time::timeout_at(start + length, from.next()).await {
        let Message::Text(json) = message? else { continue };
        let shown = shown(&serde_json::from_str(&json)?);
        if shown != last {
            let at = start.elapsed().as_secs_f64();
            texts.push(Text { at, from: at - REACH_S, to: at, text: shown.clone() });
            last = shown;
        }
    }
    drop(sending.await??);
    Ok(texts)
}

/// The last words of all that it shows: lines that are certain, then what is not.
fn shown(state: &serde_json::Value) -> String {
    let lines = state["lines"].as_array().into_iter().flatten();
    let mut text: Vec<&str> = lines.filter_map(|line| line["text"].as_str()).collect();
    text.extend(state["buffer_transcription"].as_str());
    let text = text.join(" ");
    let words: Vec<&str> = text.split_whitespace().collect();
    words[words.len().saturating_sub(TAIL_WORDS)..].join(" ")
}
