use std::sync::Arc;

use tokio::sync::mpsc;

use super::*;
use crate::asr::Segment;

struct Bench {
    queue: Queue,
    start: Instant,
}

impl Bench {
    fn new(capacity: usize) -> Self {
        Self { queue: Queue::new(capacity), start: Instant::now() }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// `call utterance purpose deadline_ms language length_ms`.
    fn job(&self, text: &str) -> Job {
        let word: Vec<&str> = text.split(' ').collect();
        let purpose = match word[2] {
            "amd" => Purpose::Amd,
            "turn" => Purpose::EndOfTurn,
            "partial" => Purpose::Partial,
            _ => Purpose::PostCall,
        };
        let samples = word[5].parse::<usize>().unwrap() * 16;
        Job {
            call: CallId::new(word[0]).unwrap(),
            utterance: UtteranceId(word[1].parse().unwrap()),
            purpose,
            language: word[4].into(),
            among: None,
            segment: Segment { pcm: Arc::from(vec![0i16; samples]), voiced: Duration::ZERO },
            to: Duration::ZERO,
            deadline: self.at(word[3].parse().unwrap()),
            reply: mpsc::channel(1).0,
        }
    }

    fn push(&mut self, text: &str) -> Result<Vec<String>, AsrFailure> {
        let away = self.queue.push(self.job(text), self.start)?;
        Ok(away.iter().map(|(w, why)| format!("{} {why:?}", w.job.call)).collect())
    }

    fn take(&mut self, most: usize, ms: u64) -> (Vec<String>, Vec<String>) {
        let now = self.at(ms);
        let late = self.queue.remove_late(now);
        let name = |w: &Waiting| format!("{}/{}", w.job.call, w.job.utterance.0);
        let batch = self.queue.take(most, now);
        (batch.iter().map(name).collect(), late.iter().map(|(w, _)| name(w)).collect())
    }
}

#[test]
fn the_most_urgent_purpose_goes_first_then_the_earliest_deadline() {
    let mut bench = Bench::new(8);
    for job in [
        "p 1 post 10 en 1000",
        "q 1 partial 20 en 1000",
        "t 1 turn 90 en 1000",
        "u 1 turn 80 en 1000",
        "a 1 amd 99 en 1000",
    ] {
        bench.push(job).unwrap();
    }
    let order: Vec<String> = (0..5).flat_map(|_| bench.take(1, 0).0).collect();
    assert_eq!(order, ["a/1", "u/1", "t/1", "q/1", "p/1"]);
}

#[test]
fn a_newer_partial_replaces_the_one_of_its_own_utterance_only() {
    let mut bench = Bench::new(8);
    for job in [
        "a 1 partial 50 en 1000",
        "a 2 partial 50 en 1000",
        "b 1 partial 50 en 1000",
        "a 1 turn 50 en 1000",
        "a 1 partial 60 en 1300",
    ] {
        bench.push(job).unwrap();
    }
    assert_eq!(bench.queue.len(), 4);
    assert_eq!(bench.take(1, 0).0, ["a/1"], "the end of the turn is kept");
}

#[test]
fn late_jobs_are_set_aside_and_cancelled_ones_forgotten() {
    let mut bench = Bench::new(8);
    for job in ["a 1 amd 50 en 1000", "b 1 amd 500 en 1000", "c 1 amd 500 en 1000", "c 2 amd 500 en 1000"] {
        bench.push(job).unwrap();
    }
    bench.queue.cancel(&CallId::new("c").unwrap(), UtteranceId(1));
    assert_eq!(bench.take(4, 100), (vec!["b/1".to_owned(), "c/2".to_owned()], vec!["a/1".to_owned()]));
    assert!(bench.queue.len() == 0);
}

#[test]
fn a_batch_is_of_one_language_and_like_lengths() {
    let mut bench = Bench::new(8);
    for job in [
        "a 1 amd 1000 en 2300",
        "b 1 amd 1020 fr 2300",
        "c 1 amd 1030 en 9000",
        "d 1 partial 1040 en 1200",
        "e 1 post 1050 en 2300",
        "f 1 partial 1060 en 3700",
    ] {
        bench.push(job).unwrap();
    }
    assert_eq!(bench.take(4, 0).0, ["a/1", "d/1"], "f is like a, but not like d");
    assert_eq!(bench.take(4, 0).0, ["b/1"]);
    assert_eq!(bench.take(4, 0).0, ["c/1"]);
    assert_eq!(bench.take(4, 0).0, ["f/1"]);
    assert_eq!(bench.take(4, 0).0, ["e/1"]);
}

#[test]
fn a_batch_waits_for_nothing_and_is_done_by_its_earliest_deadline() {
    let mut bench = Bench::new(8);
    // Each is expected to take 80 ms.
    for job in ["a 1 amd 170 en 2000", "b 1 amd 900 en 2000", "c 1 amd 900 en 2000"] {
        bench.push(job).unwrap();
    }
    assert_eq!(bench.take(4, 0).0, ["a/1", "b/1"], "a third would be one too many for the first");
    bench.push("d 1 turn 20 en 2000").unwrap();
    assert_eq!(bench.take(4, 0).0, ["c/1"], "d's own deadline is too near for company");
    assert_eq!(bench.take(4, 0).0, ["d/1"]);
    bench.queue.learn(Duration::from_secs(1), Duration::from_secs(2));
    bench.push("e 1 turn 9000 en 2000").unwrap();
    bench.push("f 1 turn 9000 en 2000").unwrap();
    assert_eq!(bench.take(4, 0).0, ["e/1"], "a slow model batches nothing");
}

#[test]
fn a_talkative_call_does_not_starve_the_others() {
    let mut bench = Bench::new(64);
    for n in 0..20 {
        bench.push(&format!("loud {n} partial {} en 6000", 100 + n)).unwrap();
    }
    for call in ["a", "b", "c"] {
        bench.push(&format!("{call} 1 partial 500 en 2000")).unwrap();
    }
    let order: Vec<String> = (0..5).flat_map(|_| bench.take(1, 0).0).collect();
    assert_eq!(order, ["loud/0", "a/1", "b/1", "c/1", "loud/1"]);
    bench.push("loud 99 amd 900 en 2000").unwrap();
    assert_eq!(bench.take(1, 0).0, ["loud/99"], "its verdict is as urgent as anybody's");
}

#[test]
fn what_can_be_spared_best_is_shed() {
    let mut bench = Bench::new(8);
    for job in
        ["a 1 amd 900 en 2000", "a 2 turn 900 en 2000", "b 1 partial 500 en 2000", "c 1 partial 600 en 2000"]
    {
        bench.push(job).unwrap();
    }
    assert_eq!(bench.queue.backlog().as_millis(), 320);
    let shed: Vec<String> =
        std::iter::from_fn(|| bench.queue.shed()).map(|(w, why)| format!("{} {why:?}", w.job.call)).collect();
    assert_eq!(shed, ["c Shed", "b Shed"], "verdicts and turns never");
}

#[test]
fn a_full_queue_refuses_unless_something_in_it_is_late_or_less_urgent() {
    let mut bench = Bench::new(2);
    bench.push("a 1 partial 50 en 1000").unwrap();
    bench.push("b 1 post 50 en 1000").unwrap();
    assert_eq!(bench.push("c 1 amd 50 en 1000").unwrap(), ["b QueueFull"]);
    assert_eq!(bench.push("d 1 partial 50 en 1000"), Err(AsrFailure::QueueFull));
    let (job, now) = (bench.job("e 1 partial 400 en 1000"), bench.at(100));
    let away = bench.queue.push(job, now).unwrap();
    assert_eq!(away.len(), 2, "both were late");
    assert_eq!(bench.queue.len(), 1);
}
