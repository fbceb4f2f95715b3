//! N sockets at 50 frames a second, as FreeSWITCH's stream module sends them, from one cheap thread.

use std::{
    f64::consts::TAU,
    io::{self, BufRead, ErrorKind, Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};

use super::{FRAMES_A_SECOND, Sent, generator_core, limits, stamp};
use crate::bench::{
    meter::{self, Delays},
    process::tell,
};

const FRAME_NS: u64 = 20_000_000;
/// Calls are spread over the 20 ms in so many groups.
const GROUPS: usize = 20;
const PAYLOAD: usize = 320;
const HEADER: usize = 8;

/// Reads the URLs, connects, sends until it is told to end.
pub(super) fn run() -> anyhow::Result<()> {
    limits::raise_files();
    meter::pin(generator_core());
    let mut lines = io::stdin().lines();
    let mut calls = Vec::new();
    while let Some(line) = lines.next().transpose()?.filter(|line| !line.is_empty()) {
        let number = calls.len();
        let call = Call::connect(&line, number)
            .with_context(|| format!("call {} of the generator cannot connect", number + 1))?;
        calls.push(call);
    }
    drop(lines);
    let ended = Arc::new(AtomicBool::new(false));
    let end = ended.clone();
    std::thread::spawn(move || {
        // Also when whoever started us is gone.
        io::stdin().read_line(&mut String::new()).ok();
        end.store(true, Relaxed);
    });
    let voice = voice();
    // Each message is masked with its key already; only the time is still to come.
    let cpu = meter::cpu();
    tell("connected")?;
    let late = Delays::new();
    let (mut frames, mut blocked) = (0, 0);
    let start = meter::now_ns();
    let mut tick = 0u64;
    while !ended.load(Relaxed) {
        let due = start + tick * FRAME_NS / GROUPS as u64;
        let now = meter::now_ns();
        if now < due {
            std::thread::sleep(Duration::from_nanos(due - now));
        }
        late.add_ns(meter::now_ns().saturating_sub(due));
        let group = tick as usize % GROUPS;
        for call in calls.iter_mut().skip(group).step_by(GROUPS) {
            blocked += u64::from(!call.send(&voice)?);
            frames += 1;
        }
        tick += 1;
    }
    for call in &mut calls {
        call.finish()?;
    }
    let cpu_s = (meter::cpu() - cpu).as_secs_f64();
    let sent = Sent { frames, late_p99_ms: late.quantile_ms(0.99), blocked, cpu_s };
    tell(serde_json::to_string(&sent)?)?;
    // The sockets stay open until the server has counted its memory.
    io::stdin().lock().lines().for_each(drop);
    Ok(())
}

struct Call {
    socket: TcpStream,
    at: usize,
    /// What the socket did not take.
    rest: Vec<u8>,
}

impl Call {
    fn connect(url: &str, number: usize) -> anyhow::Result<Self> {
        let (host, path) = url
            .strip_prefix("ws://")
            .and_then(|rest| rest.split_once('/'))
            .with_context(|| format!("`{url}` is no WebSocket URL"))?;
        let mut socket = TcpStream::connect(host)?;
        socket.set_nodelay(true)?;
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost:{host}\r\nUpgrade:websocket\r\nConnection:upgrade\r\n\
             Sec-WebSocket-Key:dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version:13\r\n\r\n"
        );
        socket.write_all(request.as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            bail!("{}", String::from_utf8_lossy(&head));
        }
        socket.set_nonblocking(true)?;
        // Everybody is somewhere else in the same conversation.
        Ok(Self { socket, at: number * 37, rest: Vec::new() })
    }

    /// Sends one frame. False: the socket is full, and it waits here.
    fn send(&mut self, voice: &[[u8; PAYLOAD]]) -> io::Result<bool> {
        let mut payload = voice[self.at % voice.len()];
        self.at += 1;
        stamp::write(&mut payload, meter::now_ns());
        let message = masked(&payload, (self.at as u32).wrapping_mul(2_654_435_761));
        if !self.rest.is_empty() {
            self.rest.extend_from_slice(&message);
            return self.flush();
        }
        match self.socket.write(&message) {
            Ok(sent) if sent == message.len() => Ok(true),
            Ok(sent) => {
                self.rest.extend_from_slice(&message[sent..]);
                Ok(false)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.rest.extend_from_slice(&message);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn flush(&mut self) -> io::Result<bool> {
        match self.socket.write(&self.rest) {
            Ok(sent) => {
                self.rest.drain(..sent);
                Ok(self.rest.is_empty())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.socket.set_nonblocking(false)?;
        self.socket.write_all(&self.rest)?;
        self.rest.clear();
        Ok(())
    }
}

/// One masked binary WebSocket message.
fn masked(payload: &[u8; PAYLOAD], key: u32) -> [u8; HEADER + PAYLOAD] {
    let key = key.to_le_bytes();
    let mut message = [0; HEADER + PAYLOAD];
    let length = (PAYLOAD as u16).to_be_bytes();
    message[..HEADER].copy_from_slice(&[0x82, 0xfe, length[0], length[1], key[0], key[1], key[2], key[3]]);
    for (to, (byte, key)) in message[HEADER..].iter_mut().zip(payload.iter().zip(key.iter().cycle())) {
        *to = byte ^ key;
    }
    message
}

/// Half a minute of somebody who speaks in utterances of 2 to 6 s, half the time, over a line's noise.
fn voice() -> Vec<[u8; PAYLOAD]> {
    let mut frames = Vec::new();
    let mut noise = 1u32;
    for (speech, pause) in [(2.0, 3.0), (4.0, 3.0), (6.0, 5.0), (3.0, 4.0)] {
        let (speech, whole) = (speech * FRAMES_A_SECOND, (speech + pause) * FRAMES_A_SECOND);
        for frame in 0..whole as usize {
            let mut bytes = [0; PAYLOAD];
            for (i, to) in bytes.chunks_exact_mut(2).enumerate() {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let hiss = f64::from(noise >> 16) / 32768.0 - 1.0;
                let t = (frame * 160 + i) as f64 / 8000.0;
                let voiced = if (frame as f64) < speech { syllable(t) } else { 0.0 };
                to.copy_from_slice(&((voiced + hiss * 24.0) as i16).to_le_bytes());
            }
            frames.push(bytes);
        }
    }
    frames
}

/// A buzz with two formants and a gliding pitch, four syllables a second.
fn syllable(t: f64) -> f64 {
    let pitch = 120.0 * (1.0 + 0.08 * (TAU * 0.7 * t).sin());
    let swell = (TAU * 2.0 * t).sin().abs();
    let formant = |hz: f64, centre: f64, width: f64| (-((hz - centre) / width).powi(2)).exp();
    let buzz: f64 = (1..25)
        .map(|n| {
            let hz = pitch * f64::from(n);
            (formant(hz, 500.0, 200.0) + 0.5 * formant(hz, 1500.0, 300.0)) * (TAU * hz * t).sin()
        })
        .sum();
    buzz * swell * 3000.0
}
