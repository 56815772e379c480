//! Frames of an archive that were unpacked: the last ones in memory, and those that were needed again and again in a
//! file without a name. A log of small changes asks for pages all over the data file, and to unpack and prove a whole
//! frame for each of them takes a hundred times as long as to read the page.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::Write,
};

use crate::storage::{read_exact_at, space::disk_space};

/// Bytes of unpacked frames held in memory.
const FRAMES_BYTES: u64 = 48 << 20;
/// Bytes of them in the file at most, and which part of the free space that may be.
const FILE_BYTES: u64 = 8 << 30;
const FREE_PART: u64 = 4;

/// Frames by their numbers.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// The one that was needed last at the end.
    recent: Vec<(u64, Vec<u8>)>,
    /// How many are held in memory.
    most: usize,
    /// Those that had to leave it.
    left: HashSet<u64>,
    file: Option<File>,
    /// Where they are in the file, and how long.
    kept: HashMap<u64, (u64, usize)>,
    length: u64,
    /// How long it may become; nothing until it is begun.
    length_max: Option<u64>,
}

impl Unpacked {
    /// Frames of this length.
    pub(super) fn new(frame_length: u64) -> Self {
        Self {
            recent: Vec::new(),
            most: (FRAMES_BYTES / frame_length.max(1)).max(2) as usize,
            left: HashSet::new(),
            file: None,
            kept: HashMap::new(),
            length: 0,
            length_max: None,
        }
    }

    /// How many are held in memory at most.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Whether a frame is at hand.
    pub(super) fn has(&self, number: u64) -> bool {
        self.kept.contains_key(&number) || self.recent.iter().any(|(known, _)| *known == number)
    }

    /// Appends bytes of a frame, from `within` on as many as there are up to `wanted`; `None` where it must be
    /// unpacked.
    pub(super) fn read(&mut self, number: u64, (within, wanted): (usize, usize), image: &mut Vec<u8>) -> Option<usize> {
        if let Some(at) = self.recent.iter().rposition(|(known, _)| *known == number) {
            if at + 1 < self.recent.len() {
                let frame = self.recent.remove(at);
                self.recent.push(frame);
            }
            let (_, frame) = self.recent.last()?;
            let piece = frame.get(within..(within + wanted).min(frame.len())).unwrap_or_default();
            image.extend_from_slice(piece);
            return Some(piece.len());
        }
        let (at, length) = *self.kept.get(&number)?;
        let (count, begin) = (length.saturating_sub(within).min(wanted), image.len());
        image.resize(begin + count, 0);
        let (file, piece) = (self.file.as_ref()?, image.get_mut(begin..)?);
        if read_exact_at(file, at + within as u64, piece).is_err() {
            // The archive has it as well.
            image.truncate(begin);
            self.kept.remove(&number);
            return None;
        }
        Some(count)
    }

    /// Keeps a frame that was unpacked; returns the memory of one that has to leave.
    pub(super) fn keep(&mut self, number: u64, frame: Vec<u8>) -> Option<Vec<u8>> {
        if self.left.remove(&number) {
            self.put(number, &frame);
        }
        let gone = (self.recent.len() >= self.most).then(|| self.recent.remove(0));
        self.recent.push((number, frame));
        let (gone, memory) = gone?;
        if !self.kept.contains_key(&gone) {
            self.left.insert(gone);
        }
        Some(memory)
    }

    /// Puts one into the file. Where there is no room for it, it is unpacked once more when it is needed again.
    fn put(&mut self, number: u64, frame: &[u8]) {
        let free = || disk_space(&std::env::temp_dir()).map_or(0, |space| space.available / FREE_PART);
        let most = *self.length_max.get_or_insert_with(|| free().min(FILE_BYTES));
        if self.length + frame.len() as u64 > most {
            return;
        }
        if self.file.is_none() {
            self.file = tempfile::tempfile().ok();
        }
        match self.file.as_mut().map(|file| file.write_all(frame)) {
            Some(Ok(())) => {
                self.kept.insert(number, (self.length, frame.len()));
                self.length += frame.len() as u64;
            }
            // Whatever of it was written: nothing is appended behind it.
            _ => self.length_max = Some(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_are_read_as_they_were_unpacked_wherever_they_are(
            most in 1usize..4,
            length_max in prop_oneof![Just(0u64), Just(250), Just(1 << 20)],
            asked in prop::collection::vec((0u64..7, 0usize..100, 1usize..120), 1..80),
        ) {
            let frame = |number: u64| (0..100u8).map(|at| at ^ (number as u8 * 31)).collect::<Vec<u8>>();
            let mut unpacked = Unpacked { most, length_max: Some(length_max), ..Unpacked::new(100) };
            for (number, within, wanted) in asked {
                let mut image = vec![1, 2, 3];
                let read = match unpacked.read(number, (within, wanted), &mut image) {
                    Some(read) => read,
                    None => {
                        prop_assert_eq!(&image, &[1, 2, 3]);
                        unpacked.keep(number, frame(number));
                        unpacked.read(number, (within, wanted), &mut image).unwrap_or_default()
                    }
                };
                let expected = &frame(number)[within..(within + wanted).min(100)];
                prop_assert_eq!((&image[..3], &image[3..], read), (&[1u8, 2, 3][..], expected, expected.len()));
                prop_assert!(unpacked.recent.len() <= most && unpacked.length <= length_max);
            }
        }
    }

    #[test]
    fn what_leaves_memory_twice_is_unpacked_no_more() {
        let mut unpacked = Unpacked { most: 1, length_max: Some(1 << 20), ..Unpacked::new(100) };
        let mut count = 0;
        for number in [0, 1, 0, 1, 0, 1, 0, 1] {
            let mut image = Vec::new();
            if unpacked.read(number, (0, 9), &mut image).is_none() {
                unpacked.keep(number, vec![number as u8; 100]);
                count += 1;
            }
        }
        assert_eq!(count, 4);
    }
}
