//! One audio stream to a WebSocket server, as `mod_audio_stream` and `mod_audio_fork` run it.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        error::ProtocolError,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::{
    World,
    audio::FRAME,
    handshake,
    slot::{Control, DropStream, Mix, Module, Spec, State},
};

/// The connection of one slot.
pub(super) struct Stream {
    world: Arc<World>,
    uuid: String,
    spec: Spec,
    number: usize,
    state: Arc<State>,
    /// Samples of a message that is not full yet.
    waiting: Vec<i16>,
    /// The sample before, for interpolation.
    last: i16,
}

type Socket = WebSocketStream<TcpStream>;

/// Why a stream is over.
enum End {
    Stopped,
    Hung,
    /// The server's Close frame.
    Closed(u16, String),
    Lost(Error),
    Dropped,
}

impl Stream {
    pub(super) fn new(world: &Arc<World>, uuid: &str, spec: Spec, number: usize, state: Arc<State>) -> Self {
        Self {
            world: world.clone(),
            uuid: uuid.to_owned(),
            spec,
            number,
            state,
            waiting: Vec::new(),
            last: 0,
        }
    }

    pub(super) async fn run(
        mut self,
        mut frames: mpsc::Receiver<Vec<i16>>,
        mut control: mpsc::Receiver<Control>,
    ) {
        let state = self.state.clone();
        match handshake::connect(&self.spec.target, self.spec.module, &self.spec.extra_headers).await {
            Err(refused) => {
                let failed = match self.spec.module {
                    Module::AudioStream => error_body(refused.code, &refused.words),
                    Module::AudioFork => r#"{"reason":"HS: ws upgrade response not 101"}"#.to_owned(),
                };
                let event = match self.spec.module {
                    Module::AudioStream => "error",
                    Module::AudioFork => "connect_failed",
                };
                self.finish(&format!("error {}", refused.code), Some((event, Some(failed))));
            }
            Ok(socket) if state.hung.is_cancelled() => self.hang(socket).await,
            Ok(mut socket) => {
                state.up.store(true, Ordering::Release);
                self.world.stream_up(&self.uuid, self.spec.module, self.number);
                let end = match self.open(&mut socket, &mut frames).await {
                    Ok(()) => self.pump(&mut socket, &mut frames, &mut control).await,
                    Err(error) => End::Lost(error),
                };
                self.end(socket, end).await;
            }
        }
        state.finished.cancel();
    }

    /// What goes out first: what was captured meanwhile before the metadata (`mod_audio_stream`), or the metadata
    /// alone (`mod_audio_fork`).
    async fn open(
        &mut self,
        socket: &mut Socket,
        frames: &mut mpsc::Receiver<Vec<i16>>,
    ) -> Result<(), Error> {
        while let Ok(frame) = frames.try_recv() {
            match self.spec.module {
                Module::AudioStream => self.send_audio(socket, &frame).await?,
                Module::AudioFork => {}
            }
        }
        if let Some(metadata) = self.spec.metadata.take() {
            socket.send(Message::text(metadata)).await?;
        }
        Ok(())
    }

    async fn pump(
        &mut self,
        socket: &mut Socket,
        frames: &mut mpsc::Receiver<Vec<i16>>,
        control: &mut mpsc::Receiver<Control>,
    ) -> End {
        let beat = self.spec.heart_beat.unwrap_or(Duration::from_secs(3600));
        let mut heart = tokio::time::interval_at(Instant::now() + beat, beat);
        let state = self.state.clone();
        loop {
            let sent = tokio::select! {
                () = state.hung.cancelled() => return End::Hung,
                Some(frame) = frames.recv() => self.send_audio(socket, &frame).await,
                ask = control.recv() => match ask {
                    Some(Control::Text(text)) => socket.send(Message::text(text)).await,
                    Some(Control::Drop(how)) => return self.drop_now(socket, how),
                    Some(Control::Stop { text, done }) => return self.stop(socket, text, done).await,
                    None => return self.stop(socket, None, None).await,
                },
                _ = heart.tick(), if self.spec.heart_beat.is_some() => {
                    socket.send(Message::Ping("ping".into())).await
                }
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        self.world.stream_text(&self.uuid, self.spec.module, text.as_str());
                        Ok(())
                    }
                    Some(Ok(Message::Close(frame))) => {
                        let (code, reason) = frame.map_or((1005, String::new()), |f| {
                            (u16::from(f.code), f.reason.as_str().to_owned())
                        });
                        return End::Closed(code, reason);
                    }
                    // Binary is ignored; a ping is answered by the library at the next write.
                    Some(Ok(Message::Ping(_))) => socket.flush().await,
                    Some(Ok(Message::Binary(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
                    Some(Err(error)) => return End::Lost(error),
                    None => return End::Lost(Error::ConnectionClosed),
                },
            };
            if let Err(error) = sent {
                return End::Lost(error);
            }
        }
    }

    async fn send_audio(&mut self, socket: &mut Socket, frame: &[i16]) -> Result<(), Error> {
        self.resample(frame);
        let channels = if self.spec.mix == Mix::Stereo { 2 } else { 1 };
        let full = FRAME * self.spec.factor * channels * self.spec.frames_per_message;
        if self.waiting.len() < full {
            return Ok(());
        }
        let bytes: Vec<u8> = self.waiting.drain(..).flat_map(i16::to_le_bytes).collect();
        self.world.stream_message(&self.uuid, self.number);
        socket.send(Message::binary(bytes)).await
    }

    /// Between two samples a straight line; interleaved sound is repeated instead, its samples are no neighbours.
    fn resample(&mut self, frame: &[i16]) {
        let factor = self.spec.factor;
        if factor == 1 {
            self.waiting.extend_from_slice(frame);
        } else if self.spec.mix == Mix::Stereo {
            for pair in frame.chunks_exact(2) {
                self.waiting.extend(pair.repeat(factor));
            }
        } else {
            for sample in frame {
                let (from, to) = (i32::from(self.last), i32::from(*sample));
                let line = (1..=factor as i32).map(|i| (from + (to - from) * i / factor as i32) as i16);
                self.waiting.extend(line);
                self.last = *sample;
            }
        }
    }

    async fn stop(
        &self,
        socket: &mut Socket,
        text: Option<String>,
        done: Option<oneshot::Sender<()>>,
    ) -> End {
        if let Some(text) = text {
            let _ = socket.send(Message::text(text)).await;
        }
        let close = CloseFrame { code: CloseCode::Normal, reason: "Normal closure".into() };
        let _ = socket.send(Message::Close(Some(close))).await;
        self.note_end("stopped");
        if let Some(done) = done {
            let _ = done.send(());
        }
        // The server may answer; nobody waits long for it.
        let answer = async { while socket.next().await.is_some_and(|m| m.is_ok()) {} };
        let _ = timeout(Duration::from_secs(1), answer).await;
        End::Stopped
    }

    fn drop_now(&self, socket: &mut Socket, how: DropStream) -> End {
        match how {
            DropStream::Reset => {
                let _ = socket.get_ref().set_zero_linger();
                End::Lost(Error::Io(io::Error::from_raw_os_error(104)))
            }
            DropStream::Eof => End::Dropped,
        }
    }

    async fn end(self, mut socket: Socket, end: End) {
        match end {
            End::Hung => self.hang(socket).await,
            End::Stopped => {}
            End::Closed(code, reason) => {
                let _ = socket.flush().await;
                self.note_end(&format!("closed {code}"));
                // The bug stays: only `stop` takes it away.
                let body = match self.spec.module {
                    Module::AudioStream => Some(
                        serde_json::json!({"status": "disconnected", "message": {"code": code, "reason": reason}})
                            .to_string(),
                    ),
                    Module::AudioFork => None,
                };
                self.world.stream_event(&self.uuid, &self.spec.module.event("disconnect"), body);
            }
            End::Lost(error) => {
                let broken = if let Error::Io(e) = &error { Some(e.kind()) } else { None };
                match broken {
                    Some(io::ErrorKind::ConnectionReset) => self.lost(1, RESET),
                    Some(io::ErrorKind::BrokenPipe) => self.lost(1, "Broken pipe (system error 32)"),
                    Some(_) | None if is_eof(&error) => self.lost(1, EOF),
                    Some(_) | None => self.lost(11, &format!("Protocol error: {error}")),
                }
            }
            End::Dropped => self.lost(1, EOF),
        }
    }

    fn lost(&self, code: u32, words: &str) {
        let event = match self.spec.module {
            Module::AudioStream => ("error", Some(error_body(code, words))),
            Module::AudioFork => ("disconnect", None),
        };
        self.finish(&format!("error {code}"), Some(event));
    }

    /// Like the real one: reads no Close, answers nothing, until the server drops the connection.
    async fn hang(&self, socket: Socket) {
        self.world.stream_hung(&self.uuid, self.number);
        let mut tcp = socket.into_inner();
        let mut sink = [0u8; 4096];
        while matches!(tcp.read(&mut sink).await, Ok(1..)) {}
        self.note_end("hung until the server closed");
    }

    fn finish(&self, end: &str, event: Option<(&str, Option<String>)>) {
        self.note_end(end);
        self.state.finished.cancel();
        if let Some((what, body)) = event {
            self.world.stream_event(&self.uuid, &self.spec.module.event(what), body);
        }
        if self.spec.module == Module::AudioStream {
            self.world.remove_bug(&self.uuid, self.number);
        }
    }

    fn note_end(&self, end: &str) {
        self.world.stream_ended(&self.uuid, self.number, end);
    }
}

const RESET: &str = "Connection reset by peer (system error 104)";
const EOF: &str = "Connection closed without WebSocket CLOSE (abnormal EOF)";

fn is_eof(error: &Error) -> bool {
    matches!(
        error,
        Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
    )
}

fn error_body(code: u32, words: &str) -> String {
    serde_json::json!({"status": "error", "message": {"code": code, "error": words}}).to_string()
}
