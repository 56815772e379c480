//! Backups kept in steps of time: over a table of dates, and where a clock jumped.
#![cfg(test)]

use super::*;

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
