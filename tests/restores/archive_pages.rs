//! Pages of the data file in an archive, as logs are read on from them: asked for in any order.

use crate::support;

use std::{fs, path::Path};

use rusqlite::Connection;
use strongroom::{
    archive::Archive,
    error::ErrorKind,
    records::store::{ArchiveBase, Base},
};
use support::{Place, records::Dice};

const PAGE: usize = 4096;

fn page(content: &[u8], number: u32) -> &[u8] {
    &content[(number as usize - 1) * PAGE..number as usize * PAGE]
}

/// The pages that cannot be read because of damage; all others are as they were.
fn damaged(archive: &Path, content: &[u8], asked: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut base = ArchiveBase::of(Archive::open(archive).unwrap()).unwrap();
    let mut damaged = Vec::new();
    for number in asked {
        match base.read(number) {
            Ok(image) => assert!(image == page(content, number), "page {number}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Damaged, "page {number}: {error}");
                damaged.push(number);
            }
        }
    }
    damaged.sort_unstable();
    damaged.dedup();
    damaged
}

/// Frames that are asked for one after the other are unpacked ahead, on several threads; those that leave memory and
/// are needed again go to a file; interior pages are kept apart. A page is the same wherever it comes from.
#[test]
fn pages_are_the_same_in_whatever_order_and_damage_shows_where_it_is_and_nowhere_else() {
    let place = Place::new();
    let data = place.at("data.sqlite");
    // More than twelve frames, which are held in memory.
    Connection::open(&data)
        .unwrap()
        .execute_batch(
            "PRAGMA page_size=4096; CREATE TABLE t(k INTEGER PRIMARY KEY, v);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<64000)
             INSERT INTO t SELECT i, randomblob(1000) FROM n",
        )
        .unwrap();
    let archive = place.backup(&data).unwrap().archive;
    let content = fs::read(&data).unwrap();
    let count = (content.len() / PAGE) as u32;
    let frames = Archive::open(&archive).unwrap().tar_bytes() / (4 << 20);
    assert!(frames > 14 && Archive::open(&archive).unwrap().identity().page_count == count);

    let mut dice = Dice(4711);
    let some = (0..600).map(|_| dice.below(u64::from(count)) as u32 + 1);
    let orders = (1..=count).chain((1..=count).rev()).chain((1..=count).step_by(251)).chain(some);
    assert_eq!(damaged(&archive, &content, orders), [] as [u32; 0]);

    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    let all = damaged(&archive, &content, 1..=count);
    // Those of one frame, and of the ends of it that lie on the frames beside.
    assert!((1023..=1025).contains(&all.len()), "{}", all.len());
    assert_eq!(all.last().unwrap() - all[0] + 1, all.len() as u32);
    assert_eq!(damaged(&archive, &content, (1..=count).rev()), all);
    let few = (1..=count).step_by(100).filter(|page| all.binary_search(page).is_err());
    assert_eq!(damaged(&archive, &content, few), [] as [u32; 0]);
}
