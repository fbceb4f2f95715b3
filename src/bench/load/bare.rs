//! The least that any server must do: read WebSocket frames, unmask them, ask the voice detector. No calls.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use webrtc_vad::{SampleRate, Vad, VadMode};

use super::{
    server::{Marks, answer, on_one_core},
    stamp,
};
use crate::bench::process::tell;

const MESSAGE: usize = 328;

#[derive(Default)]
struct Counts {
    frames: AtomicU64,
    ended: AtomicU64,
}

pub(super) fn run() -> anyhow::Result<()> {
    on_one_core(|calls| async move {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (marks, counts) = (Arc::new(Marks::new()), Arc::new(Counts::default()));
        let base_kb = crate::bench::meter::resident_kb();
        let (seen, counted) = (marks.clone(), counts.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (marks, counts) = (seen.clone(), counted.clone());
                tokio::spawn(async move {
                    serve(socket, &marks, &counts).await.ok();
                    counts.ended.fetch_add(1, Relaxed);
                });
            }
        });
        for _ in 0..calls {
            tell(format_args!("ws://{address}/"))?;
        }
        answer(&marks, base_kb, || (), || (counts.frames.load(Relaxed), 0, counts.ended.load(Relaxed))).await
    })
}

async fn serve(mut socket: TcpStream, marks: &Marks, counts: &Counts) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(2048);
    while !buffer.ends_with(b"\r\n\r\n") {
        if socket.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
    socket
        .write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
        .await?;
    buffer.clear();
    let mut vad = Detector(Vad::new_with_rate_and_mode(SampleRate::Rate8kHz, VadMode::Aggressive));
    while socket.read_buf(&mut buffer).await? > 0 {
        let mut done = 0;
        while let Some(message) = buffer.get_mut(done..done + MESSAGE) {
            let (head, payload) = message.split_at_mut(8);
            let key = [head[4], head[5], head[6], head[7]];
            let mut samples = [0i16; 160];
            for (sample, pair) in samples.iter_mut().zip(payload.chunks_exact_mut(4).flat_map(|four| {
                [[four[0] ^ key[0], four[1] ^ key[1]], [four[2] ^ key[2], four[3] ^ key[3]]]
            })) {
                *sample = i16::from_le_bytes(pair);
            }
            std::hint::black_box(vad.is_voice(&samples));
            counts.frames.fetch_add(1, Relaxed);
            marks.decided(stamp::read(&samples));
            done += MESSAGE;
        }
        buffer.drain(..done);
    }
    Ok(())
}

struct Detector(Vad);

#[expect(unsafe_code, reason = "the C detector is a pointer to its own allocation, shared with nobody")]
// SAFETY: as in the core's voice detector: one owner, every use through `&mut`.
unsafe impl Send for Detector {}

impl Detector {
    fn is_voice(&mut self, samples: &[i16]) -> bool {
        self.0.is_voice_segment(samples).unwrap_or(false)
    }
}
