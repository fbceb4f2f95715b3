use sidetone_core::{
    amd::{Cause, Verdict},
    call::{Disposition, Event, HangupReason, PlayId},
    campaign::{Control, RetryTable},
};

use super::*;
use crate::store::{FinishedCall, NewCampaign, NewContact};

const DAY: Duration = Duration::from_secs(86_400);

/// A person whom we greet in time, or hang up on.
fn call(is_silent: bool, ended_ms: i64) -> FinishedCall {
    let verdict = Event::Verdict {
        verdict: Verdict::Human,
        cause: Cause::ShortGreeting,
        confidence: 0.9,
        evidence: Vec::new(),
        at_ms: 1000,
        after_speech_ms: Some(400),
    };
    let then = match is_silent {
        true => Event::HangupAsked { reason: HangupReason::Operator },
        false => Event::PromptStarted { id: PlayId(1), file: "a.wav".to_owned() },
    };
    let ended = Event::Ended { disposition: Disposition::HungUp, outcome: None };
    let mut finished = FinishedCall::new(Disposition::Failed, ended_ms);
    for (media_ms, event) in [(0, Event::Answered), (1000, verdict), (1100, then), (9000, ended)] {
        finished.observe(ended_ms, Some(media_ms), &event);
    }
    finished
}

struct Desk {
    store: Store,
    now_ms: i64,
    _folder: tempfile::TempDir,
}

impl Desk {
    async fn new(contacts: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).await.unwrap();
        let new = NewCampaign {
            name: "spring".to_owned(),
            scenario: String::new(),
            language: None,
            caller_id: None,
            max_concurrent: 1000,
            cps: 1000.0,
            max_attempts: 1,
        };
        let id = store.create_campaign(&new, 0).await.unwrap().id;
        let contacts: Vec<_> =
            (0..contacts).map(|i| NewContact::new(format!("+3361234{i:04}"), Default::default())).collect();
        store.import_contacts(id, &contacts, 0).await.unwrap();
        store.control_campaign("spring", Control::Run, 0).await.unwrap();
        Self { store, now_ms: now_ms(), _folder: folder }
    }

    async fn calls(&self, silent: usize, heard: usize, ended_ms: i64) {
        let id = self.campaign().await.id;
        for i in 0..silent + heard {
            let claimed = self.store.claim_contacts(id, 1, "one", self.now_ms).await.unwrap().remove(0);
            let finished = call(i < silent, ended_ms);
            self.store
                .finish_attempt(&claimed.call, &finished, &RetryTable::with_max_attempts(1))
                .await
                .unwrap();
        }
    }

    async fn campaign(&self) -> Campaign {
        self.store.campaign("spring").await.unwrap()
    }

    async fn judge(&self) -> Brake {
        let limits = [AbandonLimit { share: 0.03, window: DAY, counts_estimate: true }];
        judge(&self.store, &self.campaign().await, &limits, (0.01, self.now_ms)).await.unwrap()
    }
}

#[tokio::test]
async fn a_campaign_is_slowed_near_its_limit_and_paused_at_it() {
    let desk = Desk::new(200).await;
    desk.calls(2, 87, desk.now_ms).await;
    assert_eq!(desk.judge().await, Brake::Free);
    desk.calls(1, 40, desk.now_ms).await;
    let Brake::Slow(pace) = desk.judge().await else { panic!("3 of 130 is close to 3 %") };
    let slowed = desk.campaign().await;
    assert!((slowed.throttle - pace).abs() < 1e-9 && slowed.state == CampaignState::Running);
    let note =
        "abandoned calls: 3 of 130 live answers and an estimated 0.0 people taken for machines in 24 h";
    assert!(slowed.throttle_note.as_deref().is_some_and(|text| text.starts_with(note)), "{slowed:?}");
    desk.calls(1, 0, desk.now_ms).await;
    assert_eq!(desk.judge().await, Brake::Hold);
    let held = desk.campaign().await;
    assert_eq!(held.state, CampaignState::Paused);
    assert!(held.note.is_some_and(|note| note.starts_with("abandoned calls: 4 of 131 live answers")));
}

#[tokio::test]
async fn the_pace_comes_back_when_the_window_has_moved_on() {
    let desk = Desk::new(120).await;
    let yesterday = desk.now_ms - 86_400_000;
    desk.calls(3, 100, yesterday + 1000).await;
    assert!(matches!(desk.judge().await, Brake::Slow(_)));
    let later = Desk { now_ms: desk.now_ms + 2000, ..desk };
    assert_eq!(later.judge().await, Brake::Free);
    let free = later.campaign().await;
    assert_eq!((free.throttle, free.throttle_note), (1.0, None));
}
