//! One upgraded connection: from its messages to the call, until either side ends it.

use std::time::Duration;

use fastwebsockets::{CloseCode, Frame, OpCode, WebSocket, WebSocketError};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use sidetone_core::call::StreamEnd;
use tokio::{io::AsyncReadExt, sync::oneshot, time::timeout};

use super::{registry::Feed, server::MediaOptions, stats::MediaStats, wire::Wire};

/// The longest text kept; the modules' own limit is 8191.
const MAX_TEXT: usize = 8192;

type Socket = WebSocket<TokioIo<Upgraded>>;

/// What one connection needs besides its socket.
pub(super) struct Stream<'a> {
    pub(super) feed: Feed,
    pub(super) wire: Wire,
    pub(super) stats: &'a MediaStats,
    pub(super) options: &'a MediaOptions,
}

impl Stream<'_> {
    /// Reads until the stream ends, tells the call, and drops the connection within `close_wait`.
    pub(super) async fn run(mut self, mut socket: Socket, stop: oneshot::Receiver<StreamEnd>) -> StreamEnd {
        socket.set_max_message_size(self.options.max_message.saturating_add(1));
        // `read_frame` loses data when it is cancelled. Here the whole reading is, and never taken up again.
        let (end, ours) = tokio::select! {
            end = self.read(&mut socket) => (end, !matches!(end, StreamEnd::Closed | StreamEnd::Lost)),
            stopped = stop => (stopped.unwrap_or(StreamEnd::Closed), true),
        };
        // Before the closing handshake: the call must not wait for it.
        self.feed.down(end);
        self.stats.count_closed(end);
        if ours {
            close(socket, end, self.options.close_wait).await;
        }
        end
    }

    async fn read(&mut self, socket: &mut Socket) -> StreamEnd {
        let mut message = Message::default();
        loop {
            let frame = match socket.read_frame().await {
                Ok(frame) => frame,
                Err(WebSocketError::FrameTooLarge) => return StreamEnd::Oversize,
                Err(_) => return StreamEnd::Lost,
            };
            let payload: &[u8] = &frame.payload;
            let taken = match (frame.opcode, frame.fin) {
                // Nearly every frame: no copy.
                (OpCode::Binary, true) => self.audio(payload),
                (OpCode::Text, true) => self.text(payload),
                (OpCode::Binary | OpCode::Text, false) => message.begin(frame.opcode, payload),
                (OpCode::Continuation, last) => {
                    message.add(payload, self.options.max_message).and_then(|()| match message.opcode {
                        Some(OpCode::Binary) if last => self.audio(&message.take()),
                        Some(_) if last => self.text(&message.take()),
                        _ => Ok(()),
                    })
                }
                (OpCode::Close, _) => Err(StreamEnd::Closed),
                (OpCode::Ping | OpCode::Pong, _) => Ok(()),
            };
            if let Err(end) = taken {
                return end;
            }
        }
    }

    fn audio(&mut self, payload: &[u8]) -> Result<(), StreamEnd> {
        self.feed.audio(&mut self.wire, payload, self.stats).map_err(|_| StreamEnd::OddLength)
    }

    fn text(&mut self, payload: &[u8]) -> Result<(), StreamEnd> {
        match str::from_utf8(payload) {
            Ok(text) if text.len() <= MAX_TEXT => self.feed.text(text.to_owned(), self.stats),
            _ => self.stats.count_dropped_text(),
        }
        Ok(())
    }
}

/// A message in several frames. FreeSWITCH sends none, but the protocol allows them.
#[derive(Default)]
struct Message {
    opcode: Option<OpCode>,
    bytes: Vec<u8>,
}

impl Message {
    fn begin(&mut self, opcode: OpCode, payload: &[u8]) -> Result<(), StreamEnd> {
        self.opcode = Some(opcode);
        self.bytes.clear();
        self.bytes.extend_from_slice(payload);
        Ok(())
    }

    fn add(&mut self, payload: &[u8], limit: usize) -> Result<(), StreamEnd> {
        if self.opcode.is_none() {
            return Err(StreamEnd::Lost);
        }
        if self.bytes.len() + payload.len() > limit {
            return Err(StreamEnd::Oversize);
        }
        self.bytes.extend_from_slice(payload);
        Ok(())
    }

    fn take(&mut self) -> Vec<u8> {
        self.opcode = None;
        std::mem::take(&mut self.bytes)
    }
}

/// Says why, gives the peer a moment to answer, and drops the connection whether it did or not: a stuck stream
/// module never answers, and only the end of the connection frees it.
async fn close(mut socket: Socket, end: StreamEnd, wait: Duration) {
    let (code, reason) = match end {
        StreamEnd::Closed => (CloseCode::Normal, "done"),
        StreamEnd::Replaced => (CloseCode::Normal, "replaced by a newer stream"),
        StreamEnd::Idle => (CloseCode::Normal, "no audio"),
        StreamEnd::OddLength => (CloseCode::Unsupported, "a message is no whole number of samples"),
        StreamEnd::Oversize => (CloseCode::Size, "a message is too long"),
        StreamEnd::Shutdown => (CloseCode::Away, "shutting down"),
        StreamEnd::Lost | StreamEnd::Refused => return,
    };
    let _ = timeout(wait, async {
        socket.write_frame(Frame::close(code.into(), reason.as_bytes())).await.ok()?;
        // Whatever still arrives is thrown away; unread it would turn the end into a reset.
        let mut rest = socket.into_inner();
        let mut scratch = [0; 1024];
        while rest.read(&mut scratch).await.ok()? > 0 {}
        Some(())
    })
    .await;
}
