use std::{path::Path, time::Duration};

use freeswitch_esl_tokio::commands::Variables;
use proptest::prelude::*;
use sidetone_core::{
    call::{CallId, HangupCause, PlayId},
    frame::SampleRate,
};

use crate::{
    config::{Config, Secret, StreamModule},
    switch::{
        Originate, SwitchError,
        esl::{
            EslOptions, check_password,
            command::{Dialect, kill, play, stop_playback, transfer},
        },
    },
};

const URL: &str = "ws://127.0.0.1:8090/media/c-1?t=00ff&rate=16000";

fn call() -> CallId {
    CallId::new("c-1").unwrap()
}

fn dialect(module: StreamModule) -> Dialect {
    Dialect {
        module,
        rate: SampleRate::HZ_8000,
        instance: "one".to_owned(),
        adopted_limit: Duration::from_secs(660),
    }
}

fn order() -> Originate {
    Originate {
        dial_string: "sofia/gateway/gw/33612345678".to_owned(),
        caller_id: "+33100000000".to_owned(),
        caller_name: None,
        ring_timeout: Duration::from_secs(30),
        park_timeout: Duration::from_secs(600),
        stream_url: URL.to_owned(),
        variables: Vec::new(),
    }
}

fn originate(order: &Originate) -> Result<String, SwitchError> {
    dialect(StreamModule::AudioStream).originate(&call(), order)
}

/// What FreeSWITCH would make of the command: its variables and its dial string.
fn understood(text: &str) -> (Variables, String) {
    let rest = text.strip_prefix("originate ").unwrap().strip_suffix(" &park()").unwrap();
    // The block ends at its matching brace, whatever the quotes.
    let mut depth = 0;
    let end = rest.char_indices().find(|&(_, c)| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0
    });
    let (block, dial_string) = rest.split_at(end.unwrap().0 + 1);
    (block.parse().unwrap(), dial_string.to_owned())
}

#[test]
fn an_originate_reads_as_measured() {
    assert_eq!(
        originate(&order()).unwrap(),
        "originate {origination_uuid=c-1,ignore_early_media=true,originate_timeout=31,\
         origination_caller_id_number=+33100000000,park_timeout=600,STREAM_BUFFER_SIZE=20,\
         STREAM_MESSAGE_DEFLATE=true,sidetone_instance=one,api_on_answer='uuid_audio_stream c-1 start \
         ws://127.0.0.1:8090/media/c-1?t=00ff&rate=16000 mono 8k'}sofia/gateway/gw/33612345678 &park()"
    );
}

#[test]
fn the_fork_always_gets_its_bugs_name() {
    let fork = dialect(StreamModule::AudioFork);
    assert_eq!(
        fork.start_stream(&call(), URL).unwrap(),
        format!("uuid_audio_fork c-1 start {URL} mono 8k sidetone")
    );
    assert_eq!(fork.stop_stream(&call()), "uuid_audio_fork c-1 stop sidetone");
    assert!(fork.events().contains(" CUSTOM mod_audio_fork::connect "));
}

#[test]
fn what_contacts_carry_arrives_as_it_was() {
    let values = [
        ("plain", "Anna"),
        ("quote", "O'Brien"),
        ("comma", "Miller, Bob"),
        ("double", "the \"boss\""),
        ("backslash", "a\\b\\\\c\\n"),
        ("braces", "{a=b}"),
        ("unicode", "Zoë 漢字"),
        ("edges", " x "),
        ("tricky", "x',origination_uuid=other,y='"),
        ("app", "1 &system(rm)"),
    ];
    let variables: Vec<_> = values.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let text = originate(&Originate { variables, caller_name: Some("D'Arc, Jeanne".to_owned()), ..order() })
        .unwrap();
    let (block, dial_string) = understood(&text);
    for (name, value) in values {
        assert_eq!(block.get(name), Some(value), "{text}");
    }
    assert_eq!(block.get("origination_caller_id_name"), Some("D'Arc, Jeanne"));
    assert_eq!(block.get("origination_uuid"), Some("c-1"));
    assert_eq!(block.len(), 10 + values.len());
    assert_eq!(dial_string, "sofia/gateway/gw/33612345678");
}

#[test]
fn what_cannot_be_carried_is_refused() {
    for (value, character) in [
        ("a\nb", '\n'),
        ("a\rb", '\r'),
        ("a\0b", '\0'),
        ("${uuid}", '$'),
        ("}x", '}'),
        ("{x", '{'),
        ("a:_:b", ':'),
    ] {
        let variables = vec![("name".to_owned(), value.to_owned())];
        let refused = originate(&Originate { variables, ..order() });
        assert_eq!(
            refused,
            Err(SwitchError::Unsendable { what: "a variable's value", character }),
            "{value:?}"
        );
    }
    for dial_string in
        ["", "user/1,user/2", "user/1|user/2", "{a=b}user/1", "[a=b]user/1", "user/1 &park()", "user/'1"]
    {
        assert!(
            originate(&Originate { dial_string: dial_string.to_owned(), ..order() }).is_err(),
            "{dial_string}"
        );
    }
    for caller_id in ["", "12 34", "1,a=b", "1'"] {
        assert!(originate(&Originate { caller_id: caller_id.to_owned(), ..order() }).is_err(), "{caller_id}");
    }
    for stream_url in ["", "ws://h/a b", "ws://h/a'b", "ws://h/a,b=c", "ws://h/${x}"] {
        assert!(
            originate(&Originate { stream_url: stream_url.to_owned(), ..order() }).is_err(),
            "{stream_url}"
        );
    }
    let variables = vec![("a=b".to_owned(), "x".to_owned())];
    assert!(originate(&Originate { variables, ..order() }).is_err());
}

#[test]
fn data_cannot_take_the_place_of_our_own_variables() {
    let names =
        ["ORIGINATION_UUID", "api_on_answer", "api_on_ring", "execute_on_answer", "park_timeout", "empty"];
    let variables =
        names.iter().map(|&name| (name.to_owned(), if name == "empty" { "" } else { "x" }.to_owned()));
    let text = originate(&Originate { variables: variables.collect(), ..order() }).unwrap();
    assert_eq!(text, originate(&order()).unwrap());
}

#[test]
fn a_playback_carries_its_id_and_its_start() {
    let wire = |file: &str, from| {
        let command = play(&call(), PlayId(7), Path::new(file), Duration::from_millis(from), 8000)?;
        Ok::<_, SwitchError>(command.to_wire_format().unwrap())
    };
    assert_eq!(
        wire("/p/a b.wav", 0).unwrap(),
        // The switch takes header names in any case; this is the library's.
        "sendmsg c-1\nCall-Command: execute\nExecute-App-Name: playback\nExecute-App-Arg: \
         {sidetone_play=7}/p/a b.wav\nEvent-Uuid: sidetone-play-7\nEvent-Lock: true\n\n"
    );
    assert!(wire("/p/a.wav", 4000).unwrap().contains("}/p/a.wav@@32000\n"));
    for file in ["", "/p/a\n\nb", "/p/${x}.wav", "/p/{a}.wav", "/a!/b", "/a@@3", "/a'b"] {
        assert!(wire(file, 0).is_err(), "{file:?}");
    }
    assert_eq!(stop_playback(&call()), "uuid_break c-1 all");
}

#[test]
fn causes_and_targets_keep_to_their_grammar() {
    assert_eq!(kill(&call(), &HangupCause::new("NORMAL_CLEARING")).unwrap(), "uuid_kill c-1 NORMAL_CLEARING");
    assert!(kill(&call(), &HangupCause::new("NORMAL CLEARING")).is_err());
    assert!(kill(&call(), &HangupCause::new("")).is_err());
    assert_eq!(transfer(&call(), "1000 XML default").unwrap(), "uuid_transfer c-1 1000 XML default");
    for target in ["", "-bleg 1000", "1000\n", "'hangup:' inline", "a,b"] {
        assert!(transfer(&call(), target).is_err(), "{target:?}");
    }
}

#[test]
fn the_well_known_password_stays_on_this_machine() {
    let (known, own) = (Secret::new("ClueCon"), Secret::new("s3cret"));
    for host in ["127.0.0.1:8021", "localhost:8021", "[::1]:8021", "127.1.2.3"] {
        assert!(check_password(host, &known).is_ok(), "{host}");
    }
    for host in ["10.0.0.5:8021", "freeswitch:8021", "[2001:db8::1]:8021"] {
        let error = check_password(host, &known).unwrap_err().to_string();
        assert!(error.starts_with("switch.password:") && !error.contains("ClueCon"), "{error}");
        assert!(check_password(host, &own).is_ok());
    }
    assert!(check_password("", &own).is_err() && check_password("h:x", &own).is_err());
}

#[test]
fn options_come_from_the_configuration() {
    let options = EslOptions::from_config(&Config::default()).unwrap();
    assert_eq!((options.host.as_str(), options.port, options.rate), ("127.0.0.1", 8021, SampleRate::HZ_8000));
    let mut config = Config::default();
    config.switch.instance = "a b".to_owned();
    assert!(EslOptions::from_config(&config).unwrap_err().to_string().starts_with("switch.instance"));
}

proptest! {
    /// Whatever a contact is called, the switch gets our variables, theirs as they were, and one leg to dial.
    #[test]
    fn no_value_injects_anything(
        value in r#"([a-zé'",\\{}\[\]<>=&|:_$%^ @!()\n\r\x00]|\$\{|\\n|:_:|origination_uuid=|&park\(\)){1,40}"#,
        name in ".{0,12}",
    ) {
        let variables = vec![("contact".to_owned(), value.clone()), (name.clone(), "x".to_owned())];
        for variables in [variables[..1].to_vec(), variables] {
            let caller_name = Some(value.clone());
            if let Ok(text) = originate(&Originate { variables, caller_name, ..order() }) {
                prop_assert!(!text.contains(['\n', '\r', '\0']));
                let (block, dial_string) = understood(&text);
                prop_assert_eq!(block.get("contact"), Some(value.as_str()));
                prop_assert_eq!(block.get("origination_uuid"), Some("c-1"));
                prop_assert_eq!(block.get("sidetone_instance"), Some("one"));
                let usual = originate(&order()).unwrap();
                for (key, _) in block.iter() {
                    let expected = key == name
                        || key == "contact"
                        || key == "origination_caller_id_name"
                        || usual.contains(&format!("{key}="));
                    prop_assert!(expected, "{}", key);
                }
                prop_assert_eq!(dial_string, "sofia/gateway/gw/33612345678");
            }
        }
    }

    #[test]
    fn nothing_else_injects_a_line_or_a_word(text in any::<String>()) {
        let plain = |wire: &str| !wire.contains(['\n', '\r', '\0']);
        if let Ok(wire) = transfer(&call(), &text) {
            prop_assert!(plain(&wire) && !wire.contains(" -"));
        }
        if let Ok(wire) = kill(&call(), &HangupCause(text.clone())) {
            prop_assert!(plain(&wire) && wire.split(' ').count() == 3);
        }
        if let Ok(wire) = dialect(StreamModule::AudioStream).start_stream(&call(), &text) {
            prop_assert!(plain(&wire) && wire.split(' ').count() == 6);
        }
        if let Ok(command) = play(&call(), PlayId(1), Path::new(&text), Duration::ZERO, 8000) {
            prop_assert_eq!(command.to_wire_format().unwrap().lines().count(), 7);
        }
    }
}
