//! Which backups go, and which stay because of what is known of them, of their logs, or of who made them.
#![cfg(test)]

mod any;
mod steps;

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
