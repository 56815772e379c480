//! After we were not there: going on where the log ends, or comparing the whole data file.
//!
//! The logged place is found in the WAL when nobody restarted it meanwhile: same salts, same checksum at the same
//! frame. Then every commit since is still in the WAL, and the log goes on as if nothing had happened. Otherwise the
//! data file is compared, at a pinned state, with the page hashes of the base and of the log; what differs becomes one
//! catch-up record.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{
    absorb::Index,
    follow::{Follower, Trouble},
    format::{Entry, RecordHead, RecordKind, page_hash},
    keys::Since,
    lacking::{self, Lacking},
    late::LATE,
    page::Encoder,
    pages::Latest,
    pin_machine::First,
    rest,
    state::StateSum,
    status::CaptureConfig,
    table::{Changes, Known, Logged, PageTable, PageTableWriter},
    table_path,
};
use crate::{
    error::Result,
    sqlite::{wal::WalMark, wal_index::WalPosition},
    storage::Ownership,
};

/// Bytes of the data file compared at once.
const PIECE: usize = 1 << 20;

/// How the log went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The logged place was found in the WAL.
    Resumed,
    /// The data file is as the log left it.
    Same,
    /// A record was added: that many pages differ.
    CaughtUp(u32),
}

/// Takes a pin and leads the log to it. `force` compares even where the logged place is found.
pub(super) fn start(follower: &mut Follower, config: &CaptureConfig, force: bool) -> Result<Outcome, Trouble> {
    follower.writer.forget();
    let first = follower.take_first()?;
    let at = first.position();
    let Index { latest, at_mark } = match &at {
        Some(to) => follower.index(to)?,
        None => Index::default(),
    };
    let is_released = is_released(config);
    if let Some(at_mark) = at_mark.filter(|_| !force && !is_released) {
        follower.resume(at_mark);
        return Ok(Outcome::Resumed);
    }
    let is_empty = at.is_none_or(|at| at.frame_max == 0);
    let tail = *follower.writer.logged();
    if is_empty && !force && !is_released && rest::is_as_left(follower.writer.path(), &tail, &config.data_file) {
        follower.stand_at(&first, Latest::new());
        return Ok(Outcome::Resumed);
    }
    let new = follower.writer.logged().commit == follower.writer.header().base.commit
        && !follower.writer.header().rooted
        && !force
        && !is_released;
    // Without an archive there is nothing to compare with, but for the length: the log that goes on from the first
    // archive begins with what this one says of it.
    let is_as_long = new && follower.pins.page_count()? == follower.writer.logged().page_count;
    if is_as_long && follower.machine.place().mark == WalMark::of(at.as_ref()) {
        follower.stand_at(&first, latest);
        return Ok(Outcome::Same);
    }
    compare(follower, config, &first, latest, !force)
}

/// Whether the data file, in which everything is that was logged, differs from what the log leads to. Nothing is
/// written; where it cannot be told, the answer is no.
pub(super) fn differs(follower: &Follower) -> Result<bool> {
    let (header, page_count) = (follower.writer.header(), follower.writer.logged().page_count);
    let path = table_path(follower.writer.path());
    let Some(mut table) = PageTable::open(&path, header.page_size, header.base.chain)?.filter(|_| header.rooted) else {
        return Ok(false);
    };
    if follower.pins.page_count()? != page_count {
        return Ok(true);
    }
    let size = follower.page_size() as usize;
    let mut buffer = vec![0; (PIECE / size).max(1) * size];
    let (nothing, mut first) = (Latest::new(), 1u32);
    while first <= page_count {
        let count = (buffer.len() / size).min((page_count - first + 1) as usize);
        let piece = &mut buffer[..count * size];
        follower.read_pages(&nothing, first, piece)?;
        for (page, bytes) in (first..).zip(piece.chunks_exact(size)) {
            let base = table.next()?.filter(|_| follower.pages.is_of_base(page));
            let known = follower.pages.hash(page).or(base);
            if known.is_some_and(|known| known != page_hash(bytes)) {
                return Ok(true);
            }
        }
        first += count as u32;
    }
    Ok(false)
}

/// Whether this is not the first start: what was open before was replaced, and its place in the WAL proves nothing.
fn is_released(config: &CaptureConfig) -> bool {
    config.released.is_some()
}

fn compare(
    follower: &mut Follower,
    config: &CaptureConfig,
    pin: &First,
    latest: Latest,
    is_start: bool,
) -> Result<Outcome, Trouble> {
    let position = pin.position();
    let at = position.as_ref();
    let page_count = follower.pins.page_count()?;
    let rooted = follower.writer.header().rooted;
    let head = RecordHead {
        kind: if rooted { RecordKind::CatchUp } else { RecordKind::Gap },
        commit: follower.writer.logged().commit + 1,
        time: follower.writer.logged().time,
        wall: (config.clock)(),
        page_count,
        mark: WalMark::of(at),
        // Every page is looked at, so that it is known in the end.
        state: rooted.then(StateSum::default),
    };
    let mut sum = StateSum::default();
    let mut differing = 0u32;
    let mut known = Changes::new(0);
    if rooted {
        let mut hashes = HashMap::new();
        let base_pages = follower.pages.base_pages().min(page_count);
        let mut table = base_table(follower, config)?;
        let size = follower.page_size() as usize;
        let mut buffer = vec![0; (PIECE / size).max(1) * size];
        let (mut encoder, mut encoded) = (Encoder::default(), Vec::new());
        let mut first = 1u32;
        while first <= page_count {
            let count = (buffer.len() / size).min((page_count - first + 1) as usize);
            let piece = &mut buffer[..count * size];
            follower.read_pages(&latest, first, piece)?;
            for (page, bytes) in (first..).zip(piece.chunks_exact(size)) {
                let base = match &mut table {
                    Some(table) => table.next()?.filter(|_| page <= base_pages && follower.pages.is_of_base(page)),
                    None => None,
                };
                let hash = page_hash(bytes);
                sum = sum.with(page, hash);
                let known = follower.pages.hash(page);
                if known.is_some() {
                    hashes.insert(page, hash);
                }
                if known.or(base) != Some(hash) {
                    hashes.insert(page, hash);
                    if differing == 0 {
                        follower.writer.begin(head);
                    }
                    differing += 1;
                    let encoding = encoder.encode(1, None, bytes, &mut encoded);
                    follower
                        .writer
                        .page(&Entry { page, encoding, hash, bytes: &encoded })
                        .map_err(|e| failed(follower, e))?;
                }
            }
            first += count as u32;
        }
        let same = differing == 0 && page_count == follower.writer.logged().page_count;
        // One that takes the place of a log that was lost: the data file may be as the archive because it was restored
        // from it, and moments of what was lost would be answered by the archive. A record without pages says that
        // nothing is known of them.
        let is_begun_anew = is_start && !is_released(config) && is_begun_later(follower, head.wall);
        if is_start && !same {
            follower.lacking =
                if config.is_restored { None } else { lacking(follower, config, &hashes, page_count, at) };
            if let Some(lacking) = follower.lacking.as_mut().filter(|_| is_released(config)) {
                // Somebody put an older file in place while we watched: nobody but him knows whether that was meant.
                lacking.put_back = false;
            }
            if let Some(lacking) = follower.lacking.as_mut().filter(|_| config.is_moved) {
                // What the log holds may be of the file that was there: nobody but the administrator knows.
                (lacking.put_back, lacking.lost_end) = (false, false);
            }
        }
        let logged = |(page, hash): (u32, [u8; 8])| {
            let is_as_before = follower.pages.hash(page) == Some(hash);
            let since = if is_as_before { follower.pages.since(page) } else { Since::default() };
            (page, Logged { hash, since })
        };
        let pages = hashes.into_iter().map(logged).collect();
        known = Changes { pages, base_pages, blank: follower.pages.changes().blank };
        if same && !is_begun_anew {
            follower.stand_at(pin, latest);
            follower.kept.set(Some(sum));
            follower.know(known);
            return Ok(Outcome::Same);
        }
    }
    if differing == 0 {
        follower.writer.begin(head);
    }
    let sum = rooted.then_some(sum);
    let written = follower.writer.end_with(sum).and_then(|()| follower.writer.sync());
    written.map_err(|e| failed(follower, e))?;
    follower.stand_at(pin, latest);
    follower.kept.set(sum);
    follower.know(known);
    Ok(Outcome::CaughtUp(differing))
}

/// Whether the log holds nothing yet and was not begun with its archive, at a place in the WAL, but at one that was
/// made longer ago than whoever looks can miss.
fn is_begun_later(follower: &Follower, now: DateTime<Utc>) -> bool {
    let (header, logged) = (follower.writer.header(), follower.writer.logged());
    let is_empty = header.rooted && logged.commit == header.base.commit;
    is_empty && header.mark == WalMark::default() && (now - header.created).to_std().is_ok_and(|since| since > LATE)
}

/// Whether the file is as it was after an earlier commit of the log. That it cannot be told holds up nothing.
fn lacking(
    follower: &Follower,
    config: &CaptureConfig,
    hashes: &HashMap<u32, [u8; 8]>,
    page_count: u32,
    at: Option<&WalPosition>,
) -> Option<Lacking> {
    let path = follower.writer.path();
    let table = base_table(follower, config).ok().flatten();
    let (commit, next) = lacking::find(path, table.as_ref(), hashes, page_count).ok().flatten()?;
    let tail = follower.writer.logged();
    let base = follower.writer.header().base;
    (commit < tail.commit).then(|| lacking::describe(&config.data_file, (commit, next), (base, tail), at))
}

fn failed(follower: &mut Follower, error: crate::error::Error) -> Trouble {
    follower.writer.forget();
    Trouble::Log(error)
}

/// The page hashes of the base: from the table beside the log, or made again from the archive.
fn base_table(follower: &Follower, config: &CaptureConfig) -> Result<Option<PageTable>> {
    let header = follower.writer.header();
    let path = table_path(follower.writer.path());
    if let Some(table) = PageTable::open(&path, header.page_size, header.base.chain)? {
        return Ok(Some(table));
    }
    // While a backup is being made, it writes the table itself, and there is no archive to read yet.
    let Some(read_base) = config.read_base.as_ref().filter(|_| follower.writer.path() == config.log) else {
        return Ok(None);
    };
    let key = (header.page_size, header.base.chain);
    let mut writer =
        PageTableWriter::create(&config.storage, &path, key, Ownership::for_content_of(&config.data_file))?;
    // An archive that cannot be read only makes the record larger.
    if read_base(&header.base, &mut |bytes| writer.push(bytes)).is_err() {
        writer.discard();
        return Ok(None);
    }
    writer.finish()?;
    PageTable::open(&path, header.page_size, header.base.chain)
}
