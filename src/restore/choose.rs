//! Which archive of a data file a restore begins with: the newest one whose state is not after what is wanted, and
//! whose logs lead there. The data file itself may be gone.

use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Ends, Known, LedTo, Logs, RestorePlan,
    newer::Newer,
    places::{self, Origin, Places},
    plan_looking,
    report::log_broken,
};
use crate::{
    archive::{
        ArchiveNumber, Identity,
        catalog::{self, ArchiveEntry},
        trust::Trust,
    },
    error::{Error, ErrorKind, ErrorReport, Result, shell::quoted},
    journal::{
        Chain,
        integrate::{Look, Until},
        written_by,
    },
    settings::{
        Settings, SettingsFile,
        copies::{self, Elsewhere},
    },
    storage::{self, installation::Installation},
};

/// An archive at hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sibling {
    /// The archive.
    pub archive: PathBuf,
    /// Its number.
    pub number: ArchiveNumber,
    /// The moment of the state it holds.
    pub moment: DateTime<FixedOffset>,
    /// The commit that it was cut at, if it was made with a log.
    pub commit: Option<u64>,
    /// The chain value of that commit.
    #[serde(default)]
    pub chain: Option<Chain>,
    /// How often the history of the data file was begun anew before that.
    #[serde(default)]
    pub epoch: u32,
}

/// An archive, and the logs that lead on from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The archive.
    pub archive: PathBuf,
    /// Its logs.
    pub logs: Logs,
    /// The newer archive that is known of and cannot be used, where no log certainly leads beyond it: what it holds is
    /// not in what is restored.
    pub without: Option<ErrorReport>,
    /// What is to be said of the files beside the data file, where there are any: no log leads on from the archive for
    /// them, and a newer one that holds them cannot be used.
    pub files: Option<ErrorReport>,
}

/// The last full backup that was made, for whoever keeps a journal of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its number.
    pub number: ArchiveNumber,
    /// When it was made.
    pub at: DateTime<FixedOffset>,
    /// Where it was written.
    pub archive: PathBuf,
}

/// The archives in these places of the data file that `archive` is of, the newest first. `data_file` is where that is,
/// for whoever knows it.
pub(super) fn siblings(places: &Places, stem: &str, archive: &Identity, data_file: Option<&Path>) -> Vec<Sibling> {
    let in_folder = |folder: &PathBuf| catalog::list(folder, Some(stem)).unwrap_or_default();
    let mut all: Vec<ArchiveEntry> = places.folders.iter().flat_map(in_folder).collect();
    let identity = Some(archive.data_file_id);
    let there = archive.data_file_path.iter().chain(&places.data_files).find(|path| path.is_file());
    if let Some(data_file) = data_file.or(there.map(PathBuf::as_path)) {
        let settings = Settings { data_file_id: identity, ..Settings::default() };
        copies::mark(data_file, &settings, &mut all);
    }
    let own = all.into_iter().filter(|archive| archive.is_of(identity));
    let mut found: Vec<Sibling> = own
        .filter_map(|archive| {
            let (moment, number) = (archive.moment?, archive.number);
            let commit = archive.log_position.map(|position| position.commit);
            let epoch = archive.log_position.map_or(0, |position| position.epoch);
            let chain = archive.log_position.map(|position| position.chain);
            Some(Sibling { archive: archive.path, number, moment, commit, chain, epoch })
        })
        .collect();
    found.sort_by(|a, b| (b.moment, b.number, &b.archive).cmp(&(a.moment, a.number, &a.archive)));
    found.dedup_by(|a, b| a.archive == b.archive);
    found
}

/// Chooses the archive of `data_file` for a restore up to `until`; `logs` are searched too. `made` is the last full
/// backup that is known to have been made.
///
/// Where none leads there with certainty, the one that leads furthest is taken: the restore says what it lacks.
///
/// # Errors
/// `NotFound` where no archive is at hand, or all are later than what is wanted; why the newest cannot be read when
/// none can.
pub fn choose(data_file: &Path, origin: &Origin, until: Until, logs: &Logs, made: Option<&Made>) -> Result<Choice> {
    choose_looking(data_file, origin, (until, Look::Records), logs, made)
}

/// As [`choose`], from what `look` says: for whoever restores nothing.
///
/// # Errors
/// As [`choose`].
pub fn choose_looking(
    data_file: &Path,
    origin: &Origin,
    (until, look): (Until, Look),
    logs: &Logs,
    made: Option<&Made>,
) -> Result<Choice> {
    let stem = catalog::stem(data_file);
    let places = places::places_of(&[data_file.to_path_buf()], origin, &|_| true);
    let mut folders = places.folders;
    folders.extend(places.named.iter().map(|log| storage::folder_of(log).to_path_buf()));
    let mut archives: Vec<ArchiveEntry> = Vec::new();
    // Settings that name a file by mistake hide no archive in it, and are not to bar the way to those elsewhere.
    let mut unread = None;
    for folder in folders.iter().filter(|folder| !folder.is_file()) {
        match catalog::list(folder, Some(&stem)) {
            Ok(found) => archives.extend(found),
            Err(error) => _ = unread.get_or_insert(error),
        }
    }
    // A disk of these that is away stands in the way of no other one.
    for folder in storage::folders_of(&origin.made) {
        archives.extend(catalog::list(&folder, Some(&stem)).unwrap_or_default());
    }
    archives.sort_by(|a, b| (b.number, &b.path).cmp(&(a.number, &a.path)));
    archives.dedup_by(|a, b| a.path == b.path);
    let nowhere = PathBuf::new();
    let settings = SettingsFile::load(data_file, origin.settings_dir.as_ref().unwrap_or(&nowhere)).ok();
    // Whose settings are gone is told by the archives of its name, if all are of one data file.
    let last_number = settings.as_ref().map_or(0, |file| file.settings().last_number);
    let settings = settings.map(|file| file.settings().clone()).unwrap_or_default();
    let noted = settings.data_file_id;
    let chooses_files = !(settings.content.program.is_empty() && settings.content.attachments.is_empty());
    // One that was mistyped, or is that of another data file, hides no archive that was made of this one.
    let is_known = noted.is_some() && archives.iter().any(|archive| archive.data_file_id == noted);
    let noted = if is_known { noted } else { made_of_it(&archives, &origin.made).or(noted) };
    if noted.is_none() {
        refuse_several(data_file, &archives)?;
    }
    let identity = noted.or_else(|| archives.iter().find_map(|archive| archive.data_file_id));
    let log = settings.log.file.clone();
    let is_of_other = |log: &PathBuf| !settings.may_have_written(written_by(log), Installation::of(data_file));
    let log_of_other = log.filter(is_of_other);
    // Where the settings are gone, the archives tell whether they were signed.
    let is_signed = settings.data_file_id.is_none() || settings.archive.sign;
    let trust = Trust::of(is_signed, origin.settings_dir.as_ref().unwrap_or(&nowhere));
    let is_any = archives.iter().any(|archive| trust.covers(archive));
    let trust = if settings.data_file_id.is_none() && !is_any { Trust::default() } else { trust };
    let sharing = copies::mark(data_file, &Settings { data_file_id: identity, ..settings }, &mut archives);
    let elsewhere = sharing.into_iter().find_map(|other| other.elsewhere);
    archives.retain(|archive| archive.data_file_id.is_none() || archive.says_it_is_of(identity));
    let none = |what: String| Error::new(ErrorKind::NotFound, what);
    if let Some(unread) = unread.filter(|_| archives.is_empty()) {
        return Err(unread);
    }
    if archives.is_empty() {
        let renamed: Vec<PathBuf> = folders.iter().flat_map(|folder| catalog::of_other_names(folder)).collect();
        let mut folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        folders.sort_unstable();
        folders.dedup();
        let message = format!("no archive of {} was found in {}", data_file.display(), folders.join(" or "));
        return Err(none(message).hint(match renamed.first() {
            None => "Give the archive itself, if it lies elsewhere.".to_owned(),
            Some(first) => format!(
                "Archives are known by their names, {stem}[0001].4BK. Files with other names lie there: give the \
                 archive itself, {}{}.",
                quoted(first),
                if renamed.len() > 1 { format!(", or one of {} others", renamed.len() - 1) } else { String::new() }
            ),
        }));
    }
    let (trusted, others): (Vec<&ArchiveEntry>, Vec<&ArchiveEntry>) =
        archives.iter().filter(|archive| is_before(archive, until)).partition(|a| trust.covers(a));
    let refused = |archive: &ArchiveEntry| trust.refused(archive);
    let (mut best, mut first): (Option<(Reached, Choice)>, Option<Error>) = (None, None);
    // One that perhaps bears an earlier time than what it holds, with the commit at which it was cut.
    let mut too_late: Option<(Option<u64>, Reached, Choice)> = None;
    // Why the logs of the best one go no further.
    let mut broken: Option<String> = None;
    if trusted.first().is_some_and(|newest| others.first().is_some_and(|other| other.number > newest.number)) {
        first = others.first().map(|other| refused(other));
    }
    let newer = Newer { last_number: ArchiveNumber(last_number), made, archives: &archives, until };
    let copies: Vec<ArchiveEntry> =
        folders.iter().flat_map(|folder| catalog::copies(folder, Some(&stem)).unwrap_or_default()).collect();
    // Whoever repaired an archive has its copy restored, without being told of the damage once more.
    let with_copy = |archive| copies.iter().find(|copy| is_copy(copy, archive, identity)).into_iter().chain([archive]);
    for archive in trusted.into_iter().chain(others).flat_map(with_copy) {
        let is_trusted = trust.covers(archive);
        // What others may have put there takes the place of nothing that this user signed, however far it leads.
        if !is_trusted && best.is_some() {
            break;
        }
        if archive.files.iter().any(|file| origin.damaged.contains(file)) {
            first.get_or_insert_with(|| {
                let message = format!("{} is damaged beyond repair, as was found before", archive.path.display());
                Error::new(ErrorKind::Damaged, message)
                    .hint(format!("What is left of it is said by strongroom verify {}.", quoted(&archive.path)))
            });
            continue;
        }
        let plan = match plan_looking(&archive.path, &origin.segments, (logs, origin), look) {
            Ok(plan) => plan,
            Err(error) => {
                first.get_or_insert(error);
                continue;
            }
        };
        let (reached, is_there) = leads(&plan, until);
        let may_miss = match until {
            Until::Commit(_) => false,
            Until::Moment(_) => !is_there,
            Until::End => !plan.known.as_ref().is_some_and(Known::goes_on),
        };
        let is_newer = |seen: &Elsewhere| {
            let is_wanted = |moment| !matches!(until, Until::Moment(wanted) if moment > wanted);
            seen.moment.is_some_and(|moment| moment > plan.identity.moment && is_wanted(moment.to_utc()))
        };
        // Whether that one was meant, as on a machine that was set up anew from older files, only who asks knows.
        let strange =
            || elsewhere.as_ref().filter(|seen| is_newer(seen)).map(|seen| copies::elsewhere(data_file, seen));
        // That the newer one was passed by for its time is told by the doubt about the moment.
        let is_unusable = || newer.unusable(&plan, first.as_ref()).filter(|_| too_late.is_none());
        let without = if may_miss { is_unusable().or_else(strange) } else { None };
        let is_used = |log: &PathBuf| plan.log.as_ref().is_some_and(|plan| plan.pieces.iter().any(|p| p.path == *log));
        let of_other = log_of_other.as_ref().filter(|log| is_used(log)).map(|log| copies::log_of_other(log, data_file));
        let unsigned = (!is_trusted).then(|| refused(archive));
        let without = unsigned.or(of_other).or(without).map(|error| error.report());
        let has_files = chooses_files || plan.items.iter().any(|item| item.kind.is_chosen());
        let has_files = has_files && too_late.is_none();
        let files = if has_files { newer.with_files(&plan, first.as_ref()) } else { None };
        let files = files.map(|error| error.report());
        let choice = Choice { archive: archive.path.clone(), logs: of_plan(&plan, logs), without, files };
        if let Some(question) = plan.known.as_ref().and_then(|known| known.question(until)) {
            return Err(question);
        }
        // An older one that leads beyond it tells which of its commits are meant.
        if let (Until::Moment(moment), Some(known)) = (until, &plan.known)
            && known.is_later_before(moment)
        {
            let doubt = known.doubt_of_chosen(moment).map(|error| error.report());
            let choice = Choice { without: doubt.or(choice.without), ..choice };
            too_late.get_or_insert((plan.identity.log_position.map(|position| position.commit), reached, choice));
            continue;
        }
        if is_there {
            return Ok(choice);
        }
        if best.as_ref().is_none_or(|(known, _)| reached.is_beyond(known)) {
            best = Some((reached, choice));
            broken = log_broken(plan.log.as_ref().map(|log| &log.end)).map(|error| error.message().to_owned());
        }
    }
    let best = match (best, too_late) {
        (Some((reached, choice)), Some((cut, ..))) if reached.commit >= cut => Some((reached, choice)),
        (best, None) => best,
        (_, Some((_, reached, choice))) => Some((reached, choice)),
    };
    match (best, first, until) {
        (Some((reached, _)), _, Until::Commit(wanted)) => {
            let message = format!(
                "nothing at hand leads to commit {wanted} of {}: the archives before it and their logs lead to \
                 commit {} only{}",
                data_file.display(),
                reached.commit.unwrap_or(0),
                broken.map_or_else(String::new, |broken| format!("; {broken}"))
            );
            Err(none(message).hint("If another copy of that log exists, or a later one, name it with --log."))
        }
        (Some((_, choice)), ..) => Ok(choice),
        (None, Some(error), _) => Err(error),
        (None, None, _) => {
            let oldest = archives.iter().filter_map(|archive| archive.moment).min();
            let oldest = oldest.map_or_else(String::new, |oldest| {
                format!("; the oldest is of {}", oldest.format("%Y-%m-%d %H:%M:%S %:z"))
            });
            let message =
                format!("no archive of {} holds the state wanted or an earlier one{oldest}", data_file.display());
            Err(none(message).hint("Choose a later moment, or give an older archive that lies elsewhere."))
        }
    }
}

/// Whether `copy`, which a repair wrote, can take the place of `archive`.
fn is_copy(copy: &ArchiveEntry, archive: &ArchiveEntry, identity: Option<Uuid>) -> bool {
    copy.number == archive.number
        && copy.problem.is_none()
        && copy.is_of(identity)
        && archive.archive_id.is_none_or(|id| copy.archive_id == Some(id))
}

/// The identity that those of `archives` bear that are known to have been `made` of the data file, if all bear one.
pub fn made_of_it(archives: &[ArchiveEntry], made: &[PathBuf]) -> Option<Uuid> {
    let of_it = archives.iter().filter(|archive| archive.files.iter().any(|file| made.contains(file)));
    let mut ids = of_it.filter_map(|archive| archive.data_file_id);
    let first = ids.next()?;
    ids.all(|id| id == first).then_some(first)
}

/// Refuses to guess where archives of several data files lie, the newest first: the content of another one must not
/// take the place of this one.
fn refuse_several(data_file: &Path, archives: &[ArchiveEntry]) -> Result<()> {
    let mut newest: Vec<&ArchiveEntry> = Vec::new();
    for archive in archives.iter().filter(|archive| archive.data_file_id.is_some()) {
        if newest.iter().all(|known| known.data_file_id != archive.data_file_id) {
            newest.push(archive);
        }
    }
    if newest.len() < 2 {
        return Ok(());
    }
    let each = newest.iter().map(|archive| match archive.moment {
        Some(moment) => format!("{}, the state of {}", archive.path.display(), moment.format("%Y-%m-%d %H:%M:%S %:z")),
        None => archive.path.display().to_string(),
    });
    let message = format!(
        "archives of {} data files of this name were found, and the settings that say which of them is {} are gone",
        newest.len(),
        data_file.display()
    );
    let each: Vec<String> = each.collect();
    Err(Error::new(ErrorKind::Refused, message)
        .hint(format!("Give the archive itself. The newest of each: {}", each.join("; "))))
}

fn is_before(archive: &ArchiveEntry, until: Until) -> bool {
    match until {
        Until::End => true,
        // Of one that a glance cannot read, the whole look tells.
        Until::Moment(moment) => archive.moment.is_none_or(|held| held <= moment),
        Until::Commit(number) => archive.log_position.is_some_and(|position| position.commit <= number),
    }
}

/// How far an archive leads with its logs.
#[derive(Debug, Clone, Copy)]
struct Reached {
    /// The last commit; `None` where that is the state of an archive made without a log.
    commit: Option<u64>,
    /// When that was.
    time: DateTime<Utc>,
}

impl Reached {
    /// Whether this leads further. Commits are counted by the log: an archive made without it is compared by its time,
    /// or it would always give way to an older one.
    fn is_beyond(&self, other: &Self) -> bool {
        match (self.commit, other.commit) {
            (Some(commit), Some(other)) => commit > other,
            _ => self.time > other.time,
        }
    }
}

/// How far an archive leads, and whether what is wanted is certainly reached.
fn leads(plan: &RestorePlan, until: Until) -> (Reached, bool) {
    let Some(known) = &plan.known else {
        return (Reached { commit: None, time: plan.identity.moment.to_utc() }, false);
    };
    let commit = known.commit.unwrap_or(0);
    let next = plan.log.as_ref().and_then(|log| log.times).map(|times| times.1);
    // Of a log that breaks off another archive may know what comes after.
    let is_broken = matches!(known.ends, Ends::Broken);
    let is_there = match until {
        Until::Commit(number) => commit >= number,
        Until::Moment(moment) => {
            let next = next.filter(|last| *last > moment);
            plan.identity.moment <= moment
                && known.lacks(until, LedTo { commit: None, next }).is_none()
                && (next.is_some() || !is_broken || moment <= known.time)
        }
        Until::End => !is_broken && known.lacks(until, LedTo::default()).is_none(),
    };
    (Reached { commit: known.commit, time: known.time }, is_there)
}

/// The logs of a plan, and those that were given.
fn of_plan(plan: &RestorePlan, given: &Logs) -> Logs {
    let mut files: Vec<PathBuf> = if let Logs::Also(given) = given { given.clone() } else { Vec::new() };
    let used = plan.log.iter().flat_map(|log| log.pieces.iter().map(|piece| &piece.path).chain(&log.last));
    files.extend(used.cloned());
    files.dedup();
    match given {
        Logs::None => Logs::None,
        _ if files.is_empty() => Logs::Found,
        _ => Logs::Also(files),
    }
}
