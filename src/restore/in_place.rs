//! Restore in place: the live data file goes back to an earlier state while programs are connected.
//!
//! The wanted state is rebuilt and checked aside, then written as one transaction of SQLite, see
//! [`rewrite`](crate::sqlite::rewrite). The log records that transaction like any other commit, so what it took away
//! can be brought back. Only a data file that SQLite cannot open is replaced as a whole, and kept under another name.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Logs, Origin, RestoreOptions, RestoreReport, SettingsBack, logs::plan_logs, make_folders, open, run_into,
    settings_back,
};
use crate::{
    archive::{Archive, ItemKind, lawful::COMPANIONS, reader::safe_name},
    control::{Control, Phase},
    error::{Error, ErrorKind, ErrorReport, Result},
    journal::{
        Capture, CaptureState, Position,
        integrate::{Look, Plan, PlanEnd, Until},
        passes::passes,
    },
    settings::SettingsFile,
    sqlite::{
        data_file::identify,
        integrity::Integrity,
        locks,
        rewrite::{Target, rewrite},
    },
    storage::{self, Ownership, Storage, beneath::Folder, installation::Installation, names, scratch::Scratch},
};

/// Where the state before a restore in place can be had again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The archive to restore.
    pub archive: PathBuf,
    /// The identity of that archive; `None` where an earlier version noted it.
    #[serde(default)]
    pub archive_id: Option<Uuid>,
    /// The commit to integrate up to; `None` for the archive alone.
    pub commit: Option<u64>,
    /// That commit by its chain value: its number may be that of another one once the log was begun anew. `None` for
    /// the archive alone, and where an earlier version noted it.
    #[serde(default)]
    pub position: Option<Position>,
}

/// What a restore in place did with the live data file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InPlace {
    /// The data file.
    pub data_file: PathBuf,
    /// Pages that were written; 0 when the file already was as wanted.
    pub pages_changed: u32,
    /// Pages of the file now.
    pub pages: u32,
    /// How long writers were kept out, in milliseconds.
    pub held_ms: u64,
    /// Commits after the moment wanted, which are no longer in the file; `None` where no log counted them.
    pub commits_left: Option<u64>,
    /// How to bring them back.
    pub undo: Option<Undo>,
    /// The unreadable data file with its companions, under their new names.
    pub set_aside: Vec<PathBuf>,
    /// Whether the file was put in its place as a whole, because there was none that SQLite could open.
    #[serde(default)]
    pub is_replaced: bool,
    /// The settings that were lost with it and put back.
    #[serde(default)]
    pub settings: Option<SettingsBack>,
    /// Why they could not be put back.
    #[serde(default)]
    pub settings_problem: Option<ErrorReport>,
}

impl InPlace {
    /// Where what lay there before is kept, as one sentence; its `-wal` and other companions lie beside it.
    pub fn kept_in_words(&self) -> Option<String> {
        let (first, others) = self.set_aside.split_first()?;
        let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let others: Vec<String> = others.iter().map(name).collect();
        let beside =
            if others.is_empty() { String::new() } else { format!(", and beside it {}", others.join(" and ")) };
        Some(format!("What could not be opened is kept as {}{beside}.", first.display()))
    }

    /// What became of the settings, as whole sentences.
    pub fn settings_in_words(&self) -> Vec<String> {
        let problem = self.settings_problem.as_ref().map(|error| {
            let hint = error.hint.as_deref().unwrap_or_default();
            format!("The settings, which were lost too, could not be put back: {}. {hint}", error.message)
        });
        self.settings.iter().flat_map(SettingsBack::in_words).chain(problem).collect()
    }
}

/// What to restore where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InPlaceOptions {
    /// The live data file.
    pub data_file: PathBuf,
    /// Its identity, if its settings know one.
    pub identity: Option<Uuid>,
    /// The logs to integrate.
    pub logs: Logs,
    /// How far to integrate them.
    pub until: Until,
    /// Folders that may hold segments of the archive, besides its own.
    pub segments: Vec<PathBuf>,
    /// Why the file is replaced as a whole even though SQLite can open it: what it holds is damaged.
    pub damaged: Option<ErrorReport>,
    /// Whether a log that ends in damage is integrated as far as it goes: for a data file that is lost otherwise.
    pub as_far_as_possible: bool,
    /// What is known of where its logs are.
    pub origin: Origin,
    /// The text of its settings, where whoever looks after it knows them: they are newer than those of any archive.
    pub settings: Option<String>,
}

impl InPlaceOptions {
    /// A restore of `data_file` as a person asks for it.
    pub fn asked(data_file: &Path, identity: Option<Uuid>, logs: Logs, until: Until) -> Self {
        let data_file = data_file.to_path_buf();
        let origin = Origin::of(&data_file);
        let (segments, damaged) = (Vec::new(), None);
        let (as_far_as_possible, settings) = (false, None);
        Self { data_file, identity, logs, until, segments, damaged, as_far_as_possible, origin, settings }
    }
}

/// Whether the log leads from `archive`, the newest one, to the present state: then what a restore takes away is kept.
///
/// # Errors
/// When the log cannot be written, or the disk not be read.
pub fn is_kept_by_log(log: &Capture, archive: &Path, control: &Control) -> Result<bool> {
    let now = log.flush()?;
    let status = log.status();
    if status.state != CaptureState::On || !status.rooted {
        return Ok(false);
    }
    let archive = Archive::open(archive)?;
    // Not by the number alone: a log that was begun anew gives it to another commit.
    let is_now = |position: Position| (position.commit, position.chain) == (now.commit, now.chain);
    if archive.identity().log_position.is_some_and(is_now) {
        return Ok(true);
    }
    let logs = Logs::Also(vec![status.log]);
    let plan = plan_logs(&archive, &logs, &Origin::default(), Look::Records, control)?
        .and_then(|planned| planned.for_people());
    let whole = |plan: &Plan| matches!(plan.end, PlanEnd::Complete | PlanEnd::Torn { .. });
    plan.filter(whole).map_or(Ok(false), |plan| passes(&plan, &now, control))
}

/// Keeps the present state of the data file, and says where: called while writers are kept out, with the number of the
/// last commit when there is a log.
pub type Keep<'a> = dyn FnMut(Option<Position>) -> Result<Option<Undo>> + 'a;

/// Brings the live data file to the state that `archive` and its logs yield.
///
/// `log` is the log of the data file, if there is one; `keep` is called before anything is changed.
///
/// # Errors
/// Damage, no space, a data file that cannot be locked, `Stopped`. The live data file is then as it was.
pub fn in_place(
    storage: &dyn Storage,
    archive: &Path,
    options: &InPlaceOptions,
    log: Option<&Capture>,
    keep: &mut Keep<'_>,
    control: &Control,
) -> Result<RestoreReport> {
    let (opened, _) = open(archive, &options.segments, control)?;
    let data_file = &options.data_file;
    refuse_other(&opened, options)?;
    let item = opened.items().iter().find(|i| i.kind == ItemKind::DataFile).cloned();
    let item = item.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("{} holds no data file", archive.display()))
            .hint("Choose an archive of this data file.")
    })?;
    let present = match (&options.damaged, identify(data_file)) {
        (Some(why), _) => Err(Error::from(why.clone())),
        (None, Ok(facts)) => Ok(facts.path),
        (None, Err(error)) if is_lost(error.kind()) => Err(error),
        (None, Err(error)) => return Err(error),
    };
    let folder = storage::folder_of(data_file);
    let held = Folder::open(folder)?;
    let scratch = Scratch::inside(&held)?;
    let name = safe_name(&item.name)?;
    let wanted = RestoreOptions {
        items: vec![item.name],
        destination: scratch.path().to_path_buf(),
        logs: options.logs.clone(),
        until: options.until,
        segments: options.segments.clone(),
        origin: options.origin.clone(),
    };
    let outcome = run_into(storage, archive, &wanted, Some(scratch.folder()), control).and_then(|report| {
        let rebuilt = report.files.first().cloned().unwrap_or_default();
        // Where nothing can be opened, nothing is lost by going as far as a damaged log goes.
        refuse_unsound(&report, options.as_far_as_possible || present.is_err())?;
        if present.is_ok() && !options.as_far_as_possible && opened.identity().log_position.is_some() {
            refuse_without_log(&report)?;
        }
        let done = match &present {
            Ok(live) => {
                let of_archive = opened.identity().log_position;
                let below = rebuilt.strip_prefix(scratch.path()).unwrap_or(&rebuilt);
                let target = Target::held(&rebuilt, scratch.folder().open_file(below, false)?)?;
                write_through(live, &target, (&report, of_archive), log, keep, control)?
            }
            Err(why) => {
                let done = replace_lost(storage, (&held, data_file), (scratch.folder(), &name), why, control)?;
                let (own, known) = (options.origin.settings_dir.as_deref(), options.settings.as_deref());
                let back = settings_back::put_back(&opened, data_file, own, known);
                let (settings, settings_problem) = settings_back::outcome(back);
                // Else its log, which may hold more, would bring back by itself what was not wanted.
                let noted = own.map_or(Ok(()), |own| {
                    let here = Installation::of(data_file);
                    SettingsFile::load(data_file, own)?.note(own, |settings| settings.restored = here)
                });
                let settings_problem = settings_problem.or_else(|| noted.err().map(|error| error.report()));
                InPlace { settings, settings_problem, ..done }
            }
        };
        Ok(RestoreReport {
            destination: folder.to_path_buf(),
            files: vec![data_file.clone()],
            in_place: Some(done),
            ..report
        })
    });
    storage::clean_up(move || drop(scratch));
    outcome
}

/// Makes the folder of a data file that was lost together with it; returns the folders that did not exist, the
/// uppermost first.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(data_file: &Path) -> Result<Vec<PathBuf>> {
    make_folders(storage::folder_of(data_file))
}

/// An archive of another data file must not take the place of this one.
fn refuse_other(archive: &Archive, options: &InPlaceOptions) -> Result<()> {
    require_of(archive, &options.data_file, options.identity)
}

/// Sees that an archive, and the logs that go on from it, are of this data file.
///
/// # Errors
/// `Refused` where they are not.
pub fn require_of(archive: &Archive, data_file: &Path, identity: Option<Uuid>) -> Result<()> {
    let found = archive.identity();
    let same = match identity {
        Some(identity) => found.data_file_id == identity,
        None => data_file.file_name().is_some_and(|name| *name == *found.data_file_name),
    };
    if same {
        return Ok(());
    }
    let (at, path) = (archive.path().display(), data_file.display());
    let message = match &found.data_file_path {
        Some(made_of) if *made_of == data_file => {
            format!("{at} was made with other settings of {path}, which named it by another identity")
        }
        _ => format!("{at} is an archive of another data file, {}, not of {path}", found.data_file_name),
    };
    Err(Error::new(ErrorKind::Refused, message)
        .hint("Choose an archive of this data file, or restore this one into a folder."))
}

/// What SQLite finds damaged must not replace a file that programs use.
fn refuse_unsound(report: &RestoreReport, as_far_as_possible: bool) -> Result<()> {
    match (report.unsound(), &report.integrity) {
        (Some(problem), Some(Integrity::Problems(_))) => Err(problem),
        // Its state is whole, only not the last one.
        (Some(_), Some(Integrity::Sound)) if as_far_as_possible => Ok(()),
        (Some(problem), _) if report.log_end.is_some() => {
            let sound = report.integrated.as_ref().map(|done| done.position.commit);
            let far = sound.map_or_else(
                || "restore without the log (--no-log)".to_owned(),
                |commit| format!("restore up to the last commit before it (--commit {commit})"),
            );
            Err(Error::new(problem.kind(), format!("nothing was restored: {}", problem.message()))
                .hint(format!("The data file is as it was. To go as far as the log is sound, {far}.")))
        }
        _ => Ok(()),
    }
}

/// The state of an archive alone must not replace a later one only because the log that leads on from it is not at
/// hand, as while its disk is away.
fn refuse_without_log(report: &RestoreReport) -> Result<()> {
    let Some(lacks) = report.lacks.as_ref().filter(|_| report.integrated.is_none()) else { return Ok(()) };
    let hint = "The data file is as it was. Bring the log back, whose disk may be away, or name it (--log). To have \
                the state of the archive all the same, restore without the log (--no-log).";
    Err(Error::new(lacks.kind, format!("nothing was restored: {}", lacks.message)).hint(hint))
}

/// Whether a data file that fails so is beyond opening: then nothing can be written through SQLite.
pub fn is_lost(kind: ErrorKind) -> bool {
    use ErrorKind as K;
    matches!(kind, K::NotFound | K::NotRecognised | K::Encrypted | K::Empty | K::Damaged)
}

fn write_through(
    live: &Path,
    rebuilt: &Target<'_>,
    (report, of_archive): (&RestoreReport, Option<Position>),
    log: Option<&Capture>,
    keep: &mut Keep<'_>,
    control: &Control,
) -> Result<InPlace> {
    let wanted = report.integrated.as_ref().map(|done| done.position).or(of_archive);
    let (mut before, mut undo) = (None, None);
    // While writers are kept out nobody commits: the log then ends exactly at what is replaced.
    let written = rewrite(live, rebuilt, control, &mut || {
        // A log that cannot be written keeps nothing; then something else must.
        before = log.and_then(|log| log.flush().ok());
        undo = keep(before)?;
        Ok(())
    })?;
    if let Some(log) = log {
        // It is committed, whatever the log says now; its trouble is shown where it belongs.
        let _ = log.flush();
    }
    Ok(InPlace {
        data_file: live.to_path_buf(),
        pages_changed: written.pages_changed,
        pages: written.pages,
        held_ms: written.held_ms,
        commits_left: before.zip(wanted).and_then(|(before, wanted)| left(&before, &wanted)),
        undo: undo.filter(|_| written.pages_changed > 0),
        set_aside: Vec::new(),
        is_replaced: false,
        settings: None,
        settings_problem: None,
    })
}

/// How many commits leave the data file: they are counted by their numbers, which go on within one history only.
fn left(before: &Position, wanted: &Position) -> Option<u64> {
    (before.epoch == wanted.epoch).then(|| before.commit.saturating_sub(wanted.commit))
}

/// Refuses while a program has one of `files`, the data file and its companions, open.
fn refuse_held(data_file: &Path, files: &[PathBuf], why: &Error) -> Result<()> {
    let files: Vec<_> = files.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let open = locks::holders(data_file, &files);
    if open.processes.is_empty() {
        return Ok(());
    }
    let message = format!("{} cannot be replaced while {} has it open", data_file.display(), open.in_words());
    Err(Error::new(ErrorKind::Busy, message)
        .hint(format!("End that program, then try again. What is wrong with the file: {}", why.message())))
}

/// Sets a data file that cannot be opened aside, with its companions, and puts the rebuilt one in its place.
fn replace_lost(
    storage: &dyn Storage,
    (folder, data_file): (&Folder, &Path),
    rebuilt: (&Folder, &Path),
    why: &Error,
    control: &Control,
) -> Result<InPlace> {
    control.phase(Phase::Finishing, 0);
    let own_name = Path::new(data_file.file_name().unwrap_or_default());
    let with = |end: &str| {
        let mut name = own_name.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let mut all: Vec<PathBuf> = Vec::new();
    for name in [""].iter().chain(&COMPANIONS).map(|end| with(end)) {
        if folder.has(&name)? {
            all.push(name);
        }
    }
    let at = |name: &PathBuf| data_file.with_file_name(name);
    refuse_held(data_file, &all.iter().map(at).collect::<Vec<_>>(), why)?;
    control.check()?;
    if data_file.is_file() {
        let file = rebuilt.0.open_file(rebuilt.1, true)?;
        Ownership::exactly_of(data_file).apply(&file, &rebuilt.0.path().join(rebuilt.1))?;
    }
    let mark = control.clock().local().format("%Y%m%d-%H%M%S%.3f");
    let mut moved: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut set_aside = || {
        for name in &all {
            let short = names::short(&name.to_string_lossy(), names::STEM_BYTES_MAX);
            let aside = PathBuf::from(format!("{short}.set-aside-{mark}"));
            storage.rename_in((folder, name), (folder, &aside))?;
            moved.push((name.clone(), aside));
        }
        // A program that opened it a moment ago would go on writing to what was set aside.
        refuse_held(data_file, &moved.iter().map(|(_, aside)| at(aside)).collect::<Vec<_>>(), why)?;
        storage.rename_in(rebuilt, (folder, own_name))?;
        storage.sync_in(folder, Path::new(""))
    };
    let outcome = set_aside();
    if let Err(error) = outcome {
        // As it was: half of a set would be worse than the damaged whole.
        if matches!(folder.has(own_name), Ok(false)) {
            for (name, aside) in moved.iter().rev() {
                let _ = folder.rename_new(aside, folder, name);
            }
        }
        return Err(error);
    }
    let facts = identify(data_file)?;
    Ok(InPlace {
        data_file: data_file.to_path_buf(),
        pages_changed: facts.page_count,
        pages: facts.page_count,
        held_ms: 0,
        commits_left: None,
        undo: None,
        set_aside: moved.iter().map(|(_, aside)| at(aside)).collect(),
        is_replaced: true,
        settings: None,
        settings_problem: None,
    })
}
