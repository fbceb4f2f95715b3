use proptest::prelude::*;

use super::*;
use crate::amd::Verdict;

fn pack(language: &str) -> &'static PhrasePack {
    PhrasePack::for_language(language).unwrap_or_else(|| panic!("the pack {language} does not parse"))
}

#[test]
fn folding() {
    for (text, folded) in [
        ("Don't  CALL—me!", "dont call me"),
        ("dont call me", "dont call me"),
        ("C'est à l’appareil ?", "c est a l appareil"),
        ("I'm, we're; they'll", "im were theyll"),
        ("voice-mail", "voice mail"),
        ("¿Quién es?", "quien es"),
        ("Grüß Gott, Straße", "gruss gott strasse"),
        ("sœur", "soeur"),
        ("  ...  ", ""),
        ("aujourd'hui", "aujourd hui"),
    ] {
        assert_eq!(fold(text), folded, "{text}");
    }
}

proptest! {
    #[test]
    fn folding_twice_changes_nothing(text in "\\PC{0,60}") {
        let once = fold(&text);
        prop_assert_eq!(fold(&once), once.clone());
        prop_assert!(!once.contains("  ") && once.trim() == once);
    }

    #[test]
    fn a_phrase_is_found_between_any_words(before in "[a-z ]{0,20}", after in "[a-z ]{0,20}") {
        let set = PhraseSet::new([("Mailbox is full!".to_owned(), (), 1.0)]).unwrap();
        let text = format!("{before} mailbox, is FULL {after}");
        let hits = set.hits(&text);
        prop_assert_eq!(hits.len(), 1 );
        let words = tokens(&text);
        prop_assert_eq!(words[hits[0].start..hits[0].end].join(" "), "mailbox is full");
    }

    #[test]
    fn hits_never_overlap(text in "(leave |a |message |after |the |tone |name |and |number |1 |press ){0,12}") {
        for language in PhrasePack::LANGUAGES {
            let hits = pack(language).machine_hits(&text);
            let mut end = 0;
            for hit in hits {
                prop_assert!(hit.start >= end && hit.end > hit.start);
                end = hit.end;
            }
        }
    }

    #[test]
    fn glued_words_are_no_phrase(letters in "[a-z]{1,5}") {
        let set = PhraseSet::new([("press".to_owned(), (), 1.0)]).unwrap();
        let (before, after) = (format!("{letters}press"), format!("press{letters}"));
        prop_assert!(set.hits(&before).is_empty());
        prop_assert!(set.hits(&after).is_empty());
    }
}

#[test]
fn the_longest_phrase_wins_and_digits_are_one_word() {
    let phrases =
        [("message", 1), ("leave a message", 2), ("you have reached <digits>", 3), ("you have reached", 4)];
    let set = PhraseSet::new(phrases.map(|(phrase, n)| (phrase.to_owned(), n, 1.0))).unwrap();
    let found =
        |text: &str| set.hits(text).iter().map(|hit| (*hit.value, hit.start, hit.end)).collect::<Vec<_>>();
    assert_eq!(found("please leave a message. Message"), [(2, 1, 4), (1, 4, 5)]);
    assert_eq!(found("Hi, you have reached 555-0100, leave a message"), [(3, 1, 6), (2, 6, 9)]);
    assert_eq!(found("you have reached five five five oh one"), [(3, 0, 8)]);
    assert_eq!(found("you have reached Mary"), [(4, 0, 3)]);
    assert_eq!(found(""), []);
}

#[test]
fn every_pack_parses_and_is_wide_enough() {
    for (language, machine, human) in
        [("en", 90, 20), ("fr", 90, 20), ("de", 90, 20), ("es", 90, 20), ("it", 90, 20)]
    {
        let text =
            std::fs::read_to_string(format!("{}/../../keywords/{language}.yaml", env!("CARGO_MANIFEST_DIR")));
        let parsed = PhrasePack::parse(&text.unwrap(), "pack.yaml")
            .unwrap_or_else(|error| panic!("{language}: {error}"));
        let (machines, humans) = parsed.counts();
        assert!(machines >= machine && humans >= human, "{language}: {machines} machine, {humans} human");
        assert!(pack(language).intent("yes").is_some_and(|phrases| phrases.len() >= 10));
        assert!(pack(language).intent("no").is_some_and(|phrases| phrases.len() >= 10));
    }
    assert_eq!(pack("fr-CA").language(), "fr");
    assert!(PhrasePack::for_language("xx").is_none());
}

#[test]
fn every_phrase_finds_itself() {
    for language in PhrasePack::LANGUAGES {
        let path = format!("{}/../../keywords/{language}.yaml", env!("CARGO_MANIFEST_DIR"));
        let yaml = std::fs::read_to_string(path).unwrap();
        let machine = yaml.split("\nhuman:").next().unwrap().split("machine:").nth(1).unwrap();
        for line in machine.lines().filter_map(|line| line.strip_prefix("    - ")) {
            let phrase =
                line.strip_prefix("{phrase: ").map_or(line, |rest| rest.split(", weight").next().unwrap());
            let spoken = phrase.replace("<digits>", "5550100");
            assert!(!pack(language).machine_hits(&spoken).is_empty(), "{language}: {phrase}");
        }
    }
}

/// The class that weighs most, as a first reading of what machines say.
fn strongest(language: &str, text: &str) -> Option<Verdict> {
    let hits = pack(language).machine_hits(text);
    hits.iter()
        .max_by(|a, b| a.weight.total_cmp(&b.weight).then(b.start.cmp(&a.start)))
        .map(|hit| hit.verdict)
}

#[test]
fn greetings_cut_at_the_first_words_are_machines() {
    for (language, text, verdict) in [
        ("en", "Hi, you've reached the voicemail of", Verdict::Voicemail),
        ("en", "You have reached the voice mail", Verdict::Voicemail),
        ("en", "Your call has been forwarded to an auto", Verdict::Voicemail),
        ("en", "Hey, it's Dan, sorry I missed your call", Verdict::Voicemail),
        ("en", "The person you are trying to reach", Verdict::Voicemail),
        ("en", "We're not able to come to the phone", Verdict::Voicemail),
        ("en", "Please leave your message after the tone", Verdict::Voicemail),
        ("en", "The mailbox is full and cannot accept any messages at this time", Verdict::MailboxFull),
        ("en", "Hi, if you record your name and reason for calling", Verdict::Screening),
        ("en", "Thank you for calling Acme. For sales, press one", Verdict::Ivr),
        ("en", "Your call is now first in line", Verdict::Ivr),
        ("en", "The number you have dialed is not in service", Verdict::Sit),
        ("en", "We're sorry, your call cannot be completed as dialed", Verdict::Sit),
        ("fr", "Bonjour, vous êtes bien sur", Verdict::Voicemail),
        ("fr", "Bonjour vous êtes bien sur la messagerie de", Verdict::Voicemail),
        ("fr", "Votre correspondant n'est pas disponible", Verdict::Voicemail),
        ("fr", "Bienvenue sur la messagerie vocale Orange", Verdict::Voicemail),
        ("fr", "Le répondeur de votre correspondant est plein", Verdict::MailboxFull),
        ("fr", "Le numéro que vous avez composé n'est pas attribué", Verdict::Sit),
        ("fr", "Merci de votre appel. Pour le service commercial, tapez 1", Verdict::Ivr),
        ("de", "Guten Tag, dies ist die Mailbox von", Verdict::Voicemail),
        ("de", "Der gewünschte Gesprächspartner ist zurzeit nicht erreichbar", Verdict::Voicemail),
        ("de", "Kein Anschluss unter dieser Nummer", Verdict::Sit),
        ("es", "Este es el buzón de voz de", Verdict::Voicemail),
        ("es", "El número que usted ha marcado no existe", Verdict::Sit),
        ("es", "Deje su mensaje después de la señal", Verdict::Voicemail),
        ("it", "Risponde la segreteria telefonica di", Verdict::Voicemail),
        ("it", "Il cliente da lei chiamato non è al momento raggiungibile", Verdict::Voicemail),
        ("it", "Il numero selezionato è inesistente", Verdict::Sit),
    ] {
        assert_eq!(
            strongest(language, text),
            Some(verdict),
            "{text}: {:?}",
            pack(language).machine_hits(text)
        );
    }
}

#[test]
fn people_are_not_machines() {
    for (language, text) in [
        ("en", "Hello, who is this?"),
        ("en", "I was just making an espresso"),
        ("en", "Five five five, oh one two three"),
        ("en", "Hi, can I leave a message for Tom?"),
        ("en", "I got your message yesterday"),
        ("en", "He's not available right now, can I take a message?"),
        ("en", "Good morning, Smith and sons."),
        ("en", "I left a message last week"),
        ("en", "What number are you trying to reach?"),
        ("en", "She's on the phone"),
        ("en", "I'm impressed, expressly impressed"),
        ("en", "I'm driving, can you call back later?"),
        ("en", "Mr Quilter is the apostle of the middle classes"),
        ("fr", "Allô oui, qui est à l'appareil ?"),
        ("fr", "Vous m'avez laissé un message hier"),
        ("fr", "Il n'est pas disponible, je peux prendre un message ?"),
        ("fr", "Je ne suis pas disponible demain"),
        ("fr", "Société Martin bonjour."),
        ("fr", "Zéro six, douze, trente-quatre"),
        ("de", "Ja, bitte?"),
        ("de", "Müller, guten Tag."),
        ("de", "Ich habe Ihre Nachricht bekommen"),
        ("es", "Sí, dígame."),
        ("es", "¿Quiere dejar un mensaje?"),
        ("it", "Pronto, chi parla?"),
        ("it", "Vuole lasciare un messaggio?"),
    ] {
        let hits = pack(language).machine_hits(text);
        assert!(hits.is_empty(), "{text}: {hits:?}");
    }
}

#[test]
fn people_are_heard_as_people() {
    for (language, text) in [
        ("en", "Hello? Who's calling, please?"),
        ("en", "Thank you for calling Acme, this is Mary, how can I help you?"),
        ("fr", "Allô ?"),
        ("fr", "Oui, je vous écoute"),
        ("de", "Wer ist da bitte?"),
        ("es", "¿Diga?"),
        ("it", "Pronto?"),
    ] {
        let human: f32 = pack(language).human_hits(text).iter().map(|hit| hit.weight).sum();
        let machine: f32 = pack(language).machine_hits(text).iter().map(|hit| hit.weight).sum();
        assert!(human > machine, "{text}: human {human}, machine {machine}");
    }
}

#[test]
fn fillers_and_stop_phrases() {
    let en = pack("en");
    for text in ["Mm-hmm.", "Okay.", "Yeah.", "yes", "Uh-huh, okay, right", "uh"] {
        assert!(en.is_filler(text), "{text}");
        assert_eq!(en.content_words(text), 0, "{text}");
        assert_eq!(en.stop_hit(text), None, "{text}");
    }
    assert!(!en.is_filler("") && !en.is_filler("no") && !en.is_filler("okay but listen"));
    assert_eq!(en.content_words("okay, I want a coffee"), 4);
    assert_eq!(pack("de").content_words("Denau."), 0, "a letter misheard");
    assert_eq!(en.content_words("five"), 1, "not `fine`: too short to tell");
    assert_eq!(en.stop_hit("Wait, who is this?"), Some("wait"));
    assert_eq!(en.stop_hit("the bus stopped"), None);
    assert!(pack("fr").is_filler("Oui, d'accord"));
    assert_eq!(pack("fr").stop_hit("c'est qui ?"), Some("c'est qui"));
    assert!(en.is_hesitation("uh, um") && !en.is_hesitation("yes"));
}

#[test]
fn inventions_are_refused_only_as_a_whole() {
    assert!(pack("en").hallucination("Thank you for watching!"));
    assert!(pack("en").hallucination("you"));
    assert!(!pack("en").hallucination("you have the wrong number"));
    assert!(!pack("en").hallucination(""));
    assert!(pack("fr").hallucination("Sous-titres réalisés par la communauté d'Amara.org"));
    assert!(pack("fr").hallucination("Sous-titrage Société Radio-Canada"));
    assert!(pack("de").hallucination("Untertitel der Amara.org-Community"));
}

#[test]
fn a_wrong_pack_names_file_line_and_key() {
    let yaml = "language: en\nmachine:\n  voicemale: [leave a message]\nhumans: [hello]\nhuman:\n  - {phrase: hi, weight: 9}\n  - '?!'\n";
    let error = PhrasePack::parse(yaml, "pack.yaml").unwrap_err();
    assert_eq!(
        error.lines(),
        [
            "pack.yaml:3:3: machine.voicemale: unknown key `voicemale`; did you mean `voicemail`?",
            "pack.yaml:4:1: humans: unknown key `humans`; did you mean `human`?",
            "pack.yaml:6:26: human[0].weight: `9` must be a number above 0 and at most 2",
            "pack.yaml:7:5: human[1]: `?!` has no word in it",
        ]
    );
    let twice =
        PhrasePack::parse("language: en\nmachine: {ivr: [press 1]}\nhuman: [Press 1!]\n", "p").unwrap_err();
    assert_eq!(twice.lines(), ["p:1:1: `Press 1!` is given twice"]);
    assert!(PhrasePack::parse("language: en\nmachine: [", "p").unwrap_err().lines()[0].starts_with("p:2:"));
}
