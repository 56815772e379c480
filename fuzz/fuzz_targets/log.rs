#![no_main]
//! Any bytes as a log; and, so that more is reached, blocks whose chain values are right.

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use strongroom::{
    control::Control,
    journal::{
        Chain, Position,
        format::{LogHeader, VERSION, two::BlockHead},
        integrate::{self, Until},
        reader::LogReader,
    },
    sqlite::wal::WalMark,
};

#[derive(Debug, Arbitrary)]
struct Forged {
    plain: bool,
    page_size: u32,
    page_count: u32,
    is_first: bool,
    blocks: Vec<(u8, u8, u32, Vec<u8>)>,
    after: Vec<u8>,
}

fuzz_target!(|forged: Forged| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.journal");
    let identity = uuid::Uuid::from_u128(7);
    let base = Position::at(1, 0, Chain([0; 32]));
    let mut bytes = Vec::new();
    if !forged.plain {
        let header = LogHeader {
            ignored: Default::default(),
            version: if forged.is_first { 1 } else { VERSION },
            identity,
            page_size: forged.page_size,
            base,
            rooted: true,
            created: Default::default(),
            page_count: forged.page_count,
            mark: WalMark::default(),
        };
        bytes = header.encode();
        let mut chain = header.link().0;
        for (kind, flags, index, payload) in &forged.blocks {
            if !forged.is_first {
                let mut block = b"4BLr".to_vec();
                block.extend((payload.len() as u32 | u32::from(*kind) << 24).to_le_bytes());
                let mut whole = [block.as_slice(), &[0; 32], payload].concat();
                let head = BlockHead::decode(&whole);
                let after = head.and_then(|head| head.chain_of(Chain(chain), &whole));
                if let Some(after) = after {
                    whole[8..40].copy_from_slice(&after.0);
                    chain = if *kind < 128 { after.0 } else { chain };
                }
                bytes.extend(whole);
                continue;
            }
            let mut head = b"4BLb".to_vec();
            head.extend((payload.len() as u32).to_le_bytes());
            head.extend([*kind, *flags, 0, 0]);
            head.extend(index.to_le_bytes());
            let mut hasher = blake3::Hasher::new();
            hasher.update(&chain).update(&head).update(payload);
            chain = *hasher.finalize().as_bytes();
            bytes.extend(head);
            bytes.extend(chain);
            bytes.extend(payload);
        }
    }
    bytes.extend(&forged.after);
    std::fs::write(&path, bytes).expect("write");
    let Ok(mut reader) = LogReader::open(&path) else { return };
    while let Ok(Some(record)) = reader.next_record() {
        if reader.pages(&record, &mut |_| Ok(())).is_err() {
            break;
        }
    }
    let control = Control::default();
    if let Ok(plan) = integrate::plan(identity, &base, &[path], &control) {
        let target = folder.path().join("data");
        std::fs::write(&target, vec![0; 8192]).expect("write");
        let _ = integrate::integrate(&target, &plan, Until::End, &control);
    }
});
