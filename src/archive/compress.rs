//! One independent zstd frame with content size and content checksum, compressed or not.

use std::{cell::RefCell, hash::Hasher, io};

use super::options::Compression;
use crate::error::{Error, ErrorKind, Result};

/// No block of a zstd frame is longer.
const BLOCK_BYTES_MAX: usize = 128 << 10;

/// The zstd level of a compression rate; `None` stores blocks as they are.
fn level(compression: Compression) -> Option<i32> {
    match compression {
        Compression::None => None,
        Compression::Fast => Some(1),
        Compression::Compact => Some(9),
    }
}

/// `raw` as one frame.
///
/// # Errors
/// When zstd fails, for want of memory.
pub fn compress(raw: &[u8], compression: Compression) -> Result<Vec<u8>> {
    let Some(level) = level(compression) else { return Ok(store(raw)) };
    thread_local! {
        // A context costs more to make than a frame to compress.
        static CONTEXT: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> = const { RefCell::new(None) };
    }
    let fail = |e| Error::new(ErrorKind::Io, "the data cannot be compressed").because(e);
    CONTEXT.with_borrow_mut(|context| {
        if context.as_ref().is_none_or(|(made_for, _)| *made_for != level) {
            let mut made = zstd::bulk::Compressor::new(level).map_err(fail)?;
            made.include_checksum(true).map_err(fail)?;
            *context = Some((level, made));
        }
        match context {
            Some((_, compressor)) => compressor.compress(raw).map_err(fail),
            None => Err(Error::stopped()),
        }
    })
}

/// Decompresses a frame into `out`, whose capacity is the most that it may give.
///
/// # Errors
/// When it is no frame, damaged, or longer.
pub fn decompress(frame: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    thread_local! {
        static CONTEXT: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
    }
    CONTEXT.with_borrow_mut(|context| {
        let mut decompressor = context.take().map_or_else(zstd::bulk::Decompressor::new, Ok)?;
        decompressor.decompress_to_buffer(frame, out)?;
        *context = Some(decompressor);
        Ok(())
    })
}

/// A frame of raw blocks: what zstd itself writes where nothing can be compressed, at the speed of copying.
fn store(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() + raw.len() / BLOCK_BYTES_MAX * 3 + 32);
    out.extend(0xfd2f_b528u32.to_le_bytes());
    // Content size of 4 bytes, single segment (no window descriptor), content checksum.
    out.push(0b1010_0100);
    out.extend((raw.len() as u32).to_le_bytes());
    let mut blocks = raw.chunks(BLOCK_BYTES_MAX).peekable();
    if raw.is_empty() {
        out.extend([1, 0, 0]);
    }
    while let Some(block) = blocks.next() {
        let last = u32::from(blocks.peek().is_none());
        out.extend_from_slice(&((block.len() as u32) << 3 | last).to_le_bytes()[..3]);
        out.extend_from_slice(block);
    }
    let mut checksum = twox_hash::XxHash64::with_seed(0);
    checksum.write(raw);
    out.extend_from_slice(&(checksum.finish() as u32).to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zstd_reads_what_was_stored_and_notices_a_changed_byte() -> std::result::Result<(), Box<dyn std::error::Error>> {
        for length in [0, 1, 255, 256, BLOCK_BYTES_MAX, BLOCK_BYTES_MAX + 1, 4 << 20] {
            let raw: Vec<u8> = (0..length).map(|n| ((n * n) >> 7) as u8).collect();
            for compression in Compression::ALL {
                let frame = compress(&raw, compression)?;
                assert!(zstd::bulk::decompress(&frame, length)? == raw, "{length} {compression:?}");
            }
            let mut changed = compress(&raw, Compression::None)?;
            let last = changed.len() - 5;
            if length > 0 {
                changed[last] ^= 1;
                assert!(zstd::bulk::decompress(&changed, length).is_err(), "the content checksum");
            }
        }
        Ok(())
    }
}
