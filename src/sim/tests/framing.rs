use super::*;

const NOBODY: &str = "callees: []";

/// Reads whatever comes until the connection ends or falls quiet.
async fn transcript(sim: &SimHandle, sends: &[&str]) -> String {
    let mut socket = TcpStream::connect(sim.esl_addr()).await.unwrap();
    let mut text = Vec::new();
    for send in sends {
        tokio::time::sleep(Duration::from_millis(60)).await;
        socket.write_all(send.as_bytes()).await.unwrap();
    }
    while let Ok(Ok(1..)) = timeout(Duration::from_millis(300), socket.read_buf(&mut text)).await {}
    String::from_utf8(text).unwrap()
}

const GOODBYE: &str = "Content-Type: text/disconnect-notice\nContent-Length: 67\n\n\
    Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n";

#[tokio::test]
async fn a_wrong_password_is_refused_and_the_socket_closed() {
    let sim = sim(NOBODY).await;
    let text = transcript(&sim, &["auth nope\n\n"]).await;
    let expected = format!(
        "Content-Type: auth/request\n\nContent-Type: command/reply\nReply-Text: -ERR invalid\n\n{GOODBYE}"
    );
    assert_eq!(text, expected);
    assert_eq!(sim.report().failed_logins, 1);
}

#[tokio::test]
async fn nothing_but_auth_is_known_before_auth() {
    let text = transcript(&sim(NOBODY).await, &["api status\n\n"]).await;
    let expected =
        "Content-Type: auth/request\n\nContent-Type: command/reply\nReply-Text: -ERR command not found\n\n";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn replies_are_framed_as_captured() {
    let sends = [
        "auth ClueCon\n\n",
        "bogus\n\n",
        "api uuid_exists x\n\n",
        "api strftime_nope\n\n",
        "linger\n\n",
        "exit\n\n",
    ];
    let text = transcript(&sim(NOBODY).await, &sends).await;
    let expected = format!(
        "Content-Type: auth/request\n\nContent-Type: command/reply\nReply-Text: +OK accepted\n\n\
         Content-Type: command/reply\nReply-Text: -ERR command not found\n\n\
         Content-Type: api/response\nContent-Length: 5\n\nfalse\
         Content-Type: api/response\nContent-Length: 38\n\n-ERR strftime_nope Command not found!\n\
         Content-Type: command/reply\nReply-Text: -ERR not controlling a session\n\n\
         Content-Type: command/reply\nReply-Text: +OK bye\n\n{GOODBYE}"
    );
    assert_eq!(text, expected);
}

#[tokio::test]
async fn commands_may_be_pipelined_and_end_in_crlf() {
    let pipelined =
        "auth ClueCon\r\n\r\napi uuid_exists x\n\nbgapi status\nJob-UUID: mine\n\nevent json ALL\n\n";
    let text = transcript(&sim(NOBODY).await, &[pipelined]).await;
    let expected = "Content-Type: auth/request\n\nContent-Type: command/reply\nReply-Text: +OK accepted\n\n\
        Content-Type: api/response\nContent-Length: 5\n\nfalse\
        Content-Type: command/reply\nReply-Text: +OK Job-UUID: mine\nJob-UUID: mine\n\n\
        Content-Type: command/reply\nReply-Text: +OK event listener enabled json\n\n";
    assert!(text.starts_with(expected), "{text}");
}

#[tokio::test]
async fn filters_and_subscriptions_answer_as_captured() {
    let sim = sim(NOBODY).await;
    let mut esl = Esl::open(&sim).await;
    esl.command("auth ClueCon").await;
    for (command, reply) in [
        ("event plain CHANNEL_CREATE CUSTOM a::b", "+OK event listener enabled plain"),
        ("nixevent CHANNEL_CREATE", "+OK events nixed"),
        ("filter Unique-ID abc", "+OK filter added. [Unique-ID]=[abc]"),
        ("filter delete Unique-ID abc", "+OK filter deleted. [Unique-ID][abc]"),
        ("filter delete all", "+OK filter deleted. [all][]"),
        ("noevents", "+OK no longer listening for events"),
        ("noevents", "-ERR not listening for events"),
        ("event plain", "-ERR no keywords supplied"),
        ("sendmsg deadbeef\ncall-command: execute", "-ERR invalid session id [deadbeef]"),
    ] {
        assert_eq!(esl.command(command).await, reply, "{command}");
    }
}

#[tokio::test]
async fn a_plain_event_is_escaped_and_says_how_long_its_body_is() {
    let sim = sim(NOBODY).await;
    let mut esl = Esl::open(&sim).await;
    esl.command("auth ClueCon").await;
    esl.command("event plain CUSTOM my::sub").await;
    esl.command(
        "sendevent CUSTOM\nEvent-Subclass: my::sub\nX-Foo: a b%c\nContent-Length: 11\n\nhello\nworld",
    )
    .await;
    let event = esl.next().await.unwrap();
    assert_eq!(event.kind(), "text/event-plain");
    assert!(event.head.starts_with("Content-Length: "), "{}", event.head);
    assert!(event.body.contains("Event-Subclass: my%3A%3Asub\n"), "{}", event.body);
    assert!(event.body.contains("X-Foo: a%20b%25c\n"), "{}", event.body);
    assert!(event.body.ends_with("Content-Length: 11\n\nhello\nworld"), "{}", event.body);
}

#[tokio::test]
async fn a_filter_drops_events_without_its_header() {
    let sim = sim(NOBODY).await;
    let mut esl = Esl::listening(&sim).await;
    esl.command("filter Unique-ID abc").await;
    esl.command("bgapi status\nJob-UUID: lost").await;
    assert!(esl.names(Duration::from_millis(100)).await.is_empty());
    esl.command("filter delete all").await;
    assert!(esl.job("uuid_exists zz").await == "false");
}

#[tokio::test]
async fn dropped_and_refused_connections() {
    let sim = sim(NOBODY).await;
    let mut esl = Esl::listening(&sim).await;
    sim.drop_esl();
    assert!(esl.next().await.is_none());
    let mut esl = Esl::listening(&sim).await;
    sim.refuse_esl(true);
    assert!(esl.next().await.is_none());
    assert!(Esl::raw(&sim).await.next().await.is_none());
    sim.refuse_esl(false);
    assert!(Esl::listening(&sim).await.api("status").await.starts_with("UP "));
}

#[test]
fn requests_are_taken_whole_or_not_at_all() {
    let mut buffer = b"sendmsg x\ncontent-length: 3\n\nab".to_vec();
    assert_eq!(wire::take_request(&mut buffer), Ok(None));
    buffer.extend_from_slice(b"cexit\n\n");
    let first = wire::take_request(&mut buffer).unwrap().unwrap();
    assert_eq!((first.line.as_str(), first.body.as_deref()), ("sendmsg x", Some("abc")));
    assert_eq!(wire::take_request(&mut buffer).unwrap().unwrap().line, "exit");
    assert!(buffer.is_empty());
}

#[test]
fn arguments_lose_quotes_and_half_their_backslashes() {
    let split = |text| wire::split_args(text, ' ', 3);
    assert_eq!(split("u send_text hello world"), ["u", "send_text", "hello world"]);
    assert_eq!(
        wire::split_args("u send_text 'quoted text here'", ' ', 6),
        ["u", "send_text", "quoted text here"]
    );
    assert_eq!(split(r#"u x {"n":"O'Brien","p":"a\\b"}"#)[2], r#"{"n":"OBrien","p":"a\b"}"#);
    assert_eq!(wire::split_args(r"a=1,b='x, y',c=1\,2", ',', 9), ["a=1", "b=x, y", "c=1,2"]);
}

#[test]
fn originate_is_read_as_freeswitch_reads_it() {
    let read = |text: &str| dial::Originate::parse(text);
    let asked = read("{a=1,b='x y',c='{\"X-A\":\"1\"\\,\"X-B\":\"2\"}'}sofia/gateway/gw/33612345678 &park()")
        .unwrap();
    assert_eq!(asked.variable("b"), Some("x y"));
    assert_eq!(asked.variable("c"), Some(r#"{"X-A":"1","X-B":"2"}"#));
    assert_eq!(asked.dial_string, "sofia/gateway/gw/33612345678");
    assert_eq!(asked.application, "park");
    let own = read(r#"{^^;a=b;H={"X-A":"1","X-B":"2"}}loopback/1000/default &park()"#).unwrap();
    assert_eq!(own.variable("H"), Some(r#"{"X-A":"1","X-B":"2"}"#));
    assert!(read("{a=x y}loopback/1000/default &park()").is_err(), "a bare space ends the argument");
    assert!(read("loopback/1000/default").is_err());
}
