use proptest::prelude::*;
use sidetone_core::{
    call::{CallId, StreamEnd},
    frame::{Frame, SampleRate},
};

use crate::media::{
    CAPACITY, CAPACITY_TIME, Channels, MediaEvent, MediaRegistry, MediaStats, OddLength, Token, Wire,
    end_name, ring::Ring, stats::ENDS, stream_url,
};

fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn cut(wire: &mut Wire, message: &[u8]) -> Result<Vec<Frame>, OddLength> {
    let mut frames = Vec::new();
    wire.push(message, |frame| frames.push(frame))?;
    Ok(frames)
}

fn numbered(n: i16) -> Frame {
    Frame::new(SampleRate::HZ_8000, &[n; 160]).unwrap()
}

fn call(id: &str) -> CallId {
    CallId::new(id).unwrap()
}

#[test]
fn messages_of_any_measured_length_become_frames_of_20_ms() {
    for (rate, message, frames) in
        [(8000, 320, 1), (8000, 1600, 5), (8000, 16000, 50), (16000, 640, 1), (16000, 3200, 5)]
    {
        let mut wire = Wire::new(SampleRate::new(rate).unwrap(), Channels::Mono);
        assert_eq!(cut(&mut wire, &vec![0; message]).unwrap().len(), frames, "{rate} Hz, {message} bytes");
    }
}

#[test]
fn a_partial_frame_waits_for_the_next_message() {
    let mut wire = Wire::new(SampleRate::HZ_8000, Channels::Mono);
    assert_eq!(cut(&mut wire, &bytes(&[1; 100])).unwrap(), []);
    assert_eq!(cut(&mut wire, &[]).unwrap(), []);
    let frames = cut(&mut wire, &bytes(&[2; 100])).unwrap();
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].samples()[99..101], [1, 2]);
}

#[test]
fn odd_lengths_are_an_error_and_take_nothing() {
    let mut wire = Wire::new(SampleRate::HZ_8000, Channels::Mono);
    assert_eq!(cut(&mut wire, &[0; 321]), Err(OddLength { length: 321 }));
    let mut stereo = Wire::new(SampleRate::HZ_8000, Channels::Stereo);
    assert_eq!(cut(&mut stereo, &[0; 642]), Err(OddLength { length: 642 }));
    assert_eq!(cut(&mut wire, &bytes(&[7; 160])).unwrap(), [numbered(7)]);
}

#[test]
fn of_stereo_the_left_voice_is_kept() {
    let mut wire = Wire::new(SampleRate::HZ_8000, Channels::Stereo);
    let interleaved: Vec<i16> = (0..160).flat_map(|_| [5, -9]).collect();
    assert_eq!(cut(&mut wire, &bytes(&interleaved)).unwrap(), [numbered(5)]);
}

proptest! {
    /// However the same audio is cut into messages, the same frames come out and nothing is lost but the tail.
    #[test]
    fn how_messages_are_cut_does_not_matter(
        samples in prop::collection::vec(any::<i16>(), 0..2000),
        cuts in prop::collection::vec(0_usize..400, 0..20),
    ) {
        let mut wire = Wire::new(SampleRate::HZ_8000, Channels::Mono);
        let mut frames = Vec::new();
        let mut rest = &samples[..];
        for at in cuts {
            let (message, after) = rest.split_at(at.min(rest.len()));
            frames.extend(cut(&mut wire, &bytes(message)).unwrap());
            rest = after;
        }
        frames.extend(cut(&mut wire, &bytes(rest)).unwrap());
        let got: Vec<i16> = frames.iter().flat_map(|frame| frame.samples().to_vec()).collect();
        prop_assert_eq!(&got[..], &samples[..samples.len() / 160 * 160]);
    }

    #[test]
    fn no_message_panics(message in prop::collection::vec(any::<u8>(), 0..3000), stereo: bool) {
        let channels = if stereo { Channels::Stereo } else { Channels::Mono };
        let mut wire = Wire::new(SampleRate::HZ_16000, channels);
        let step = if stereo { 4 } else { 2 };
        prop_assert_eq!(cut(&mut wire, &message).is_err(), message.len() % step != 0);
    }

    /// What comes out accounts for every frame that went in, in order.
    #[test]
    fn the_ring_accounts_for_every_frame(pushes in prop::collection::vec(0_usize..400, 1..8)) {
        let mut ring = Ring::default();
        let (mut pushed, mut seen, mut controls) = (0_i16, 0_i16, 0);
        for count in &pushes {
            for _ in 0..*count {
                ring.push_frame(numbered(pushed));
                pushed += 1;
            }
            ring.push_control(MediaEvent::Up);
            // Take a few, as a slow call would.
            for _ in 0..count / 3 {
                account(ring.pop(), &mut seen, &mut controls)?;
            }
        }
        while let Some(event) = ring.pop() {
            account(Some(event), &mut seen, &mut controls)?;
        }
        prop_assert_eq!(seen, pushed);
        prop_assert_eq!(controls, pushes.len());
    }
}

fn account(event: Option<MediaEvent>, seen: &mut i16, controls: &mut usize) -> Result<(), TestCaseError> {
    match event {
        Some(MediaEvent::Frame(frame)) => {
            prop_assert_eq!(frame.samples()[0], *seen);
            *seen += 1;
        }
        Some(MediaEvent::Lost(n)) => *seen += i16::try_from(n).unwrap(),
        Some(MediaEvent::Up) => *controls += 1,
        Some(MediaEvent::Metadata(_) | MediaEvent::Down(_)) | None => {}
    }
    Ok(())
}

#[test]
fn a_full_ring_drops_the_oldest_and_says_where() {
    assert_eq!(CAPACITY_TIME.as_secs(), 5);
    let mut ring = Ring::default();
    ring.push_control(MediaEvent::Up);
    for n in 0..CAPACITY + 3 {
        assert_eq!(ring.push_frame(numbered(n as i16)), n >= CAPACITY);
    }
    assert_eq!(ring.pop(), Some(MediaEvent::Up));
    assert_eq!(ring.pop(), Some(MediaEvent::Lost(3)));
    assert_eq!(ring.pop(), Some(MediaEvent::Frame(numbered(3))));
}

#[test]
fn texts_are_bounded_and_controls_are_not() {
    let mut ring = Ring::default();
    assert_eq!((0..40).filter(|_| ring.push_text("hello".to_owned())).count(), 16);
    for _ in 0..40 {
        ring.push_control(MediaEvent::Down(StreamEnd::Lost));
    }
    let events: Vec<_> = std::iter::from_fn(|| ring.pop()).collect();
    assert_eq!(events.len(), 56);
}

#[test]
fn tokens_read_back_and_are_never_shown() {
    let registry = MediaRegistry::new();
    let (token, _receiver) = registry.expect(&call("c1"));
    assert_eq!(Token::parse(&token.hex()), Some(token.clone()));
    assert_eq!(token.hex().len(), 32);
    assert!(!format!("{token:?}{registry:?}").contains(&token.hex()));
    for wrong in ["", "zz", &"g".repeat(32), &"0".repeat(31), &"é".repeat(16)] {
        assert_eq!(Token::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn earlier_tokens_stay_valid_across_a_restart_but_not_for_ever() {
    let registry = MediaRegistry::new();
    let (first, _receiver) = registry.expect(&call("c1"));
    let (other, _other_receiver) = registry.expect(&call("c2"));
    let slot = registry.slot(&call("c1")).unwrap();
    let second = registry.renew(&call("c1")).unwrap();
    assert_ne!(first, second);
    assert!(slot.admits(&first) && slot.admits(&second));
    assert!(!slot.admits(&other));
    for _ in 0..3 {
        assert!(registry.renew(&call("c1")).is_some());
    }
    assert!(!slot.admits(&first));
    assert_eq!(registry.renew(&call("unknown")), None);
}

#[tokio::test]
async fn a_dropped_receiver_or_a_release_forgets_the_call() {
    let registry = MediaRegistry::new();
    let (_, receiver) = registry.expect(&call("c1"));
    drop(receiver);
    assert!(registry.is_empty());

    let (_, mut receiver) = registry.expect(&call("c2"));
    registry.release(&call("c2"));
    assert_eq!(receiver.recv().await, None);

    // Expected again before the old receiver goes: the new one must survive.
    let (_, mut old) = registry.expect(&call("c3"));
    let (token, _new) = registry.expect(&call("c3"));
    assert_eq!(old.recv().await, None);
    drop(old);
    assert!(registry.slot(&call("c3")).unwrap().admits(&token));
}

#[tokio::test]
async fn a_newer_stream_replaces_the_older_in_order() {
    let (registry, stats) = (MediaRegistry::new(), MediaStats::default());
    let (_, mut receiver) = registry.expect(&call("c1"));
    let slot = registry.slot(&call("c1")).unwrap();
    let mut wire = Wire::new(SampleRate::HZ_8000, Channels::Mono);
    let (first, first_stop) = slot.connect().unwrap();
    first.audio(&mut wire, &bytes(&[1; 160]), &stats).unwrap();
    let (second, _second_stop) = slot.connect().unwrap();
    first.audio(&mut wire, &bytes(&[9; 160]), &stats).unwrap();
    first.down(StreamEnd::Lost);
    second.audio(&mut wire, &bytes(&[2; 160]), &stats).unwrap();
    drop(second);
    assert_eq!(first_stop.await, Ok(StreamEnd::Replaced));
    let events: Vec<_> = std::iter::from_fn(|| receiver.try_recv()).collect();
    assert_eq!(
        events,
        [
            MediaEvent::Up,
            MediaEvent::Frame(numbered(1)),
            MediaEvent::Down(StreamEnd::Replaced),
            MediaEvent::Up,
            MediaEvent::Frame(numbered(2)),
            MediaEvent::Down(StreamEnd::Lost),
        ]
    );
    assert_eq!(stats.frames(), 2);
}

#[test]
fn urls_name_the_rate_only_where_it_is_not_the_usual() {
    let (token, _receiver) = MediaRegistry::new().expect(&call("c1"));
    let hex = token.hex();
    assert_eq!(
        stream_url("ws://10.0.0.1:8090", &call("c1"), &token, SampleRate::HZ_8000),
        format!("ws://10.0.0.1:8090/media/c1?t={hex}")
    );
    assert_eq!(
        stream_url("ws://h/x/", &call("c1"), &token, SampleRate::HZ_16000),
        format!("ws://h/x/media/c1?t={hex}&rate=16000")
    );
}

#[test]
fn every_end_has_its_own_name_and_counter() {
    let stats = MediaStats::default();
    let names: std::collections::HashSet<_> = ENDS.iter().map(|&end| end_name(end)).collect();
    assert_eq!(names.len(), ENDS.len());
    for (at, &end) in ENDS.iter().enumerate() {
        assert_eq!(end as usize, at);
        stats.count_closed(end);
        assert_eq!(stats.closed(end), 1);
    }
}
