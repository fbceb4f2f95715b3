use super::*;

fn levels(background: &[f32], person: &[f32]) -> Levels {
    let mut levels = Levels::default();
    background.iter().for_each(|&dbfs| levels.background(dbfs));
    person.iter().for_each(|&dbfs| levels.person(dbfs));
    levels
}

/// Speech-like levels: half of it pauses, the loud moments at `top`.
fn speech(top: f32) -> Vec<f32> {
    (0..300_u16).map(|i| if i % 2 == 0 { -65.0 } else { top - f32::from(i % 20) }).collect()
}

#[test]
fn a_quiet_line_asks_for_a_telephone_voice() {
    let near = levels(&[-65.0; 200], &[]).near();
    assert!((-36.0..=-32.0).contains(&near), "{near}");
}

#[test]
fn a_television_raises_the_bar_above_itself() {
    let near = levels(&speech(-32.0), &[]).near();
    assert!((-33.0..=-28.0).contains(&near), "{near}");
}

#[test]
fn a_person_known_to_be_quiet_is_heard_on_a_quiet_line() {
    let known = levels(&[-65.0; 200], &speech(-36.0));
    assert!(known.near() < -46.0, "{}", known.near());
    assert!(known.within() < known.near());
}

#[test]
fn waiting_is_more_lenient_than_being_interrupted() {
    let quiet = levels(&[-65.0; 200], &[]);
    assert!(quiet.waiting() < -60.0, "{}", quiet.waiting());
    let television = levels(&speech(-34.0), &speech(-19.0));
    assert!(television.waiting() > -36.0, "{}", television.waiting());
    let unknown = levels(&speech(-26.0), &[]);
    assert!(unknown.waiting() <= -38.0, "nobody is shut out unheard: {}", unknown.waiting());
}

#[test]
fn the_past_is_forgotten() {
    let mut levels = levels(&speech(-32.0), &[]);
    for _ in 0..2000 {
        levels.background(-65.0);
    }
    assert!(levels.near() < -33.0, "{}", levels.near());
}

#[test]
fn a_few_loud_words_are_no_background() {
    let mut heard = vec![-65.0; 150];
    heard.extend([-22.0; 20]);
    assert!(levels(&heard, &[]).near() < -33.0);
}
