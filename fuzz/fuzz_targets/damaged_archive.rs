#![no_main]
//! A good archive with recovery data, edited: what is restored is what was backed up, or nothing.

use std::sync::OnceLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use strongroom::{
    archive::{ArchiveNumber, ArchiveOptions, Compression, Entry, Identity, Item, ItemKind, Rate, Source, writer},
    control::Control,
    error::Result,
    restore::{self, RestoreOptions},
    storage::{Disk, Ownership},
    verify,
};

#[derive(Debug, Arbitrary)]
enum Edit {
    Set(u16, u8),
    Fill(u16, u16, u8),
    Remove(u16, u16),
    Insert(u16, Vec<u8>),
    Copy(u16, u16, u16),
    Cut(u16),
}

struct Bytes(Vec<u8>, usize);

impl Source for Bytes {
    fn entry(&mut self, _: &[Item]) -> Result<Entry> {
        Ok(Entry {
            name: "Attachments/content".into(),
            kind: ItemKind::Attachment,
            length: self.0.len() as u64,
            mode: 0o600,
            modified: 0,
            owner: None,
            target: None,
            not_whole: None,
            original: None,
        })
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        buffer.copy_from_slice(&self.0[self.1..self.1 + buffer.len()]);
        self.1 += buffer.len();
        Ok(())
    }
}

fn content() -> Vec<u8> {
    (0..20_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2..].to_vec()).collect()
}

fn good() -> &'static [u8] {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    GOOD.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a[0001].4BK");
        let options =
            ArchiveOptions { redundancy: Rate::Medium, compression: Compression::None, ..ArchiveOptions::default() };
        let identity = Identity {
            data_file_id: uuid::Uuid::nil(),
            archive_id: uuid::Uuid::from_u128(1),
            data_file_name: "a.sqlite".into(),
            data_file_path: None,
            installation: None,
            log_file: None,
            recovery: None,
            number: ArchiveNumber(1),
            moment: Default::default(),
            page_size: 4096,
            page_count: 1,
            program: "fuzz".into(),
            log_position: None,
            options: Some(options),
            segment: None,
            content: None,
        };
        let sources: Vec<Box<dyn Source>> = vec![Box::new(Bytes(content(), 0))];
        writer::write(&Disk, &path, Ownership::default(), (&identity, None), sources, None, 0, &Control::default())
            .expect("an archive");
        std::fs::read(&path).expect("read")
    })
}

fuzz_target!(|edits: Vec<Edit>| {
    let mut bytes = good().to_vec();
    for edit in edits.into_iter().take(8) {
        let length = bytes.len();
        let at = |part: u16| length * usize::from(part) / 65536;
        match edit {
            _ if bytes.is_empty() => {}
            Edit::Set(place, value) => bytes[at(place)] = value,
            Edit::Fill(from, count, value) => {
                let from = at(from);
                let to = (from + usize::from(count)).min(length);
                bytes[from..to].fill(value);
            }
            Edit::Remove(from, count) => {
                let from = at(from);
                let to = (from + usize::from(count)).min(length);
                bytes.drain(from..to);
            }
            Edit::Insert(place, more) => drop(bytes.splice(at(place)..at(place), more).collect::<Vec<_>>()),
            Edit::Copy(from, to, count) => {
                let count = usize::from(count).min(length - at(from).max(at(to)));
                bytes.copy_within(at(from)..at(from) + count, at(to));
            }
            Edit::Cut(place) => bytes.truncate(at(place)),
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a[0001].4BK");
    std::fs::write(&path, &bytes).expect("write");
    let control = Control::default();
    let to = folder.path().join("to");
    let restored = restore::run(&Disk, &path, &RestoreOptions::all(&to), &control);
    let verified = verify::run(&path, &control);
    assert_eq!(restored.is_ok(), verified.is_ok(), "{restored:?} {verified:?}");
    if restored.is_ok() {
        assert!(std::fs::read(to.join("Attachments/content")).expect("restored") == content());
    } else {
        assert!(!to.exists());
    }
});
