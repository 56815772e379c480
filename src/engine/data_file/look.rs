//! A short look at a data file, every two seconds: its size, its names, its settings file.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::actor::DataFile;
use crate::{
    backup,
    engine::settings_gone,
    error::{Error, ErrorKind, ErrorReport, shell::quoted},
    settings::{self, Seen, SettingsFile},
    sqlite::data_file,
};

/// A settings file that looks half written is taken for what it is once it stayed so for this time: an editor empties
/// it first, or puts another in its place.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

impl DataFile {
    /// Looks again at size and times, at the settings file and at the client. Returns whether the settings changed.
    pub(in crate::engine) fn look(&mut self, own: &Path) -> bool {
        self.look_at_client();
        let path = self.path().to_path_buf();
        let log = self.log.as_ref().map(|log| log.status());
        let moved = self.names.iter().find_map(|name| moved(name, &path)).or_else(|| became_link(&path));
        let moved = moved.map(|error| error.report());
        let facts = &self.status().facts;
        let known = (facts.size_bytes, facts.wal_bytes, facts.modified);
        let (measured, problem, moved) = match data_file::measure(&path) {
            Ok(measured) => (measured, self.lost.clone(), moved),
            // What leads to a file that is gone leads nowhere for that reason.
            Err(error) => (known, Some(error.report()), None),
        };
        let status = self.status();
        let is_same = (known, &status.problem, &status.moved_name, &status.log) == (measured, &problem, &moved, &log);
        if !is_same {
            let status = self.edit();
            (status.facts.size_bytes, status.facts.wal_bytes, status.facts.modified) = measured;
            (status.problem, status.moved_name, status.log) = (problem, moved, log);
        }
        let Some(seen) = self.settings.news() else { return false };
        let read = SettingsFile::load(&path, own).and_then(|read| match read.mistake(&self.settings) {
            Some(mistake) => Err(mistake),
            None => Ok(read),
        });
        if read.as_ref().map_or(true, |read| read.may_be_half_of(&self.settings)) && !self.is_settled(seen) {
            return false;
        }
        match read {
            // Nobody who deletes a file means to end the log, the schedule and the care for old archives, all without a
            // word.
            Ok(settings) if settings.is_blank() && !self.settings.is_blank() => {
                self.settings.pass_over(seen);
                // Where the data file is gone as well, its disk is: nothing is written to what is there instead.
                if self.status().problem.is_none() {
                    let said = self.put_settings_back();
                    self.edit().settings_problem = Some(said);
                }
                false
            }
            Ok(settings) if settings.lack_notes() && self.settings.settings().data_file_id.is_some() => {
                self.settings.pass_over(seen);
                self.take_over(&settings, own)
            }
            Ok(mut settings) => {
                self.edit().settings_problem = None;
                self.keep_known(&mut settings, own);
                let (now, before) = (settings.settings(), self.settings.settings());
                let is_other = now.data_file_id != before.data_file_id || !settings.is_of_same(&self.settings);
                self.is_to_be_surveyed |= is_other;
                let changed = now.revision() != before.revision() || now.places != before.places;
                self.adopt(settings);
                changed
            }
            Err(error) => {
                // It is looked at again only when it is written again.
                self.settings.pass_over(seen);
                self.edit().settings_problem = Some(error.report());
                false
            }
        }
    }

    fn is_settled(&mut self, seen: Seen) -> bool {
        let now = Instant::now();
        match self.unsettled {
            Some((then, since)) if then == seen => now.duration_since(since) >= SETTLED_AFTER,
            _ => {
                self.unsettled = Some((seen, now));
                false
            }
        }
    }

    /// Puts settings in force that somebody wrote anew, with what was noted in them before. Returns whether they
    /// changed.
    fn take_over(&mut self, written: &SettingsFile, own: &Path) -> bool {
        let (before, path) = (self.settings.settings().clone(), self.path().to_path_buf());
        let saved = written.with_notes_of(&self.settings.text()).and_then(|mut with| {
            let mut wanted = with.settings().clone();
            backup::keep_known(&before, &mut wanted, &path);
            with.change(own, |settings| *settings = wanted)?;
            Ok(with)
        });
        match saved {
            Ok(with) => {
                self.edit().settings_problem = None;
                let changed = with.settings().revision() != before.revision();
                let dropped = settings::dropped(&before, with.settings());
                self.adopt(with);
                self.taken_over = Some(settings_gone::taken_over(&path, None, &dropped));
                changed
            }
            Err(error) => {
                self.edit().settings_problem = Some(error.report());
                false
            }
        }
    }

    fn put_settings_back(&mut self) -> ErrorReport {
        let path = self.settings.path().display().to_string();
        match self.settings.put_back() {
            Ok(()) => Error::new(
                ErrorKind::Settings,
                format!("{path} was deleted or emptied, and was written again as it was"),
            )
            .hint(
                "The settings stay in force. To go back to the default of one, use strongroom settings DATAFILE \
                    --default KEY.",
            ),
            Err(error) => Error::new(
                ErrorKind::Settings,
                format!("{path} was deleted or emptied, and cannot be written again: {error}"),
            )
            .hint("The last settings stay in force until the program ends. Bring the file back."),
        }
        .report()
    }

    /// Archives in the folder that somebody replaced by another in the file stay known.
    fn keep_known(&self, settings: &mut SettingsFile, own: &Path) {
        let mut wanted = settings.settings().clone();
        backup::keep_known(self.settings.settings(), &mut wanted, self.path());
        // Where it cannot be noted, only the list is shorter.
        let _ = settings.note(own, |s| s.destination.earlier.clone_from(&wanted.destination.earlier));
    }
}

/// What is said of a data file that was moved elsewhere, with a link left in its place: it is recorded as before, but
/// who asks by the link finds nobody, since all goes by the place of the file itself.
fn became_link(path: &Path) -> Option<Error> {
    let is_link = path.symlink_metadata().is_ok_and(|meta| meta.file_type().is_symlink());
    let now = path.canonicalize().ok().filter(|now| is_link && now != path)?;
    let message = format!("{} was moved to {}, and a link left in its place", path.display(), now.display());
    Some(Error::new(ErrorKind::Changed, message).hint(format!(
        "Settings, archives and log still go by {}. Move it back; or end the service or window that has it, move its \
         settings beside it, and have it managed where it is now: strongroom serve {}.",
        path.display(),
        quoted(&now)
    )))
}

/// What has become of a name that the data file at `path` was opened by, unless it still leads there.
fn moved(name: &Path, path: &Path) -> Option<Error> {
    let (shown, path) = match name.canonicalize() {
        Ok(now) if now == path => return None,
        Ok(now) => (format!("now leads to {}", now.display()), path.display()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => ("leads nowhere now".to_owned(), path.display()),
        Err(e) => (format!("cannot be followed any more ({e})"), path.display()),
    };
    let hint = format!(
        "Lead it back to {path}; or, if the application uses another file from now on, have that one looked after \
         (strongroom serve {}) and close this one.",
        quoted(name)
    );
    Some(
        Error::new(
            ErrorKind::Changed,
            format!(
                "{}, the name that {path} was opened by, {shown}: what programs commit by that name is not seen",
                name.display()
            ),
        )
        .hint(hint),
    )
}
