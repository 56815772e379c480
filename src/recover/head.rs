//! The header of the damaged file, or what it must have said: the size of a page is found from the pages themselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{known::KnownState, sheet::usable_of, source::Raw};
use crate::{
    error::{Error, ErrorKind, Result},
    records::{
        page::{Encoding, FILE_HEAD, FileHead, Kind, Node, kind_of, u16_at, u32_at},
        record::{Value, Values},
    },
    sqlite::data_file::{describe, looks_random},
};

/// Where what the header says comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeaderFrom {
    /// The file has it.
    File,
    /// The last archive, with the size of a page as it is found in the file.
    Archive,
    /// It was overwritten, and what it must have said was found from the pages.
    Pages,
}

/// The header.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) head: FileHead,
    pub(super) from: HeaderFrom,
    /// How many pages are free; `None` where that is lost.
    pub(super) free_pages: Option<u64>,
    /// As `PRAGMA auto_vacuum` has it.
    pub(super) auto_vacuum: u32,
    pub(super) user_version: i32,
    pub(super) application_id: i32,
}

const MARK: &[u8] = b"SQLite format 3\0";
/// Pieces of this length are looked at to find out the size of a page: the largest that there is.
const PIECE: usize = 1 << 16;
/// So many pieces are.
const PIECES_MAX: u64 = 256;

/// What the pages of the file say of themselves.
#[derive(Debug, Default)]
struct Votes {
    /// How many pages of this size are accounted for to their end, and how many bytes are reserved on them.
    sizes: BTreeMap<usize, (u64, BTreeMap<usize, u64>)>,
}

impl Votes {
    fn count(&self, size: usize) -> u64 {
        self.sizes.get(&size).map_or(0, |(count, _)| *count)
    }

    fn best(&self) -> Option<usize> {
        self.sizes.iter().max_by_key(|(size, (count, _))| (*count * **size as u64, **size)).map(|(size, _)| *size)
    }

    fn reserved(&self, size: usize) -> Option<usize> {
        let (_, reserved) = self.sizes.get(&size)?;
        reserved.iter().max_by_key(|(reserved, count)| (**count, std::cmp::Reverse(**reserved))).map(|(r, _)| *r)
    }
}

fn votes(raw: &Raw, named: usize) -> Votes {
    let mut votes = Votes::default();
    let pieces = raw.length.div_ceil(PIECE as u64);
    let step = pieces.div_ceil(PIECES_MAX).max(1);
    for piece in (0..pieces).step_by(step as usize) {
        let Some(bytes) = raw.bytes(piece * PIECE as u64, PIECE) else { continue };
        for size in (9..=16).map(|power| 1usize << power) {
            for (n, page) in bytes.chunks_exact(size).enumerate() {
                let number = if piece == 0 && n == 0 { 1 } else { 2 };
                if let Some(usable) = usable_of(number, page, named).filter(|usable| *usable >= 480) {
                    let (count, reserved) = votes.sizes.entry(size).or_default();
                    *count += 1;
                    *reserved.entry(size - usable).or_default() += 1;
                }
            }
        }
    }
    votes
}

/// Finds the header of a file; what is not in it, `known` may say.
///
/// # Errors
/// `Encrypted` and `NotRecognised` for a file that holds no page of SQLite; `Damaged` where the size of a page cannot
/// be told.
pub(super) fn find(raw: &Raw, known: Option<&KnownState>) -> Result<Header> {
    // A page that was committed since counts, whatever stands in the file.
    let first = match raw.wal.as_ref().map(|wal| wal.page(1)).transpose()?.flatten() {
        Some(page) => page,
        None => raw.bytes(0, PIECE).unwrap_or_default(),
    };
    let head = first.get(..FILE_HEAD).unwrap_or_default();
    let byte = |at: usize| head.get(at).copied().unwrap_or_default();
    let word = |at: usize| u32_at(head, at).unwrap_or_default();
    let has_mark = head.starts_with(MARK);
    let named = match u16_at(head, 16) {
        Some(1) => Some(1 << 16),
        Some(size) if size >= 512 && size.is_power_of_two() => Some(size),
        _ => None,
    };
    // What no version of SQLite has ever written otherwise.
    let is_sound = has_mark && named.is_some() && [byte(21), byte(22), byte(23)] == [64, 32, 32] && word(56) <= 3;
    let votes = votes(raw, usize::from(byte(20)));
    let of_wal = raw.wal.as_ref().map(crate::sqlite::wal_alone::Committed::page_size);
    let of_pages = votes.best();
    let of_header = named.filter(|size| {
        let most = of_pages.map_or(0, |best| votes.count(best) * best as u64);
        has_mark && votes.count(*size) * *size as u64 * 2 >= most
    });
    if of_wal.or(of_header).or(of_pages).is_none() || (!has_mark && of_wal.or(of_pages).is_none()) {
        return Err(unknown(raw, &first, has_mark));
    }
    let known_size = known.map(|known| known.page_size);
    let page_size = of_wal.or(of_header).or(of_pages).or(known_size).ok_or_else(|| unknown(raw, &first, has_mark))?;
    let is_sound = is_sound && of_header == Some(page_size);
    // What the pages show counts more than one byte.
    let of_byte = Some(usize::from(byte(20))).filter(|reserved| has_mark && page_size - reserved >= 480);
    let reserved = votes.reserved(page_size).or(of_byte).unwrap_or_default();
    let usable = page_size - reserved;
    let known = known.filter(|known| known.page_size == page_size);
    let named = match (is_sound, known) {
        (true, _) => Some(encoding_of(word(56))),
        (false, known) => known.map(|known| known.encoding),
    };
    let encoding = encoding(raw, (page_size, usable), named);
    let has_pointer_map = match (is_sound, known) {
        (true, _) => word(52) != 0,
        (false, Some(known)) => known.auto_vacuum != 0,
        (false, None) => looks_like_a_map(raw, page_size),
    };
    let auto_vacuum = match (is_sound, known) {
        (true, _) if word(52) != 0 => 1 + u32::from(word(64) != 0),
        (true, _) => 0,
        (false, Some(known)) => known.auto_vacuum,
        (false, None) => u32::from(has_pointer_map),
    };
    let from = match (is_sound, known) {
        (true, _) => HeaderFrom::File,
        (false, Some(_)) => HeaderFrom::Archive,
        (false, None) => HeaderFrom::Pages,
    };
    let first_trunk = if is_sound { word(32) } else { 0 };
    let (user_version, application_id) = match (is_sound, known) {
        (true, _) => (word(60) as i32, word(68) as i32),
        (false, known) => known.map_or((0, 0), |known| (known.user_version, known.application_id)),
    };
    let free_pages = is_sound.then(|| u64::from(word(36)));
    let head = FileHead { page_size, usable, encoding, first_trunk, has_pointer_map };
    Ok(Header { head, from, free_pages, auto_vacuum, user_version, application_id })
}

fn encoding_of(word: u32) -> Encoding {
    match word {
        2 => Encoding::Utf16Le,
        3 => Encoding::Utf16Be,
        _ => Encoding::Utf8,
    }
}

fn unknown(raw: &Raw, first: &[u8], has_mark: bool) -> Error {
    let path = raw.path.display();
    let start = first.get(..first.len().min(4096)).unwrap_or_default();
    if !has_mark && raw.length.is_multiple_of(512) && looks_random(start) {
        let message = format!("{path} seems to be encrypted: no page of SQLite is found in it, and it looks random");
        return Error::new(ErrorKind::Encrypted, message).hint(
            "What is encrypted cannot be read without its key. Restore the last archive, or decrypt the file first.",
        );
    }
    if has_mark {
        let message = format!("{path} begins like an SQLite database, and no page of one is found in it");
        return Error::new(ErrorKind::Damaged, message)
            .hint("Nothing is left in it. Restore the last archive: strongroom restore DATAFILE.");
    }
    let message = format!("{path} holds no page of an SQLite database; it begins with {}", describe(start));
    Error::new(ErrorKind::NotRecognised, message)
        .hint("Choose the SQLite data file of the application. If it is the right one, restore its last archive.")
}

/// How text is stored: as it is `named`, where the texts in the file do not speak against that. Half of the bytes of
/// most texts in UTF-16 are zero, and always some of those in the schema.
fn encoding(raw: &Raw, (page_size, usable): (usize, usize), named: Option<Encoding>) -> Encoding {
    let (mut even, mut odd, mut all) = (0u64, 0u64, 0u64);
    let pages = raw.length / page_size as u64;
    let step = pages.div_ceil(2000).max(1);
    for number in (0..pages).step_by(step as usize) {
        let Some(image) = raw.bytes(number * page_size as u64, page_size) else { continue };
        let number = number as u32 + 1;
        let Some(kind) = kind_of(number, &image).filter(|kind| *kind != Kind::TableInterior) else { continue };
        let Ok(node) = Node::salvage(number, &image, usable, kind) else { continue };
        for cell in (0..node.count()).filter_map(|index| node.cell(index).ok()) {
            let Some(mut values) = Values::of(cell.local, Encoding::Utf8) else { continue };
            while let Some(Ok(value)) = values.next_value() {
                if let Value::Text(bytes, _) = value {
                    all += bytes.len() as u64;
                    even += bytes.iter().step_by(2).filter(|byte| **byte == 0).count() as u64;
                    odd += bytes.iter().skip(1).step_by(2).filter(|byte| **byte == 0).count() as u64;
                }
            }
        }
    }
    match named {
        Some(named) if all == 0 => named,
        _ if odd * 4 > all && odd > even => Encoding::Utf16Le,
        _ if even * 4 > all && even > odd => Encoding::Utf16Be,
        Some(named) if even + odd > 0 => named,
        _ => Encoding::Utf8,
    }
}

/// Whether the second page says of those behind it what they belong to, as with auto-vacuum.
fn looks_like_a_map(raw: &Raw, page_size: usize) -> bool {
    let Some(image) = raw.bytes(page_size as u64, page_size) else { return false };
    let pages = raw.length / page_size as u64;
    let entries = (pages.saturating_sub(2) as usize).min(page_size / 5 - 1);
    entries > 0
        && image.chunks_exact(5).take(entries).all(|entry| {
            let above = u64::from(u32_at(entry, 1).unwrap_or(u32::MAX));
            match entry.first() {
                Some(1 | 2) => above == 0,
                Some(3..=5) => above > 0 && above <= pages,
                _ => false,
            }
        })
}
