//! What is shipped for FreeSWITCH and for containers says what the code expects.

use std::{fs, path::Path};

use quick_xml::{Reader, events::Event};
use sidetone::config::{Config, Secret};

/// An element's path of names, and its attributes.
struct Element {
    path: Vec<String>,
    attributes: Vec<(String, String)>,
}

impl Element {
    fn get(&self, name: &str) -> &str {
        self.attributes.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

fn shipped(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every element of a well-formed document, in order.
fn elements(file: &str) -> Vec<Element> {
    let text = shipped(file);
    let mut reader = Reader::from_str(&text);
    let mut open: Vec<String> = Vec::new();
    let mut found = Vec::new();
    loop {
        let (start, empty) = match reader.read_event().unwrap_or_else(|error| panic!("{file}: {error}")) {
            Event::Start(start) => (start, false),
            Event::Empty(start) => (start, true),
            Event::End(_) => {
                open.pop();
                continue;
            }
            Event::Eof => break,
            Event::Text(_) | Event::Comment(_) | Event::Decl(_) => continue,
            other @ (Event::CData(_) | Event::PI(_) | Event::DocType(_) | Event::GeneralRef(_)) => {
                panic!("{file}: nothing for {other:?} here")
            }
        };
        open.push(start.name().as_ref().to_owned());
        let attributes = start.attributes().map(|attribute| {
            let attribute = attribute.unwrap_or_else(|error| panic!("{file}: {error}"));
            (attribute.key.as_ref().to_owned(), attribute.value.into_owned())
        });
        found.push(Element { path: open.clone(), attributes: attributes.collect() });
        if empty {
            open.pop();
        }
    }
    assert!(open.is_empty(), "{file}: {open:?} left open");
    found
}

/// The applications of an extension, with their data.
fn actions(elements: &[Element], extension: &str) -> Vec<(String, String)> {
    let is_extension = |element: &Element| element.path.last().is_some_and(|name| name == "extension");
    let at = elements.iter().position(|e| is_extension(e) && e.get("name") == extension);
    let at = at.unwrap_or_else(|| panic!("no extension {extension}"));
    elements[at + 1..]
        .iter()
        .take_while(|element| !is_extension(element))
        .filter(|element| element.path.last().is_some_and(|name| name == "action"))
        .map(|element| (element.get("application").to_owned(), element.get("data").to_owned()))
        .collect()
}

#[test]
fn the_dialplan_has_what_doctor_and_serve_need() {
    let all = elements("dialplans/sidetone.xml");
    assert!(all.iter().any(|e| e.path == ["include", "context"] && e.get("name") == "sidetone"));

    let test: Vec<String> =
        actions(&all, "sidetone_test").into_iter().map(|(application, _)| application).collect();
    assert_eq!(test, ["answer", "echo"]);

    let inbound = actions(&all, "sidetone_inbound");
    let order: Vec<&str> = inbound.iter().map(|(application, _)| application.as_str()).collect();
    assert_eq!(order, ["set", "answer", "sched_hangup", "park"], "answered, limited, then parked");
    let scenario = inbound.iter().find_map(|(_, data)| data.strip_prefix("sidetone_scenario="));
    let scenario = scenario.unwrap_or_else(|| panic!("no scenario in {inbound:?}"));
    assert!(shipped(scenario).contains("steps:"), "{scenario}");
    // It would end a call that was taken over: it is read once, when the park begins.
    assert!(!inbound.iter().any(|(_, data)| data.starts_with("park_timeout=")), "{inbound:?}");
}

#[test]
fn the_test_extension_is_matched_before_the_catch_all() {
    let all = elements("dialplans/sidetone.xml");
    let names: Vec<&str> = all
        .iter()
        .filter(|element| element.path.last().is_some_and(|name| name == "extension"))
        .map(|element| element.get("name"))
        .collect();
    assert_eq!(names, ["sidetone_test", "sidetone_inbound"]);
}

#[test]
fn the_event_socket_stays_on_loopback() {
    let all = elements("dialplans/event_socket.conf.xml");
    let value =
        |name: &str| all.iter().find(|e| e.get("name") == name).map_or("", |e| e.get("value")).to_owned();
    assert_eq!(value("listen-ip"), "127.0.0.1");
    assert_eq!(format!("{}:{}", value("listen-ip"), value("listen-port")), Config::default().switch.esl);
    assert_eq!(value("password"), Config::default().switch.password.reveal());
}

#[test]
fn the_container_switch_loads_what_is_needed() {
    let all = elements("docker/freeswitch/freeswitch.xml");
    for module in ["mod_event_socket", "mod_audio_stream", "mod_loopback", "mod_sofia", "mod_dialplan_xml"] {
        assert!(all.iter().any(|element| element.get("module") == module), "{module}");
    }
    let built = shipped("docker/freeswitch/modules.conf");
    for load in all.iter().filter(|element| element.path.last().is_some_and(|name| name == "load")) {
        let module = load.get("module");
        assert!(module == "mod_audio_stream" || built.contains(module), "{module} is loaded and not built");
    }
}

#[test]
fn the_container_configuration_is_right_once_the_password_is_set() {
    let mut config = Config::parse(&shipped("docker/sidetone.toml")).expect("parses");
    let keys: Vec<&str> = config.check().iter().map(|fault| fault.key).collect();
    assert_eq!(keys, ["switch.password"], "FreeSWITCH's own password must not pass between hosts");
    config.switch.password = Secret::new("inside-compose-only");
    assert_eq!(config.check(), []);
    assert_eq!(config.http.listen, Config::default().http.listen, "Prometheus looks for it there");
}

#[test]
fn compose_has_its_services_and_profile() {
    let text = shipped("docker-compose.yml");
    for line in
        ["  freeswitch:", "  sidetone:", "  prometheus:", "  postgres:", "    profiles: [\"postgres\"]"]
    {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
    for file in ["docker/sidetone.toml", "docker/prometheus.yml", "dialplans/sidetone.xml"] {
        assert!(text.contains(&format!("./{file}:")), "{file} is not mounted");
        shipped(file);
    }
}
