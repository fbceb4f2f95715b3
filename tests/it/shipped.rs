//! Every scenario, configuration and phrase pack in the box is right.

use std::{fs, path::Path};

use sidetone::{config::Config, scenario_file};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_scenario_parses_and_has_its_prompts() {
    let mut found = 0;
    for entry in fs::read_dir(root().join("scenarios")).expect("a folder").flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            found += 1;
            let scenario = scenario_file::load(&path, &root().join("scenarios/prompts"));
            let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
            assert!(
                sidetone_core::text::PhrasePack::for_language(&scenario.language).is_some(),
                "{}: no phrases for `{}`",
                path.display(),
                scenario.language
            );
        }
    }
    assert!(found >= 3, "{found}");
}

#[test]
fn every_configuration_parses() {
    for file in ["config.example.toml", "docker/sidetone.toml"] {
        let text = fs::read_to_string(root().join(file)).expect("shipped");
        Config::parse(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

#[test]
fn every_prompt_says_whose_it_is() {
    let licence = fs::read_to_string(root().join("scenarios/prompts/LICENSE.md")).expect("beside them");
    assert!(licence.contains("Pico") || licence.contains("espeak"), "{licence}");
}
