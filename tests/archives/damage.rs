//! Damage of every kind to archives stored in every way, just inside what is promised and just outside: inside, the
//! identical bytes come back; outside, the exact message, and never a wrong byte.

use crate::support;

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::PathBuf,
};

use proptest::prelude::*;
use strongroom::{
    archive::{
        ArchiveOptions, Compression, Rate,
        recovery::{
            Layout,
            packet::{Kind, Packet},
            table::Rolling,
        },
    },
    control::Control,
    error::{Error, ErrorKind},
    repair::{self, RepairOptions},
    restore::{self, RestoreOptions},
    storage::Disk,
    verify,
};
use support::{Place, make_data_file, names_in};

fn options(redundancy: Rate, interlacing: Rate) -> ArchiveOptions {
    ArchiveOptions { redundancy, interlacing, compression: Compression::None, ..ArchiveOptions::default() }
}

/// One archive, its bytes, and how its recovery data lies.
struct Sample {
    place: Place,
    path: PathBuf,
    good: Vec<u8>,
    layout: Layout,
    data: Vec<u8>,
}

impl Sample {
    fn new(rows: u32, options: ArchiveOptions) -> Self {
        let place = Place::new();
        let data = place.at("a.sqlite");
        make_data_file(&data, "PRAGMA journal_mode=DELETE", rows);
        let path = place.backup_stored(&Disk, &data, options).unwrap().archive;
        let good = fs::read(&path).unwrap();
        let data = fs::read(&data).unwrap();
        let layout = packets(&good).first().unwrap().0.stamp.layout;
        assert_eq!(Some(layout), Layout::plan(layout.length, options.redundancy, options.interlacing));
        Self { place, path, good, layout, data }
    }

    fn protected(&self) -> usize {
        self.layout.length as usize
    }

    /// The blocks that nothing but damage to all copies takes: those that stand somewhere else, too, and zeros.
    fn found_elsewhere(&self) -> BTreeSet<usize> {
        let (good, block) = (&self.good, self.layout.block_bytes as usize);
        let last = self.layout.blocks() as usize - 1;
        let mut by_sum: HashMap<u32, Vec<usize>> = HashMap::new();
        (0..last).for_each(|n| by_sum.entry(Rolling::of(&good[n * block..][..block]).sum()).or_default().push(n));
        let mut found = BTreeSet::new();
        let mut rolling = Rolling::of(&good[..block]);
        for at in 0..good.len() - block {
            let same = by_sum.get(&rolling.sum()).into_iter().flatten();
            found.extend(same.filter(|n| **n * block != at && good[**n * block..][..block] == good[at..at + block]));
            rolling.step(good[at], good[at + block]);
        }
        let of_zeros = (0..=last).filter(|n| {
            let end = ((n + 1) * block).min(self.protected());
            good[n * block..end].iter().all(|byte| *byte == 0)
        });
        found.extend(of_zeros);
        let end = &good[last * block..self.protected()];
        if good.windows(end.len()).filter(|window| *window == end).nth(1).is_some() {
            found.insert(last);
        }
        found
    }

    /// Writes the damaged bytes, and sees that everything brings them back.
    fn comes_back(&self, name: &str, damaged: &[u8]) {
        fs::write(&self.path, damaged).unwrap();
        let report = verify::run(&self.path, &Control::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let problem = report.problem().unwrap_or_else(|| panic!("{name}: called sound"));
        assert_eq!(problem.kind(), ErrorKind::Damaged);
        assert!(problem.message().contains(" is damaged, but can be repaired: "), "{name}: {problem}");
        let to = self.place.at("restored");
        let restored = restore::run(&Disk, &self.path, &RestoreOptions::all(&to), &Control::default()).unwrap();
        assert!(fs::read(to.join("a.sqlite")).unwrap() == self.data, "{name}: restored");
        drop(restored);
        fs::remove_dir_all(&to).unwrap();
        let copy = self.place.at("copy.4BK");
        let options = RepairOptions { to: Some(copy.clone()), segments: vec![] };
        let report = repair::run(&Disk, &self.path, &options, &Control::default()).unwrap();
        assert_eq!(report.copy.as_deref(), Some(copy.as_path()), "{name}");
        assert!(fs::read(&copy).unwrap() == self.good, "{name}: the copy is not what it was");
        assert!(fs::read(&self.path).unwrap() == damaged, "{name}: the damaged archive was touched");
        fs::remove_file(copy).unwrap();
    }

    /// Writes the damaged bytes, and sees that nothing wrong comes of them; returns what is said.
    fn is_lost(&self, name: &str, damaged: &[u8]) -> Error {
        fs::write(&self.path, damaged).unwrap();
        let error = verify::run(&self.path, &Control::default()).err().unwrap_or_else(|| panic!("{name}: verified"));
        assert_eq!(error.kind(), ErrorKind::Damaged, "{name}: {error}");
        let to = self.place.at("restored");
        let restored = restore::run(&Disk, &self.path, &RestoreOptions::all(&to), &Control::default());
        assert!(restored.is_err() && !to.exists(), "{name}: something was restored");
        let copy = self.place.at("copy.4BK");
        let options = RepairOptions { to: Some(copy.clone()), segments: vec![] };
        let refused = repair::run(&Disk, &self.path, &options, &Control::default()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Damaged, "{name}: {refused}");
        assert!(!copy.exists() && names_in(&self.place.at("")).iter().all(|n| !n.ends_with(".part")), "{name}");
        error
    }
}

/// The packets of an archive with their places.
fn packets(bytes: &[u8]) -> Vec<(Packet, usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + 16 <= bytes.len() {
        match Packet::length(&bytes[at..]).filter(|n| at + n <= bytes.len()) {
            Some(length) => {
                if let Some((packet, _)) = Packet::decode(&bytes[at..at + length]) {
                    found.push((packet, at, length));
                }
                at += length;
            }
            None => at += 1,
        }
    }
    found
}

fn overwritten(good: &[u8], from: usize, length: usize) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for (n, byte) in bytes.iter_mut().enumerate().skip(from).take(length) {
        // Never the byte that was there.
        *byte ^= (n % 255) as u8 + 1;
    }
    bytes
}

const SETTINGS: [(Rate, Rate); 4] =
    [(Rate::Low, Rate::None), (Rate::Medium, Rate::None), (Rate::Medium, Rate::High), (Rate::High, Rate::Medium)];

#[test]
fn any_single_stretch_as_long_as_promised_is_repaired_and_one_block_more_is_not() {
    let mut beyond = 0;
    for (redundancy, interlacing) in SETTINGS {
        for rows in [1, 700, 20_000] {
            let sample = Sample::new(rows, options(redundancy, interlacing));
            let name = |what: &str| format!("{redundancy:?} {interlacing:?} {rows} {what}");
            let (good, stretch) = (&sample.good, sample.layout.stretch_bytes() as usize);
            let block = sample.layout.block_bytes as usize;
            for from in [0, 1, block - 1, good.len() / 3, good.len() / 2] {
                sample.comes_back(&name(&format!("stretch at {from}")), &overwritten(good, from, stretch));
            }
            sample.comes_back(&name("stretch at the end"), &overwritten(good, good.len() - stretch, stretch));
            sample.comes_back(
                &name("over the end of the data"),
                &overwritten(good, sample.protected() - stretch / 2, stretch),
            );
            let mut zeroed = good.clone();
            zeroed[good.len() / 4..good.len() / 4 + stretch.min(good.len() / 2)].fill(0);
            sample.comes_back(&name("zeroed"), &zeroed);
            sample.comes_back(&name("end missing"), &good[..good.len() - stretch]);
            sample.comes_back(&name("beginning missing"), &good[stretch..]);
            // One block more, where so many follow each other that stand nowhere else.
            let count = sample.layout.recovery_blocks as usize + 1;
            let (length, elsewhere) = (count * block, sample.found_elsewhere());
            let mut starts = (block..(sample.protected() + 1).saturating_sub(length)).step_by(block);
            if let Some(from) = starts.find(|at| elsewhere.range(at / block..at / block + count).next().is_none()) {
                beyond += 1;
                let lost = overwritten(good, from, length);
                let error = sample.is_lost(&name("one block more"), &lost);
                let begin = format!("{count} of {} blocks of ", sample.layout.blocks());
                assert!(error.message().contains(&begin), "{error}");
                assert!(error.message().ends_with(&format!("and {count} cannot be brought back")), "{error}");
            }
        }
    }
    assert!(beyond >= SETTINGS.len(), "{beyond}");
}

/// Every group may lose as many blocks as it has recovery blocks, data and recovery data together, wherever they are.
#[test]
fn scattered_damage_is_repaired_up_to_the_share_of_each_group_and_no_further() {
    let mut beyond = 0;
    for (redundancy, interlacing) in SETTINGS {
        for rows in [1, 700, 20_000] {
            let sample = Sample::new(rows, options(redundancy, interlacing));
            let name = |what: &str| format!("{redundancy:?} {interlacing:?} {rows} {what}");
            let (blocks, recovery) = (sample.layout.blocks(), u64::from(sample.layout.recovery_blocks));
            assert_eq!((sample.layout.windows, sample.layout.groups), (1, 1));
            let block = sample.layout.block_bytes as usize;
            let hit = |bytes: &mut Vec<u8>, n: u64| {
                let at = (n as usize * block + n as usize % block).min(sample.protected() - 1);
                bytes[at] ^= 0x55;
            };
            let most = recovery.min(blocks);
            let mut bytes = sample.good.clone();
            (0..most).for_each(|n| hit(&mut bytes, n * blocks / most));
            sample.comes_back(&name("data only"), &bytes);
            // Half of it in the recovery blocks themselves.
            let mut bytes = sample.good.clone();
            (0..most / 2).for_each(|n| hit(&mut bytes, n * blocks / most));
            let of_recovery = packets(&sample.good).into_iter().filter(|(p, _, _)| p.kind == Kind::Recovery);
            of_recovery.take((recovery - most / 2) as usize).for_each(|(_, at, length)| bytes[at + length / 2] ^= 1);
            sample.comes_back(&name("both"), &bytes);
            // With each block more that stands nowhere else there is one too many.
            let elsewhere = sample.found_elsewhere();
            let found = (0..most / 2).filter(|n| elsewhere.contains(&((n * blocks / most) as usize))).count();
            let taken: BTreeSet<u64> = (0..most / 2).map(|n| n * blocks / most).collect();
            let more = (0..blocks).filter(|n| !taken.contains(n) && !elsewhere.contains(&(*n as usize)));
            let more: Vec<u64> = more.take(found + 1).collect();
            if more.len() == found + 1 {
                beyond += 1;
                more.into_iter().for_each(|n| hit(&mut bytes, n));
                sample.is_lost(&name("one more"), &bytes);
            }
            // All recovery data lost, and nothing else; and half of the table.
            let mut bytes = sample.good.clone();
            let of_table = |bytes: &mut Vec<u8>, more: usize| {
                let all = packets(&sample.good);
                let tables: Vec<_> = all.iter().filter(|(p, _, _)| p.kind == Kind::Table).collect();
                let count = tables.len() / 2 + more;
                // Every other one first, so that pieces and recovery pieces both go.
                let order = tables.iter().step_by(2).chain(tables.iter().skip(1).step_by(2));
                order.take(count).for_each(|(_, at, length)| bytes[at + length / 2] ^= 1);
            };
            of_table(&mut bytes, 0);
            hit(&mut bytes, blocks / 2);
            sample.comes_back(&name("half of the table"), &bytes);
            let mut bytes = sample.good.clone();
            of_table(&mut bytes, 1);
            hit(&mut bytes, blocks / 2);
            // Each group knows its own part of it.
            sample.comes_back(&name("more than half of the table"), &bytes);
            for (_, at, length) in packets(&sample.good).iter().filter(|(p, _, _)| p.kind == Kind::Recovery).take(2) {
                let mut one = sample.good.clone();
                one[at + length / 2] ^= 1;
                sample.comes_back(&name("a recovery block"), &one);
            }
        }
    }
    assert!(beyond >= SETTINGS.len(), "{beyond}");
}

#[test]
fn blocks_that_moved_are_found_wherever_they_are() {
    for rows in [300, 20_000] {
        let sample = Sample::new(rows, options(Rate::Medium, Rate::None));
        let block = sample.layout.block_bytes as usize;
        let good = &sample.good;
        let at = |n: usize| n * block;
        let mut swapped = good.clone();
        for n in 0..3 * block {
            swapped.swap(at(2) + n, at(20) + n);
        }
        sample.comes_back("swapped", &swapped);
        for count in [1, 7, block, 3 * block + 5] {
            for place in [0, at(1), at(9) + 100, sample.protected() - 5, good.len() - 3] {
                let mut inserted = good.clone();
                inserted.splice(place..place, std::iter::repeat_n(0xa5, count));
                sample.comes_back(&format!("{count} bytes inserted at {place}"), &inserted);
            }
            let mut removed = good.clone();
            removed.drain(at(5) + 17..at(5) + 17 + count.min(2 * block));
            sample.comes_back(&format!("{count} bytes removed"), &removed);
        }
        let mut moved = good.clone();
        let taken: Vec<u8> = moved.drain(at(3)..at(8)).collect();
        moved.splice(at(12) + 33..at(12) + 33, taken);
        sample.comes_back("cut out and put elsewhere", &moved);
        let mut appended = good.clone();
        appended.extend([7; 100]);
        sample.comes_back("appended", &appended);
    }
}

#[test]
fn the_edges_of_every_structure_are_repaired() {
    let sample = Sample::new(700, options(Rate::High, Rate::None));
    let good = &sample.good;
    let head = 8 + u32::from_le_bytes(good[4..8].try_into().unwrap()) as usize;
    let tail = good.len() - 112;
    let index = u64::from_le_bytes(good[tail + 24..tail + 32].try_into().unwrap()) as usize;
    let found = packets(good);
    let mut edges = vec![0, 4, 8, 16, 20, head - 32, head, index, index + 4, index + 8, index + 20, tail, tail + 8];
    edges.extend(found.iter().map(|(_, at, _)| *at).take(3));
    edges.extend([sample.protected() - 1, tail - 1, good.len() - 1]);
    for edge in edges {
        let mut flipped = good.clone();
        flipped[edge] ^= 0x10;
        sample.comes_back(&format!("byte {edge}"), &flipped);
    }
    // Cut at every structure after the protected part: what is gone is recovery data, or the end.
    for (_, at, length) in &found {
        let cut = &good[..at + length / 2];
        if good.len() - at < sample.layout.stretch_bytes() as usize {
            sample.comes_back(&format!("cut at {at}"), cut);
        }
    }
    // Nothing but the recovery data and a few blocks: far too little, and said so.
    sample.is_lost("only the end is left", &good[sample.protected()..]);
    let error = sample.is_lost("only the beginning is left", &good[..head + 100]);
    assert!(error.to_string().ends_with("is cut off or its end is damaged"), "{error}");
}

/// More than one group: a stretch over several, at every interlacing that makes a difference for a file of this size.
#[test]
fn a_stretch_over_several_groups_is_repaired() {
    let sample = Sample::new(110_000, options(Rate::High, Rate::None));
    assert!(sample.layout.groups > 1, "{:?}", sample.layout);
    let (good, stretch) = (&sample.good, sample.layout.stretch_bytes() as usize);
    assert!(stretch > 2 << 20);
    for from in [0, sample.protected() / 2 + 11, sample.protected() - stretch / 2, good.len() - stretch] {
        sample.comes_back(&format!("at {from}"), &overwritten(good, from, stretch));
    }
    // Many stretches, that together are as long as is promised for them.
    for count in [10] {
        let each = sample.layout.stretches_bytes(count).unwrap() as usize / count as usize;
        let mut bytes = good.clone();
        for n in 0..count as usize {
            let from = n * (good.len() / count as usize);
            bytes[from..from + each].iter_mut().for_each(|byte| *byte ^= 0x5a);
        }
        sample.comes_back(&format!("{count} stretches"), &bytes);
    }
    // As many blocks of one group as it can bear, and one more: the smallest damage that is too much.
    let (block, groups) = (sample.layout.block_bytes as usize, sample.layout.groups as usize);
    let mut bytes = good.clone();
    let recovery = sample.layout.recovery_blocks as usize;
    let has_zeros = |n: usize| good[n * groups * block..][..block].iter().all(|byte| *byte == 0);
    let mut of_group = (0..).filter(|n| !has_zeros(*n)).map(|n| n * groups * block);
    of_group.by_ref().take(recovery).for_each(|at| bytes[at + 5] ^= 1);
    sample.comes_back("one group", &bytes);
    let one_more = of_group.next().unwrap();
    bytes[one_more + 5] ^= 1;
    sample.is_lost("one more of the group", &bytes);
}

/// Header, index, end, tables and recovery blocks are hit like everything else, in several places at once.
#[test]
fn any_stretches_that_together_are_no_more_than_promised_are_repaired() {
    let mut state = 7u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    for redundancy in [Rate::Low, Rate::Medium, Rate::High] {
        let sample = Sample::new(2_500, options(redundancy, Rate::None));
        let good = &sample.good;
        for count in [2, 3, 5, sample.layout.recovery_blocks as usize] {
            let mut left = sample.layout.stretches_bytes(count as u64).unwrap() as usize;
            let mut bytes = good.clone();
            let mut hit = Vec::new();
            for n in 0..count {
                let rest = count - n - 1;
                let length = if rest == 0 { left } else { 1 + random(left - rest) };
                left -= length;
                // The table at both ends of the recovery data, and the end; or anywhere.
                let at = match n {
                    0 => sample.protected().min(good.len() - length),
                    1 => good.len() - length,
                    _ => random(good.len() - length + 1),
                };
                hit.push((at, length));
                bytes[at..at + length].iter_mut().zip(&good[at..]).for_each(|(byte, good)| *byte = !good);
            }
            sample.comes_back(&format!("{redundancy:?} {hit:?}"), &bytes);
        }
    }
}

#[test]
fn what_is_still_whole_beyond_repair_is_named_and_can_be_restored() {
    for redundancy in [Rate::None, Rate::Low] {
        let place = Place::new();
        let data = place.at("a.sqlite");
        make_data_file(&data, "PRAGMA journal_mode=DELETE", 90_000);
        let path = place.backup_stored(&Disk, &data, options(redundancy, Rate::None)).unwrap().archive;
        let good = fs::read(&path).unwrap();
        assert!(good.len() > 12 << 20);
        fs::write(&path, overwritten(&good, 2 << 20, 5 << 20)).unwrap();
        let error = repair::run(&Disk, &path, &RepairOptions::default(), &Control::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        let hint = error.hint_text().unwrap();
        assert_eq!(
            hint,
            "Still whole, and can be restored one by one (--item): a.strongroom.toml, strongroom-manifest.toml. For \
             the rest use another archive."
        );
        let items = vec!["strongroom-manifest.toml".to_owned()];
        let wanted = RestoreOptions { items, ..RestoreOptions::all(&place.at("to")) };
        restore::run(&Disk, &path, &wanted, &Control::default()).unwrap();
        assert_eq!(names_in(&place.at("to")), ["strongroom-manifest.toml"]);
        let all = restore::run(&Disk, &path, &RestoreOptions::all(&place.at("all")), &Control::default()).unwrap_err();
        assert_eq!(all.kind(), ErrorKind::Damaged);
        assert!(!place.at("all").exists());
    }
}

/// Once the table of the recovery data is lost, nothing tells sound blocks from damaged ones: but the content has
/// checksums of its own, and is not called damaged when it agrees with them.
#[test]
fn recovery_data_that_is_lost_is_made_anew_while_the_content_is_whole() {
    let sample = Sample::new(700, options(Rate::Medium, Rate::None));
    let damaged = |kinds: &[Kind]| {
        let mut bytes = sample.good.clone();
        let hit = packets(&sample.good).into_iter().filter(|(p, _, _)| kinds.contains(&p.kind));
        hit.for_each(|(_, at, length)| bytes[at + length / 2] ^= 1);
        bytes
    };
    let said = |bytes: &[u8]| {
        fs::write(&sample.path, bytes).unwrap();
        verify::run(&sample.path, &Control::default()).unwrap().damage.unwrap().in_words()
    };
    let (table, all) = (damaged(&[Kind::Table]), damaged(&[Kind::Table, Kind::Recovery]));
    sample.comes_back("table lost", &table);
    sample.comes_back("all lost", &all);
    sample.comes_back("one half of it zeroed", &{
        let mut bytes = sample.good.clone();
        let (from, to) = (sample.protected(), sample.good.len() - 112);
        bytes[from..to].fill(0);
        bytes
    });
    let count = packets(&sample.good).len();
    assert_eq!(said(&all), format!("the content is whole, but {count} parts of the recovery data are damaged"));
    // The end is lost with the table: where everything lies is known from the recovery blocks that are left.
    let cut = &table[..table.len() - 50];
    sample.comes_back("table lost and cut off", cut);
    assert!(said(cut).starts_with("the content is whole, but "), "{}", said(cut));
    // All but one piece of the table.
    let mut last = all[..all.len() - 50].to_vec();
    let (_, at, length) = packets(&sample.good)[0];
    last[at..at + length].copy_from_slice(&sample.good[at..at + length]);
    let cut = &last[..];
    sample.comes_back("all but a piece of the table lost and cut off", cut);
    assert!(said(cut).starts_with("the content is whole, but "), "{}", said(cut));
    let restored = restore::plan(&sample.path, &restore::Logs::None).unwrap().repaired.unwrap();
    let problem = restored.after_restore();
    assert_eq!(
        problem.message(),
        "the archive is damaged beyond what its recovery data repairs (the recovery data cannot be used, because \
         the table in it is lost), but every file restored from it was still whole"
    );
    assert!(problem.hint_text().unwrap().contains("Make a new full backup"));
}

/// A part that is there twice is not another one that is lost.
#[test]
fn a_part_of_the_recovery_data_over_another_one_is_damage() {
    let sample = Sample::new(2_000, options(Rate::Medium, Rate::None));
    let all = packets(&sample.good);
    for kind in [Kind::Recovery, Kind::Table] {
        let of_kind: Vec<_> = all.iter().filter(|(packet, ..)| packet.kind == kind).collect();
        let ((_, from, length), (_, to, _)) = (of_kind[0], of_kind[1]);
        let mut bytes = sample.good.clone();
        bytes.copy_within(*from..from + length, *to);
        sample.comes_back(&format!("{kind:?} twice"), &bytes);
        fs::write(&sample.path, &bytes).unwrap();
        let damage = verify::run(&sample.path, &Control::default()).unwrap().damage.unwrap().damage;
        assert_eq!(damage.recovery_damaged, 1);
    }
}

#[test]
fn a_sound_archive_needs_no_repair_and_a_copy_never_takes_a_name() {
    let sample = Sample::new(300, options(Rate::Medium, Rate::Low));
    let report = verify::run(&sample.path, &Control::default()).unwrap();
    assert_eq!((report.damage.clone(), report.problem().map(|e| e.to_string())), (None, None));
    let report = repair::run(&Disk, &sample.path, &RepairOptions::default(), &Control::default()).unwrap();
    assert_eq!(report.copy, None);
    let mut bytes = sample.good.clone();
    bytes[5000] ^= 1;
    fs::write(&sample.path, &bytes).unwrap();
    for name in [sample.path.clone(), sample.place.at("a.sqlite")] {
        let options = RepairOptions { to: Some(name.clone()), segments: vec![] };
        let before = fs::read(&name).unwrap();
        let error = repair::run(&Disk, &sample.path, &options, &Control::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Exists);
        assert!(fs::read(&name).unwrap() == before);
    }
    // Beside it by itself.
    let report = repair::run(&Disk, &sample.path, &RepairOptions::default(), &Control::default()).unwrap();
    let copy = report.copy.unwrap();
    assert_eq!(copy, sample.path.with_file_name("a[0001] repaired.4BK"));
    assert!(fs::read(copy).unwrap() == sample.good);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever happens to an archive: what is restored is what was backed up, or nothing is.
    #[test]
    fn random_damage_is_repaired_or_refused_but_never_delivered(
        edits in prop::collection::vec((0.0f64..1.0, 0usize..6000, 0u8..5, any::<u8>()), 1..6),
    ) {
        thread_local! {
            static SAMPLES: Vec<Sample> = vec![
                Sample::new(400, options(Rate::Medium, Rate::None)),
                Sample::new(60, options(Rate::High, Rate::None)),
            ];
        }
        SAMPLES.with(|samples| {
            for sample in samples {
                let mut bytes = sample.good.clone();
                for (part, length, kind, value) in &edits {
                    let at = (part * bytes.len() as f64) as usize;
                    let end = (at + length).min(bytes.len());
                    match kind {
                        0 => bytes[at..end].fill(*value),
                        1 => drop(bytes.drain(at..end)),
                        2 => drop(bytes.splice(at..at, std::iter::repeat_n(*value, *length)).collect::<Vec<_>>()),
                        3 => bytes.truncate(bytes.len() - length.min(&bytes.len())),
                        _ => {
                            let other = bytes.len() / 2;
                            let count = (end - at).min(bytes.len() - other);
                            let copied = bytes[other..other + count].to_vec();
                            bytes[at..at + count].copy_from_slice(&copied);
                        }
                    }
                    if bytes.is_empty() {
                        break;
                    }
                }
                fs::write(&sample.path, &bytes).unwrap();
                let to = sample.place.at("restored");
                let restored = restore::run(&Disk, &sample.path, &RestoreOptions::all(&to), &Control::default());
                let verified = verify::run(&sample.path, &Control::default());
                if restored.is_ok() {
                    assert!(fs::read(to.join("a.sqlite")).unwrap() == sample.data);
                    fs::remove_dir_all(&to).unwrap();
                }
                assert!(!to.exists());
                let copy = sample.place.at("copy.4BK");
                let wanted = RepairOptions { to: Some(copy.clone()), segments: vec![] };
                let repaired = repair::run(&Disk, &sample.path, &wanted, &Control::default());
                match (&verified, &restored) {
                    // What can be verified, however damaged, can be restored and repaired.
                    (Ok(report), Ok(restored)) => {
                        let claimed = restored.repaired.as_ref();
                        assert!(claimed.is_none() || report.damage.is_some(), "{report:?} {claimed:?}");
                        let copied = repaired.unwrap().copy;
                        assert_eq!(copied.is_some(), report.damage.is_some());
                        if copied.is_some() {
                            assert!(fs::read(&copy).unwrap() == sample.good, "{report:?}");
                            fs::remove_file(&copy).unwrap();
                        }
                    }
                    // What is beyond repair may still hold every file; then each was named as whole.
                    (Err(error), restored) => {
                        assert!(repaired.is_err() && !copy.exists(), "{error}");
                        if let Ok(restored) = restored {
                            let of_archive = restored.repaired.as_ref().map(|r| r.damage.is_repaired());
                            assert!(of_archive != Some(true), "claimed to be repaired: {error}");
                            let hint = repaired.unwrap_err().report().hint.unwrap_or_default();
                            assert!(hint.starts_with("Still whole") && hint.contains("a.sqlite"), "{error}: {hint}");
                        }
                    }
                    (Ok(report), Err(error)) => panic!("verified, but not restored: {report:?} {error}"),
                }
            }
        });
    }
}
