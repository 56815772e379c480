#![no_main]
//! Recovery data that says anything, with right checksums, beside any bytes.

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use strongroom::{
    archive::recovery::{
        Dealt, Layout,
        mend::mend,
        packet::{Kind, Packet, Stamp},
    },
    archive::{log_recovery, volume::Volume},
    control::Control,
};

#[derive(Debug, Arbitrary)]
struct Forged {
    shapes: Vec<(u64, u32, u32, u32, u32, u32)>,
    packets: Vec<(u8, bool, u32, u32, u32, Vec<u8>, bool)>,
    offsets: (u64, u64),
    before: Vec<u8>,
    between: Vec<u8>,
}

fuzz_target!(|forged: Forged| {
    let mut bytes = forged.before.clone();
    for (shape, table, window, group, number, body, fitting) in &forged.packets {
        let Some(shape) = forged.shapes.get(usize::from(*shape) % forged.shapes.len().max(1)) else { continue };
        let layout = Layout {
            length: shape.0,
            block_bytes: shape.1,
            chunk_blocks: shape.2,
            recovery_blocks: shape.3,
            windows: shape.4,
            groups: shape.5,
            dealt: if shape.0 % 2 == 0 { Dealt::Blocks } else { Dealt::Chunks },
        };
        let stamp = Stamp {
            layout,
            id: uuid::Uuid::nil(),
            index_offset: forged.offsets.0,
            tar_length: forged.offsets.1,
            whole: [0; 32],
        };
        let kind = if *table { Kind::Table } else { Kind::Recovery };
        let packet = Packet { stamp, kind, window: *window, group: *group, number: *number, table: [0; 32] };
        let mut body = body.clone();
        if *fitting && layout.block_bytes <= 1 << 16 {
            let bytes = if *table { layout.block_bytes as usize } else { layout.recovery_body_bytes() };
            body.resize(bytes, 7);
        }
        bytes.extend(packet.encode(&body));
        bytes.extend(&forged.between);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a[0001].4BL");
    std::fs::write(&path, &forged.before).expect("write");
    std::fs::write(log_recovery::companion(&path), &bytes).expect("write");
    let control = Control::default();
    if let Ok(volume) = Volume::of_file(&log_recovery::companion(&path)) {
        let _ = mend(volume, folder.path(), &control);
    }
    let _ = log_recovery::is_cut(&path);
    let held = strongroom::storage::beneath::Folder::open(folder.path()).expect("the folder");
    let _ = log_recovery::heal_log(&path, &held, &control);
});
