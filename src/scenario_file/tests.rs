use super::*;

#[test]
fn shipped_scenarios_load_with_their_prompts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(root.join("scenarios")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            load(&path, &root.join("scenarios/prompts")).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

#[test]
fn missing_and_empty_prompts_are_named_with_their_line() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("empty.wav"), b"").unwrap();
    let yaml = "name: t\nlanguage: en\nvariables: {day: [mon, tue]}\nsteps:\n  a:\n    play: [{file: '{day}.wav', text: '{day}'}, {file: empty.wav, text: E}]\n    hang_up:\n";
    std::fs::write(dir.path().join("mon.wav"), b"x").unwrap();
    let file = dir.path().join("t.yaml");
    std::fs::write(&file, yaml).unwrap();
    let error = load(&file, dir.path()).unwrap_err().to_string();
    let (file, dir) = (file.display(), dir.path().display());
    assert_eq!(
        error,
        format!(
            "{file}:6:19: play.file: `tue.wav` does not exist; prompts.dir is `{dir}`\n\
             {file}:6:55: play.file: `empty.wav` is empty; prompts.dir is `{dir}`"
        )
    );
}

#[test]
fn a_missing_scenario_is_named() {
    let error = load(Path::new("/nowhere/x.yaml"), Path::new("/nowhere")).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/x.yaml: cannot be read"), "{error}");
}
