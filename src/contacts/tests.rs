//! Files of every make, and what is understood of them.

use std::io::Write as _;

use super::*;

/// 2026-03-01T12:00:00Z.
const NOW: i64 = 1_772_366_400_000;

fn rules() -> Rules {
    Rules { country: Some(country::Id::FR), now_ms: NOW, ..Rules::default() }
}

type Rows = Vec<Result<Row, BadRow>>;

fn try_read(bytes: &[u8], rules: &Rules, reading: Reading) -> Result<Rows, ListError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut rows = Vec::new();
    ListFile::open(file.path(), reading)?.rows(rules, |row| {
        rows.push(row);
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

fn read(bytes: &[u8]) -> Rows {
    try_read(bytes, &rules(), Reading::default()).unwrap()
}

fn error(bytes: &[u8]) -> String {
    try_read(bytes, &rules(), Reading::default()).err().unwrap_or_else(|| panic!("accepted")).to_string()
}

fn numbers(rows: &Rows) -> Vec<&str> {
    rows.iter().map(|row| row.as_ref().unwrap().contact.number.as_str()).collect()
}

fn bad(rows: &Rows) -> Vec<(u64, Reason, &str)> {
    let bad = rows.iter().filter_map(|row| row.as_ref().err());
    bad.map(|bad| (bad.line, bad.reason, bad.message.as_str())).collect()
}

fn mapped(pairs: &[&str]) -> Rules {
    let pairs: Vec<_> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
    Rules { mapping: Mapping::parse(&pairs).unwrap(), ..rules() }
}

#[test]
fn reads_what_spreadsheets_write() {
    let text = "name;PHONE\r\n\"Durand, Zoé\";0612345678\r\nBob;0612345679";
    let utf16 = |text: &str, bom: bool| -> Vec<u8> {
        let text = if bom { format!("\u{feff}{text}") } else { text.to_owned() };
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    let (latin, _, _) = encoding_rs::WINDOWS_1252.encode(text);
    for (made, bytes) in [
        ("plain", b"number\n0612345678\n0612345679\n".to_vec()),
        ("BOM", "\u{feff}Number,name\r\n06 12 34 56 78,Zoé\r\n+33612345679,Bob\r\n".into()),
        ("semicolons", text.into()),
        ("tabs", "name\tphone\nZoé\t0612345678\n\n \nBob\t0612345679\n".into()),
        ("old Mac", b"number,name\r0612345678,Zo\r0612345679,Bob\r".to_vec()),
        ("trailing empty rows", b"number;a\n0612345678;1\n0612345679;2\n;\n;\n".to_vec()),
        ("UTF-16 with BOM", utf16(text, true)),
        ("UTF-16 without", utf16(text, false)),
        ("UTF-16 BE", format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect()),
        ("Windows-1252", latin.into_owned()),
    ] {
        let rows = read(&bytes);
        assert_eq!(numbers(&rows), ["+33612345678", "+33612345679"], "{made}");
        if let Some(name) =
            rows[0].as_ref().unwrap().contact.variables.get("name").filter(|_| made != "old Mac")
        {
            assert!(name.ends_with("Zoé"), "{made}: {name}");
        }
    }
}

#[test]
fn other_columns_become_variables() {
    let rows = read(b"name,number,kind,empty\n\"say \"\"hi\"\"\nthere\",0612345678,human,\n");
    let row = rows[0].as_ref().unwrap();
    let expected = [("kind", "human"), ("name", "say \"hi\"\nthere")];
    let expected = expected.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    assert_eq!((row.line, &row.contact.variables), (2, &expected));
    assert_eq!(
        (row.contact.zones.as_str(), row.contact.consent, row.contact.due_ms),
        ("Europe/Paris", false, 0)
    );
}

#[test]
fn a_bad_row_is_named_by_its_line_and_stops_no_other() {
    let text = b"number,name\n0612345678,Zo\xe9\n06-ABC,Bob \xc3\xa9\n,Eve\n0612345678\n112,Al\n0899123456,Premium\n\n0612345679,Ann\n";
    let rows = read(text);
    let never = "`0899123456` is a premium-rate number: never dialled";
    let expected = [
        (2, Reason::Encoding, "is not UTF-8: save the file as `CSV UTF-8`"),
        (3, Reason::NotANumber, "`06-ABC` is no telephone number: it has the letter `A`"),
        (4, Reason::NoNumber, "no number"),
        (5, Reason::FieldCount, "has 1 fields where the header has 2"),
        (6, Reason::NeverDialled, "`112` is an emergency number: never dialled"),
        (7, Reason::NeverDialled, never),
    ];
    assert_eq!(bad(&rows), expected);
    let originals: Vec<_> =
        rows.iter().filter_map(|row| Some(row.as_ref().err()?.original.as_str())).collect();
    assert_eq!(originals[1], "06-ABC,Bob é");
    assert_eq!(rows.last().unwrap().as_ref().unwrap().contact.number, "+33612345679");
}

#[test]
fn an_open_quote_costs_its_own_row_alone() {
    let mut text = "number,name\n0612345678,\"Zoé\n".to_owned();
    for i in 0..40 {
        text.push_str(&format!("06123457{i:02},Bob\n"));
    }
    let rows = read(text.as_bytes());
    assert_eq!(rows.len(), 41);
    let first = rows[0].as_ref().unwrap_err();
    assert!(first.line == 2 && first.message.starts_with("a quote opened here"), "{first:?}");
    assert_eq!(first.original, "0612345678,\"Zoé");
    assert!(rows[1..].iter().all(Result::is_ok));

    let closed_by_another =
        "number,name\n0612345678,\"Zoé\n0612345679,Bob\n0612345670,\"Ann\"\n0612345671,Al\n";
    let rows = read(closed_by_another.as_bytes());
    assert_eq!(rows.len(), 4);
    assert_eq!(rows.iter().filter(|row| row.is_ok()).count(), 3);
}

#[test]
fn a_line_of_a_hundred_megabytes_is_refused_and_the_next_is_read() {
    /// Never in memory as a whole.
    struct Long {
        at: u64,
    }
    const LINE: u64 = 100 * 1024 * 1024;
    const BEFORE: &[u8] = b"number,name\n0612345678,Zo\n0612345679,\"";
    const AFTER: &[u8] = b"\n0612345670,Ann\n";
    impl io::Read for Long {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            for (n, byte) in buffer.iter_mut().enumerate() {
                let at = self.at + n as u64;
                *byte = match (at.checked_sub(BEFORE.len() as u64), at.checked_sub(LINE)) {
                    (None, _) => BEFORE[at as usize],
                    (Some(_), None) => b'x',
                    (Some(_), Some(after)) => match AFTER.get(after as usize) {
                        Some(byte) => *byte,
                        None => {
                            self.at += n as u64;
                            return Ok(n);
                        }
                    },
                };
            }
            self.at += buffer.len() as u64;
            Ok(buffer.len())
        }
    }
    let rules = rules();
    let mut reader = row::Reader::new(&rules);
    let mut rows: Rows = Vec::new();
    Records::new(Long { at: 0 })
        .each(|raw| {
            rows.extend(reader.take(raw)?);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    assert_eq!(bad(&rows).len(), 1);
    let long = rows[1].as_ref().unwrap_err();
    assert_eq!((long.line, long.reason), (3, Reason::TooLong));
    assert!(long.message.starts_with("has 1048575"), "{}", long.message);
    assert!(long.original.len() < 300);
    assert_eq!(rows[2].as_ref().unwrap().contact.number, "+33612345670");
    assert_eq!(rows[2].as_ref().unwrap().line, 4);
}

#[test]
fn a_header_that_cannot_do_says_why() {
    let empty = "is empty: a header row with a column `number` is needed";
    for (bytes, message) in [
        (&b""[..], empty),
        (b"\n\n", empty),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an old Excel file (.xls): save it as .xlsx or `CSV UTF-8`"),
        (b"number,a\n06123\0\0\0\x01\x02", "is no text: it has bytes of zero"),
        (b"name,mobile\n", "line 1: no column `number` or `phone`; the columns are: name, mobile"),
        (b"0612345678\n", "line 1: no column `number` or `phone`; the columns are: 0612345678"),
        (b"number,name,Name\n", "line 1: there are two columns `Name` (2 and 3)"),
        (b"number,,name\n", "line 1: column 2 has no name"),
        (
            b"number,phone\n",
            "line 1: both `number` and `phone`: which one is to be called? Say it with --column number=COLUMN",
        ),
        (b"number,pr\xe9nom\n0612345678,Zo\xc3\xa9\n", "line 1: is not UTF-8: save the file as `CSV UTF-8`"),
    ] {
        assert_eq!(error(bytes), message);
    }
}

#[test]
fn columns_are_mapped_as_told() {
    let rules = mapped(&["number=Mobile", "zone=TZ", "consent=OptIn", "day=Jour"]);
    let text = "phone,Mobile,TZ,OptIn,Jour\n0100000000,0612345678,Indian/Reunion,oui,lundi\n";
    let rows = try_read(text.as_bytes(), &rules, Reading::default()).unwrap();
    let contact = &rows[0].as_ref().unwrap().contact;
    assert_eq!((contact.number.as_str(), contact.zones.as_str()), ("+33612345678", "Indian/Reunion"));
    assert!(contact.consent);
    let variables: Vec<_> = contact.variables.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(variables, [("day", "lundi"), ("phone", "0100000000")]);

    let missing = try_read(b"number\n0612345678\n", &mapped(&["zone=TZ"]), Reading::default()).unwrap_err();
    assert_eq!(missing.to_string(), "line 1: no column `TZ` for `zone`; the columns are: number");
    for (pair, message) in [
        ("number", "`number`: write FIELD=COLUMN, such as number=Mobile"),
        ("nummer=Mobile", "`nummer`: did you mean `number`?"),
        ("concent=x", "`concent`: did you mean `consent`?"),
    ] {
        assert_eq!(Mapping::parse(&[pair.to_owned()]).unwrap_err(), message);
    }
    let twice = ["number=a".to_owned(), "number=b".to_owned()];
    assert_eq!(Mapping::parse(&twice).unwrap_err(), "`number` is given twice");
}

#[test]
fn zones_consent_and_dates() {
    let text = "number,zone,consent,not_before\n\
                0612345678,,2026-02-01,2026-03-02\n\
                0612345679,europe/paris,YES,2026-03-02T15:00\n\
                0612345670,Paris,,\n\
                0612345671,EST,,\n\
                0612345672,,maybe,\n\
                0612345673,,2026-04-01,\n\
                0612345674,,,2020-01-01\n\
                0612345675,,,tomorrow\n\
                0612345676,,no,2026-03-01\n\
                0612345677,,,2026-03-01T11:00Z\n\
                +80012345678,,,\n";
    let rows = read(text.as_bytes());
    let good: Vec<_> = rows.iter().filter_map(|row| Some(&row.as_ref().ok()?.contact)).collect();
    assert_eq!(good.iter().map(|contact| contact.consent).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(good[1].zones, "Europe/Paris");
    assert_eq!(good[0].due_ms, NOW + 11 * 3600 * 1000, "midnight in Paris");
    assert_eq!(good[1].due_ms, NOW + 26 * 3600 * 1000, "15:00 in Paris");
    let date = "`tomorrow` is no date: write 2026-12-01, 2026-12-01T15:00 or 2026-12-01T15:00+01:00";
    let future = "`2026-04-01` lies in the future: nobody has agreed then yet";
    let neither =
        "`maybe` is neither yes nor no: write yes, no, or the date on which they agreed, 2026-03-31";
    let expected = [
        (
            4,
            Reason::BadZone,
            "column `zone`: `Paris` is no time zone: write an IANA name such as Europe/Paris".to_owned(),
        ),
        (5, Reason::BadZone, String::new()),
        (6, Reason::BadConsent, format!("column `consent`: {neither}")),
        (7, Reason::BadConsent, format!("column `consent`: {future}")),
        (8, Reason::PastDate, "column `not_before`: `2020-01-01` is in the past".to_owned()),
        (9, Reason::BadDate, format!("column `not_before`: {date}")),
        (11, Reason::PastDate, "column `not_before`: `2026-03-01T11:00Z` is in the past".to_owned()),
        (12, Reason::NeverDialled, "`+80012345678` is a toll-free number: never dialled".to_owned()),
    ];
    let found = bad(&rows);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((line, reason, message), (expected_line, expected_reason, words)) in found.into_iter().zip(expected)
    {
        assert_eq!((line, reason), (expected_line, expected_reason), "{message}");
        assert!(words.is_empty() || message == words, "{message}");
    }
}

#[test]
fn a_number_that_lies_nowhere_needs_a_zone() {
    // Satellite telephones.
    let text = b"number\n+881612345678\n";
    let rows = read(text);
    assert_eq!(bad(&rows)[0].1, Reason::UnknownZone);
    let with_default = Rules { default_zone: Some("Europe/Paris".to_owned()), ..rules() };
    let rows = try_read(text, &with_default, Reading::default()).unwrap();
    assert_eq!(rows[0].as_ref().unwrap().contact.zones, "Europe/Paris");
}

mod xlsx {
    use super::*;

    const TYPES: &str = r#"<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>"#;
    const RELS: &str = r#"<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
    const BOOK_RELS: &str = r#"<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet2.xml"/><Relationship Id="rId3" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>"#;
    const BOOK: &str = r#"<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="notes" sheetId="1" state="hidden" r:id="rId1"/><sheet name="list" sheetId="2" r:id="rId2"/></sheets></workbook>"#;
    const STYLES: &str = r#"<?xml version="1.0"?><styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>"#;

    fn sheet(rows: &str) -> String {
        format!(
            r#"<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>"#
        )
    }

    fn text(cell: &str, text: &str) -> String {
        format!(r#"<c r="{cell}" t="inlineStr"><is><t>{text}</t></is></c>"#)
    }

    /// A workbook of a hidden sheet and this one.
    fn workbook(rows: &str) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        let hidden = sheet(&format!("<row r=\"1\">{}</row>", text("A1", "nothing")));
        for (name, content) in [
            ("[Content_Types].xml", TYPES),
            ("_rels/.rels", RELS),
            ("xl/workbook.xml", BOOK),
            ("xl/_rels/workbook.xml.rels", BOOK_RELS),
            ("xl/styles.xml", STYLES),
            ("xl/worksheets/sheet1.xml", &hidden),
            ("xl/worksheets/sheet2.xml", &sheet(rows)),
        ] {
            zip.start_file(name, options).unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn header() -> String {
        format!("<row r=\"1\">{}{}{}</row>", text("A1", "phone"), text("B1", "name"), text("C1", "since"))
    }

    #[test]
    fn numbers_dates_and_gaps_are_understood() {
        let rows = format!(
            "{}<row r=\"2\"><c r=\"A2\"><v>33612345678.0</v></c>{}<c r=\"C2\" s=\"1\"><v>46000</v></c></row>\
             <row r=\"4\"><c r=\"A4\"><v>612345679</v></c></row>\
             <row r=\"5\"><c r=\"A5\" t=\"e\"><v>#N/A</v></c></row>\
             <row r=\"6\"><c r=\"B6\" s=\"1\"/></row>\
             <row r=\"7\"><c r=\"A7\"><v>442079460018</v></c></row>",
            header(),
            text("B2", " Zoé ")
        );
        let rows = read(&workbook(&rows));
        let first = &rows[0].as_ref().unwrap().contact;
        assert_eq!((first.number.as_str(), first.variables["name"].as_str()), ("+33612345678", "Zoé"));
        assert_eq!(first.variables["since"], "2025-12-09");
        assert_eq!(rows[1].as_ref().unwrap().contact.number, "+33612345679");
        assert_eq!(rows[1].as_ref().unwrap().line, 4);
        assert_eq!(bad(&rows), [(5, Reason::BrokenCell, "column 1: the cell holds the error #N/A")]);
        assert_eq!(rows[3].as_ref().unwrap().contact.number, "+442079460018");
        assert_eq!(rows.len(), 4);
    }

    #[test]
    fn the_sheet_can_be_chosen() {
        let bytes = workbook(&header());
        let of = |sheet: &str| Reading { sheet: Some(sheet.to_owned()), ..Reading::default() };
        let unknown = try_read(&bytes, &rules(), of("liste")).unwrap_err().to_string();
        assert_eq!(unknown, "has no sheet `liste`; its sheets are: `notes`, `list`");
        assert!(try_read(&bytes, &rules(), of("list")).is_ok());
        let hidden = try_read(&bytes, &rules(), of("notes")).unwrap_err().to_string();
        assert_eq!(hidden, "line 1: no column `number` or `phone`; the columns are: nothing");
        let csv = try_read(b"number\n", &rules(), of("list")).unwrap_err().to_string();
        assert_eq!(csv, "is no spreadsheet: --sheet is for .xlsx files");
    }

    #[test]
    fn a_zip_bomb_is_refused() {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file("xl/worksheets/sheet1.xml", zip::write::SimpleFileOptions::default()).unwrap();
        for _ in 0..64 {
            zip.write_all(&vec![b' '; 1024 * 1024]).unwrap();
        }
        let mut bomb = zip.finish().unwrap().into_inner();
        assert!(bomb.len() < 200_000);
        let refused = error(&bomb);
        assert!(refused.starts_with("unpacks to more than it may"), "{refused}");
        // One whose directory lies about it.
        let size = (64u32 * 1024 * 1024).to_le_bytes();
        let places: Vec<_> =
            bomb.windows(4).enumerate().filter(|(_, w)| *w == size).map(|(at, _)| at).collect();
        assert!(!places.is_empty());
        for at in places {
            bomb[at..at + 4].copy_from_slice(&1000u32.to_le_bytes());
        }
        let refused = error(&bomb);
        assert!(refused.contains("unpack"), "{refused}");
        assert!(error(b"PK\x03\x04 and so on").starts_with("is no zip archive that can be read"));
    }

    #[test]
    fn more_rows_than_it_may_have_are_refused() {
        let rows = format!("{}<row r=\"200001\">{}</row>", header(), text("A200001", "0612345678"));
        let refused = error(&workbook(&rows));
        assert!(refused.starts_with("sheet `list` has more than 200000 rows"), "{refused}");
    }
}
