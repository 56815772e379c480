//! What holds of the rule over any history.
#![cfg(test)]

use std::path::Path;

use proptest::prelude::*;

use super::*;

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
