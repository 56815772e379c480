//! The table of guarantees in `docs/formats.md`: printed from the code, and each line proven against its layout block
//! by block.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

use std::{fs, path::Path};

use strongroom::{
    archive::{ArchiveOptions, Rate, recovery::Layout},
    storage::space::human_bytes,
};

const MB: u64 = 1 << 20;
const LARGE: [u64; 4] = [100 * MB, 1024 * MB, 10 * 1024 * MB, 100 * 1024 * MB];
const SMALL: [u64; 4] = [3 << 10, 30 << 10, 300 << 10, 3 * MB];

fn options(redundancy: Rate, interlacing: Rate) -> ArchiveOptions {
    ArchiveOptions { redundancy, interlacing, ..ArchiveOptions::default() }
}

fn rates() -> impl Iterator<Item = (Rate, Rate)> {
    let redundancies = [Rate::Low, Rate::Medium, Rate::High];
    redundancies.into_iter().flat_map(|r| Rate::ALL.into_iter().map(move |i| (r, i)))
}

/// `24.0 MB` as `24 MB`.
fn short(bytes: u64) -> String {
    human_bytes(bytes).replace(".0 ", " ")
}

#[test]
fn the_tables_in_the_documentation_are_those_of_the_code() {
    let mut lines = Vec::new();
    for (redundancy, interlacing) in rates() {
        let all: Vec<_> =
            LARGE.iter().map(|bytes| options(redundancy, interlacing).guarantee(*bytes).unwrap()).collect();
        let stretches: Vec<String> = all.iter().map(|g| short(g.stretch_bytes)).collect();
        let least = all.iter().map(|g| g.scattered_percent).fold(100.0, f64::min);
        let most = all.iter().map(|g| g.larger_percent).fold(0.0, f64::max);
        let memory = all.iter().map(|g| g.memory_bytes).max().unwrap();
        assert!(memory <= 512 * MB);
        lines.push(format!(
            "| {} | {} | {} | {:.1} % | {most:.1} % | {} |",
            redundancy.label(),
            interlacing.label(),
            stretches.join(" | "),
            (least * 10.0).floor() / 10.0,
            short(memory)
        ));
    }
    for redundancy in [Rate::Low, Rate::Medium, Rate::High] {
        let all = SMALL.iter().map(|bytes| options(redundancy, Rate::None).guarantee(*bytes).unwrap());
        let cells: Vec<String> =
            all.map(|g| format!("{}, {:.0} % larger", short(g.stretch_bytes), g.larger_percent)).collect();
        lines.push(format!("| {} | {} |", redundancy.label(), cells.join(" | ")));
    }
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/formats.md")).unwrap();
    for line in &lines {
        assert!(text.contains(line), "docs/formats.md must say:\n{}", lines.join("\n"));
    }
}

/// Moves a stretch of exactly as many blocks as promised over every place of the archive, data and recovery data, and
/// counts what it takes from each group.
#[test]
fn every_line_of_the_table_holds_at_every_place() {
    for (redundancy, interlacing) in rates() {
        for bytes in SMALL.into_iter().chain(LARGE) {
            let layout = Layout::plan(bytes, redundancy, interlacing).unwrap();
            let guarantee = options(redundancy, interlacing).guarantee(bytes).unwrap();
            let recovery = u64::from(layout.recovery_blocks);
            // In which group each block lies, one after the other as they stand in the file.
            let mut groups: Vec<u32> = Vec::new();
            for window in 0..layout.windows {
                for chunk in layout.window_chunks(window) {
                    let group = window * layout.groups + layout.group_of(chunk, window).0;
                    groups.extend(layout.chunk(chunk).map(|_| group));
                }
            }
            assert_eq!(groups.len() as u64, layout.blocks());
            for window in 0..layout.windows {
                for group in layout.recovery_order(window) {
                    groups.extend((0..recovery).map(|_| window * layout.groups + group));
                }
            }
            let worst = |stretch: usize| {
                let (mut hits, mut worst) = (vec![0u64; (layout.windows * layout.groups) as usize], 0);
                for (n, group) in groups.iter().enumerate() {
                    if n >= stretch {
                        hits[groups[n - stretch] as usize] -= 1;
                    }
                    let hit = &mut hits[*group as usize];
                    *hit += 1;
                    worst = worst.max(*hit);
                }
                worst
            };
            // So many bytes touch so many blocks at most, wherever they begin.
            let promised = (guarantee.stretch_bytes - 1).div_ceil(u64::from(layout.block_bytes)) + 1;
            let promised = (promised as usize).min(groups.len());
            let case = format!("{redundancy:?} {interlacing:?} {bytes} {layout:?}");
            assert!(worst(promised) <= recovery, "{case}");
            if layout.blocks() > recovery && layout.windows == 1 {
                assert!(worst(promised + 1) > recovery, "more could be promised: {case}");
            }
            // And scattered: the share that every group may lose.
            let group = layout.group_blocks_max() + recovery;
            assert!((recovery as f64 * 100.0 / group as f64 - guarantee.scattered_percent).abs() < 1e-9);
        }
    }
}

#[test]
fn between_the_sizes_of_the_table_the_stretch_is_never_much_less() {
    for (redundancy, interlacing) in rates() {
        let largest = options(redundancy, interlacing).guarantee(100 * 1024 * MB).unwrap().stretch_bytes;
        let mut bytes = 2 * MB;
        while bytes < 100 * 1024 * MB {
            let guarantee = options(redundancy, interlacing).guarantee(bytes).unwrap();
            let layout = Layout::plan(bytes, redundancy, interlacing).unwrap();
            let share = bytes as f64 * guarantee.scattered_percent / 100.0;
            let enough = if layout.windows == 1 { 0.9 * share } else { 0.48 * largest as f64 };
            assert!(guarantee.stretch_bytes as f64 >= enough, "{redundancy:?} {interlacing:?} {bytes}: {guarantee:?}");
            assert!(guarantee.memory_bytes <= 512 * MB);
            bytes += bytes / 37 + 12_345;
        }
    }
}

#[test]
fn a_guarantee_is_said_in_plain_words() {
    let guarantee = options(Rate::Medium, Rate::Low).guarantee(1024 * MB).unwrap();
    assert_eq!(
        guarantee.in_words(),
        "Repairs any single damaged stretch up to 51.3 MB, or 9 % of evenly scattered damage; archive 11 % larger; needs 150.5 MB of memory"
    );
    assert_eq!(options(Rate::None, Rate::High).guarantee(MB), None);
}
