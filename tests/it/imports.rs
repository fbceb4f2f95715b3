//! Files that people really have, through the program itself: what is wrong is said with its place, and nothing is lost.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

const SCENARIO: &str = "name: test\nlanguage: en\nvariables:\n  day: {values: [monday, friday], default: monday}\n\
                        start: bye\nsteps:\n  bye:\n    hang_up: {outcome: done, disposition: completed}\n";

/// A folder with a campaign `spring`.
struct Desk(tempfile::TempDir);

struct Ran {
    code: Option<i32>,
    summary: Value,
    stderr: String,
}

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().expect("a folder"));
        desk.file("sidetone.toml", b"[store]\nurl = \"sqlite:t.db\"\n[prompts]\ndir = \".\"\n");
        desk.file("s.yaml", SCENARIO.as_bytes());
        let made = desk.command("campaign create spring --scenario s.yaml").output().expect("it starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        desk
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sidetone"));
        command.current_dir(self.0.path()).args(line.split_whitespace());
        for variable in ["SIDETONE_CONFIG", "SIDETONE_ESL_PASSWORD", "SIDETONE_HTTP_TOKEN", "DATABASE_URL"] {
            command.env_remove(variable);
        }
        command
    }

    /// `campaign import spring`, and what `--json` says.
    fn import(&self, line: &str) -> Ran {
        let output =
            self.command(&format!("campaign import spring {line} --json")).output().expect("it starts");
        Ran {
            code: output.status.code(),
            summary: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn contacts(&self) -> u64 {
        let output = self.command("campaign status spring --json").output().expect("it starts");
        let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        status["counts"]["contacts"].as_u64().expect("a count")
    }
}

fn counts(summary: &Value) -> [u64; 5] {
    ["rows", "added", "repeated_in_file", "already_in_campaign", "bad"]
        .map(|key| summary[key].as_u64().expect(key))
}

/// Files that cannot be read at all: exit code 2, one line that says why, and nobody added.
#[test]
fn what_cannot_be_read_is_refused_with_its_reason() {
    let desk = Desk::new();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("xl/worksheets/sheet1.xml", zip::write::SimpleFileOptions::default()).expect("started");
    for _ in 0..300 {
        zip.write_all(&vec![b' '; 1024 * 1024]).expect("written");
    }
    let bomb = zip.finish().expect("finished").into_inner();
    let table: [(&str, &[u8], &str, &str); 9] = [
        ("empty.csv", b"", "", "is empty: a header row"),
        (
            "nocol.csv",
            b"name,mobile\nA,0612345678\n",
            "",
            "line 1: no column `number` or `phone`; the columns are: name, mobile",
        ),
        (
            "twice.csv",
            b"number,name,Name\n0612345678,a,b\n",
            "",
            "line 1: there are two columns `Name` (2 and 3)",
        ),
        ("unnamed.csv", b"number,,x\n0612345678,a,b\n", "", "line 1: column 2 has no name"),
        ("bomb.xlsx", &bomb, "", "unpacks to more than it may"),
        ("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "", "is an old Excel file (.xls)"),
        ("binary.csv", b"number\n06\0\0\0\0\x01", "", "is no text: it has bytes of zero"),
        ("map.csv", b"number\n0612345678\n", "--column zone=TZ", "line 1: no column `TZ` for `zone`"),
        (
            "zone.csv",
            b"number\n0612345678\n",
            "--default-zone Paris",
            "`Paris` is no time zone: write an IANA name such as Europe/Paris",
        ),
    ];
    for (name, bytes, options, words) in table {
        desk.file(name, bytes);
        let ran = desk.import(&format!("{name} --country FR {options}"));
        assert_eq!(ran.code, Some(2), "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{name}: {}", ran.stderr);
        assert_eq!(desk.contacts(), 0, "{name}");
    }
    // None of them is in the way of the next.
    desk.file("good.csv", b"number\n0612345678\n");
    assert_eq!(desk.import("good.csv --country FR").code, Some(0));
}

/// Rows that cannot be taken: exit code 1, each with its line and reason, and every other one is in.
#[test]
fn a_bad_row_is_told_with_its_line_and_stops_no_other() {
    let desk = Desk::new();
    let mut text = b"\xef\xbb\xbfNumber;day;zone;consent;not_before\r\n".to_vec();
    for row in [
        "0612345670;monday;;yes;",
        "06-ABC;monday;;yes;",
        "0612345671;sunday;;yes;",
        "0612345672;;Mars/Olympus;yes;",
        "0612345673;;;yes;2020-01-01",
        "0612345674;;;perhaps;",
        "112;;;yes;",
        "0899123456;;;yes;",
        "0612345670;friday;;yes;",
        "0612345675;;",
    ] {
        text.extend_from_slice(row.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"0612345676;Zo\xe9 \xc3\xa9;;;\r\n");
    text.extend_from_slice(&vec![b'7'; 100 * 1024 * 1024]);
    text.extend_from_slice(b"\r\n0612345677;friday;Indian/Reunion;no;\r\n");
    desk.file("list.csv", &text);
    let ran = desk.import("list.csv --country FR --errors bad.csv --list people");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(counts(&ran.summary), [13, 2, 1, 0, 10], "{}", ran.summary);
    assert_eq!(ran.summary["list"], "people");
    assert_eq!(desk.contacts(), 2);

    let mut errors = csv::Reader::from_path(desk.0.path().join("bad.csv")).expect("the errors");
    let rows: Vec<Vec<String>> =
        errors.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect()).collect();
    let found: Vec<_> = rows.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();
    let expected = [
        ("3", "not_a_number"),
        ("4", "bad_variable"),
        ("5", "bad_zone"),
        ("6", "past_date"),
        ("7", "bad_consent"),
        ("8", "never_dialled"),
        ("9", "never_dialled"),
        ("11", "field_count"),
        ("12", "encoding"),
        ("13", "too_long"),
        ("10", "repeated_in_file"),
    ];
    assert_eq!(found, expected, "{rows:?}");
    assert_eq!(rows[0][3], "06-ABC;monday;;yes;");
    assert!(rows[10][2].contains("stands on line 2 already"), "{rows:?}");
}

#[test]
fn a_rehearsal_says_what_would_be_done_and_does_nothing() {
    let desk = Desk::new();
    desk.file("first.csv", b"number\n0612345670\n");
    assert_eq!(desk.import("first.csv --country FR").code, Some(0));
    let stopped = desk.command("dnc add +33612345671").output().expect("it starts");
    assert!(stopped.status.success());
    desk.file(
        "list.csv",
        b"number,consent\n0612345670,yes\n0612345671,yes\n0612345671,yes\n0612345672,no\nxyz,no\n",
    );
    let ran = desk.import("list.csv --country FR --dry-run");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(counts(&ran.summary), [5, 2, 1, 1, 1], "{}", ran.summary);
    assert_eq!(ran.summary["on_do_not_call_list"], 2);
    assert_eq!(ran.summary["reasons"]["not_a_number"]["examples"][0]["line"], 6);
    let first = &ran.summary["preview"][0];
    assert_eq!(
        (first["number"].as_str(), first["zones"].as_str()),
        (Some("+33612345671"), Some("Europe/Paris"))
    );
    assert_eq!(desk.contacts(), 1);
    let table =
        desk.command("campaign import spring list.csv --country FR --dry-run").output().expect("it starts");
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    for words in
        ["the first rows, as they are understood", "the number stands further up too", "line 6: `xyz`"]
    {
        assert!(table.contains(words), "{table}");
    }
}

/// Killed in the midst, the same command goes on, and nobody is there twice or missing.
#[test]
fn an_import_that_was_killed_goes_on() {
    const ROWS: u32 = 60_000;
    let desk = Desk::new();
    let mut text = String::from("number,day\n");
    for i in 0..ROWS {
        // Every tenth stands there twice, every hundredth is bad.
        let number = if i % 10 == 9 { i - 1 } else { i };
        let day = if i % 100 == 50 { "someday" } else { "monday" };
        writeln!(text, "06{number:08},{day}").expect("written");
    }
    desk.file("list.csv", text.as_bytes());
    let line = "campaign import spring list.csv --country FR";
    let mut child =
        desk.command(line).stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
    let store = || {
        let url = format!("sqlite:{}", desk.0.path().join("t.db").display());
        async move { sidetone::store::Store::open(&url).await.expect("opened") }
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let half_way = runtime.block_on(async {
        let store = store().await;
        loop {
            if let Some(rows) = store.loading_rows(1).await.expect("read").filter(|rows| *rows > 2000) {
                break rows;
            }
            assert!(child.try_wait().expect("asked").is_none(), "it was done too soon");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    child.kill().expect("killed");
    child.wait().expect("gone");
    assert!(half_way < u64::from(ROWS));
    assert_eq!(desk.contacts(), 0, "nobody sees half a list");

    desk.file("other.csv", b"number\n0712345678\n");
    let other = desk.import("other.csv --country FR");
    assert_eq!(other.code, Some(2), "{}", other.stderr);
    assert!(other.stderr.contains("list.csv"), "{}", other.stderr);

    let ran = desk.import("list.csv --country FR");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let [rows, added, repeated, had, bad] = counts(&ran.summary);
    assert_eq!((rows, had, bad), (u64::from(ROWS), 0, u64::from(ROWS / 100)));
    assert_eq!((added, repeated), (53_400, 6000), "{}", ran.summary);
    assert!(ran.summary["resumed_after_rows"].as_u64().is_some_and(|rows| rows >= half_way));
    assert_eq!(desk.contacts(), added);

    let again = desk.import("list.csv --country FR");
    assert_eq!(counts(&again.summary), [rows, 0, 0, added + repeated, bad]);
}
