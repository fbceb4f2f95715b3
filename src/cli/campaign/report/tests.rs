use super::*;

fn calls(calls: u64, answered: u64, people: u64) -> Figures {
    Figures { calls, answered, people, ..Figures::default() }
}

fn group(name: &str, figures: Figures) -> Group {
    Group { name: name.to_owned(), figures }
}

fn report(by_list: Vec<Group>, by_hour: Vec<Group>) -> Gathered {
    Gathered {
        campaign: "<spring> & \"co\"".to_owned(),
        state: CampaignState::Done,
        scenario: "/s.yaml".to_owned(),
        made_ms: 1_700_000_000_000,
        time_zone: "Europe/Paris".to_owned(),
        first_call_ms: None,
        last_call_ms: None,
        counts: CampaignCounts::default(),
        total: Figures::default(),
        abandoned: 0,
        silent: 0,
        abandoned_rate: None,
        by_disposition: Vec::new(),
        by_hour,
        by_list,
        by_caller_id: Vec::new(),
    }
}

#[test]
fn hours_are_those_of_the_zone_and_gaps_are_shown() {
    let zone = TimeZone::get("Asia/Kolkata").unwrap();
    // 2023-11-14 00:15, 00:30 and 03:45 UTC: 05:45, 06:00 and 09:15 in Kolkata.
    let at = |text: &str| {
        let ms = text.parse::<Timestamp>().unwrap().as_millisecond();
        (Some((ms / QUARTER).to_string()), calls(1, 1, 0))
    };
    let quarters = [at("2023-11-14T00:15:00Z"), at("2023-11-14T00:30:00Z"), at("2023-11-14T03:45:00Z")];
    let hours = by_hour(&quarters, &zone);
    let named: Vec<_> = hours.iter().map(|hour| (hour.name.as_str(), hour.figures.calls)).collect();
    assert_eq!(named, [("05:00", 1), ("06:00", 1), ("07:00", 0), ("08:00", 0), ("09:00", 1)]);
    assert_eq!(by_hour(&[], &zone), []);
}

#[test]
fn the_busiest_come_first() {
    let groups =
        most_first(vec![group("b", calls(1, 0, 0)), group("a", calls(1, 0, 0)), group("c", calls(5, 0, 0))]);
    assert_eq!(groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["c", "a", "b"]);
}

#[test]
fn the_page_stands_alone_and_shows_names_as_text() {
    let lists = vec![group("<script>x</script>", calls(10, 7, 4)), group("june.csv", calls(5, 0, 0))];
    let page = html::page(&report(lists, vec![group("09:00", calls(15, 7, 4))]));
    assert!(page.contains("&lt;spring&gt; &amp; &quot;co&quot;"));
    assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("src="));
    // 4 of at most 10 are people: two fifths of the bar.
    assert!(page.contains("class=\"people\" style=\"width:40.00%\""), "{page}");
    assert!(page.contains("<title>09:00, not answered: 8</title>"));
}

#[test]
fn a_page_without_calls_says_so() {
    let page = html::page(&report(Vec::new(), Vec::new()));
    assert!(page.contains("No calls yet.") && !page.contains("NaN"), "{page}");
}
