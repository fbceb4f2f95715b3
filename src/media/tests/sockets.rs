//! The server over real sockets, with another library's client.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use sidetone_core::{
    call::{CallId, StreamEnd},
    frame::{Frame, SampleRate},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, protocol::frame::coding::CloseCode},
};
use tokio_util::sync::CancellationToken;

use crate::media::{MediaEvent, MediaOptions, MediaReceiver, MediaRegistry, MediaStats, Refusal, Token, run};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Rig {
    address: String,
    registry: MediaRegistry,
    stats: Arc<MediaStats>,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

impl Rig {
    async fn start() -> Self {
        Self::with(MediaOptions::default()).await
    }

    async fn with(options: MediaOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (registry, stats, shutdown) =
            (MediaRegistry::new(), Arc::new(MediaStats::default()), CancellationToken::new());
        let server = tokio::spawn(run(listener, registry.clone(), options, stats.clone(), shutdown.clone()));
        Self { address, registry, stats, shutdown, server }
    }

    fn expect(&self, call: &str) -> (Token, MediaReceiver) {
        self.registry.expect(&CallId::new(call).unwrap())
    }

    fn url(&self, rest: &str) -> String {
        format!("ws://{}{rest}", self.address)
    }

    async fn connect(&self, call: &str, token: &Token, more: &str) -> Client {
        connect_async(self.url(&format!("/media/{call}?t={}{more}", token.hex()))).await.unwrap().0
    }

    async fn status_of(&self, rest: &str) -> u16 {
        let error = connect_async(self.url(rest)).await.expect_err("refused");
        if let Error::Http(response) = error { response.status().as_u16() } else { panic!("{error}") }
    }
}

fn audio(samples: usize) -> Message {
    Message::binary(vec![0_u8; samples * 2])
}

async fn next(receiver: &mut MediaReceiver) -> MediaEvent {
    timeout(Duration::from_secs(3), receiver.recv()).await.expect("an event comes").expect("not released")
}

async fn next_frame(receiver: &mut MediaReceiver) -> Frame {
    let event = next(receiver).await;
    if let MediaEvent::Frame(frame) = event { frame } else { panic!("{event:?}") }
}

async fn close_code(client: &mut Client) -> CloseCode {
    let end = timeout(Duration::from_secs(3), async {
        loop {
            match client.next().await {
                Some(Ok(Message::Close(Some(close)))) => break close.code,
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    });
    end.await.expect("a Close comes")
}

#[tokio::test]
async fn strangers_are_refused_before_the_upgrade() {
    let rig = Rig::start().await;
    let (token, _receiver) = rig.expect("c1");
    let hex = token.hex();
    assert_eq!(rig.status_of("/").await, 404);
    assert_eq!(rig.status_of(&format!("/media/c2?t={hex}")).await, 404);
    assert_eq!(rig.status_of(&format!("/media/c1/x?t={hex}")).await, 404);
    assert_eq!(rig.status_of("/media/c1").await, 403);
    assert_eq!(rig.status_of("/media/c1?t=abc").await, 403);
    assert_eq!(rig.status_of(&format!("/media/c1?t={}", "0".repeat(32))).await, 403);
    assert_eq!(rig.status_of(&format!("/media/c1?t={hex}&rate=44100")).await, 400);
    assert_eq!(rig.status_of(&format!("/media/c1?t={hex}&channels=5")).await, 400);

    let mut plain = TcpStream::connect(&rig.address).await.unwrap();
    plain.write_all(format!("GET /media/c1?t={hex} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 426"), "{answer}");

    assert_eq!(rig.stats.refused(Refusal::UnknownCall), 3);
    assert_eq!(rig.stats.refused(Refusal::BadToken), 3);
    assert_eq!(rig.stats.refused(Refusal::BadRequest), 2);
    assert_eq!(rig.stats.refused(Refusal::NotUpgrade), 1);
    assert_eq!(rig.stats.opened(), 0);
}

#[tokio::test]
async fn a_request_that_never_ends_is_dropped() {
    let options = MediaOptions { header_timeout: Duration::from_millis(100), ..MediaOptions::default() };
    let rig = Rig::with(options).await;
    for start in ["", "GET /media/c1 HTTP/1.1\r\nHost:"] {
        let mut slow = TcpStream::connect(&rig.address).await.unwrap();
        slow.write_all(start.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        timeout(Duration::from_secs(2), slow.read_to_end(&mut rest)).await.expect("dropped").unwrap();
    }
    assert_eq!(rig.stats.refused(Refusal::Dropped), 2);
}

/// What libwsc sends, byte for byte: no space after the colons.
#[tokio::test]
async fn the_stream_modules_own_handshake_is_understood() {
    let rig = Rig::start().await;
    let (token, mut receiver) = rig.expect("c1");
    let mut socket = TcpStream::connect(&rig.address).await.unwrap();
    let request = format!(
        "GET /media/c1?t={} HTTP/1.1\r\nHost:{}\r\nUpgrade:websocket\r\nConnection:upgrade\r\n\
         Sec-WebSocket-Key:dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version:13\r\nOrigin:http://{}\r\n\r\n",
        token.hex(),
        rig.address,
        rig.address
    );
    // The first frame in the same write as the request: nothing may be lost between the two protocols.
    let mut write = request.into_bytes();
    write.extend([0x82, 0x80 | 126, 1, 64, 0, 0, 0, 0]);
    write.extend([3; 320]);
    socket.write_all(&write).await.unwrap();
    assert_eq!(next(&mut receiver).await, MediaEvent::Up);
    assert_eq!(next_frame(&mut receiver).await.samples()[0], 0x0303);
    let mut answer = [0; 512];
    let n = socket.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..n]).to_lowercase();
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
    drop(socket);
    assert_eq!(next(&mut receiver).await, MediaEvent::Down(StreamEnd::Lost));
}

#[tokio::test]
async fn audio_and_text_come_in_any_order_and_length() {
    let rig = Rig::start().await;
    let (token, mut receiver) = rig.expect("c1");
    let mut client = rig.connect("c1", &token, "").await;
    client.send(audio(160)).await.unwrap();
    client.send(Message::text("{\"a\": 1}")).await.unwrap();
    client.send(Message::binary(Vec::new())).await.unwrap();
    client.send(audio(8000)).await.unwrap();
    client.close(None).await.unwrap();
    assert_eq!(next(&mut receiver).await, MediaEvent::Up);
    next_frame(&mut receiver).await;
    assert_eq!(next(&mut receiver).await, MediaEvent::Metadata("{\"a\": 1}".to_owned()));
    for _ in 0..50 {
        assert_eq!(next_frame(&mut receiver).await.rate(), SampleRate::HZ_8000);
    }
    assert_eq!(next(&mut receiver).await, MediaEvent::Down(StreamEnd::Closed));
    assert_eq!(rig.stats.frames(), 51);
    assert_eq!((rig.stats.opened(), rig.stats.live()), (1, 0));
}

#[tokio::test]
async fn wideband_and_stereo_are_told_by_the_url() {
    let rig = Rig::start().await;
    let (token, mut receiver) = rig.expect("c1");
    let mut client = rig.connect("c1", &token, "&rate=16000&channels=2").await;
    let stereo: Vec<u8> = (0..320).flat_map(|_| [1, 0, 7, 7]).collect();
    client.send(Message::binary(stereo)).await.unwrap();
    assert_eq!(next(&mut receiver).await, MediaEvent::Up);
    let frame = next_frame(&mut receiver).await;
    assert_eq!(frame.rate(), SampleRate::HZ_16000);
    assert_eq!(frame.samples(), [1; 320]);
}

#[tokio::test]
async fn a_burst_at_connect_loses_nothing_and_a_deaf_call_loses_the_oldest() {
    let rig = Rig::start().await;
    let (token, mut receiver) = rig.expect("c1");
    let mut client = rig.connect("c1", &token, "").await;
    for _ in 0..300 {
        client.feed(audio(160)).await.unwrap();
    }
    client.close(None).await.unwrap();
    // Wait for the end, then look: nobody took anything meanwhile.
    while rig.stats.live() > 0 || rig.stats.opened() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let mut events = vec![next(&mut receiver).await];
    while let Some(event) = receiver.try_recv() {
        events.push(event);
    }
    assert_eq!(events[..2], [MediaEvent::Up, MediaEvent::Lost(50)]);
    assert_eq!(events.iter().filter(|event| matches!(event, MediaEvent::Frame(_))).count(), 250);
    assert_eq!(events.last(), Some(&MediaEvent::Down(StreamEnd::Closed)));
    assert_eq!(rig.stats.dropped_frames(), 50);
}

#[tokio::test]
async fn a_fragmented_message_is_put_together() {
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame as WsFrame,
        coding::{Data, OpCode},
    };
    let rig = Rig::start().await;
    let (token, mut receiver) = rig.expect("c1");
    let mut client = rig.connect("c1", &token, "").await;
    for (opcode, fin, bytes) in
        [(Data::Binary, false, 99), (Data::Continue, false, 121), (Data::Continue, true, 100)]
    {
        let frame = WsFrame::message(vec![0; bytes], OpCode::Data(opcode), fin);
        client.send(Message::Frame(frame)).await.unwrap();
    }
    assert_eq!(next(&mut receiver).await, MediaEvent::Up);
    next_frame(&mut receiver).await;
}

#[tokio::test]
async fn a_ping_is_answered() {
    let rig = Rig::start().await;
    let (token, _receiver) = rig.expect("c1");
    let mut client = rig.connect("c1", &token, "").await;
    client.send(Message::Ping("ping".into())).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Pong("ping".into()));
}

#[tokio::test]
async fn the_forks_protocol_is_confirmed_when_offered() {
    let rig = Rig::start().await;
    let (token, _receiver) = rig.expect("c1");
    let mut request = rig.url(&format!("/media/c1?t={}", token.hex())).into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "audio.drachtio.org".parse().unwrap());
    let (_client, response) = connect_async(request).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "audio.drachtio.org");
}

#[tokio::test]
async fn a_second_valid_connection_replaces_the_first() {
    let rig = Rig::start().await;
    let (first, mut receiver) = rig.expect("c1");
    let mut old = rig.connect("c1", &first, "").await;
    old.send(audio(160)).await.unwrap();
    assert_eq!(next(&mut receiver).await, MediaEvent::Up);
    next_frame(&mut receiver).await;
    let second = rig.registry.renew(&CallId::new("c1").unwrap()).unwrap();
    let mut new = rig.connect("c1", &second, "").await;
    assert_eq!(next(&mut receiver).await, MediaEvent::Down(StreamEnd::Replaced));
    assert_eq!(next(&mut receiver).await, MediaEvent::Up);
    assert_eq!(close_code(&mut old).await, CloseCode::Normal);
    new.send(audio(160)).await.unwrap();
    next_frame(&mut receiver).await;
    assert_eq!(rig.stats.closed(StreamEnd::Replaced), 1);
    assert_eq!(rig.stats.live(), 1);
}

#[tokio::test]
async fn faults_close_with_their_code_even_if_the_peer_never_answers() {
    let options = MediaOptions { max_message: 4000, ..MediaOptions::default() };
    let rig = Rig::with(options).await;
    for (call, message, end, code) in [
        ("c1", Message::binary(vec![0; 321]), StreamEnd::OddLength, CloseCode::Unsupported),
        ("c2", Message::binary(vec![0; 4002]), StreamEnd::Oversize, CloseCode::Size),
    ] {
        let (token, mut receiver) = rig.expect(call);
        let mut client = rig.connect(call, &token, "").await;
        client.send(Message::binary(vec![0; 4000])).await.unwrap();
        client.send(message).await.unwrap();
        loop {
            match next(&mut receiver).await {
                MediaEvent::Down(down) => break assert_eq!(down, end),
                MediaEvent::Up | MediaEvent::Frame(_) | MediaEvent::Lost(_) | MediaEvent::Metadata(_) => {}
            }
        }
        // Read beside the library, which would answer the Close: the connection must end all the same.
        let asked = Instant::now();
        let MaybeTlsStream::Plain(socket) = client.get_mut() else { panic!("no TLS here") };
        let mut raw = Vec::new();
        socket.read_to_end(&mut raw).await.unwrap();
        assert!(asked.elapsed() < Duration::from_millis(1200), "{:?}", asked.elapsed());
        assert_eq!(raw[0], 0x88);
        assert_eq!(u16::from_be_bytes([raw[2], raw[3]]), u16::from(code));
        assert_eq!(rig.stats.closed(end), 1);
    }
}

#[tokio::test]
async fn a_stream_without_audio_is_closed_unless_paused() {
    let options = MediaOptions { idle_timeout: Duration::from_millis(250), ..MediaOptions::default() };
    let rig = Rig::with(options).await;
    let (token, mut idle) = rig.expect("idle");
    let (paused_token, mut paused) = rig.expect("paused");
    let paused_call = CallId::new("paused").unwrap();
    rig.registry.pause(&paused_call);
    let mut client = rig.connect("idle", &token, "").await;
    let _quiet = rig.connect("paused", &paused_token, "").await;
    assert_eq!(next(&mut idle).await, MediaEvent::Up);
    assert_eq!(next(&mut paused).await, MediaEvent::Up);
    for _ in 0..6 {
        sleep(Duration::from_millis(60)).await;
        client.send(audio(160)).await.unwrap();
        next_frame(&mut idle).await;
    }
    // Text is no audio.
    client.send(Message::text("x")).await.unwrap();
    assert_eq!(next(&mut idle).await, MediaEvent::Metadata("x".to_owned()));
    assert_eq!(next(&mut idle).await, MediaEvent::Down(StreamEnd::Idle));
    assert_eq!(close_code(&mut client).await, CloseCode::Normal);
    assert_eq!(paused.try_recv(), None);
    rig.registry.resume(&paused_call);
    assert_eq!(next(&mut paused).await, MediaEvent::Down(StreamEnd::Idle));
}

#[tokio::test]
async fn a_released_call_ends_its_stream() {
    let rig = Rig::start().await;
    let (token, mut receiver) = rig.expect("c1");
    let mut client = rig.connect("c1", &token, "").await;
    assert_eq!(next(&mut receiver).await, MediaEvent::Up);
    drop(receiver);
    assert_eq!(close_code(&mut client).await, CloseCode::Normal);
    assert_eq!(rig.status_of(&format!("/media/c1?t={}", token.hex())).await, 404);
}

#[tokio::test]
async fn a_shutdown_closes_every_stream_and_returns() {
    let rig = Rig::start().await;
    let (token, mut receiver) = rig.expect("c1");
    let mut client = rig.connect("c1", &token, "").await;
    let _half_open = TcpStream::connect(&rig.address).await.unwrap();
    assert_eq!(next(&mut receiver).await, MediaEvent::Up);
    rig.shutdown.cancel();
    assert_eq!(next(&mut receiver).await, MediaEvent::Down(StreamEnd::Shutdown));
    assert_eq!(close_code(&mut client).await, CloseCode::Away);
    timeout(Duration::from_secs(2), rig.server).await.expect("the server returns").unwrap();
    assert!(TcpStream::connect(&rig.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_at_once_lose_nothing() {
    let rig = Rig::start().await;
    let mut calls = Vec::new();
    for n in 0..200 {
        let call = format!("c{n}");
        let (token, mut receiver) = rig.expect(&call);
        let mut client = rig.connect(&call, &token, "").await;
        let send = tokio::spawn(async move {
            for _ in 0..50 {
                client.send(audio(160)).await.unwrap();
                sleep(Duration::from_millis(4)).await;
            }
            client.close(None).await.unwrap();
        });
        let count = tokio::spawn(async move {
            let mut frames = 0;
            loop {
                match next(&mut receiver).await {
                    MediaEvent::Frame(_) => frames += 1,
                    MediaEvent::Down(end) => break (frames, end),
                    MediaEvent::Up => {}
                    other @ (MediaEvent::Lost(_) | MediaEvent::Metadata(_)) => panic!("{other:?}"),
                }
            }
        });
        calls.push((send, count));
    }
    for (send, count) in calls {
        send.await.unwrap();
        assert_eq!(count.await.unwrap(), (50, StreamEnd::Closed));
    }
    assert_eq!(rig.stats.live(), 0);
}
