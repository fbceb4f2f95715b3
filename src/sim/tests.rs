//! The stand-in over real sockets, against what the captures of a real FreeSWITCH show.

use std::{path::Path, time::Duration};

use futures_util::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use tokio_tungstenite::tungstenite::Message;

use super::*;

mod calls;
mod demo;
mod framing;
mod people;
mod streams;

pub(super) const SOON: Duration = Duration::from_secs(5);

pub(super) fn cast(yaml: &str) -> Cast {
    Cast::parse_in(yaml, "cast.yaml", Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
}

pub(super) async fn sim(yaml: &str) -> SimHandle {
    let delivery = Delivery { reorder: 0.0, ..Delivery::default() };
    Sim::start(SimConfig { cast: cast(yaml), delivery, ..SimConfig::default() }).await.unwrap()
}

/// One frame as a client reads it: headers, then the body that Content-Length says.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) head: String,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn kind(&self) -> &str {
        self.head.lines().find_map(|l| l.strip_prefix("Content-Type: ")).unwrap_or_default()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A client that shares no code with the stand-in or the product.
pub(super) struct Esl {
    socket: TcpStream,
    read: Vec<u8>,
    pub(super) events: Vec<Reply>,
}

impl Esl {
    pub(super) async fn open(sim: &SimHandle) -> Self {
        let mut esl = Self::raw(sim).await;
        assert_eq!(esl.next().await.unwrap().kind(), "auth/request");
        esl
    }

    pub(super) async fn raw(sim: &SimHandle) -> Self {
        let socket = TcpStream::connect(sim.esl_addr()).await.unwrap();
        Self { socket, read: Vec::new(), events: Vec::new() }
    }

    /// Logged in and hearing everything in JSON.
    pub(super) async fn listening(sim: &SimHandle) -> Self {
        let mut esl = Self::open(sim).await;
        assert_eq!(esl.command("auth ClueCon").await, "+OK accepted");
        let all = "event json CHANNEL_CREATE CHANNEL_ORIGINATE CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA \
            CHANNEL_ANSWER CHANNEL_PARK CHANNEL_UNPARK CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_HANGUP \
            CHANNEL_HANGUP_COMPLETE CHANNEL_DESTROY PLAYBACK_START PLAYBACK_STOP DTMF BACKGROUND_JOB \
            MEDIA_BUG_START MEDIA_BUG_STOP CUSTOM mod_audio_stream::connect mod_audio_stream::disconnect \
            mod_audio_stream::error mod_audio_stream::json mod_audio_stream::play mod_audio_fork::connect \
            mod_audio_fork::disconnect mod_audio_fork::connect_failed";
        assert_eq!(esl.command(all).await, "+OK event listener enabled json");
        esl
    }

    pub(super) async fn send(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next frame; `None` at the end of the connection.
    pub(super) async fn next(&mut self) -> Option<Reply> {
        loop {
            if let Some(end) = self.read.windows(2).position(|w| w == b"\n\n") {
                let head = String::from_utf8(self.read[..end].to_vec()).unwrap();
                let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: "));
                let length: usize = length.map_or(0, |l| l.parse().unwrap());
                if self.read.len() >= end + 2 + length {
                    let body = String::from_utf8(self.read[end + 2..end + 2 + length].to_vec()).unwrap();
                    self.read.drain(..end + 2 + length);
                    return Some(Reply { head, body });
                }
            }
            let read = timeout(SOON, self.socket.read_buf(&mut self.read)).await.expect("a frame in time");
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Sends one command; events that come before the reply are kept.
    pub(super) async fn ask(&mut self, command: &str) -> Reply {
        self.send(&format!("{command}\n\n")).await;
        loop {
            let frame = self.next().await.expect("a reply");
            if frame.kind().starts_with("text/event") {
                self.events.push(frame);
            } else {
                return frame;
            }
        }
    }

    pub(super) async fn command(&mut self, command: &str) -> String {
        let reply = self.ask(command).await;
        reply.head.lines().find_map(|l| l.strip_prefix("Reply-Text: ")).unwrap_or_default().to_owned()
    }

    pub(super) async fn api(&mut self, command: &str) -> String {
        self.ask(&format!("api {command}")).await.body
    }

    /// Reads until an event of that name (or subclass) comes; all are kept.
    pub(super) async fn event(&mut self, name: &str) -> serde_json::Value {
        let mut seen = 0;
        loop {
            while seen < self.events.len() {
                let event = self.events[seen].json();
                seen += 1;
                if event["Event-Name"] == name || event["Event-Subclass"] == name {
                    self.events.drain(..seen);
                    return event;
                }
            }
            let frame = self.next().await.expect("an event");
            self.events.push(frame);
        }
    }

    /// The job's body.
    pub(super) async fn job(&mut self, command: &str) -> String {
        self.command(&format!("bgapi {command}\nJob-UUID: job-1")).await;
        self.event("BACKGROUND_JOB").await["_body"].as_str().unwrap().to_owned()
    }

    /// An answered, parked call to `number`.
    pub(super) async fn call(&mut self, uuid: &str, number: &str) {
        let command = format!(
            "originate {{origination_uuid={uuid},ignore_early_media=true}}sofia/gateway/gw/{number} &park()"
        );
        assert_eq!(self.job(&command).await, format!("+OK {uuid}\n"));
        self.event("CHANNEL_PARK").await;
    }

    pub(super) async fn play(&mut self, uuid: &str, file: &str) -> String {
        self.command(&format!(
            "sendmsg {uuid}\ncall-command: execute\nexecute-app-name: playback\nexecute-app-arg: {file}\n\
             Event-UUID: play-1\nevent-lock: true"
        ))
        .await
    }

    /// The names of the events that come within that time.
    pub(super) async fn names(&mut self, within: Duration) -> Vec<String> {
        let until = Instant::now() + within;
        while let Ok(Some(frame)) = tokio::time::timeout_at(until, self.next()).await {
            self.events.push(frame);
        }
        self.events
            .drain(..)
            .map(|e| {
                let event = e.json();
                let name =
                    event["Event-Subclass"].as_str().or(event["Event-Name"].as_str()).unwrap_or_default();
                name.to_owned()
            })
            .collect()
    }
}

/// A WebSocket server that tells all it got.
pub(super) async fn ws_listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Takes `count` messages with their times.
pub(super) async fn messages(listener: &TcpListener, count: usize) -> Vec<(Instant, Message)> {
    let (socket, _) = listener.accept().await.unwrap();
    let ws = tokio_tungstenite::accept_async(socket).await.unwrap();
    ws.take(count).map(|m| (Instant::now(), m.unwrap())).collect().await
}
