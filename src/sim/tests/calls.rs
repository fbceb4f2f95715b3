use super::*;

const CAST: &str = "
callees:
  - { name: yes, number: '+1001', answer: { after: 40ms } }
  - { name: busy, number: '1002', answer: busy }
  - { name: rings, number: '1003', answer: no_answer }
  - { name: nobody, number: '1004', answer: unallocated }
  - { name: down, number: '1005', answer: failure }
  - { name: absent, number: '1006', answer: absent }
  - name: leaves
    number: '1007'
    answer: { after: 0s }
    does: [ { at: 100ms, press: '5' }, { at: 200ms, hang_up: true } ]
";

fn originate(uuid: &str, number: &str, more: &str) -> String {
    format!(
        "originate {{origination_uuid={uuid},ignore_early_media=true{more}}}sofia/gateway/gw/{number} &park()"
    )
}

#[tokio::test]
async fn an_answered_call_goes_through_the_usual_events() {
    let sim = sim(CAST).await;
    let mut esl = Esl::listening(&sim).await;
    esl.command(&format!("bgapi {}", originate("u-1", "1001", ",tag='a b'"))).await;
    let names = esl.names(Duration::from_millis(250)).await;
    let usual = [
        "CHANNEL_CREATE",
        "CHANNEL_ORIGINATE",
        "CHANNEL_PROGRESS",
        "CHANNEL_ANSWER",
        "BACKGROUND_JOB",
        "CHANNEL_EXECUTE",
        "CHANNEL_PARK",
    ];
    assert_eq!(names, usual);
    assert_eq!(esl.api("uuid_exists u-1").await, "true");
    assert_eq!(esl.api("uuid_getvar u-1 tag").await, "a b");
    assert_eq!(esl.api("uuid_getvar u-1 nope").await, "_undef_");
    let show: serde_json::Value = serde_json::from_str(&esl.api("show channels as json").await).unwrap();
    assert_eq!((&show["row_count"], &show["rows"][0]["uuid"]), (&1.into(), &"u-1".into()));
    assert_eq!(esl.api("uuid_kill u-1").await, "+OK\n");
    let over = esl.event("CHANNEL_HANGUP_COMPLETE").await;
    assert_eq!(over["Hangup-Cause"], "NORMAL_CLEARING");
    assert_eq!(over["variable_sip_hangup_disposition"], "send_bye");
    assert_eq!(esl.api("uuid_kill u-1").await, "-ERR No such channel!\n");
    assert_eq!(esl.api("show channels as json").await, "{\"row_count\":0}\n");
}

#[tokio::test]
async fn calls_that_fail_say_why_in_the_job_and_in_the_events() {
    let sim = sim(CAST).await;
    let mut esl = Esl::listening(&sim).await;
    for (number, cause, q850, status) in [
        ("1002", "USER_BUSY", "17", "486"),
        ("1004", "UNALLOCATED_NUMBER", "1", "404"),
        ("1005", "NORMAL_TEMPORARY_FAILURE", "41", "503"),
    ] {
        assert_eq!(esl.job(&originate("u-2", number, "")).await, format!("-ERR {cause}\n"));
        let names = esl.names(Duration::from_millis(60)).await;
        assert!(names.is_empty(), "the job comes last: {names:?}");
        esl.command(&format!("bgapi {}", originate("u-2", number, ""))).await;
        let over = esl.event("CHANNEL_HANGUP_COMPLETE").await;
        assert_eq!(over["Hangup-Cause"], cause);
        assert_eq!(over["variable_hangup_cause_q850"], q850);
        assert_eq!(over["variable_sip_term_status"], status);
        esl.event("BACKGROUND_JOB").await;
    }
}

#[tokio::test]
async fn some_failures_have_no_events_at_all() {
    let sim = sim(CAST).await;
    let mut esl = Esl::listening(&sim).await;
    for (dial, cause) in [
        ("sofia/gateway/gw/1006", "SUBSCRIBER_ABSENT"),
        ("user/nobody", "SUBSCRIBER_ABSENT"),
        ("error/user_busy", "USER_BUSY"),
        ("sofia/gateway/gw/999", "NO_ROUTE_DESTINATION"),
    ] {
        esl.command(&format!("bgapi originate {{origination_uuid=u-3}}{dial} &park()")).await;
        let job = esl.next().await.unwrap().json();
        assert_eq!(
            (&job["Event-Name"], &job["_body"]),
            (&"BACKGROUND_JOB".into(), &format!("-ERR {cause}\n").into())
        );
    }
    assert_eq!(
        esl.job("originate {origination_uuid=u-3}sofia/nope/1 &park()").await,
        "-ERR INVALID_PROFILE\n"
    );
}

#[tokio::test]
async fn nobody_answers_within_a_second_of_the_timeout() {
    let sim = sim(CAST).await;
    let mut esl = Esl::listening(&sim).await;
    let start = Instant::now();
    assert_eq!(esl.job(&originate("u-4", "1003", ",originate_timeout=2")).await, "-ERR NO_ANSWER\n");
    let rang = start.elapsed();
    assert!((1000..2050).contains(&rang.as_millis()), "{rang:?}");
    assert_eq!(sim.report().calls[0].ended_by, Some(EndedBy::RingTimeout));
}

#[tokio::test]
async fn a_ringing_call_can_be_killed() {
    let sim = sim(CAST).await;
    let mut esl = Esl::listening(&sim).await;
    esl.command(&format!("bgapi {}", originate("u-5", "1003", ""))).await;
    esl.event("CHANNEL_PROGRESS").await;
    assert_eq!(esl.api("uuid_kill u-5 ORIGINATOR_CANCEL").await, "+OK\n");
    assert_eq!(esl.event("BACKGROUND_JOB").await["_body"], "-ERR ORIGINATOR_CANCEL\n");
}

#[tokio::test]
async fn a_blocking_originate_holds_up_its_connection_and_no_other() {
    let sim = sim(CAST).await;
    let mut blocked = Esl::listening(&sim).await;
    let mut other = Esl::listening(&sim).await;
    blocked.send(&format!("api {}\n\n", originate("u-6", "1003", ",originate_timeout=2"))).await;
    other.event("CHANNEL_PROGRESS").await;
    assert!(timeout(Duration::from_millis(300), blocked.next()).await.is_err());
    assert_eq!(other.api("uuid_kill u-6").await, "+OK\n");
    let reply = blocked.next().await.unwrap();
    assert_eq!((reply.kind(), reply.body.as_str()), ("api/response", "-ERR NORMAL_CLEARING\n"));
}

#[tokio::test]
async fn a_person_presses_a_key_and_leaves() {
    let sim = sim(CAST).await;
    let mut esl = Esl::listening(&sim).await;
    esl.command(&format!("bgapi {}", originate("u-7", "1007", ""))).await;
    let key = esl.event("DTMF").await;
    assert_eq!((&key["DTMF-Digit"], &key["DTMF-Duration"]), (&"5".into(), &"2080".into()));
    let over = esl.event("CHANNEL_HANGUP_COMPLETE").await;
    assert_eq!(over["variable_sip_hangup_disposition"], "recv_bye");
    let call = &sim.report().calls[0];
    assert_eq!((call.keys.as_str(), call.ended_by), ("5", Some(EndedBy::Callee)));
}

#[tokio::test]
async fn a_parked_channel_is_hung_up_by_its_dead_mans_timer() {
    let sim = sim(CAST).await;
    let mut esl = Esl::listening(&sim).await;
    esl.command(&format!("bgapi {}", originate("u-8", "1001", ",park_timeout=1"))).await;
    esl.event("CHANNEL_PARK").await;
    let parked = Instant::now();
    assert_eq!(esl.event("CHANNEL_HANGUP_COMPLETE").await["Hangup-Cause"], "NORMAL_CLEARING");
    assert!((900..2000).contains(&parked.elapsed().as_millis()), "{:?}", parked.elapsed());
    assert_eq!(sim.report().calls[0].ended_by, Some(EndedBy::ParkTimeout));
}

#[tokio::test]
async fn an_incoming_call_is_parked_with_its_scenario() {
    let sim = sim(CAST).await;
    let mut esl = Esl::listening(&sim).await;
    let uuid = sim.inbound("+33612345678", "appointment");
    let parked = esl.event("CHANNEL_PARK").await;
    assert_eq!(parked["Unique-ID"], uuid.as_str());
    assert_eq!(parked["variable_sidetone_scenario"], "appointment");
    assert_eq!((&parked["Answer-State"], &parked["Call-Direction"]), (&"answered".into(), &"inbound".into()));
}

#[tokio::test]
async fn events_can_come_in_reverse() {
    let sim = sim(CAST).await;
    sim.set_delivery(Delivery { reorder: 1.0, delay: Duration::ZERO });
    let mut esl = Esl::listening(&sim).await;
    esl.command(&format!("bgapi {}", originate("u-9", "1002", ""))).await;
    let names = esl.names(Duration::from_millis(150)).await;
    let at = |name: &str| names.iter().position(|n| n == name).unwrap();
    assert!(at("CHANNEL_HANGUP_COMPLETE") < at("CHANNEL_HANGUP"), "{names:?}");
}

#[tokio::test]
async fn the_loopback_leg_has_a_twin() {
    let sim = sim(CAST).await;
    let mut esl = Esl::listening(&sim).await;
    let reply = esl.job("originate {origination_uuid=u-10}loopback/sidetone_test/sidetone &park()").await;
    assert_eq!(reply, "+OK u-10\n");
    assert_eq!(sim.channels().len(), 2);
    esl.api("uuid_kill u-10").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(sim.channels().is_empty());
}
