use std::{collections::BTreeSet, time::Duration};

use super::*;

fn faults(text: &str) -> Vec<String> {
    Config::parse(text).expect("parses").check().iter().map(Fault::to_string).collect()
}

fn keys(value: &toml::Value, path: &str, into: &mut BTreeSet<String>) {
    match value.as_table() {
        Some(table) => table.iter().for_each(|(key, value)| keys(value, &format!("{path}/{key}"), into)),
        None => {
            into.insert(path.to_owned());
        }
    }
}

#[test]
fn example_holds_every_key_with_its_default() {
    let parsed = Config::parse(EXAMPLE).expect("the example parses");
    assert_eq!(parsed, Config::default());

    let mut known = BTreeSet::new();
    keys(&toml::Value::try_from(Config::default()).expect("serialises"), "", &mut known);
    let mut documented = BTreeSet::new();
    keys(&toml::from_str(EXAMPLE).expect("is TOML"), "", &mut documented);
    assert_eq!(known, documented);
}

#[test]
fn every_key_of_the_example_is_explained() {
    let mut explained = false;
    for line in EXAMPLE.lines() {
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(explained, "no comment above `{line}`");
        }
        explained = line.starts_with('#');
    }
}

#[test]
fn defaults_pass_their_own_checks() {
    assert_eq!(Config::default().check(), []);
}

#[test]
fn what_is_shown_reads_back() {
    let shown = toml::to_string(&Config::default()).expect("serialises");
    let mut back = Config::parse(&shown).expect("parses again");
    assert_eq!(back.switch.password.reveal(), "(hidden)");
    back.switch.password = Config::default().switch.password;
    assert_eq!(back, Config::default());
}

#[test]
fn unknown_key_is_named_with_its_line() {
    let error = Config::parse("[media]\nlisten = \"127.0.0.1:1\"\nlisen = 3\n").expect_err("unknown key");
    let text = error.to_string();
    assert!(text.starts_with("configuration:3: unknown key `lisen`"), "{text}");
    assert!(text.contains("`listen`"), "{text}");
}

#[test]
fn unknown_section_and_wrong_types_are_named_with_their_line() {
    for (text, line, word) in [
        ("\n[madia]\n", 2, "madia"),
        ("[media]\nsample_rate = \"fast\"\n", 2, "string"),
        ("[call]\nmax_duration = \"soon\"\n", 2, "`soon` is no duration"),
        ("[call]\nmax_duration = \"-5s\"\n", 2, "negative"),
        ("[switch]\nmodule = \"mod_other\"\n", 2, "mod_audio_fork"),
        ("[switch\n", 1, ""),
    ] {
        let error = Config::parse(text).expect_err(text).to_string();
        assert!(error.starts_with(&format!("configuration:{line}: ")), "{error}");
        assert!(error.contains(word), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn faults_name_their_key() {
    for (text, key) in [
        ("[media]\nsample_rate = 44100", "media.sample_rate"),
        ("[media]\nmax_message_bytes = 100", "media.max_message_bytes"),
        ("[media]\nidle_timeout = \"10ms\"", "media.idle_timeout"),
        ("[media]\nlisten = \"0.0.0.0:8090\"", "media.public_url"),
        ("[media]\nlisten = \"[::1]:8090\"", "media.public_url"),
        ("[media]\npublic_url = \"http://a:1\"", "media.public_url"),
        ("[media]\npublic_url = \"ws://side_tone:8090\"", "media.public_url"),
        ("[media]\npublic_url = \"ws://[::1]:8090\"", "media.public_url"),
        ("[media]\npublic_url = \"ws://a:0\"", "media.public_url"),
        ("[media]\npublic_url = \"ws://a:1/path\"", "media.public_url"),
        ("[switch]\nesl = \"localhost\"", "switch.esl"),
        ("[switch]\nesl = \"10.0.0.1:8021\"", "switch.password"),
        ("[switch]\nesl = \"freeswitch:8021\"", "switch.password"),
        ("[switch]\npassword = \"a\\nb\"", "switch.password"),
        ("[switch]\ncaller_id = \"O'Brien\"", "switch.caller_id"),
        ("[switch]\ncaller_id = \"+1234567890123456\"", "switch.caller_id"),
        ("[switch]\ndial_string = \"sofia/gateway/x/1000\"", "switch.dial_string"),
        ("[switch]\nprompts_dir = \"prompts\"", "switch.prompts_dir"),
        ("[switch]\ninstance = \"a b\"", "switch.instance"),
        ("[switch]\ninstance = \"\"", "switch.instance"),
        ("[asr]\nmodel = \"\"", "asr.model"),
        ("[asr]\nreplicas = 1000", "asr.replicas"),
        ("[asr]\nqueue_length = 0", "asr.queue_length"),
        ("[amd]\nwindow = \"20ms\"", "amd.window"),
        ("[amd]\ntranscript_wait = \"1m\"", "amd.transcript_wait"),
        ("[amd]\nmax_human_as_machine = 0.0", "amd.max_human_as_machine"),
        ("[amd]\nmax_human_as_machine = 1.0", "amd.max_human_as_machine"),
        ("[call]\nring_timeout = \"0s\"", "call.ring_timeout"),
        ("[call]\nmax_duration = \"1s\"", "call.max_duration"),
        ("[store]\nurl = \"mysql://u:p@db/sidetone\"", "store.url"),
        ("[http]\nlisten = \"0.0.0.0:8080\"", "http.token"),
        ("[log]\nlevel = \"sidetone=loud\"", "log.level"),
    ] {
        let found = faults(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with(&format!("{key}: ")), "{text}: {found:?}");
    }
}

#[test]
fn values_that_are_right_pass() {
    for text in [
        "[media]\nlisten = \"0.0.0.0:8090\"\npublic_url = \"ws://sidetone.example.com:8090\"",
        "[media]\npublic_url = \"wss://10.0.0.5/\"",
        "[switch]\nesl = \"10.0.0.1:8021\"\npassword = \"another\"",
        "[switch]\nesl = \"[::1]:8021\"",
        "[switch]\nesl = \"localhost:8021\"",
        "[switch]\ncaller_id = \"+33612345678\"",
        "[switch]\ncaller_id = \"1000\"",
        "[switch]\ndial_string = \"user/{digits}\"",
        "[http]\nlisten = \"0.0.0.0:8080\"\ntoken = \"t\"",
        "[store]\nurl = \"sqlite:/var/lib/sidetone/sidetone.db\"",
        "[store]\nurl = \"postgres://u:p@db/sidetone\"",
    ] {
        assert_eq!(faults(text), [""; 0], "{text}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("x.toml");
    std::fs::write(&file, "[asr]\nmodel = \"\"\n[http]\nlisten = \"0.0.0.0:8080\"\n").expect("written");
    let text = Config::load(&file).expect_err("two faults").to_string();
    assert!(text.starts_with(&format!("{}: asr.model", file.display())), "{text}");
    assert!(text.contains("http.token"), "{text}");
}

#[test]
fn environment_wins_over_the_file() {
    let config = Config::default().with_env(|name| match name {
        "SIDETONE_ESL_PASSWORD" => Some("p".to_owned()),
        "SIDETONE_HTTP_TOKEN" => Some(String::new()),
        "DATABASE_URL" => Some("sqlite:other.db".to_owned()),
        _ => None,
    });
    assert_eq!(config.switch.password.reveal(), "p");
    assert_eq!(config.http.token.reveal(), "");
    assert_eq!(config.store.url, "sqlite:other.db");
}

#[test]
fn no_secret_is_shown() {
    let mut config = Config::default();
    config.switch.password = Secret::new("topsecret");
    config.http.token = Secret::new("topsecret");
    config.store.url = "postgres://me:topsecret@db:5432/sidetone".to_owned();
    let shown = toml::to_string(&config).expect("serialises");
    assert!(!shown.contains("topsecret"), "{shown}");
    assert!(shown.contains("postgres://me:(hidden)@db:5432/sidetone"), "{shown}");
    assert!(!format!("{config:?}").contains("topsecret"));
}

#[test]
fn public_url_defaults_to_the_listener() {
    let mut config = Config::default();
    assert_eq!(config.public_url(), "ws://127.0.0.1:8090");
    config.media.public_url = "ws://a:1/".to_owned();
    assert_eq!(config.public_url(), "ws://a:1");
}

#[test]
fn switch_prompts_dir_is_absolute() {
    let mut config = Config::default();
    assert!(config.switch_prompts_dir().is_absolute());
    config.switch.prompts_dir = "/prompts".to_owned();
    assert_eq!(config.switch_prompts_dir(), PathBuf::from("/prompts"));
}

#[test]
fn durations_are_written_as_they_are_read() {
    let config = Config::parse("[call]\nmax_duration = \"1m 30s\"").expect("parses");
    assert_eq!(config.call.max_duration, Duration::from_secs(90));
}

#[test]
fn models_are_assigned_by_language() {
    let asr = |text: &str| Config::parse(text).expect("parses").asr;
    assert_eq!(asr("").assigned(), [("tiny.en", vec![], true)]);
    let several =
        asr("[asr]\nmodels = { en = \"tiny.en\", fr = \"small\", de = \"small\", default = \"base\" }");
    assert_eq!(
        several.assigned(),
        [("base", vec![], true), ("small", vec!["de", "fr"], false), ("tiny.en", vec!["en"], false)]
    );
    assert_eq!(several.model_for("fr-CA"), "small");
    assert_eq!(several.model_for("es"), "base");
    let added = asr("[asr]\nmodel = \"base\"\nmodels = { fr = \"small\" }");
    assert_eq!(added.assigned(), [("base", vec![], true), ("small", vec!["fr"], false)]);
    let careful = asr("[asr]\ncareful = { en = \"base.en\", de = \"base.en\" }");
    assert_eq!(careful.assigned_careful(), [("base.en", vec!["de", "en"], false)]);
    assert_eq!((careful.careful_for("en-GB"), careful.careful_for("fr")), (Some("base.en"), None));
    assert_eq!(asr("[asr]\ncareful = { default = \"small\" }").careful_for("fr"), Some("small"));
    let faults = Config::parse("[asr]\ncareful = { default = \"base.en\" }").expect("parses").check();
    assert_eq!(
        faults[0].to_string(),
        "asr.careful: `base.en` hears English only: name it for en, or write a multilingual one for default"
    );
    let faults = Config::parse("[asr]\nmodels = { french = \"small\" }").expect("parses").check();
    assert_eq!(faults[0].to_string(), "asr.models: `french` is no language code: write en, fr... or default");
}

#[test]
fn a_speech_service_needs_its_address() {
    let openai = |text: &str| Config::parse(&format!("[asr]\nbackend = \"openai\"\n{text}")).expect("parses");
    assert_eq!(openai("").check()[0].key, "asr.openai.url");
    let whole = openai("[asr.openai]\nurl = \"http://10.0.0.9:8000/v1\"\nkey = \"k\"");
    assert!(whole.check().is_empty() && !format!("{whole:?}").contains("\"k\""));
    let keyed = whole.with_env(|name| (name == "SIDETONE_ASR_KEY").then(|| "other".to_owned()));
    assert_eq!(keyed.asr.openai.key.reveal(), "other");
}
