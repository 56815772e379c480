//! The state that a restore would lead to, for whoever looks at it without restoring it. What it may lack, and what is
//! damaged, is said as a restore says it.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::{
    LedTo, Logs,
    logs::{Planned, plan_logs},
    open,
    places::Origin,
    reach,
    report::{log_broken, repaired_log_in_words},
};
use crate::{
    archive::{
        Archive,
        heal::{self, Repaired},
    },
    control::Control,
    error::{Error, ErrorKind, Result},
    journal::{
        integrate::{self, Look, Until},
        plan::{Piece, PlanEnd, Point},
    },
};

/// An archive, the logs that go on from it, and where they lead.
pub struct State {
    /// The archive, whole or made whole.
    pub archive: Archive,
    /// The logs that go on from it, in order, as far as they can be used.
    pub pieces: Vec<Piece>,
    /// The commit whose state it is; `None` where that is what the archive holds, and no log goes on from it.
    pub point: Option<Point>,
    /// What was asked for and may be missing.
    pub lacks: Option<Error>,
    /// What else is worth knowing, as whole sentences.
    pub remarks: Vec<String>,
    repaired: Option<Repaired>,
    /// To be kept as long as the logs are read.
    pub held: Held,
}

/// Holds the copies of logs that were repaired, and what is known of the commits after the archive.
pub struct Held {
    planned: Option<Planned>,
    until: Until,
    led: LedTo,
}

impl Held {
    /// Data files that may tell, by their content, that nothing is lacking although nobody writes the log any more.
    pub fn open_data_files(&self) -> &[PathBuf] {
        match &self.planned {
            Some(planned) if self.until == Until::End && planned.known.is_open() => &planned.data_files,
            _ => &[],
        }
    }

    /// What is lacking where one of them was found to hold exactly this state.
    pub fn lacks_beside(&self, data_file: PathBuf, at: DateTime<Utc>) -> Option<Error> {
        let mut known = self.planned.as_ref()?.known.clone();
        known.compared(Some(data_file), at);
        known.lacks(self.until, self.led)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("archive", &self.archive.path()).field("point", &self.point).finish()
    }
}

impl State {
    /// The commit, where it is known.
    pub fn commit(&self) -> Option<u64> {
        let cut = self.archive.identity().log_position.map(|position| position.commit);
        self.point.as_ref().map(|point| point.commit).or(cut)
    }

    /// When the state was reached: by its commit, or as the archive says.
    pub fn time(&self) -> DateTime<Utc> {
        self.point.as_ref().and_then(|point| point.time).unwrap_or(self.archive.identity().moment.to_utc())
    }

    /// What the administrator must know of the archive, where it is damaged.
    pub fn archive_problem(&self) -> Option<Error> {
        self.repaired.as_ref().map(Repaired::after_restore)
    }
}

/// Which state it is, and how thoroughly it is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    /// Where it lies.
    pub until: Until,
    /// What is believed of logs.
    pub look: Look,
    /// Whether damage of the archive that shows only while its bytes are read is known, so that it is repaired first.
    pub heals: bool,
}

/// Finds the state of `archive` and its logs that is asked for.
///
/// # Errors
/// As a restore up to there, before it writes anything.
pub fn state(
    archive: &Path,
    segments: &[PathBuf],
    (logs, origin): (&Logs, &Origin),
    How { until, look, heals }: How,
    control: &Control,
) -> Result<State> {
    let (opened, repaired) = match heals {
        true => {
            let known = Error::new(ErrorKind::Damaged, format!("{} is damaged", archive.display()));
            let (opened, repaired) = heal::heal(archive, segments, known, control)?;
            // It may be a log that is damaged, and not the archive.
            let is_sound =
                repaired.damage.damaged + repaired.damage.unknown == 0 && repaired.missing_segments.is_empty();
            (opened, Some(repaired).filter(|_| !is_sound))
        }
        false => open(archive, segments, control)?,
    };
    let planned = plan_logs(&opened, logs, origin, look, control)?;
    let connected = planned.as_ref().and_then(Planned::connected);
    reach::require(&opened, planned.as_ref(), until)?;
    let fork = planned.as_ref().and_then(|planned| planned.known.fork.as_ref());
    if let Some(question) = fork.and_then(|fork| fork.question(until)) {
        return Err(question);
    }
    let (mut point, mut pieces, mut broken) = (None, Vec::new(), None);
    if let Some(plan) = connected {
        let found = integrate::resolve(plan, until, look, control)?;
        let reached = match until {
            Until::Commit(number) => found.commit == number,
            _ => found.next.is_some(),
        };
        let shown = planned.as_ref().and_then(Planned::for_people);
        let end = shown.map(|plan| plan.end).filter(|end| matches!(end, PlanEnd::Damaged { .. } | PlanEnd::Gap { .. }));
        // A limit that was reached before the damage makes it of no concern.
        broken = log_broken(end.filter(|_| !reached).as_ref());
        pieces.clone_from(&plan.pieces);
        point = Some(found);
    }
    let (mut lacks, mut remarks) = (broken, Vec::new());
    let led = LedTo::of(point.as_ref());
    if let Some(planned) = &planned {
        lacks = lacks.or(planned.known.lacks(until, led));
        remarks = planned.known.remarks(until, led);
        remarks.extend(planned.repaired.iter().map(|log| repaired_log_in_words(log)));
    }
    Ok(State { archive: opened, pieces, point, lacks, remarks, repaired, held: Held { planned, until, led } })
}
