//! What stands where in time: the archives of a data file, the logs that lead on from them, and how dense their commits
//! are, so that a moment is picked and not typed.
//!
//! It is made from what logs list of themselves and changes nothing; a restore reads and proves every record anyway.

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Known, Logs, Sibling,
    logs::{Planned, plan_logs},
    open,
    places::Origin,
};
use crate::{
    archive::{Archive, ArchiveNumber},
    control::Control,
    error::Result,
    journal::{
        density::{Counter, Density, Span, Spot},
        format::{Chain, Position},
        index,
        plan::{Look, Plan, PlanEnd, Stretch},
        reader::LogReader,
    },
};

/// More stretches of which single commits are not known are not told at once; the last ones are.
const CATCH_UPS_MAX: usize = 256;
/// So many older archives are tried whether their logs lead to the one that was asked about.
const TRIED_MAX: usize = 4;
/// Columns of the whole, where nobody asked for a part of it.
const COLUMNS: u32 = 512;

/// What stands where in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// The archives at hand, the oldest first.
    pub archives: Vec<Mark>,
    /// The stretches that logs lead through; the last one is that of the archive that was asked about, and it alone is
    /// counted.
    pub bands: Vec<Band>,
    /// How dense the commits of the last band are.
    pub density: Density,
    /// When that was looked at.
    pub now: DateTime<Utc>,
}

/// An archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its path.
    pub archive: PathBuf,
    /// Its number.
    pub number: ArchiveNumber,
    /// The moment of the state it holds.
    pub moment: DateTime<Utc>,
    /// The commit that it was cut at, where the last band certainly leads through it: every commit of that band from
    /// here on can be restored with this archive.
    pub on_band: Option<u64>,
}

/// A stretch that logs lead through without a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Band {
    /// The archive that they lead on from.
    pub archive: PathBuf,
    /// The commit that it was cut at.
    pub from: Spot,
    /// The last commit.
    pub to: Spot,
    /// The earliest and the latest time that a commit bears: others than those of the first and the last where a clock
    /// ran back.
    pub extent: (DateTime<Utc>, DateTime<Utc>),
    /// Up to when it is certain that there is no other commit.
    pub until: DateTime<Utc>,
    /// Where single commits are not known, within the span that was asked for.
    pub catch_ups: Vec<Stretch>,
    /// Whether what follows is lost: a log is damaged, or has a gap.
    pub breaks: bool,
}

impl Timeline {
    /// The band that is counted.
    pub fn counted(&self) -> Option<&Band> {
        self.bands.last()
    }

    /// The earliest and the latest moment of all that stands in it.
    pub fn whole(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        whole(&self.archives, &self.bands, self.now)
    }
}

/// From the earliest to the latest moment.
fn whole(archives: &[Mark], bands: &[Band], now: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
    let of_bands = bands.iter().flat_map(|band| [band.extent.0, band.extent.1]);
    let moments = archives.iter().map(|mark| mark.moment).chain(of_bands);
    moments.fold((now, now), |(from, to), moment| (from.min(moment), to.max(moment)))
}

/// What stands around `archive`; the commits are counted in `span`, or where none is given from the first to the last.
///
/// # Errors
/// As [`Archive::open`]; when a log cannot be read.
pub fn timeline(
    archive: &Path,
    segments: &[PathBuf],
    (logs, origin): (&Logs, &Origin),
    span: Option<Span>,
) -> Result<Timeline> {
    let control = Control::default();
    let opened = open(archive, segments, &control)?.0;
    let planned = plan_logs(&opened, logs, origin, Look::Indexes, &control)?;
    let siblings = planned.as_ref().map(|planned| planned.siblings.clone()).unwrap_or_default();
    // A log that leads through this archive began at an older one: what was before it can be picked as well.
    let identity = opened.identity().clone();
    let own = identity.log_position;
    let mut led = Vec::new();
    let mut counted = None;
    let before = |sibling: &&Sibling| sibling.archive != archive && sibling.moment < identity.moment;
    let with_log = |sibling: &&Sibling| sibling.commit.is_some();
    for older in siblings.iter().rev().filter(before).filter(with_log).take(TRIED_MAX) {
        let Some(own) = &own else { break };
        let Ok((from, _)) = open(&older.archive, &[], &control) else { continue };
        let Some(found) = plan_logs(&from, logs, origin, Look::Indexes, &control)? else { continue };
        let Some(plan) = found.connected() else { continue };
        if stands_on(plan, (own.commit, Some(own.chain))) {
            counted = Some((from, found));
            break;
        }
        led.push(band_of(&from, (plan, &found.known), span));
    }
    let (from, planned) = match counted {
        Some((from, found)) => (from, Some(found)),
        None => (opened, planned),
    };
    let plan = planned.as_ref().and_then(Planned::connected);
    let on_band = |sibling: &Sibling| {
        let is_own = sibling.archive == archive && own.is_some();
        let is_on = |plan: &Plan| is_own || stands_on(plan, (sibling.commit.unwrap_or_default(), sibling.chain));
        sibling.commit.filter(|_| plan.is_some_and(is_on))
    };
    let mark = |sibling: &Sibling| Mark {
        archive: sibling.archive.clone(),
        number: sibling.number,
        moment: sibling.moment.to_utc(),
        on_band: on_band(sibling),
    };
    let mut archives: Vec<Mark> = siblings.iter().rev().map(mark).collect();
    if archives.iter().all(|mark| mark.archive != archive) {
        // One with another name, or in a folder of its own.
        let (number, moment) = (identity.number, identity.moment.to_utc());
        let on_band = own.map(|own| own.commit).filter(|_| plan.is_some());
        archives.push(Mark { archive: archive.to_path_buf(), number, moment, on_band });
        archives.sort_by_key(|mark| (mark.moment, mark.number));
    }
    led.extend(planned.as_ref().zip(plan).map(|(planned, plan)| band_of(&from, (plan, &planned.known), span)));
    let now = control.clock().now();
    let span = span.unwrap_or_else(|| {
        let (from, to) = whole(&archives, &led, now);
        // The last commit lies before the end of the last column.
        Span { from, to: to + TimeDelta::microseconds(1), columns: COLUMNS }
    });
    let density = count(plan, span, &control)?;
    Ok(Timeline { archives, bands: led, density, now })
}

/// Whether the logs of a plan certainly lead through a commit with this chain value: one of them begins there, or the
/// plan does or ends.
fn stands_on(plan: &Plan, (commit, chain): (u64, Option<Chain>)) -> bool {
    let is_it = |position: &Position| position.commit == commit && Some(position.chain) == chain;
    is_it(&plan.from) || is_it(&plan.to) || plan.pieces.iter().any(|piece| is_it(&piece.after))
}

fn band_of(archive: &Archive, (plan, known): (&Plan, &Known), span: Option<Span>) -> Band {
    let moment = archive.identity().moment.to_utc();
    let from = Spot { commit: plan.from.commit, time: moment };
    let to = Spot { commit: plan.to.commit, time: plan.times.map_or(moment, |times| times.1) };
    let extent =
        plan.pieces.iter().fold((moment, moment), |(from, to), piece| (from.min(piece.span.0), to.max(piece.span.1)));
    let is_seen = |one: &&Stretch| span.is_none_or(|span| one.from < span.to && one.to >= span.from);
    let mut catch_ups: Vec<Stretch> =
        plan.catch_ups.iter().rev().filter(is_seen).take(CATCH_UPS_MAX).copied().collect();
    catch_ups.reverse();
    let breaks = matches!(plan.end, PlanEnd::Damaged { .. } | PlanEnd::Gap { .. });
    let until = known.certain().max(extent.1);
    Band { archive: archive.path().to_path_buf(), from, to, extent, until, catch_ups, breaks }
}

/// Counts the commits of a plan.
fn count(plan: Option<&Plan>, span: Span, control: &Control) -> Result<Density> {
    let mut counter = Counter::new(span);
    for piece in plan.iter().flat_map(|plan| &plan.pieces) {
        if piece.span.0 > span.to {
            continue;
        }
        if piece.span.1 < span.from {
            // Of all that lies before the span, only the last one is told.
            counter.take(piece.commits.1, piece.times.1);
            continue;
        }
        index::each(&mut LogReader::open(&piece.path)?, Look::Indexes, control, &mut |record| {
            if (piece.commits.0..=piece.commits.1).contains(&record.commit) {
                counter.take(record.commit, record.wall);
            }
            Ok(())
        })?;
    }
    Ok(counter.finish())
}
