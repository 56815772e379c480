//! The table of guarantees in `docs/formats.md`: printed from the code, and each line proven against its layout block
//! by block.

use std::{fs, path::Path};

use strongroom::{
    archive::{ArchiveOptions, Guarantee, Rate, recovery::Layout},
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
        let said = |g: &Guarantee| format!("{}, {}", short(g.stretch_bytes), short(g.stretches.1));
        let stretches: Vec<String> = all.iter().map(said).collect();
        assert!(all.iter().all(|g| g.stretches.0 == 10 && g.places.0 == 128));
        let each = all.iter().map(|g| g.places.1).min().unwrap();
        let most = all.iter().map(|g| g.larger_percent).fold(0.0, f64::max);
        let memory = all.iter().map(|g| g.memory_bytes).max().unwrap();
        assert!(memory <= 512 * MB);
        lines.push(format!(
            "| {} | {} | {} | {} | {most:.1} % | {} |",
            redundancy.label(),
            interlacing.label(),
            stretches.join(" | "),
            short(each),
            short(memory)
        ));
    }
    for redundancy in [Rate::Low, Rate::Medium, Rate::High] {
        let all = SMALL.iter().map(|bytes| options(redundancy, Rate::None).guarantee(*bytes).unwrap());
        let cell = |g: Guarantee| {
            let (count, bytes) = g.stretches;
            format!("{}; {count}: {}; {:.0} % larger", short(g.stretch_bytes), short(bytes), g.larger_percent)
        };
        let cells: Vec<String> = all.map(cell).collect();
        lines.push(format!("| {} | {} |", redundancy.label(), cells.join(" | ")));
    }
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/formats.md")).unwrap();
    for line in &lines {
        assert!(text.contains(line), "docs/formats.md must say:\n{}", lines.join("\n"));
    }
}

/// Moves a stretch of exactly as many blocks as promised over every place of the archive, data and recovery data, and
/// counts what it takes from each group. For several stretches: what the promise leaves of whole blocks, each stretch
/// beginning and ending in one, where each takes the same group once more than its share.
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
                let blocks = layout.window_blocks(window);
                groups.extend(blocks.map(|block| window * layout.groups + layout.group_of(block, window)));
            }
            assert_eq!(groups.len() as u64, layout.blocks());
            for window in 0..layout.windows {
                let order: Vec<u32> = layout.recovery_order(window).collect();
                for _ in 0..recovery {
                    groups.extend(order.iter().map(|group| window * layout.groups + group));
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
            // Several: so many blocks, and one more of a group for each stretch.
            let (count, bytes) = guarantee.stretches;
            let block = u64::from(layout.block_bytes);
            // Between its first and its last byte in the group a stretch has whole blocks.
            let spans = (bytes + count * (block - 2)) / (u64::from(layout.groups) * block);
            assert!(spans + count <= recovery, "{case}");
            let (places, each) = guarantee.places;
            let (of_each, touched) = (if layout.groups == 1 { 2 } else { 1 }, (each - 1).div_ceil(block) + 1);
            assert!(places * of_each <= recovery && touched <= u64::from(layout.groups.max(2)), "{case}");
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
            let share = bytes as f64 * guarantee.share_percent / 100.0;
            let enough = if layout.windows == 1 { 0.9 * share } else { 0.48 * largest as f64 };
            assert!(guarantee.stretch_bytes as f64 >= enough, "{redundancy:?} {interlacing:?} {bytes}: {guarantee:?}");
            let several = guarantee.stretches;
            assert!(several.0 == 10 && several.1 as f64 >= 0.82 * guarantee.stretch_bytes as f64, "{guarantee:?}");
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
        "Repairs any single damaged stretch up to 51.3 MB, any 10 that together are no more than 47.6 MB, and any \
         128 of no more than 398.0 KB each; archive 11 % larger; needs 199.4 MB of memory"
    );
    assert_eq!(options(Rate::None, Rate::High).guarantee(MB), None);
}
