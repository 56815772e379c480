//! What a restore lacks, or may lack, as far as is known of the commits after its archive: in words, with what to do.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::{
    known::{Ends, Known},
    lost_past,
    other_past::OtherPast,
    uncertain::{self, shown},
};
use crate::{
    error::{Error, ErrorKind},
    journal::{
        integrate::{LateRead, Point, Until, Unused},
        jumps::{Jump, NOTICED},
    },
};

/// More logs that cannot be used are not named one by one in a message.
const NAMED_MAX: usize = 3;

/// How far a limit leads.
#[derive(Debug, Clone, Copy, Default)]
pub struct LedTo {
    /// Number of the last commit that is restored; `None` where that is not known.
    pub commit: Option<u64>,
    /// Time of the first one that is left out.
    pub next: Option<DateTime<Utc>>,
}

impl LedTo {
    /// That of the point that was found for it.
    pub fn of(point: Option<&Point>) -> Self {
        Self { commit: point.map(|point| point.commit), next: point.and_then(|point| point.next) }
    }

    /// Whether commit `number` is left out, as far as is known.
    fn leaves_out(&self, number: u64) -> bool {
        self.commit.is_none_or(|commit| commit < number)
    }
}

impl Known {
    /// The last commit known, in words.
    pub fn last_in_words(&self) -> String {
        match self.commit.filter(|_| self.is_logged) {
            Some(commit) => format!("commit {commit} of {}", shown(self.time)),
            None => format!("the archive itself, the state of {}", shown(self.time)),
        }
    }

    /// Whether what was committed after the log ends could still be told by the data file.
    pub(super) fn is_open(&self) -> bool {
        self.elsewhere.is_none() && matches!(self.ends, Ends::Open { is_behind: false, .. })
    }

    /// Whether a log certainly leads from the archive to what the data file holds now: then no newer archive is missed.
    pub(super) fn goes_on(&self) -> bool {
        self.elsewhere.is_none() && matches!(self.ends, Ends::Live { .. } | Ends::Level { .. })
    }

    /// What was restored was compared with the data file, byte by byte, and is the same.
    pub(super) fn compared(&mut self, level: Option<PathBuf>, at: DateTime<Utc>) {
        if let (Some(_), Ends::Open { log, .. }) = (level, &self.ends) {
            self.ends = Ends::Level { log: log.clone(), at };
        }
    }

    fn other_pasts(&self) -> impl Iterator<Item = &OtherPast> {
        let is_said_anyway = !self.goes_on();
        self.other_pasts.iter().filter(move |other| !(is_said_anyway && other.is_of_lost()))
    }

    /// Up to when it is certain that no other commit was made than those known.
    pub(super) fn certain(&self) -> DateTime<Utc> {
        match &self.ends {
            _ if self.elsewhere.is_some() => self.time,
            Ends::Live { at, .. } | Ends::Level { at, .. } | Ends::Sealed { at: Some(at), .. } => (*at).max(self.time),
            _ => self.time,
        }
    }

    /// What only whoever asks for a restore up to `until` can tell: which of two pasts is meant.
    pub(super) fn question(&self, until: Until) -> Option<Error> {
        let replaced = || self.replaced.iter().find_map(|fork| fork.question_of_replaced(until));
        self.fork.as_ref().and_then(|fork| fork.question(until)).or_else(replaced)
    }

    /// What the state that `until` leads to may lack.
    pub fn lacks(&self, until: Until, led: LedTo) -> Option<Error> {
        let next = led.next;
        if let Some(question) = self.question(until) {
            return Some(question);
        }
        if let Some(problem) = self.other_pasts().find_map(|other| other.problem(until)) {
            return Some(problem);
        }
        if let Some(problem) = lost_past::doubt(&self.lost, until) {
            return Some(problem);
        }
        match until {
            Until::Commit(_) => None,
            Until::Moment(moment) if self.earlier.last.is_some_and(|last| moment < last) => {
                self.earlier.last.map(|last| uncertain::of_base(moment, last))
            }
            Until::Moment(moment) => {
                if let Some(jump) = self.jumps.iter().find(|jump| jump.conceals(moment)) {
                    return Some(uncertain::concealed(jump));
                }
                let is_twice = |jump: &&Jump| next.is_some() && jump.repeats(moment) || jump.shows(moment);
                if let Some(jump) = self.jumps.iter().find(is_twice) {
                    return Some(uncertain::repeated(jump, moment));
                }
                if let Some(stretch) = self.stretches.iter().find(|one| one.from < moment && moment < one.to) {
                    let reached = led.commit.filter(|commit| *commit >= stretch.commit);
                    return Some(uncertain::within(stretch, moment, reached));
                }
                let is_missed = |late: &&LateRead| late.conceals(moment) && led.leaves_out(late.commits.1);
                if let Some(late) = self.late.iter().find(is_missed) {
                    return Some(uncertain::read_late(late, moment, led.commit));
                }
                if next.is_some() || moment <= self.certain() {
                    return None;
                }
                let to_come = || self.is_to_come(moment).then(|| uncertain::to_come(moment, &self.last_in_words()));
                self.after_end().or_else(to_come)
            }
            Until::End => self.after_end(),
        }
    }

    /// Whether the archive may hold what was committed after `moment`, although it bears an earlier time.
    pub(super) fn is_later_before(&self, moment: DateTime<Utc>) -> bool {
        self.earlier.latest.is_some_and(|latest| moment < latest)
    }

    /// Why it is not certain that the archive is not later than `moment`, where [`lacks`](Self::lacks) does not say it:
    /// whoever named the archive knows which time is meant.
    pub(super) fn doubt_of_chosen(&self, moment: DateTime<Utc>) -> Option<Error> {
        let is_said = self.earlier.last.is_some_and(|last| moment < last);
        let latest = self.earlier.latest.filter(|latest| !is_said && moment < *latest);
        latest.map(|latest| uncertain::before_base(moment, latest))
    }

    /// Why more may have been committed than a list of all that is known tells: a log that goes on from there is
    /// missing or cannot be used, or the data file holds more. Where a log merely ends, a list of what it holds is
    /// whole.
    pub(super) fn breaks_off(&self) -> Option<Error> {
        let is_short = match &self.ends {
            Ends::Sealed { .. } | Ends::NotFound { .. } => true,
            Ends::Open { is_behind, is_unasked, .. } => *is_behind || *is_unasked,
            _ => false,
        };
        let may_hold_more = self.unused.iter().any(Unused::may_hold_more);
        if is_short || may_hold_more { self.after_end() } else { None }
    }

    fn is_to_come(&self, moment: DateTime<Utc>) -> bool {
        self.read_at.is_some_and(|now| moment - now > NOTICED)
    }

    fn after_end(&self) -> Option<Error> {
        let more: Vec<&Unused> = self.unused.iter().filter(|unused| unused.may_hold_more()).collect();
        if let Some(elsewhere) = self.elsewhere.as_ref().filter(|_| !self.is_said_otherwise()) {
            let message = format!("nothing is known after {}: {elsewhere}", self.last_in_words());
            return Some(Error::new(ErrorKind::Partial, message).hint(
                "What it commits is in no file that is found here. Have it save its data elsewhere if it can, then end \
                 it; a container must be given the folder, not the file alone.",
            ));
        }
        let why = match &self.ends {
            Ends::Live { .. } | Ends::Level { .. } | Ends::Broken => return None,
            // Made before there was a log, or while it was not in order: then logs that are there hold what it lacks.
            Ends::WithoutLog if more.is_empty() => return None,
            Ends::WithoutLog => "it was made without a log".to_owned(),
            Ends::NotFound { named } if named.is_empty() => {
                "it was made while a log was kept, and no log that goes on from it was found".to_owned()
            }
            Ends::NotFound { named } => {
                let named: Vec<String> = named.iter().map(|log| log.display().to_string()).collect();
                let named = named.join(" and ");
                format!("a log is in use, {named}, and none that goes on from the archive was found")
            }
            Ends::Sealed { log, .. } => {
                format!("a full backup closed {}, and no log that goes on from there was found", log.display())
            }
            Ends::Open { log, is_behind, is_held_up: true, .. } => {
                let behind = if *is_behind { "; the data file holds commits that are not in it" } else { "" };
                let trouble = self.log_trouble();
                format!("{} ends there, and cannot be written at the moment{trouble}{behind}", log.display())
            }
            Ends::Open { log, is_behind: false, is_unasked: true, .. } => format!(
                "{} went so far when it was read; another process writes it, and could not be asked whether that is all",
                log.display()
            ),
            Ends::Open { log, is_behind: true, .. } => {
                format!("{} ends there, and the data file holds commits that are not in it", log.display())
            }
            Ends::Torn { log, is_held_up: true } => format!(
                "{} ends there, in the middle of a commit, and cannot be written at the moment{}",
                log.display(),
                self.log_trouble()
            ),
            Ends::Open { log, .. } => format!("{} ends there, and nobody writes it any more", log.display()),
            Ends::Torn { log, .. } => {
                format!("{} ends there, in the middle of a commit, and nobody writes it any more", log.display())
            }
        };
        let mut message = format!("nothing is known after {}: {why}", self.last_in_words());
        for unused in more.iter().take(NAMED_MAX) {
            message += &format!("; {}", unused.in_words());
        }
        let hint = match &self.ends {
            Ends::WithoutLog | Ends::NotFound { .. } if !more.is_empty() => {
                "If another archive leads further with its logs, a restore of the data file by its own name takes that \
                 one: strongroom restore DATAFILE. What no archive leads to stands in the data file alone, if anywhere: \
                 make a full backup of it."
            }
            Ends::WithoutLog => "Restore a newer archive, which the logs go on from.",
            Ends::Open { is_held_up: true, .. } | Ends::Torn { is_held_up: true, .. } if more.is_empty() => {
                "Everything that was recorded is restored. What was committed since stands in the data file: see that \
                 its log can be written (strongroom status DATAFILE), and restore again."
            }
            Ends::Open { is_unasked: true, .. } if more.is_empty() => {
                "It may only just have begun: restore again in a moment. If that does not help, see that the service or \
                 window that looks after the data file answers (strongroom status DATAFILE)."
            }
            Ends::Open { .. } | Ends::Torn { .. } if more.is_empty() => {
                "Everything that was recorded is restored. What programs committed later, if they did, was never \
                 recorded."
            }
            _ => {
                "Everything up to there is restored. If a log lies elsewhere, or another copy of it exists, restore \
                 again and name it (--log, or Add log)."
            }
        };
        Some(Error::new(ErrorKind::Partial, message).hint(hint))
    }

    /// Whether it is another matter why nothing more is known: there never was a log, or it is damaged.
    fn is_said_otherwise(&self) -> bool {
        matches!(self.ends, Ends::WithoutLog | Ends::Broken)
    }

    fn log_trouble(&self) -> String {
        self.log_problem.as_ref().map_or_else(String::new, |problem| format!(": {problem}"))
    }

    /// What else is worth knowing of a restore up to `until`, as whole sentences.
    pub fn remarks(&self, until: Until, led: LedTo) -> Vec<String> {
        let next = led.next;
        let mut remarks = Vec::new();
        if let Ends::Live { log, at } = &self.ends {
            remarks.push(format!("{} is being written, and was read as of {}.", log.display(), shown(*at)));
        }
        if let Until::Moment(moment) = until
            && next.is_none()
            && moment > self.time
            && (!self.is_to_come(moment) || self.after_end().is_some())
        {
            let last = self.last_in_words();
            remarks.push(if moment > self.certain() {
                format!("The moment wanted, {}, lies after the last that is known, {last}.", shown(moment))
            } else {
                format!("No commit was made between {last} and the moment wanted, {}.", shown(moment))
            });
        }
        // Nothing is left out, whichever of both was meant.
        if let Until::Moment(moment) = until
            && next.is_none()
            && let Some(jump) = self.jumps.iter().find(|jump| jump.repeats(moment) && !jump.shows(moment))
        {
            remarks.push(format!("The clock ran back: {}.", uncertain::repeats(jump)));
        }
        let after_end = self.lacks(until, led).is_some();
        let named = self.unused.iter().filter(|unused| unused.may_hold_more()).take(NAMED_MAX);
        let named: Vec<&Unused> = named.filter(|_| after_end).collect();
        // Those that the message of what is lacking does not name already.
        let rest = self.unused.iter().filter(|unused| !named.contains(unused));
        remarks.extend(rest.map(|unused| format!("{}.", unused.in_words())));
        remarks
    }
}
