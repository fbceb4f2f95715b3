use super::*;

/// A wav of that length at that rate, with a 440 Hz tone in it.
fn wav(dir: &Path, name: &str, ms: u32, rate: u32) -> String {
    let path = dir.join(name);
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&path, spec).unwrap();
    for i in 0..rate * ms / 1000 {
        let phase = f64::from(i) * 440.0 * std::f64::consts::TAU / f64::from(rate);
        writer.write_sample((phase.sin() * 6000.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
    path.display().to_string()
}

const QUIET: &str = "callees: [ { name: quiet, answer: { after: 0s } } ]";

#[tokio::test]
async fn prompts_last_as_long_as_their_files_and_follow_without_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let file = wav(dir.path(), "half.wav", 500, 16000);
    let sim = sim(QUIET).await;
    let mut esl = Esl::listening(&sim).await;
    esl.call("p-1", "1").await;
    assert_eq!(esl.play("p-1", &format!("{{turn=7}}{file}")).await, "+OK");
    esl.play("p-1", &file).await;
    let start = esl.event("PLAYBACK_START").await;
    assert_eq!((&start["turn"], &start["Playback-File-Path"]), (&"7".into(), &file.as_str().into()));
    let stop = esl.event("PLAYBACK_STOP").await;
    assert_eq!((&stop["Playback-Status"], &stop["turn"]), (&"done".into(), &"7".into()));
    assert_eq!(stop["variable_playback_last_offset_pos"], "4000");
    let complete = esl.event("CHANNEL_EXECUTE_COMPLETE").await;
    assert_eq!(complete["Application-UUID"], "play-1");
    assert_eq!(complete["Application-Response"], "FILE PLAYED");
    esl.event("PLAYBACK_STOP").await;
    let plays = &sim.report().calls[0].plays;
    assert!(plays[1].started_ms - plays[0].stopped_ms.unwrap() <= 5, "{plays:?}");
    assert!((480..=700).contains(&(plays[0].stopped_ms.unwrap() - plays[0].started_ms)), "{plays:?}");
}

#[tokio::test]
async fn a_break_stops_within_a_frame_and_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let file = wav(dir.path(), "long.wav", 5000, 8000);
    let sim = sim(QUIET).await;
    let mut esl = Esl::listening(&sim).await;
    esl.call("p-2", "1").await;
    esl.play("p-2", &format!("{file}@@8000")).await;
    esl.play("p-2", &file).await;
    esl.event("PLAYBACK_START").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let asked = Instant::now();
    assert_eq!(esl.api("uuid_break p-2 all").await, "+OK\n");
    let stop = esl.event("PLAYBACK_STOP").await;
    assert!(asked.elapsed() < Duration::from_millis(200), "{:?}", asked.elapsed());
    assert_eq!(stop["Playback-Status"], "break");
    let at: u32 = stop["variable_playback_last_offset_pos"].as_str().unwrap().parse().unwrap();
    assert!((8000 + 4480..8000 + 8000).contains(&at), "counted from the file's start: {at}");
    let names = esl.names(Duration::from_millis(100)).await;
    assert!(!names.contains(&"PLAYBACK_START".to_owned()), "all drops what waits: {names:?}");
    esl.play("p-2", &file).await;
    esl.event("PLAYBACK_START").await;
    assert_eq!(esl.api("uuid_break nope all").await, "-ERR No such channel!\n");
}

#[tokio::test]
async fn a_break_that_follows_a_broadcast_at_once_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let file = wav(dir.path(), "some.wav", 400, 8000);
    let sim = sim(QUIET).await;
    let mut esl = Esl::listening(&sim).await;
    esl.call("p-3", "1").await;
    assert_eq!(esl.api(&format!("uuid_broadcast p-3 {file} aleg")).await, "+OK Message sent\n");
    let asked = Instant::now();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(esl.api("uuid_break p-3 all").await, "+OK\n");
    esl.event("PLAYBACK_START").await;
    assert!((95..300).contains(&asked.elapsed().as_millis()), "{:?}", asked.elapsed());
    assert_eq!(esl.event("PLAYBACK_STOP").await["Playback-Status"], "done");
    assert_eq!(sim.report().calls[0].breaks[0].effect, BreakEffect::Lost);
}

#[tokio::test]
async fn a_missing_prompt_has_no_playback_events() {
    let sim = sim(QUIET).await;
    let mut esl = Esl::listening(&sim).await;
    esl.call("p-4", "1").await;
    esl.play("p-4", "/nowhere/x.wav").await;
    let names = esl.names(Duration::from_millis(100)).await;
    assert_eq!(names, ["CHANNEL_EXECUTE", "CHANNEL_EXECUTE_COMPLETE"]);
    assert!(sim.report().calls[0].plays[0].not_found);
}

#[tokio::test]
async fn a_person_interrupts_and_the_report_says_how_long_the_bot_went_on() {
    let dir = tempfile::tempdir().unwrap();
    let prompt = wav(dir.path(), "prompt.wav", 3000, 8000);
    wav(dir.path(), "wait.wav", 300, 8000);
    let yaml = "
callees:
  - name: interrupts
    answer: { after: 0s }
    does:
      - { bot_spoken: 200ms, say: wait.wav }
      - { interrupted: 100ms, press: '1' }
      - { then: 100ms, beep: { hz: 1000, for: 200ms } }
      - { prompt_done: 2, after: 40ms, hang_up: CALL_REJECTED }
";
    let cast = Cast::parse_in(yaml, "cast.yaml", dir.path()).unwrap();
    let sim = Sim::start(SimConfig { cast, ..SimConfig::default() }).await.unwrap();
    let mut esl = Esl::listening(&sim).await;
    esl.call("p-5", "1").await;
    esl.play("p-5", &prompt).await;
    esl.event("PLAYBACK_START").await;
    tokio::time::sleep(Duration::from_millis(350)).await;
    esl.api("uuid_break p-5 all").await;
    esl.event("DTMF").await;
    esl.play("p-5", "silence_stream://40").await;
    assert_eq!(esl.event("CHANNEL_HANGUP_COMPLETE").await["Hangup-Cause"], "CALL_REJECTED");
    let call = &sim.report().calls[0];
    assert!(call.said[0].interrupts);
    let late = call.said[0].bot_silent_after_ms.unwrap();
    assert!((100..600).contains(&late), "{late}");
    assert!(!call.said[1].interrupts);
}

#[test]
fn a_cast_says_where_it_is_wrong() {
    let wrong =
        |yaml: &str| Cast::parse_in(yaml, "cast.yaml", Path::new("/nowhere")).unwrap_err().to_string();
    let base = "callees:\n  - name: x\n    answer: busy\n    does:\n";
    assert_eq!(
        wrong(&format!("{base}      - {{ at: 1s, press: '77' }}\n")),
        "cast.yaml:5: press: `77` is no key: write one of 0-9 * # A-D"
    );
    let both = wrong(&format!("{base}      - {{ at: 1s, bot_quiet: 1s, press: '7' }}\n"));
    assert!(both.starts_with("cast.yaml:5: does: write exactly one of at, then"), "{both}");
    let none = wrong(&format!("{base}      - {{ at: 1s }}\n"));
    assert_eq!(none, "cast.yaml:5: does: write exactly one of say, beep, press, hang_up");
    let clip = wrong(&format!("{base}      - {{ at: 1s, say: a.wav }}\n"));
    assert!(clip.starts_with("cast.yaml:5: say: /nowhere/a.wav: "), "{clip}");
    let key = wrong("callees:\n  - name: x\n    answr: busy\n");
    assert!(key.starts_with("cast.yaml: ") && key.contains("answr") && key.contains("line 3"), "{key}");
    let duration = wrong("callees:\n  - name: x\n    answer: { after: soon }\n");
    assert!(duration.contains("write 400ms or 2s") && duration.contains("line 3"), "{duration}");
}

#[test]
fn callees_are_found_by_number_then_dial_string_then_in_turn() {
    let cast = cast(
        "callees:\n  - { name: a, number: '+15550001', answer: busy }\n  - { name: b, dial: loopback/1000/default, answer: busy }\n  \
         - { name: c, answer: busy }\n  - { name: d, answer: busy }\n",
    );
    let mut turn = 0;
    let mut pick = |number: &str, dial: &str| cast.pick(number, dial, &mut turn).unwrap().name.clone();
    assert_eq!(pick("15550001", "sofia/gateway/gw/15550001"), "a");
    assert_eq!(pick("1000", "loopback/1000/default"), "b");
    assert_eq!([pick("7", "x"), pick("7", "x"), pick("7", "x")], ["c", "d", "c"]);
}
