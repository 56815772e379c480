//! Which sets a rule keeps, as a pure function of what is known of them.
//!
//! A set goes only when the rule is satisfied by **newer ones that are known to be at least as good**: sound ones are
//! pushed out by sound ones, those that nobody has checked by such and sound ones, damaged ones by any; those that hold
//! all that was chosen by such only, and those that this user signed by such only. So however many backups are made of
//! a damaged data file, or while the disk of the attachments is missing, the newest sound and whole sets stay; and
//! where nothing is ever checked, the rule counts as if all were alike.
//!
//! *In steps* means the newest of each of the last so many hours, days, weeks, months and years that have a backup, in
//! the local time that its archive was made in. What is newer is told by the numbers, which no clock can turn round: a
//! set whose moment contradicts the order of the numbers takes nobody's place, and is kept as one more if it is the
//! newest of its period.

use std::{collections::BTreeSet, path::PathBuf};

use chrono::{DateTime, Datelike, FixedOffset, Timelike};

use super::{BackupSet, When};
use crate::{
    archive::{ArchiveNumber, not_whole::Completeness},
    settings::sections::Keep,
    sqlite::seen::ContentCheck,
};

/// From the least to the best.
const LEVELS: [ContentCheck; 4] =
    [ContentCheck::Damaged, ContentCheck::NotChecked, ContentCheck::Structure, ContentCheck::Whole];
/// The same of what was chosen besides the data file.
const COMPLETE: [Completeness; 3] = [Completeness::Partial, Completeness::NotSaid, Completeness::Whole];

/// Which of `sets` the rule deletes, oldest first; `busy` are archives in use by a job.
pub fn plan(sets: &[BackupSet], keep: &Keep, when: When, busy: &[PathBuf]) -> Vec<BackupSet> {
    if keep.all {
        return Vec::new();
    }
    // What is held is kept besides, and takes no place.
    let mut good: Vec<&BackupSet> = sets.iter().filter(|set| set.is_ours() && set.hold.is_none()).collect();
    good.sort_by_key(|set| std::cmp::Reverse(set.number));
    let mut kept: BTreeSet<usize> = BTreeSet::new();
    let levels = LEVELS.into_iter().flat_map(|level| COMPLETE.map(|complete| (level, complete)));
    for (level, complete, genuine) in levels.flat_map(|(level, complete)| [false, true].map(|g| (level, complete, g))) {
        let is_such = |place: &usize| {
            let set = good[*place];
            set.check >= level && set.completeness() >= complete && set.is_genuine >= genuine
        };
        let places: Vec<usize> = (0..good.len()).filter(is_such).collect();
        let moments: Vec<_> = places.iter().map(|place| good[*place].moment).collect();
        kept.extend(keeps(&moments, keep, when).into_iter().map(|at| places[at]));
    }
    let is_needed = |set: &BackupSet| set.is_in_use || busy.contains(&set.archive);
    let (mut stay, old): (Vec<(usize, &BackupSet)>, Vec<_>) =
        good.into_iter().enumerate().partition(|(place, set)| kept.contains(place) || is_needed(set));
    let over = lead_over(sets, &stay);
    let (led_over, old): (Vec<_>, Vec<_>) = old.into_iter().partition(|(_, set)| over.contains(&set.number));
    stay.extend(led_over);
    stay.sort_unstable_by_key(|(place, _)| *place);
    let held = sets.iter().filter(|set| set.is_ours() && set.hold.is_some());
    // An archive that stays may be in the middle of a log that is older than itself.
    let is_whole = |set: &&BackupSet| set.check != ContentCheck::Damaged;
    let whole = stay.iter().map(|(_, set)| *set).filter(is_whole).map(|set| set.number);
    // The last ones that the rule keeps lead to now, every one of them.
    let lasting = whole.take(keep.last.max(1) as usize).last();
    let leads_from = lasting.or_else(|| held.clone().filter(is_whole).map(|set| set.number).max());
    let unconnected = held.chain(stay.into_iter().map(|(_, set)| set));
    let unconnected = unconnected.filter(|set| set.position.is_some() && !set.is_continued);
    let needs_older = unconnected.map(|set| set.number).max();
    let mut delete: Vec<BackupSet> = old.into_iter().map(|(_, set)| set.clone()).collect();
    for set in delete.iter_mut().filter(|set| needs_older.is_some_and(|newer| set.number < newer)) {
        set.logs.clear();
    }
    // What is damaged leads nowhere; its log does, from those that are not.
    for set in delete.iter_mut().filter(|set| set.check == ContentCheck::Damaged) {
        if leads_from.is_some_and(|from| set.number > from) {
            set.needed = std::mem::take(&mut set.logs);
        }
    }
    delete.reverse();
    delete
}

/// Numbers of the sets whose logs go on over sets that `stay` and were made without the log, as while its disk was away
/// or full: what was committed from the oldest of these on is in that log alone, which leads from the set before them.
fn lead_over(sets: &[BackupSet], stay: &[(usize, &BackupSet)]) -> BTreeSet<ArchiveNumber> {
    let cut: Vec<&BackupSet> = sets.iter().filter(|set| set.is_ours() && set.position.is_some()).collect();
    let uncut = stay.iter().map(|(_, set)| *set).filter(|set| set.position.is_none());
    // Where none was cut from the log since, it ended before, or is in use, and kept for that.
    let uncut = uncut.filter(|set| cut.iter().any(|other| other.number > set.number));
    let before =
        |set: &BackupSet| cut.iter().filter(|other| other.number < set.number).max_by_key(|other| other.number);
    uncut.filter_map(before).filter(|set| set.is_continued).map(|set| set.number).collect()
}

/// The sets, newest first, that stay only because no newer ones are known to be as good.
pub fn stay_as_sound(sets: &[BackupSet], keep: &Keep) -> Vec<BackupSet> {
    let alike: Vec<BackupSet> = sets
        .iter()
        .map(|set| BackupSet { check: ContentCheck::Whole, not_whole: Some(0), is_genuine: true, ..set.clone() })
        .collect();
    let goes = plan(sets, keep, When::Now, &[]);
    let mut stay = plan(&alike, keep, When::Now, &[]);
    stay.retain(|set| !goes.iter().any(|other| other.archive == set.archive));
    let known = |set: BackupSet| sets.iter().find(|known| known.archive == set.archive).cloned();
    stay.into_iter().rev().filter_map(known).collect()
}

/// A period of local time.
type Period = (i32, u32, u32, i32);

type PeriodOf = fn(&DateTime<FixedOffset>) -> Period;

fn hour(moment: &DateTime<FixedOffset>) -> Period {
    // The hour that comes twice is two hours.
    (moment.year(), moment.ordinal(), moment.hour(), moment.offset().local_minus_utc())
}

fn day(moment: &DateTime<FixedOffset>) -> Period {
    (moment.year(), moment.ordinal(), 0, 0)
}

fn week(moment: &DateTime<FixedOffset>) -> Period {
    (moment.iso_week().year(), moment.iso_week().week(), 0, 0)
}

fn month(moment: &DateTime<FixedOffset>) -> Period {
    (moment.year(), moment.month(), 0, 0)
}

fn year(moment: &DateTime<FixedOffset>) -> Period {
    (moment.year(), 0, 0, 0)
}

/// Which of the sets made at `moments`, newest first, the rule keeps, by their places.
fn keeps(moments: &[Option<DateTime<FixedOffset>>], keep: &Keep, when: When) -> BTreeSet<usize> {
    let last = match when {
        When::Now => keep.last.max(1),
        // The one about to be made counts; but one remains until then.
        When::BeforeBackup => keep.last.saturating_sub(1).max(1),
    };
    let mut kept: BTreeSet<usize> = (0..moments.len().min(last as usize)).collect();
    let in_order = in_order(moments);
    let steps: [(u32, PeriodOf); 5] =
        [(keep.hourly, hour), (keep.daily, day), (keep.weekly, week), (keep.monthly, month), (keep.yearly, year)];
    for (count, period) in steps {
        let (mut left, mut seen, mut seen_besides) = (count, BTreeSet::new(), BTreeSet::new());
        for (place, moment) in moments.iter().enumerate() {
            if left == 0 {
                break;
            }
            let Some(moment) = moment else { continue };
            if !in_order.contains(&place) {
                if seen_besides.insert(period(moment)) {
                    kept.insert(place);
                }
            } else if seen.insert(period(moment)) {
                kept.insert(place);
                left -= 1;
            }
        }
    }
    kept
}

/// The places of the longest row of sets whose moments do not contradict the order in which they were made.
fn in_order(moments: &[Option<DateTime<FixedOffset>>]) -> BTreeSet<usize> {
    // Per length of a row its end with the earliest moment, and who comes before whom; from the oldest set on.
    let (mut ends, mut before): (Vec<usize>, Vec<Option<usize>>) = (Vec::new(), vec![None; moments.len()]);
    for (place, moment) in moments.iter().enumerate().rev() {
        if moment.is_none() {
            continue;
        }
        let at = ends.partition_point(|end| moments[*end] <= *moment);
        before[place] = at.checked_sub(1).map(|at| ends[at]);
        if at == ends.len() { ends.push(place) } else { ends[at] = place }
    }
    std::iter::successors(ends.last().copied(), |place| before[*place]).collect()
}

#[cfg(test)]
mod tests;
