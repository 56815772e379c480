//! Many small items that are found by a number: in memory while there are few, in sorted runs in a file without a name
//! where there are many. So what is known of a log takes the same memory whatever its length.

use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use crate::{
    error::{Error, Result},
    storage::read_exact_at,
};

/// Items that are read from the file at once.
const BLOCK: usize = 512;

/// An item of a fixed length.
pub(super) trait Item: Copy {
    /// Its length in bytes.
    const BYTES: usize;

    /// What it is found by.
    fn key(&self) -> u64;

    /// Appends its bytes.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads it from its bytes; `None` where there are too few.
    fn take(bytes: &[u8]) -> Option<Self>;
}

/// Sorted items in the file.
#[derive(Debug)]
struct Run {
    at: u64,
    count: usize,
    /// The key of the first item of each block.
    fences: Vec<u64>,
}

/// The items. They are added first, and found after that.
#[derive(Debug)]
pub(super) struct Sorted<T> {
    /// How many are held in memory.
    most: usize,
    open: Vec<T>,
    runs: Vec<Run>,
    file: Option<File>,
    length: u64,
}

fn failed(what: &str, error: std::io::Error) -> Error {
    Error::io(what, Path::new("a file without a name in the system's folder for such files"), error)
}

impl<T: Item> Sorted<T> {
    /// None yet; not more than `most` are held in memory.
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), open: Vec::new(), runs: Vec::new(), file: None, length: 0 }
    }

    pub(super) fn add(&mut self, item: T) -> Result<()> {
        self.open.push(item);
        if self.open.len() >= self.most { self.spill() } else { Ok(()) }
    }

    /// To be called when all are added.
    pub(super) fn close(&mut self) {
        self.open.sort_by_key(Item::key);
    }

    /// As [`close`](Self::close), with no more than `few` left in memory.
    pub(super) fn rest(&mut self, few: usize) -> Result<()> {
        if self.open.len() > few {
            return self.spill();
        }
        self.close();
        Ok(())
    }

    /// Writes what is in memory to the file.
    pub(super) fn spill(&mut self) -> Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        self.close();
        let mut bytes = Vec::with_capacity(self.open.len() * T::BYTES);
        self.open.iter().for_each(|item| item.put(&mut bytes));
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile().map_err(|e| failed("make", e))?,
        };
        let file = self.file.insert(file);
        let written = file.seek(SeekFrom::Start(self.length)).and_then(|_| file.write_all(&bytes));
        written.map_err(|e| failed("write to", e))?;
        let fences = self.open.iter().step_by(BLOCK).map(Item::key).collect();
        self.runs.push(Run { at: self.length, count: self.open.len(), fences });
        self.length += bytes.len() as u64;
        self.open.clear();
        Ok(())
    }

    /// The item with the highest key below `key`; of equal ones, one that was added last.
    pub(super) fn last_below(&self, key: u64) -> Result<Option<T>> {
        let at = self.open.partition_point(|item| item.key() < key);
        let mut best = at.checked_sub(1).and_then(|at| self.open.get(at)).copied();
        for run in self.runs.iter().rev() {
            let Some(block) = run.fences.partition_point(|fence| *fence < key).checked_sub(1) else { continue };
            let first = block * BLOCK;
            let count = BLOCK.min(run.count.saturating_sub(first));
            let mut bytes = vec![0; count * T::BYTES];
            if let Some(file) = &self.file {
                let at = run.at + (first * T::BYTES) as u64;
                read_exact_at(file, at, &mut bytes).map_err(|e| failed("read", e))?;
            }
            let found = bytes.chunks_exact(T::BYTES).filter_map(T::take).take_while(|item| item.key() < key).last();
            if found.is_some_and(|found| best.is_none_or(|best| found.key() > best.key())) {
                best = found;
            }
        }
        Ok(best)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Number(u64);

    impl Item for Number {
        const BYTES: usize = 8;

        fn key(&self) -> u64 {
            self.0
        }

        fn put(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(&self.0.to_le_bytes());
        }

        fn take(bytes: &[u8]) -> Option<Self> {
            bytes.first_chunk().map(|bytes| Self(u64::from_le_bytes(*bytes)))
        }
    }

    proptest! {
        #[test]
        fn the_last_below_is_found_wherever_it_lies(
            numbers in prop::collection::vec(0u64..3000, 0..2500),
            (most, few) in (1usize..2000, 0usize..2000),
            wanted in prop::collection::vec(0u64..3100, 1..40),
        ) {
            let fail = |error: Error| TestCaseError::fail(error.to_string());
            let mut sorted = Sorted::new(most);
            for number in &numbers {
                sorted.add(Number(*number)).map_err(fail)?;
            }
            sorted.rest(few).map_err(fail)?;
            for key in wanted {
                let expected = numbers.iter().copied().filter(|number| *number < key).max();
                prop_assert_eq!(sorted.last_below(key).map_err(fail)?.map(|found| found.0), expected);
            }
        }
    }
}
