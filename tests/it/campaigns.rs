//! Campaigns over real sockets: pace, pause, stop, nobody twice.

use std::time::Duration;

use sidetone::sim::EndedBy;
use sidetone_core::{
    call::Disposition,
    campaign::{CampaignState, Control},
};
use tokio::time::sleep;

use crate::support::{Setup, callee, person};

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("+4420794601{n:02}")).collect()
}

fn refs(numbers: &[String]) -> Vec<&str> {
    numbers.iter().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_called_once_at_the_pace_that_was_set() {
    let numbers = numbers(6);
    let cast: String = numbers.iter().map(|number| person(number)).collect();
    let rig = Setup::cast(&cast).start().await;
    rig.campaign(&refs(&numbers), 3, 2.0).await;
    rig.control(Control::Run).await;
    rig.campaign_when(|campaign, _| campaign.state == CampaignState::Done).await;
    let counts = rig.store.campaign_counts(1).await.expect("counts");
    assert_eq!(counts.by_disposition.get(&Disposition::Completed), Some(&6), "{counts:?}");
    let report = rig.stop().await;
    assert!(numbers.iter().all(|number| report.times_called(number) == 1));
    assert!(report.peak_calls <= 3, "{}", report.peak_calls);
    let mut begun: Vec<u64> = report.calls.iter().map(|call| call.created_ms).collect();
    begun.sort_unstable();
    // Two a second: of any three, the last comes a second after the first, or a tick sooner.
    assert!(begun.windows(3).all(|w| w[2] - w[0] >= 850), "{begun:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_campaign_starts_no_call_and_goes_on_when_resumed() {
    let numbers = numbers(3);
    let cast: String = numbers.iter().map(|number| person(number)).collect();
    let rig = Setup::cast(&cast).start().await;
    rig.campaign(&refs(&numbers), 1, 10.0).await;
    rig.control(Control::Run).await;
    rig.live_call().await;
    rig.control(Control::Pause).await;
    rig.campaign_when(|_, counts| counts.live == 0).await;
    sleep(Duration::from_millis(500)).await;
    let counts = rig.store.campaign_counts(1).await.expect("counts");
    assert_eq!((counts.done, counts.waiting), (1, 2), "the live one went on to its end");
    rig.control(Control::Resume).await;
    rig.campaign_when(|campaign, _| campaign.state == CampaignState::Done).await;
    let report = rig.stop().await;
    assert!(numbers.iter().all(|number| report.times_called(number) == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_campaign_ends_its_calls_ringing_ones_too() {
    let numbers = numbers(3);
    let cast = person(&numbers[0]) + &callee(&numbers[1], "no_answer", &[]) + &person(&numbers[2]);
    let rig = Setup::cast(&cast).configure(|c| c.call.ring_timeout = Duration::from_secs(20)).start().await;
    rig.campaign(&refs(&numbers), 2, 10.0).await;
    rig.control(Control::Run).await;
    rig.campaign_when(|_, counts| counts.live == 2).await;
    sleep(Duration::from_millis(800)).await;
    rig.control(Control::Stop).await;
    rig.campaign_when(|_, counts| counts.live == 0).await;
    let counts = rig.store.campaign_counts(1).await.expect("counts");
    assert_eq!(counts.by_disposition.get(&Disposition::Cancelled), Some(&2), "{counts:?}");
    let report = rig.stop().await;
    assert_eq!(report.calls.len(), 2, "the third was never called");
    assert!(report.calls.iter().all(|call| call.ended_by == Some(EndedBy::Command)), "{:?}", report.calls);
    let ringing = report.calls.iter().find(|call| call.answered_ms.is_none()).expect("one rang");
    assert_eq!(ringing.hangup_cause.as_deref(), Some("ORIGINATOR_CANCEL"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_line_waits_for_its_next_attempt() {
    let numbers = numbers(1);
    let rig = Setup::cast(&callee(&numbers[0], "busy", &[])).start().await;
    rig.campaign(&refs(&numbers), 1, 10.0).await;
    rig.control(Control::Run).await;
    rig.campaign_when(|_, counts| counts.attempts == 1 && counts.live == 0).await;
    sleep(Duration::from_millis(400)).await;
    let counts = rig.store.campaign_counts(1).await.expect("counts");
    assert_eq!((counts.waiting, counts.attempts), (1, 1), "{counts:?}");
    let wait = counts.next_due_ms.expect("due") - sidetone::store::now_ms();
    assert!((200_000..=400_000).contains(&wait), "again in five minutes or so, not {wait} ms");
    assert_eq!(rig.stop().await.calls.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_service_goes_on_where_it_stopped() {
    let numbers = numbers(3);
    let cast: String = numbers.iter().map(|number| person(number)).collect();
    let rig = Setup::cast(&cast).start().await;
    rig.campaign(&refs(&numbers), 1, 10.0).await;
    rig.control(Control::Run).await;
    rig.live_call().await;
    let rig = rig.restart().await;
    rig.campaign_when(|campaign, _| campaign.state == CampaignState::Done).await;
    let report = rig.stop().await;
    assert!(numbers.iter().all(|number| report.times_called(number) == 1), "{:?}", report.calls);
}
