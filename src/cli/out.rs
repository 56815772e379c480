//! Standard output for many lines: they are shown soon, and a reader that has seen enough is no failure.

use std::{
    io::{self, BufWriter, Write},
    path::Path,
    time::{Duration, Instant},
};

use crate::error::{Error, Result};

/// After so long, what was found is written out, though there is not much of it.
const SHOW_AFTER: Duration = Duration::from_millis(100);

/// Standard output. Every line is escaped by whoever gives it.
pub(super) struct Out {
    out: BufWriter<io::Stdout>,
    last: Option<Instant>,
    is_read: bool,
}

impl Out {
    pub(super) fn new() -> Self {
        Self { out: BufWriter::with_capacity(64 << 10, io::stdout()), last: None, is_read: true }
    }

    /// Writes a line; false when nobody reads any more.
    pub(super) fn line(&mut self, line: &str) -> Result<bool> {
        let written = writeln!(self.out, "{line}");
        self.note(written)?;
        if self.last.is_none_or(|last| last.elapsed() > SHOW_AFTER) {
            self.flush()?;
        }
        Ok(self.is_read)
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.last = Some(Instant::now());
        let flushed = self.out.flush();
        self.note(flushed)
    }

    fn note(&mut self, written: io::Result<()>) -> Result<()> {
        match written {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.is_read = false;
                Ok(())
            }
            written => written.map_err(|e| Error::io("write to", Path::new("standard output"), e)),
        }
    }
}
