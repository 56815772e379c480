//! The client that edits the sample, a process of its own.

use std::{
    path::Path,
    process::{Command as Process, Stdio},
};

use chrono::{DateTime, Local};

use super::actor::DataFile;
use crate::{
    engine::status::SampleClientStatus,
    error::{Error, ErrorKind, Result},
};

impl DataFile {
    pub(super) fn look_at_client(&mut self) {
        if let Some(client) = &mut self.client
            && !matches!(client.try_wait(), Ok(None))
        {
            self.client = None;
            self.edit().sample_client = None;
        }
    }

    /// Starts the client, which ends when its standard input closes: with us at the latest.
    pub(in crate::engine) fn start_client(&mut self, program: Option<&Path>, now: DateTime<Local>) -> Result<()> {
        self.look_at_client();
        if self.client.is_some() {
            return Ok(());
        }
        let program = program.ok_or_else(|| Error::new(ErrorKind::Refused, "the program's own path is not known"))?;
        let child = Process::new(program)
            .args(["sample-client", "--attached"])
            .arg(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| Error::io("start", program, e))?;
        self.edit().sample_client = Some(SampleClientStatus { process: child.id(), since: now });
        self.client = Some(child);
        Ok(())
    }

    /// Ends the client after its present transaction.
    pub(in crate::engine) fn stop_client(&mut self) {
        if let Some(client) = &mut self.client {
            drop(client.stdin.take());
        }
    }
}

impl Drop for DataFile {
    fn drop(&mut self) {
        self.stop_client();
        if let Some(mut client) = self.client.take() {
            // Its present transaction takes milliseconds; waiting leaves no zombie.
            let _ = client.wait();
        }
    }
}
