//! The file that logs are applied to, and the proof of what it became.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    path::PathBuf,
};

use super::{
    format::{Entry, page_hash},
    page,
    reader::{LogReader, Record},
    state::StateSum,
};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
    storage::read_exact_at,
};

/// Bytes of changed pages held in memory before they are written.
const CACHE_BYTES: usize = 64 << 20;
/// Bytes read at once to be proven.
const PIECE: usize = 1 << 20;

/// The file being rebuilt, with its changed pages in memory until there are many.
pub(super) struct Target {
    file: File,
    path: PathBuf,
    page_size: usize,
    pub(super) page_count: u32,
    pages: BTreeMap<u32, Vec<u8>>,
    defined: Option<Defined>,
    /// What the first pages of the record that is being applied held before it.
    before: BTreeMap<u32, Vec<u8>>,
    /// The pages of that record so far.
    named: HashSet<u32>,
}

/// Which pages have a defined content, so that they count in the checksum of the state.
struct Defined {
    /// Those of the base up to this one, but for the blank ones.
    base_pages: u32,
    blank: Vec<(u32, u32)>,
    written: HashSet<u32>,
}

impl Defined {
    fn has(&self, page: u32) -> bool {
        let run = self.blank.get(self.blank.partition_point(|(_, last)| *last < page));
        let is_blank = run.is_some_and(|(first, _)| *first <= page);
        page <= self.base_pages && !is_blank || self.written.contains(&page)
    }
}

impl Target {
    pub(super) fn new((file, path): (File, PathBuf)) -> Self {
        Self {
            file,
            path,
            page_size: 0,
            page_count: 0,
            pages: BTreeMap::new(),
            defined: None,
            before: BTreeMap::new(),
            named: HashSet::new(),
        }
    }

    pub(super) fn prepare(&mut self, page_size: u32) -> Result<()> {
        let size = page_size as usize;
        if self.page_size == 0 && size > 0 {
            let length = self.file.metadata().map_err(|e| Error::io("measure", &self.path, e))?.len();
            self.page_size = size;
            self.page_count = (length / u64::from(page_size)) as u32;
        }
        if size == self.page_size {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Damaged, format!("the log is not made for the page size of {}", self.path.display())))
    }

    /// A log begins to be applied: at its base, where these pages have no content; or somewhere else, where that is not
    /// known.
    pub(super) fn begin(&mut self, blank: Option<&[(u32, u32)]>) {
        let base_pages = self.page_count;
        self.defined = blank.map(|blank| Defined { base_pages, blank: blank.to_vec(), written: HashSet::new() });
    }

    /// Reads the file as it was written, and compares all of it with the checksum of the state that it should have.
    /// False where that is not known.
    pub(super) fn prove(&mut self, wanted: Option<StateSum>, control: &Control) -> Result<bool> {
        let (Some(wanted), Some(defined)) = (wanted, &self.defined) else { return Ok(false) };
        let mut buffer = vec![0; (PIECE / self.page_size).max(1) * self.page_size];
        let (mut sum, mut first) = (StateSum::default(), 1u32);
        while first <= self.page_count {
            control.check()?;
            let count = (buffer.len() / self.page_size).min((self.page_count - first) as usize + 1);
            let piece = &mut buffer[..count * self.page_size];
            let offset = u64::from(first - 1) * self.page_size as u64;
            read_exact_at(&self.file, offset, piece).map_err(|e| Error::io("read", &self.path, e))?;
            for (page, image) in
                (first..).zip(piece.chunks_exact(self.page_size)).filter(|(page, _)| defined.has(*page))
            {
                sum = sum.with(page, page_hash(image));
            }
            first += count as u32;
        }
        if sum == wanted {
            return Ok(true);
        }
        let message = format!(
            "{} is not the state that the log says: a page that no commit touched differs",
            self.path.display()
        );
        Err(Error::new(ErrorKind::Damaged, message).hint(
            "The archive and the log do not belong together, or the log lacks a change that was made past SQLite. \
             Restore without the log, or begin with another archive.",
        ))
    }

    pub(super) fn apply(&mut self, reader: &mut LogReader, record: &Record) -> Result<()> {
        let count_before = self.page_count;
        self.before.clear();
        self.named.clear();
        reader.pages(record, &mut |entry| self.put(&entry, count_before, record.head.commit))?;
        if let Some(defined) = self.defined.as_mut().filter(|_| record.head.page_count < count_before) {
            defined.base_pages = defined.base_pages.min(record.head.page_count);
            defined.written.retain(|page| *page <= record.head.page_count);
        }
        if record.head.page_count < count_before {
            self.flush()?;
            let length = u64::from(record.head.page_count) * self.page_size as u64;
            self.file.set_len(length).map_err(|e| Error::io("cut", &self.path, e))?;
        }
        self.page_count = record.head.page_count;
        if self.pages.len() * self.page_size > CACHE_BYTES { self.flush() } else { Ok(()) }
    }

    fn put(&mut self, entry: &Entry<'_>, count_before: u32, commit: u64) -> Result<()> {
        let exists = entry.page <= count_before;
        let is_kept = exists && self.before.len() < page::GROUP_MAX;
        let mut image = match self.pages.remove(&entry.page) {
            Some(image) => image,
            None if exists && (is_kept || !page::stands_alone(entry.encoding)) => self.read(entry.page)?,
            None => vec![0; self.page_size],
        };
        if is_kept {
            self.before.insert(entry.page, image.clone());
        }
        // No program that knows the format writes a page twice in a record, and which of both is meant nobody knows.
        let is_first = self.named.insert(entry.page);
        let mut before = |page: u32| self.before_of(page, count_before);
        if !is_first || !page::decode_proven(entry, exists, &mut image, &mut before)? {
            let message = format!(
                "commit {commit} does not fit {}: page {} is not what the log was made against",
                self.path.display(),
                entry.page
            );
            return Err(Error::new(ErrorKind::Damaged, message).hint(
                "The archive and the log do not belong together, or one is damaged. Restore without the log, or \
                    up to the commit before.",
            ));
        }
        self.pages.insert(entry.page, image);
        if let Some(defined) = &mut self.defined {
            defined.written.insert(entry.page);
        }
        // A huge commit must not fill the memory: its pages can go to the file at once, for the record is verified.
        if self.pages.len() * self.page_size > 2 * CACHE_BYTES { self.flush() } else { Ok(()) }
    }

    fn read(&self, page: u32) -> Result<Vec<u8>> {
        let mut image = vec![0; self.page_size];
        let offset = u64::from(page - 1) * self.page_size as u64;
        match read_exact_at(&self.file, offset, &mut image) {
            Ok(()) => Ok(image),
            // It came into being without an entry, and the file gets its length in the end.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(vec![0; self.page_size]),
            Err(e) => Err(Error::io("read", &self.path, e)),
        }
    }

    /// What a page held before the record that is being applied.
    fn before_of(&self, page: u32, count_before: u32) -> Result<Option<Vec<u8>>> {
        if page == 0 || page > count_before {
            return Ok(None);
        }
        match self.before.get(&page).or_else(|| self.pages.get(&page)) {
            Some(image) => Ok(Some(image.clone())),
            None => self.read(page).map(Some),
        }
    }

    fn flush(&mut self) -> Result<()> {
        for (page, image) in std::mem::take(&mut self.pages) {
            let offset = u64::from(page - 1) * self.page_size as u64;
            write_all_at(&mut self.file, offset, &image).map_err(|e| Error::io("write to", &self.path, e))?;
        }
        Ok(())
    }

    pub(super) fn finish(&mut self) -> Result<()> {
        self.flush()?;
        if self.page_size > 0 {
            let length = u64::from(self.page_count) * self.page_size as u64;
            self.file.set_len(length).map_err(|e| Error::io("cut", &self.path, e))?;
        }
        self.file.sync_all().map_err(|e| Error::io("sync", &self.path, e))
    }
}

fn write_all_at(file: &mut File, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{
        journal::{
            Chain, Position, RecordKind,
            format::{LogHeader, RecordHead, VERSION},
            integrate::{self, Integrated, Until},
            writer::LogWriter,
        },
        sqlite::wal::WalMark,
        storage::{Disk, Ownership},
    };

    const SIZE: usize = 512;

    fn image(value: u8) -> Vec<u8> {
        vec![value; SIZE]
    }

    fn sum(pages: &[(u32, u8)]) -> Option<StateSum> {
        let with = |sum: StateSum, (page, value): &(u32, u8)| sum.with(*page, page_hash(&image(*value)));
        Some(pages.iter().fold(StateSum::default(), with))
    }

    fn log(path: &Path, base: Position, page_count: u32, blank: &[(u32, u32)]) -> Result<LogWriter> {
        let header = LogHeader {
            ignored: Default::default(),
            version: VERSION,
            identity: uuid::Uuid::from_u128(7),
            page_size: SIZE as u32,
            base: Position { log: Some(uuid::Uuid::new_v4()), ..base },
            rooted: true,
            created: chrono::DateTime::UNIX_EPOCH,
            page_count,
            mark: WalMark::default(),
        };
        LogWriter::create_with(Arc::new(Disk), path, (header, blank), Ownership::default())
    }

    /// A commit that writes these pages and leaves so many.
    fn commit(writer: &mut LogWriter, page_count: u32, pages: &[(u32, u8)], state: Option<StateSum>) -> Result<()> {
        let tail = *writer.ahead();
        let (commit, time) = (tail.commit + 1, tail.time);
        let mark = WalMark::default();
        writer.begin(RecordHead { kind: RecordKind::Commit, commit, time, wall: time, page_count, mark, state });
        for (page, value) in pages {
            let bytes = image(*value);
            writer.page(&Entry { page: *page, encoding: 0, hash: page_hash(&bytes), bytes: &bytes })?;
        }
        writer.end()?;
        writer.sync()
    }

    fn applied(target: &Path, content: &[u8], from: &Position, logs: &[PathBuf]) -> Result<Integrated> {
        let fail = |e| Error::io("write", target, e);
        std::fs::write(target, content).map_err(fail)?;
        let control = Control::default();
        let plan = integrate::plan(uuid::Uuid::from_u128(7), from, logs, &control)?;
        integrate::integrate(target, &plan, Until::End, &control)
    }

    #[test]
    fn pages_that_no_commit_touched_are_proven_too() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (path, target) = (folder.path().join("a.journal"), folder.path().join("a"));
        let from = Position::at(1, 0, Chain([1; 32]));
        let mut writer = log(&path, from, 4, &[])?;
        commit(&mut writer, 5, &[(2, 7), (5, 9)], sum(&[(1, 1), (2, 7), (3, 3), (4, 4), (5, 9)]))?;
        commit(&mut writer, 3, &[(1, 8)], sum(&[(1, 8), (2, 7), (3, 3)]))?;
        // Pages that came into being without an entry count for nothing.
        commit(&mut writer, 6, &[(1, 9), (6, 6)], sum(&[(1, 9), (2, 7), (3, 3), (6, 6)]))?;
        let content = |three: u8| [image(1), image(2), image(three), image(4)].concat();
        let logs = [path];
        let done = applied(&target, &content(3), &from, &logs)?;
        assert!(done.is_proven && done.position.state == sum(&[(1, 9), (2, 7), (3, 3), (6, 6)]));
        let error = applied(&target, &content(2), &from, &logs).err().ok_or("it was not noticed")?;
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.message().contains("a page that no commit touched differs"), "{error}");
        Ok(())
    }

    #[test]
    fn a_page_that_stands_twice_in_a_record_is_not_applied() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (path, target) = (folder.path().join("a.journal"), folder.path().join("a"));
        let from = Position::at(1, 0, Chain([1; 32]));
        let mut writer = log(&path, from, 2, &[])?;
        commit(&mut writer, 2, &[(1, 7), (2, 3)], None)?;
        commit(&mut writer, 2, &[(2, 8), (1, 4), (2, 9)], None)?;
        let logs = [path];
        let error = applied(&target, &[image(1), image(2)].concat(), &from, &logs).err().ok_or("it was applied")?;
        assert!(error.kind() == ErrorKind::Damaged && error.message().contains("commit 2 does not fit"), "{error}");
        let plan = integrate::plan(uuid::Uuid::from_u128(7), &from, &logs, &Control::default())?;
        std::fs::write(&target, [image(1), image(2)].concat())?;
        integrate::integrate(&target, &plan, Until::Commit(1), &Control::default())?;
        assert_eq!(std::fs::read(&target)?, [image(7), image(3)].concat());
        Ok(())
    }

    #[test]
    fn pages_without_content_at_a_cut_count_for_nothing_whichever_archive_is_restored()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (first, second, target) = (folder.path().join("1"), folder.path().join("2"), folder.path().join("a"));
        let from = Position::at(1, 0, Chain([1; 32]));
        let mut writer = log(&first, from, 2, &[])?;
        commit(&mut writer, 4, &[(1, 5)], sum(&[(1, 5), (2, 2)]))?;
        let cut = Position::at(2, writer.position().commit, writer.position().chain);
        let mut writer = log(&second, cut, 4, &[(3, 4)])?;
        commit(&mut writer, 4, &[(3, 6)], sum(&[(1, 5), (2, 2), (3, 6)]))?;
        let logs = [first, second];
        let done = applied(&target, &[image(1), image(2)].concat(), &from, &logs)?;
        assert!(done.is_proven && done.commits == 2);
        // The second archive holds for page 4 whatever stood there.
        let done = applied(&target, &[image(5), image(2), image(77), image(78)].concat(), &cut, &logs)?;
        assert!(done.is_proven && done.commits == 1);
        Ok(())
    }

    #[test]
    fn a_log_whose_state_is_not_known_proves_nothing_and_is_applied()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (path, target) = (folder.path().join("a.journal"), folder.path().join("a"));
        let from = Position::at(1, 0, Chain([1; 32]));
        let mut writer = log(&path, from, 1, &[])?;
        commit(&mut writer, 1, &[(1, 7)], None)?;
        let done = applied(&target, &image(1), &from, &[path])?;
        assert_eq!((done.commits, done.is_proven), (1, false));
        Ok(())
    }
}
