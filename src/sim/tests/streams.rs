use super::*;

const QUIET: &str = "callees: [ { name: quiet, answer: { after: 0s } } ]";

fn binary(messages: &[(Instant, Message)]) -> Vec<usize> {
    messages.iter().filter(|(_, m)| m.is_binary()).map(|(_, m)| m.len()).collect()
}

#[tokio::test]
async fn frames_come_every_20_ms_from_the_answer_on() {
    let sim = sim(QUIET).await;
    let (listener, url) = ws_listener().await;
    let mut esl = Esl::listening(&sim).await;
    let command = format!(
        "originate {{origination_uuid=s-1,ignore_early_media=true,STREAM_BUFFER_SIZE=20,\
         api_on_answer='uuid_audio_stream s-1 start {url}/media/s-1?t=x mono 8k'}}sofia/gateway/gw/1 &park()"
    );
    esl.command(&format!("bgapi {command}")).await;
    let got = timeout(SOON, messages(&listener, 100)).await.unwrap();
    assert!(binary(&got).iter().all(|len| *len == 320));
    let took = got[99].0 - got[0].0;
    assert!((1800..2600).contains(&took.as_millis()), "{took:?}");
    let names = esl.names(Duration::from_millis(100)).await;
    let at = |name: &str| names.iter().position(|n| n == name).unwrap();
    assert!(at("CHANNEL_ANSWER") < at("MEDIA_BUG_START"), "{names:?}");
    assert!(at("MEDIA_BUG_START") < at("mod_audio_stream::connect"), "{names:?}");
}

#[tokio::test]
async fn the_handshake_is_written_as_the_module_writes_it() {
    let sim = sim(QUIET).await;
    let (listener, url) = ws_listener().await;
    let mut esl = Esl::listening(&sim).await;
    esl.call("s-2", "1").await;
    esl.api(r#"uuid_setvar s-2 STREAM_EXTRA_HEADERS {"X-A":"b c"}"#).await;
    assert_eq!(
        esl.api(&format!("uuid_audio_stream s-2 start {url}/ok?call=s-2 mono 8k")).await,
        "+OK Success\n"
    );
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        socket.read_buf(&mut read).await.unwrap();
    }
    let host = url.trim_start_matches("ws://");
    let text = String::from_utf8(read).unwrap();
    let start = format!(
        "GET /ok?call=s-2 HTTP/1.1\r\nHost:{host}\r\nUpgrade:websocket\r\nConnection:upgrade\r\nSec-WebSocket-Key:"
    );
    assert!(text.starts_with(&start), "{text}");
    let end = format!("Sec-WebSocket-Version:13\r\nOrigin:http://{host}\r\nX-A:b c\r\n\r\n");
    assert!(text.ends_with(&end), "{text}");
}

#[tokio::test]
async fn audio_captured_during_a_slow_upgrade_overtakes_the_metadata() {
    let sim = sim(QUIET).await;
    let (listener, url) = ws_listener().await;
    let mut esl = Esl::listening(&sim).await;
    esl.call("s-3", "1").await;
    esl.api(&format!(r#"uuid_audio_stream s-3 start {url}/x mono 16k {{"call_id":"abc 1","n":1}}"#)).await;
    let (socket, _) = listener.accept().await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    let ws = tokio_tungstenite::accept_async(socket).await.unwrap();
    let got: Vec<Message> = ws.take(40).map(Result::unwrap).collect().await;
    let text = got.iter().position(Message::is_text).unwrap();
    assert!((15..=25).contains(&text), "frames before the metadata: {text}");
    assert_eq!(got[text].to_text().unwrap(), r#"{"call_id":"abc 1","n":1}"#);
    assert_eq!(got[0].len(), 640);
}

#[tokio::test]
async fn streams_that_fail_say_so_and_leave_no_bug() {
    let sim = sim(QUIET).await;
    let mut esl = Esl::listening(&sim).await;
    esl.call("s-4", "1").await;
    // Nothing listens there any more.
    let (listener, url) = ws_listener().await;
    drop(listener);
    assert_eq!(esl.api(&format!("uuid_audio_stream s-4 start {url}/x mono 8k")).await, "+OK Success\n");
    let event = esl.event("mod_audio_stream::error").await;
    let refused =
        r#"{"message":{"code":6,"error":"Connection refused (system error 111)"},"status":"error"}"#;
    assert_eq!(event["_body"], refused);
    // Accepts and never answers.
    let (_silent, url) = ws_listener().await;
    let started = Instant::now();
    assert_eq!(esl.api(&format!("uuid_audio_stream s-4 start {url}/x mono 8k")).await, "+OK Success\n");
    let event = esl.event("mod_audio_stream::error").await;
    assert!(event["_body"].as_str().unwrap().contains(r#""code":10"#), "{event}");
    assert!((990..2000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    // Refuses the upgrade.
    let (listener, url) = ws_listener().await;
    assert_eq!(esl.api(&format!("uuid_audio_stream s-4 start {url}/x mono 8k")).await, "+OK Success\n");
    let (mut socket, _) = listener.accept().await.unwrap();
    socket.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let event = esl.event("mod_audio_stream::error").await;
    assert!(event["_body"].as_str().unwrap().contains("WebSocket upgrade failed"), "{event}");
}

#[tokio::test]
async fn after_a_clean_close_the_bug_stays_until_stop() {
    let sim = sim(QUIET).await;
    let (listener, url) = ws_listener().await;
    let mut esl = Esl::listening(&sim).await;
    esl.call("s-5", "1").await;
    let start = format!("uuid_audio_stream s-5 start {url}/x mono 8k");
    assert_eq!(esl.api(&start).await, "+OK Success\n");
    let (socket, _) = listener.accept().await.unwrap();
    let mut ws = tokio_tungstenite::accept_async(socket).await.unwrap();
    let frame =
        tokio_tungstenite::tungstenite::protocol::CloseFrame { code: 4001.into(), reason: "bye".into() };
    ws.close(Some(frame)).await.unwrap();
    let drained = tokio::spawn(async move { while ws.next().await.is_some_and(|m| m.is_ok()) {} });
    let event = esl.event("mod_audio_stream::disconnect").await;
    assert!(event["_body"].as_str().unwrap().contains(r#""code":4001,"reason":"bye""#), "{event}");
    drained.await.unwrap();
    assert_eq!(esl.api(&start).await, "-ERR Operation Failed\n");
    assert_eq!(esl.api("uuid_audio_stream s-5 stop").await, "+OK Success\n");
    assert_eq!(esl.api("uuid_audio_stream s-5 stop").await, "-ERR Operation Failed\n");
    assert_eq!(esl.api(&start).await, "+OK Success\n");
}

#[tokio::test]
async fn a_stop_sends_its_text_and_a_normal_close() {
    let sim = sim(QUIET).await;
    let (listener, url) = ws_listener().await;
    let mut esl = Esl::listening(&sim).await;
    esl.call("s-6", "1").await;
    esl.api(&format!("uuid_audio_stream s-6 start {url}/x mono 8k")).await;
    let (socket, _) = listener.accept().await.unwrap();
    let ws = tokio_tungstenite::accept_async(socket).await.unwrap();
    let reader = tokio::spawn(ws.map(|m| m.unwrap()).collect::<Vec<_>>());
    esl.event("mod_audio_stream::connect").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(esl.api("uuid_audio_stream s-6 send_text hello world").await, "+OK Success\n");
    assert_eq!(esl.api("uuid_audio_stream s-6 send_text 'hello world'").await, "+OK Success\n");
    assert_eq!(esl.api("uuid_audio_stream s-6 stop final bye").await, "+OK Success\n");
    esl.event("MEDIA_BUG_STOP").await;
    let got = timeout(SOON, reader).await.unwrap().unwrap();
    let texts: Vec<&str> = got.iter().filter(|m| m.is_text()).map(|m| m.to_text().unwrap()).collect();
    assert_eq!(texts, ["hello", "hello world", "final"]);
    let Some(Message::Close(Some(close))) = got.last() else { panic!("{got:?}") };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (1000, "Normal closure"));
    assert_eq!(sim.report().calls[0].streams[0].end.as_deref(), Some("stopped"));
}

#[tokio::test]
async fn a_stop_before_the_connect_hangs_until_the_server_lets_go() {
    let sim = sim(QUIET).await;
    let (listener, url) = ws_listener().await;
    let mut esl = Esl::listening(&sim).await;
    esl.call("s-7", "1").await;
    esl.api(&format!("uuid_audio_stream s-7 start {url}/x mono 8k")).await;
    let (socket, _) = listener.accept().await.unwrap();
    let ws = tokio_tungstenite::accept_async(socket).await.unwrap();
    esl.send("api uuid_audio_stream s-7 stop\n\n").await;
    assert!(
        timeout(Duration::from_millis(500), async {
            while esl.next().await.unwrap().kind() != "api/response" {}
        })
        .await
        .is_err()
    );
    drop(ws);
    while esl.next().await.unwrap().kind() != "api/response" {}
    assert!(sim.report().calls[0].streams[0].hung_stop);
}

#[tokio::test]
async fn wrong_commands_get_the_modules_replies() {
    let sim = sim(QUIET).await;
    let mut esl = Esl::listening(&sim).await;
    esl.call("s-8", "1").await;
    for command in [
        "uuid_audio_stream nope stop",
        "uuid_audio_stream s-8 bogus",
        "uuid_audio_stream s-8 start http://127.0.0.1/ mono 8k",
        "uuid_audio_stream s-8 start ws://my_host:80/ mono 8k",
        "uuid_audio_stream s-8 start ws://127.0.0.1:1/ both 8k",
        "uuid_audio_stream s-8 start ws://127.0.0.1:1/ mono 7999",
    ] {
        assert_eq!(esl.api(command).await, "-ERR Operation Failed\n", "{command}");
    }
    let usage = esl.api("uuid_audio_stream s-8").await;
    assert!(usage.starts_with("-USAGE: <uuid> [start | stop") && usage.len() == 147, "{usage}");
    assert!(esl.api("uuid_audio_stream s-8 start ws://x").await.starts_with("-USAGE"));
}

#[tokio::test]
async fn a_lost_connection_is_an_error_and_the_stream_may_start_again() {
    let sim = sim(QUIET).await;
    let (listener, url) = ws_listener().await;
    let mut esl = Esl::listening(&sim).await;
    esl.call("s-9", "1").await;
    let start = format!("uuid_audio_stream s-9 start {url}/x mono 8k");
    for (how, words) in [(DropStream::Reset, "Connection reset by peer"), (DropStream::Eof, "abnormal EOF")] {
        assert_eq!(esl.api(&start).await, "+OK Success\n");
        let reader = tokio::spawn({
            let (socket, _) = listener.accept().await.unwrap();
            async move {
                let mut ws = tokio_tungstenite::accept_async(socket).await.unwrap();
                while ws.next().await.is_some_and(|m| m.is_ok()) {}
            }
        });
        esl.event("mod_audio_stream::connect").await;
        assert!(sim.drop_stream("s-9", how));
        let event = esl.event("mod_audio_stream::error").await;
        assert!(event["_body"].as_str().unwrap().contains(words), "{event}");
        reader.await.unwrap();
    }
    assert_eq!(esl.api("uuid_exists s-9").await, "true");
}

#[tokio::test]
async fn mixed_delivers_nothing_while_nothing_plays_and_buffers_are_honoured() {
    let sim = sim(QUIET).await;
    let (listener, url) = ws_listener().await;
    let mut esl = Esl::listening(&sim).await;
    esl.call("s-10", "1").await;
    esl.api("uuid_setvar s-10 STREAM_BUFFER_SIZE 100").await;
    esl.api(&format!("uuid_audio_stream s-10 start {url}/x stereo 8k")).await;
    let (socket, _) = listener.accept().await.unwrap();
    let mut ws = tokio_tungstenite::accept_async(socket).await.unwrap();
    assert!(timeout(Duration::from_millis(300), ws.next()).await.is_err());
    esl.play("s-10", "tone_stream://%(600,0,440)").await;
    let message = timeout(SOON, ws.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(message.len(), 3200);
}

#[tokio::test]
async fn the_fork_module_asks_for_its_subprotocol_and_keeps_its_bug() {
    let sim = sim(QUIET).await;
    let (listener, url) = ws_listener().await;
    let mut esl = Esl::listening(&sim).await;
    esl.call("s-11", "1").await;
    let start = format!(r#"uuid_audio_fork s-11 start {url}/x mono 8k bug1 {{"a":"b c d"}}"#);
    assert_eq!(esl.api(&start).await, "+OK Success\n");
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        socket.read_buf(&mut read).await.unwrap();
    }
    let text = String::from_utf8(read).unwrap();
    assert!(
        text.contains("Host: 127.0.0.1\r\n") && text.contains("Sec-WebSocket-Protocol: audio.drachtio.org"),
        "{text}"
    );
    socket.write_all(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n").await.unwrap();
    let role = tokio_tungstenite::tungstenite::protocol::Role::Server;
    let mut ws = tokio_tungstenite::WebSocketStream::from_raw_socket(socket, role, None).await;
    let first = ws.next().await.unwrap().unwrap();
    assert_eq!(first.to_text().unwrap(), r#"{"a":"b c d"}"#, "the metadata is always first");
    drop(ws);
    esl.event("mod_audio_fork::disconnect").await;
    assert_eq!(esl.api(&start).await, "-ERR Operation Failed\n");
    assert_eq!(esl.api("uuid_audio_fork s-11 stop bug1").await, "+OK Success\n");
}
