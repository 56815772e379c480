use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::{
    archive::{ArchiveNumber, hold::Hold},
    journal::{Chain, Position},
    settings::sections::DeleteOldest,
};

fn keep(last: u32) -> Keep {
    Keep { last, delete_oldest: DeleteOldest::After, ..Keep::default() }
}

fn numbers(sets: &[BackupSet]) -> Vec<u32> {
    sets.iter().map(|set| set.number.0).collect()
}

fn set(number: u32) -> BackupSet {
    let path = PathBuf::from(format!("a[{number:04}].4BK"));
    BackupSet {
        number: ArchiveNumber(number),
        archive: path.clone(),
        files: vec![path],
        logs: Vec::new(),
        needed: Vec::new(),
        bytes: 1,
        moment: None,
        check: ContentCheck::Whole,
        not_whole: Some(0),
        is_genuine: true,
        hold: None,
        position: None,
        is_continued: false,
        is_in_use: false,
        untouchable: None,
    }
}

fn logged(set: BackupSet, continued: bool) -> BackupSet {
    let number = set.number.0;
    BackupSet {
        logs: if continued { vec![format!("a[{number:04}].4BL").into()] } else { vec![] },
        position: Some(Position::at(number, u64::from(number), Chain([0; 32]))),
        is_continued: continued,
        ..set
    }
}

/// A history: per backup whether it is ours, whether a log was used, and whether that log is still found.
fn history(backups: &[(bool, bool, bool)], in_use: Option<usize>) -> Vec<BackupSet> {
    let one = |(at, (ours, with_log, continued)): (usize, &(bool, bool, bool))| {
        let mut one = set(at as u32 + 1);
        if *with_log {
            one = logged(one, *continued);
            one.is_in_use = in_use == Some(at);
        }
        one.untouchable = (!ours).then(|| "damaged".to_owned());
        one
    };
    let mut sets: Vec<BackupSet> = backups.iter().enumerate().map(one).collect();
    sets.reverse();
    sets
}

/// A history of backups of which this is known: `w`hole, `s`tructure, `?` nothing, `d`amaged; a capital one is held.
fn known(letters: &str) -> Vec<BackupSet> {
    let one = |(at, letter): (usize, char)| BackupSet {
        check: match letter.to_ascii_lowercase() {
            'w' => ContentCheck::Whole,
            's' => ContentCheck::Structure,
            'd' => ContentCheck::Damaged,
            _ => ContentCheck::NotChecked,
        },
        hold: letter.is_ascii_uppercase().then(Hold::default),
        ..set(at as u32 + 1)
    };
    let mut sets: Vec<BackupSet> = letters.chars().enumerate().map(one).collect();
    sets.reverse();
    sets
}

/// The disk of the log was away for two backups: it goes on from the one before them, and leads over them to the next.
#[test]
fn a_log_that_goes_on_over_backups_made_without_it_stays_with_them() {
    let (cut, uncut) = ((true, true, true), (true, false, false));
    let history = |backups: &[(bool, bool, bool)]| history(backups, Some(backups.len() - 1));
    let goes = |sets: &[BackupSet]| numbers(&plan(sets, &keep(3), When::Now, &[]));
    let mut backups = vec![cut, cut, uncut, uncut, cut];
    assert_eq!(goes(&history(&backups)), [1], "two leads over three and four to five");
    backups.push(cut);
    assert_eq!(goes(&history(&backups)), [1, 3], "and over four alone");
    backups.push(cut);
    assert_eq!(goes(&history(&backups)), [1, 2, 3, 4]);
    // The log was switched off after the second one, or is not there.
    assert_eq!(goes(&history(&[cut, cut, uncut, uncut, uncut])), [1, 2]);
    let lost = (true, true, false);
    assert_eq!(goes(&history(&[cut, lost, uncut, uncut, cut])), [1, 2]);
}

#[test]
fn the_oldest_are_deleted_with_their_logs() {
    let sets = history(&[(true, true, true); 5], Some(4));
    let now = plan(&sets, &keep(3), When::Now, &[]);
    assert_eq!(numbers(&now), [1, 2]);
    assert!(now.iter().all(|set| set.logs.len() == 1));
    assert_eq!(numbers(&plan(&sets, &keep(3), When::BeforeBackup, &[])), [1, 2, 3]);
    assert_eq!(numbers(&plan(&sets, &keep(1), When::BeforeBackup, &[])), [1, 2, 3, 4], "one remains");
    assert_eq!(plan(&sets, &keep(9), When::Now, &[]), []);
    assert_eq!(plan(&sets, &Keep { all: true, ..keep(1) }, When::Now, &[]), []);
    assert_eq!(numbers(&plan(&sets, &keep(3), When::Now, &["a[0002].4BK".into()])), [1]);
}

#[test]
fn only_backups_known_to_be_as_good_push_out_others() {
    for (letters, last, goes) in [
        ("wwww", 3, &[1][..]),
        // Four backups of a damaged data file push out no sound one; of themselves the oldest goes.
        ("wwwdddd", 3, &[4]),
        ("wdddddddd", 1, &[2, 3, 4, 5, 6, 7, 8]),
        ("wwdw", 2, &[1]),
        ("dwww", 3, &[1]),
        // Nobody looks: as if all were alike.
        ("????", 3, &[1]),
        ("w????", 3, &[2]),
        ("wwww????", 3, &[1, 5]),
        ("?www", 3, &[1]),
        // One of which only the structure was checked is not as good as one that was tested.
        ("ws", 1, &[]),
        ("wss", 1, &[2]),
        ("wsw", 1, &[1, 2]),
        ("s?d", 1, &[]),
        ("d?sw", 1, &[1, 2, 3]),
        // What is held neither counts nor goes.
        ("Wwww", 3, &[]),
        ("WDwww?", 1, &[3, 4]),
        ("WWWW", 1, &[]),
        ("", 1, &[]),
    ] {
        assert_eq!(numbers(&plan(&known(letters), &keep(last), When::Now, &[])), goes, "{letters} {last}");
    }
    assert_eq!(numbers(&plan(&known("wwwd"), &keep(3), When::BeforeBackup, &[])), [1]);
    assert_eq!(numbers(&plan(&known("wddd"), &keep(1), When::BeforeBackup, &[])), [2, 3]);
    assert_eq!(numbers(&stay_as_sound(&known("wwwdddd"), &keep(3))), [3, 2, 1]);
    assert_eq!(stay_as_sound(&known("wwwd"), &keep(4)), []);
    assert_eq!(stay_as_sound(&known("????"), &keep(1)), []);
}

#[test]
fn what_this_user_did_not_sign_pushes_out_nothing_that_he_did() {
    // `s`igned, `u`nsigned.
    let of = |letters: &str| {
        let mut sets = known(&"w".repeat(letters.len()));
        sets.reverse();
        sets.iter_mut().zip(letters.chars()).for_each(|(set, letter)| set.is_genuine = letter == 's');
        sets.reverse();
        sets
    };
    for (letters, last, goes) in [
        ("ssuuuu", 2, &[3, 4][..]),
        ("uuus", 1, &[1, 2, 3]),
        ("uuss", 3, &[1]),
        ("sususu", 1, &[1, 2, 3, 4]),
        ("uuuu", 3, &[1]),
    ] {
        assert_eq!(numbers(&plan(&of(letters), &keep(last), When::Now, &[])), goes, "{letters} {last}");
    }
    assert_eq!(numbers(&stay_as_sound(&of("suu"), &keep(1))), [1]);
}

#[test]
fn what_lacks_chosen_files_pushes_out_nothing_that_holds_them_all() {
    // `+` holds all, `-` lacks something, `?` does not say.
    let of = |signs: &str| {
        let mut sets = known(&"w".repeat(signs.len()));
        sets.reverse();
        for (set, sign) in sets.iter_mut().zip(signs.chars()) {
            set.not_whole = match sign {
                '+' => Some(0),
                '-' => Some(2),
                _ => None,
            };
        }
        sets.reverse();
        sets
    };
    for (signs, last, goes) in [
        ("++++", 3, &[1][..]),
        ("+++----", 3, &[4]),
        ("+------", 1, &[2, 3, 4, 5, 6]),
        ("++-+", 2, &[1]),
        ("-+++", 3, &[1]),
        ("?---", 1, &[2, 3]),
        ("?-+", 1, &[1, 2]),
        ("+???", 1, &[2, 3]),
        ("----", 3, &[1]),
    ] {
        assert_eq!(numbers(&plan(&of(signs), &keep(last), When::Now, &[])), goes, "{signs} {last}");
    }
    assert_eq!(numbers(&plan(&of("+--"), &keep(1), When::BeforeBackup, &[])), [2]);
    assert_eq!(numbers(&stay_as_sound(&of("+--"), &keep(1))), [1]);
    // Neither is better: one lacks files, the other holds a damaged data file.
    let mut sets = of("+-");
    sets[1].check = ContentCheck::Damaged;
    assert_eq!(plan(&sets, &keep(1), When::Now, &[]), []);
}

#[test]
fn what_is_damaged_or_foreign_neither_counts_nor_goes() {
    let mut backups = [(true, false, false); 6];
    (backups[0].0, backups[4].0) = (false, false);
    assert_eq!(numbers(&plan(&history(&backups, None), &keep(2), When::Now, &[])), [2, 3]);
}

#[test]
fn the_archive_that_the_log_in_use_stands_on_stays() {
    // Since backup 2 the log could not be cut.
    let backups = [(true, true, true), (true, true, true), (true, false, false), (true, false, false)];
    assert_eq!(numbers(&plan(&history(&backups, Some(1)), &keep(1), When::Now, &[])), [1, 3]);
}

#[test]
fn logs_stay_while_a_kept_archive_may_be_in_the_middle_of_one() {
    let backups = [(true, true, true), (true, true, false), (true, true, true)];
    let delete = plan(&history(&backups, Some(2)), &keep(2), When::Now, &[]);
    assert_eq!(numbers(&delete), [1]);
    assert!(delete[0].logs.is_empty());
    // Of damaged sets after the last one that is not, the logs lead on to now.
    let mut sets: Vec<BackupSet> = (1..7).map(|number| logged(set(number), true)).collect();
    sets[2..].iter_mut().for_each(|set| set.check = ContentCheck::Damaged);
    sets[0].check = ContentCheck::Damaged;
    sets.reverse();
    let delete = plan(&sets, &keep(1), When::Now, &[]);
    let logs: Vec<(usize, usize)> = delete.iter().map(|set| (set.logs.len(), set.needed.len())).collect();
    assert_eq!((numbers(&delete), logs), (vec![1, 3, 4, 5], vec![(1, 0), (0, 1), (0, 1), (0, 1)]));
    // Whoever is held and older needs no log that begins after it.
    let mut sets: Vec<BackupSet> = (2..6).map(|number| logged(set(number), true)).collect();
    sets.insert(0, BackupSet { hold: Some(Hold::default()), ..logged(set(1), false) });
    sets.reverse();
    let delete = plan(&sets, &keep(2), When::Now, &[]);
    assert_eq!((numbers(&delete), delete.iter().all(|set| set.logs.len() == 1)), (vec![2, 3], true));
}

/// Sets made at these moments, the first one the oldest.
fn made(moments: &[&str]) -> Vec<BackupSet> {
    let one = |(at, text): (usize, &&str)| {
        let moment = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M %z").ok();
        assert!(moment.is_some() || text.is_empty(), "{text}");
        BackupSet { moment, ..set(at as u32 + 1) }
    };
    let mut sets: Vec<BackupSet> = moments.iter().enumerate().map(one).collect();
    sets.reverse();
    sets
}

/// `h`ourly, `d`aily, `w`eekly, `m`onthly, `y`early, and how many, after the number of the last ones.
fn rule(text: &str) -> Keep {
    let mut rule = keep(1);
    for word in text.split_whitespace() {
        // A word that is none keeps so many that the test fails.
        let number = |at: usize| word[at..].parse().unwrap_or(9999);
        match word.chars().next() {
            Some('h') => rule.hourly = number(1),
            Some('d') => rule.daily = number(1),
            Some('w') => rule.weekly = number(1),
            Some('m') => rule.monthly = number(1),
            Some('y') => rule.yearly = number(1),
            _ => rule.last = number(0),
        }
    }
    rule
}

fn kept(sets: &[BackupSet], keep: &Keep) -> Vec<u32> {
    let gone = numbers(&plan(sets, keep, When::Now, &[]));
    numbers(sets).into_iter().rev().filter(|number| !gone.contains(number)).collect()
}

/// A year and a half of backups, with gaps, in the zone of Berlin: summer time until 2025-10-26 and from 2026-03-29 on.
const DATES: [&str; 40] = [
    "2024-11-30 23:00 +0100", //  1
    "2024-12-30 23:00 +0100", //  2 of the ISO week 1 of 2025
    "2024-12-31 23:00 +0100", //  3
    "2025-01-01 00:30 +0100", //  4
    "2025-01-05 23:00 +0100", //  5 the Sunday of that week
    "2025-01-06 23:00 +0100", //  6 the Monday after
    "2025-03-30 01:59 +0100", //  7 the hour before summer time
    "2025-03-30 03:00 +0200", //  8 a minute later
    "2025-06-30 23:59 +0200", //  9
    "2025-07-01 00:00 +0200", // 10
    // A gap of three months.
    "2025-10-26 01:30 +0200", // 11
    "2025-10-26 02:10 +0200", // 12
    "2025-10-26 02:50 +0200", // 13
    "2025-10-26 02:10 +0100", // 14 the same hour again
    "2025-10-26 02:50 +0100", // 15
    "2025-10-26 03:10 +0100", // 16
    "2025-12-24 18:00 +0100", // 17
    "2025-12-28 18:00 +0100", // 18 a Sunday
    "2025-12-29 18:00 +0100", // 19 of the ISO week 1 of 2026
    "2025-12-31 18:00 +0100", // 20
    "2026-01-01 18:00 +0100", // 21
    "2026-01-31 18:00 +0100", // 22
    "2026-02-28 18:00 +0100", // 23
    "2026-03-29 01:59 +0100", // 24
    "2026-03-29 03:01 +0200", // 25
    "2026-04-05 12:00 +0200", // 26
    "2026-04-06 12:00 +0200", // 27
    "2026-04-07 12:00 +0200", // 28
    "2026-04-07 12:00 +0200", // 29 equal
    "2026-04-07 12:00 +0200", // 30 equal
    "2026-04-07 12:01 +0200", // 31
    "2026-04-07 12:59 +0200", // 32
    "2026-04-07 13:00 +0200", // 33
    "2026-04-07 13:30 +0200", // 34
    "2026-04-08 00:00 +0200", // 35
    "2026-04-08 23:59 +0200", // 36
    "2026-04-09 00:00 +0200", // 37
    "2026-04-09 11:00 +0200", // 38
    "2026-04-09 11:30 +0200", // 39
    "2026-04-09 12:00 +0200", // 40
];

#[test]
fn of_each_period_the_newest_is_kept() {
    let sets = made(&DATES);
    for (text, expected) in [
        ("1", &[40][..]),
        ("3", &[38, 39, 40]),
        ("40", &(1..=40).collect::<Vec<u32>>()),
        ("99", &(1..=40).collect::<Vec<u32>>()),
        ("1 h1", &[40]),
        ("1 h2", &[39, 40]),
        ("1 h3", &[37, 39, 40]),
        ("1 h4", &[36, 37, 39, 40]),
        ("1 h7", &[32, 34, 35, 36, 37, 39, 40]),
        ("2 h2", &[39, 40]),
        ("1 d1", &[40]),
        ("1 d2", &[36, 40]),
        ("1 d3", &[34, 36, 40]),
        ("1 d5", &[26, 27, 34, 36, 40]),
        ("3 d3", &[34, 36, 38, 39, 40]),
        ("1 w1", &[40]),
        // Monday begins a week: the Sunday before belongs to the last one.
        ("1 w2", &[26, 40]),
        ("1 w3", &[25, 26, 40]),
        ("1 m1", &[40]),
        ("1 m3", &[23, 25, 40]),
        ("1 m6", &[16, 20, 22, 23, 25, 40]),
        ("1 m9", &[8, 9, 10, 16, 20, 22, 23, 25, 40]),
        ("1 y1", &[40]),
        ("1 y2", &[20, 40]),
        ("1 y3", &[3, 20, 40]),
        ("1 y9", &[3, 20, 40]),
        ("2 h3 d3 w2 m3 y2", &[20, 23, 25, 26, 34, 36, 37, 39, 40]),
        // The last week of a year belongs to the next one, as ISO counts: it is one week.
        ("1 d9999", &[1, 2, 3, 4, 5, 6, 8, 9, 10, 16, 17, 18, 19, 20, 21, 22, 23, 25, 26, 27, 34, 36, 40]),
        ("1 w9999", &[1, 5, 6, 8, 10, 16, 18, 21, 22, 23, 25, 26, 40]),
        ("1 m9999", &[1, 3, 6, 8, 9, 10, 16, 20, 22, 23, 25, 40]),
    ] {
        assert_eq!(kept(&sets, &rule(text)), expected, "{text}");
    }
    let all = Keep { all: true, ..rule("1") };
    assert_eq!(plan(&sets, &all, When::Now, &[]), []);
}

#[test]
fn the_hour_that_comes_twice_is_two_hours_and_the_one_left_out_none() {
    let autumn = made(&DATES[10..16]);
    assert_eq!(kept(&autumn, &rule("1 h9")), [1, 3, 5, 6]);
    assert_eq!(kept(&autumn, &rule("1 h3")), [3, 5, 6]);
    assert_eq!(kept(&autumn, &rule("1 d9")), [6]);
    let spring = made(&DATES[6..8]);
    assert_eq!(kept(&spring, &rule("1 h2")), [1, 2]);
    assert_eq!(kept(&spring, &rule("1 d2")), [2]);
}

#[test]
fn a_clock_that_jumped_pushes_out_nothing() {
    // Three days, one of which the clock took for one of the year 2031; it was put right.
    let ahead =
        ["2026-11-01 23:00 +0100", "2026-11-02 23:00 +0100", "2031-01-01 00:00 +0100", "2026-11-03 23:00 +0100"];
    assert_eq!(kept(&made(&ahead), &rule("1 d2")), [2, 3, 4], "one more, and nobody's place");
    assert_eq!(kept(&made(&ahead), &rule("1 y1")), [4]);
    assert_eq!(kept(&made(&ahead), &rule("1 y2")), [3, 4]);
    let aged: Vec<&str> = ahead.iter().copied().chain(["2026-11-04 23:00 +0100", "2026-11-05 23:00 +0100"]).collect();
    assert_eq!(kept(&made(&aged), &rule("1 d2")), [5, 6], "it goes as all others do");
    // An empty battery: 1970.
    let behind =
        ["2024-05-01 00:00 +0200", "2025-05-01 00:00 +0200", "1970-01-01 00:00 +0100", "2026-05-01 00:00 +0200"];
    assert_eq!(kept(&made(&behind), &rule("1 y2")), [2, 3, 4]);
    assert_eq!(kept(&made(&behind), &rule("1 y3")), [1, 2, 3, 4]);
    // A glitch of the date does not stand for the day that it names.
    let again = [
        "2026-11-01 23:00 +0100",
        "2026-11-02 23:00 +0100",
        "2026-11-03 23:00 +0100",
        "2026-11-01 12:00 +0100",
        "2026-11-04 23:00 +0100",
    ];
    assert_eq!(kept(&made(&again), &rule("1 d4")), [1, 2, 3, 4, 5]);
    // The clock is wrong now: the newest stays, and what was before it too.
    let wrong_now = ["2026-11-01 23:00 +0100", "2026-11-02 23:00 +0100", "1970-01-01 00:00 +0100"];
    assert_eq!(kept(&made(&wrong_now), &rule("1 d2")), [1, 2, 3]);
    let future_now = ["2026-11-01 23:00 +0100", "2026-11-02 23:00 +0100", "2031-01-01 00:00 +0100"];
    assert_eq!(kept(&made(&future_now), &rule("1 d2")), [2, 3]);
    // A long time in the wrong year, then put right.
    let long = [
        "2026-01-01 00:00 +0100",
        "2031-01-01 00:00 +0100",
        "2031-01-02 00:00 +0100",
        "2031-01-03 00:00 +0100",
        "2026-01-05 00:00 +0100",
    ];
    assert_eq!(kept(&made(&long), &rule("1 d2")), [3, 4, 5]);
    // Moments that are not known count by their numbers alone.
    assert_eq!(kept(&made(&["2026-01-01 00:00 +0100", "", "", ""]), &rule("2 d1")), [1, 3, 4]);
}

#[test]
fn in_steps_too_only_sound_backups_push_out_sound_ones() {
    let mut sets =
        made(&["2026-11-01 23:00 +0100", "2026-11-02 23:00 +0100", "2026-11-03 22:00 +0100", "2026-11-03 23:00 +0100"]);
    assert_eq!(kept(&sets, &rule("1 d2")), [2, 4]);
    sets[0].check = ContentCheck::Damaged;
    assert_eq!(kept(&sets, &rule("1 d2")), [2, 3, 4]);
    sets[1].check = ContentCheck::NotChecked;
    assert_eq!(kept(&sets, &rule("1 d2")), [1, 2, 3, 4]);
    sets[0].hold = Some(Hold::default());
    assert_eq!(kept(&sets, &rule("1 d1")), [2, 3, 4], "a held one stands for no day");
}

fn any_check() -> impl Strategy<Value = ContentCheck> {
    prop_oneof![
        Just(ContentCheck::Damaged),
        Just(ContentCheck::NotChecked),
        Just(ContentCheck::Structure),
        Just(ContentCheck::Whole),
    ]
}

fn any_set() -> impl Strategy<Value = BackupSet> {
    let flags = any::<(bool, bool, bool, bool)>();
    let moment = prop::option::weighted(0.95, -40_000i64..40_000);
    (flags, any_check(), prop::bool::weighted(0.15), moment).prop_map(
        |((ours, with_log, continued, in_use), check, held, hours)| {
            let mut one = set(0);
            if with_log {
                one = logged(one, continued);
                one.is_in_use = in_use;
            }
            let moment = hours.and_then(|hours| DateTime::from_timestamp(1_790_000_000 + hours * 1800, 0));
            BackupSet {
                check,
                hold: held.then(Hold::default),
                moment: moment.map(|moment| moment.fixed_offset()),
                untouchable: (!ours && !with_log).then(|| "foreign".to_owned()),
                ..one
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn over_any_history_the_newest_of_every_kind_and_all_that_is_held_or_in_use_stay(
        made in prop::collection::vec(any_set(), 0..14),
        is_sorted in any::<bool>(),
        last in 1u32..6,
        steps in prop::array::uniform5(0u32..5),
        before in any::<bool>(),
    ) {
        let mut sets = made;
        if is_sorted {
            sets.sort_by_key(|set| set.moment);
        }
        for (at, set) in sets.iter_mut().enumerate() {
            let number = at as u32 + 1;
            set.number = ArchiveNumber(number);
            set.archive = format!("a[{number:04}].4BK").into();
            set.files = vec![set.archive.clone()];
            if !set.logs.is_empty() {
                set.logs = vec![format!("a[{number:04}].4BL").into()];
            }
        }
        sets.reverse();
        let [hourly, daily, weekly, monthly, yearly] = steps;
        let keep = Keep { hourly, daily, weekly, monthly, yearly, ..keep(last) };
        let when = if before { When::BeforeBackup } else { When::Now };
        let delete = plan(&sets, &keep, when, &[]);
        let limit = if before { last.saturating_sub(1).max(1) } else { last } as usize;
        let is_gone = |set: &BackupSet| delete.iter().any(|gone| gone.number == set.number);
        prop_assert!(delete.iter().all(|set| set.is_ours() && !set.is_in_use && set.hold.is_none()));
        prop_assert!(numbers(&delete).is_sorted());
        let counting: Vec<&BackupSet> = sets.iter().filter(|set| set.is_ours() && set.hold.is_none()).collect();
        for level in LEVELS {
            // Of those at least so good, the last ones stay.
            let good = counting.iter().filter(|set| set.check >= level);
            prop_assert!(good.take(limit).all(|set| !is_gone(set)));
        }
        for gone in &delete {
            // Whatever goes, enough that are newer and as good stay.
            let as_good = counting.iter().filter(|set| set.number > gone.number && set.check >= gone.check && !is_gone(set));
            prop_assert!(as_good.count() >= limit);
        }
        // No more than the rule at each of the four levels, and what is in use, leads over one that was made without
        // the log, or contradicts the order of the numbers.
        if is_sorted {
            let uncut = counting.iter().filter(|set| !is_gone(set) && set.position.is_none()).count();
            let most = (limit + steps.iter().sum::<u32>() as usize) * 4 + uncut;
            let stay = counting.iter().filter(|set| !is_gone(set) && !set.is_in_use && set.moment.is_some()).count();
            prop_assert!(stay <= most);
        }
        // No log goes that begins at, or may hold the place of, an archive that stays.
        let logs: BTreeSet<&Path> = delete.iter().flat_map(|set| &set.logs).map(PathBuf::as_path).collect();
        for set in sets.iter().filter(|set| set.is_ours() && !is_gone(set)) {
            prop_assert!(set.logs.iter().all(|log| !logs.contains(log.as_path())));
            let needs_older = set.position.is_some() && !set.is_continued;
            prop_assert!(!needs_older || delete.iter().all(|gone| gone.number > set.number || gone.logs.is_empty()));
        }
        // Applied again, nothing more goes, save where a set that contradicted the order was taken out.
        let rest: Vec<BackupSet> = sets.iter().filter(|set| !is_gone(set)).cloned().collect();
        if is_sorted {
            prop_assert!(plan(&rest, &keep, when, &[]).is_empty());
        }
        // A preview says the same as what is done, whoever asks.
        prop_assert_eq!(plan(&sets, &keep, when, &[]), delete);
    }
}
