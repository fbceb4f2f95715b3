use super::*;

/// Speaks on for `minutes`; every request is answered 100 ms later. What was asked for, in order.
fn speak(minutes: u64) -> Vec<Transcribe> {
    let config = TurnConfig::default();
    let mut turn = Turn::new(config, Duration::ZERO, FRAME, 1);
    let mut asked: Vec<Transcribe> = Vec::new();
    let mut answered = 0;
    let frames = minutes * 60 * 50;
    for frame in 1..=frames {
        let media = FRAME * u32::try_from(frame).unwrap();
        while let Some(request) = asked.get(answered).filter(|request| request.to + FRAME * 5 <= media) {
            let transcript = Transcript {
                utterance: request.utterance,
                purpose: request.purpose,
                to: request.to,
                outcome: Heard::Text(format!("word{}", request.to.as_millis() / 500)),
                others: Vec::new(),
                queued: Duration::ZERO,
                compute: Duration::ZERO,
            };
            turn.transcript(&transcript);
            answered += 1;
        }
        match turn.frame(media, true, -20.0) {
            Some(TurnStep::Transcribe(request)) => asked.push(request),
            Some(TurnStep::Over(end)) => panic!("over in mid-speech: {end:?}"),
            None => {}
        }
    }
    asked
}

#[test]
fn half_an_hour_of_speech_is_heard_in_bounded_stretches_without_a_gap_or_more_work() {
    let config = TurnConfig::default();
    let asked = speak(30);
    let longest = asked.iter().map(|request| request.to - request.from).max().unwrap();
    assert!(longest <= config.hard_cut + FRAME, "{longest:?}");
    let finals: Vec<&Transcribe> = asked.iter().filter(|r| r.purpose == Purpose::EndOfTurn).collect();
    assert!(finals.len() >= 150, "{} cuts", finals.len());
    for pair in finals.windows(2) {
        assert!(pair[1].from <= pair[0].to, "a gap after {:?}", pair[0].to);
    }
    let in_minute = |minute: u64| {
        let within = |at: Duration| at.as_secs() / 60 == minute;
        asked.iter().filter(|request| within(request.to)).count()
    };
    assert!(in_minute(28).abs_diff(in_minute(1)) <= 6, "{} then {}", in_minute(1), in_minute(28));
    let audio = |requests: &[Transcribe]| requests.iter().map(|r| r.to - r.from).sum::<Duration>();
    let half = asked.len() / 2;
    let (first, second) = (audio(&asked[..half]), audio(&asked[half..]));
    assert!(second < first + first / 10, "{first:?} then {second:?}");
}
