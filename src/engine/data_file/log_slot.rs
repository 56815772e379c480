//! The log of a data file as jobs see it: running, being opened anew, or none. A backup that begins while the log is
//! being opened anew waits for it, so that its archive is not made without the log.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use crate::journal::{Capture, CaptureState};

#[derive(Debug, Default)]
struct Slot {
    log: Option<Arc<Capture>>,
    is_opening: bool,
}

/// Shared by the engine, which fills it, and jobs, which wait for it.
#[derive(Debug, Default)]
pub(in crate::engine) struct LogSlot {
    slot: Mutex<Slot>,
    changed: Condvar,
}

impl LogSlot {
    /// A log runs, is being opened, or neither.
    pub(in crate::engine) fn set(&self, log: Option<Arc<Capture>>, is_opening: bool) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Slot { log, is_opening };
        self.changed.notify_all();
    }

    /// Whether there will be a log, and is none yet.
    pub(in crate::engine) fn is_opening(&self) -> bool {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.log.is_none() && slot.is_opening
    }

    /// The log in order, for which up to `limit` is waited while it is being opened. One that was released counts as
    /// being opened: the engine opens it anew.
    pub(in crate::engine) fn await_running(&self, limit: Duration) -> Option<Arc<Capture>> {
        let waits = |slot: &mut Slot| {
            let is_released = slot.log.as_ref().is_some_and(|log| log.status().state == CaptureState::Released);
            is_released || slot.log.is_none() && slot.is_opening
        };
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let (slot, _) = self.changed.wait_timeout_while(slot, limit, waits).unwrap_or_else(PoisonError::into_inner);
        slot.log.clone()
    }
}
