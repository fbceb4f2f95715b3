//! Files read into a campaign.

use sqlx::Row as _;

use super::*;

contract! {
    an_import_is_seen_when_it_is_published,
    a_repeated_row_is_told_from_one_the_campaign_had,
    a_cut_off_import_goes_on_where_it_was,
    another_file_waits_until_the_first_is_finished_or_dropped,
    an_import_that_nobody_touches_is_swept,
    contacts_of_a_dropped_import_can_be_added_again,
    cohorts_are_told_apart_by_zones_and_consent,
    a_large_batch_is_added_whole,
}

fn file(campaign: i64, name: &str) -> NewImport {
    NewImport { campaign, list: name.to_owned(), digest: format!("digest of {name}") }
}

fn on_line(number: &str, line: u64) -> NewContact {
    NewContact { line: Some(line), ..contact(number) }
}

const ONE: &str = "+33600000001";
const TWO: &str = "+33600000002";
const THREE: &str = "+33600000003";

async fn contacts(store: &Store) -> u64 {
    let spring = store.campaign("spring").await.unwrap();
    store.campaign_counts(spring.id).await.unwrap().contacts
}

async fn an_import_is_seen_when_it_is_published(db: Db) {
    let store = db.open().await;
    let spring = campaign(&store, "spring", 0).await;
    let mut import = store.begin_import(&file(spring.id, "a.csv"), NOW).await.unwrap();
    let batch = [on_line(ONE, 2), on_line(TWO, 3)];
    let placed = store.add_to_import(&mut import, &batch, 2, NOW).await.unwrap();
    assert_eq!(placed, [Placed::Added, Placed::Added]);
    assert_eq!(contacts(&store).await, 0);
    store.control_campaign("spring", Control::Run, NOW).await.unwrap();
    assert!(store.finish_campaign(spring.id, NOW).await.unwrap(), "nobody is waiting");

    store.publish_import(&import, NOW + 5).await.unwrap();
    assert_eq!(contacts(&store).await, 2);
    let again = store.add_to_import(&mut import, &batch, 2, NOW).await.unwrap_err();
    assert!(matches!(again, StoreError::ImportGone), "{again}");
    assert!(matches!(store.publish_import(&import, NOW).await.unwrap_err(), StoreError::ImportGone));
}

async fn a_repeated_row_is_told_from_one_the_campaign_had(db: Db) {
    let store = db.open().await;
    let spring = campaign(&store, "spring", 0).await;
    store.import_contacts(spring.id, &[contact(THREE)], NOW).await.unwrap();
    let mut import = store.begin_import(&file(spring.id, "a.csv"), NOW).await.unwrap();
    let first = [on_line(ONE, 2), on_line(ONE, 3), on_line(THREE, 4)];
    let placed = store.add_to_import(&mut import, &first, 3, NOW).await.unwrap();
    assert_eq!(placed, [Placed::Added, Placed::Repeated { line: 2 }, Placed::Had]);
    let later = [on_line(TWO, 5), on_line(ONE, 6)];
    let placed = store.add_to_import(&mut import, &later, 5, NOW).await.unwrap();
    assert_eq!(placed, [Placed::Added, Placed::Repeated { line: 2 }]);
    let seen = store.placed(spring.id, None, &[contact(ONE), contact("+33611111111")]).await.unwrap();
    assert_eq!(seen, [Placed::Had, Placed::Added]);
}

async fn a_cut_off_import_goes_on_where_it_was(db: Db) {
    {
        let store = db.open().await;
        let spring = campaign(&store, "spring", 0).await;
        let mut import = store.begin_import(&file(spring.id, "a.csv"), NOW).await.unwrap();
        store.add_to_import(&mut import, &[on_line(ONE, 2)], 4, NOW).await.unwrap();
        // Dropped without a word, as by a crash.
    }
    let store = db.open().await;
    let spring = store.campaign("spring").await.unwrap();
    let mut import = store.begin_import(&file(spring.id, "a.csv"), NOW + 9).await.unwrap();
    assert_eq!(import.rows_read(), 4);
    let before = [on_line(ONE, 2), on_line(ONE, 4)];
    let placed = store.placed(spring.id, Some(&import), &before).await.unwrap();
    assert_eq!(placed, [Placed::Added, Placed::Repeated { line: 2 }], "as it was the first time");
    // What was read but not kept in the books is read again: nobody is there twice.
    let placed = store.add_to_import(&mut import, &[on_line(ONE, 2), on_line(TWO, 6)], 6, NOW).await.unwrap();
    assert_eq!(placed, [Placed::Added, Placed::Added]);
    store.publish_import(&import, NOW).await.unwrap();
    assert_eq!(contacts(&store).await, 2);
}

async fn another_file_waits_until_the_first_is_finished_or_dropped(db: Db) {
    let store = db.open().await;
    let spring = campaign(&store, "spring", 0).await;
    let mut import = store.begin_import(&file(spring.id, "a.csv"), NOW).await.unwrap();
    store.add_to_import(&mut import, &[on_line(ONE, 2)], 1, NOW).await.unwrap();
    let refused = |at| {
        let store = store.clone();
        async move { store.begin_import(&file(spring.id, "b.csv"), at).await.unwrap_err().to_string() }
    };
    assert!(refused(NOW + 1000).await.starts_with("`a.csv` is being read into it just now"));
    let cut_off = "the import of `a.csv` was cut off after 1 rows";
    assert!(refused(NOW + 60_000).await.starts_with(cut_off));
    assert_eq!(store.drop_import(spring.id).await.unwrap(), 1);
    let other = store.begin_import(&file(spring.id, "b.csv"), NOW).await.unwrap();
    assert_eq!(other.rows_read(), 0);
    let gone = store.add_to_import(&mut import, &[on_line(TWO, 3)], 2, NOW).await.unwrap_err();
    assert!(matches!(gone, StoreError::ImportGone), "{gone}");
}

async fn an_import_that_nobody_touches_is_swept(db: Db) {
    let store = db.open().await;
    let spring = campaign(&store, "spring", 3).await;
    let mut import = store.begin_import(&file(spring.id, "a.csv"), NOW).await.unwrap();
    let batch: Vec<_> = (0..600).map(|i| on_line(&format!("+33611111{i:03}"), i + 2)).collect();
    store.add_to_import(&mut import, &batch, 600, NOW + 10).await.unwrap();
    assert_eq!(store.sweep_imports(NOW + 10).await.unwrap(), 0);
    assert_eq!(store.sweep_imports(NOW + 11).await.unwrap(), 600);
    assert_eq!(contacts(&store).await, 3, "what is published stays");
    assert_eq!(store.begin_import(&file(spring.id, "a.csv"), NOW).await.unwrap().rows_read(), 0);
}

/// Even where the dropping itself was cut off.
async fn contacts_of_a_dropped_import_can_be_added_again(db: Db) {
    let store = db.open().await;
    let spring = campaign(&store, "spring", 0).await;
    let mut import = store.begin_import(&file(spring.id, "a.csv"), NOW).await.unwrap();
    store.add_to_import(&mut import, &[on_line(ONE, 2)], 1, NOW).await.unwrap();
    sqlx::query("update imports set state = 'dropped'").execute(store.pool()).await.unwrap();
    assert_eq!(contacts(&store).await, 0);
    let mut import = store.begin_import(&file(spring.id, "b.csv"), NOW).await.unwrap();
    let placed = store.add_to_import(&mut import, &[on_line(ONE, 2)], 1, NOW).await.unwrap();
    assert_eq!(placed, [Placed::Added]);
}

async fn cohorts_are_told_apart_by_zones_and_consent(db: Db) {
    let store = db.open().await;
    let spring = campaign(&store, "spring", 0).await;
    let mut import = store.begin_import(&file(spring.id, "a.csv"), NOW).await.unwrap();
    let agreed = NewContact { consent: true, ..on_line(TWO, 3) };
    let elsewhere = NewContact { zones: "Indian/Reunion".to_owned(), ..on_line(THREE, 4) };
    let batch = [on_line(ONE, 2), agreed, elsewhere, on_line("+33600000004", 5)];
    store.add_to_import(&mut import, &batch, 4, NOW).await.unwrap();
    let rows = sqlx::query(
        "select zones, consent, (select count(*) from contacts where cohort_id = cohorts.id) as n \
         from cohorts order by zones, consent",
    );
    let rows = rows.fetch_all(store.pool()).await.unwrap();
    let found: Vec<(String, i64, i64)> =
        rows.iter().map(|row| (row.get("zones"), row.get("consent"), row.get("n"))).collect();
    let expected = [("Europe/Paris", 0, 2), ("Europe/Paris", 1, 1), ("Indian/Reunion", 0, 1)]
        .map(|(z, c, n)| (z.to_owned(), c, n));
    assert_eq!(found, expected);
}

async fn a_large_batch_is_added_whole(db: Db) {
    let store = db.open().await;
    let spring = campaign(&store, "spring", 0).await;
    let batch: Vec<_> = (0..1201).map(|i| contact(&format!("+3361111{i:04}"))).collect();
    assert_eq!(store.import_contacts(spring.id, &batch, NOW).await.unwrap().added, 1201);
    let again = store.import_contacts(spring.id, &batch, NOW).await.unwrap();
    assert_eq!((again.added, again.had.len()), (0, 1201));
    assert_eq!(again.had.last(), Some(&1200));
}
