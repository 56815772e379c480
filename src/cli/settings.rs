//! `strongroom settings`: shows the settings of a data file, and changes them.

use std::path::Path;

use serde_json::{Map, Value as Json, json};
use toml_edit::Value;

use super::{
    arguments::Folder,
    complain,
    places::{self, clock, directories},
    print, print_json, remark,
};
use crate::{
    backup::{self, marks, places::Purpose},
    engine::{mistaken, settings_gone::Gone, settings_in_force::InForce},
    error::{Error, ErrorKind, ErrorReport, Result, foreign},
    settings::{
        KEYS, Key, Settings, SettingsFile, path_beside, path_in,
        sections::{Frequency, Scheduler, Unit},
        unknown,
    },
    warning::Warning,
};

/// What is asked of one setting.
#[derive(Debug)]
enum Request {
    Show(&'static Key),
    Set(&'static Key, String),
    Add(&'static Key, String),
    Take(&'static Key, String),
    Reset(&'static Key),
}

pub(super) fn run(
    data_file: &Path,
    arguments: &[String],
    defaults: &[String],
    (anew, own_identity, begin_anew, as_written): (&[Folder], bool, bool, bool),
    json: bool,
) -> Result<()> {
    let requests = arguments.iter().map(|text| parse(text));
    let requests =
        requests.chain(defaults.iter().map(|name| find(name).map(Request::Reset))).collect::<Result<Vec<_>>>()?;
    let folders = directories()?;
    let path = places::data_file(data_file, &folders)?;
    mistaken::refuse_own_file(&path)?;
    let own = folders.config_dir();
    if !path.exists() && !path_beside(&path).exists() && !path_in(own, &path).exists() {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("{} does not exist and has no settings", foreign::shown(&path)),
        )
        .hint("Check the path. Settings belong to a data file and lie beside it."));
    }
    let mut file = SettingsFile::load(&path, own)?;
    let changes =
        as_written || own_identity || !anew.is_empty() || requests.iter().any(|r| !matches!(r, Request::Show(_)));
    let doubt = InForce::look(&path, own, folders.data_dir())?.mistake.map(|mistake| mistake.error);
    match doubt.filter(|doubt| doubt.kind == ErrorKind::Partial && !as_written) {
        // A change would make of the half of a file what somebody has chosen.
        Some(doubt) if changes && file.is_own() => return Err(doubt.into()),
        Some(doubt) => complain(&doubt),
        None => {}
    }
    match Gone::look(&path, &file, folders.data_dir()) {
        Some(gone) if begin_anew => {
            let done = gone.begin_anew_as_asked(own)?;
            if !json {
                print(&foreign::foreign(&done).to_string())?;
            }
        }
        // A change would otherwise make a file that holds nothing else.
        Some(gone) if changes => complain_of(&gone.put_back(own)?),
        Some(gone) => complain_of(&gone.warning()),
        None if begin_anew => {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("the settings of {} are not gone", foreign::shown(&path)),
            )
            .hint("Set back single ones with --default KEY."));
        }
        None => {}
    }
    file = SettingsFile::load(&path, own)?;
    if as_written {
        file.confirm(own)?;
    }
    let mut wanted = file.settings().clone();
    for request in &requests {
        apply(&mut wanted, request)?;
    }
    if requests.iter().any(|request| !matches!(request, Request::Show(_))) {
        let today = clock().local().date_naive();
        wanted.scheduler = wanted.scheduler.clone().counted_from(today, &file.settings().scheduler);
        backup::keep_known(file.settings(), &mut wanted, &path);
        let before = file.settings().clone();
        file.change(own, |settings| *settings = wanted)?;
        marks::note_choice(&path, &mut file, own, &before);
    }
    if own_identity {
        let (from, log) = file.give_own_identity(own, &backup::sharing(&path, file.settings()))?;
        if !json {
            print(&format!("{} is told from {} from now on", foreign::shown(&path), foreign::shown(&from)))?;
            let destination = backup::destination(&path, &file);
            print(&format!("Make a full backup of it: its archives begin anew, in {}.", foreign::shown(&destination)))?;
        }
        if let Some(log) = log.filter(|_| !json) {
            print(&format!("No log is kept of it: {} is that of the other. Choose one.", foreign::shown(&log)))?;
        }
    }
    for which in anew {
        let purpose = match which {
            Folder::Destination => Purpose::Archives,
            Folder::Log => Purpose::Log,
        };
        let folder = marks::choose_anew(&path, &mut file, own, purpose)?;
        if !json {
            print(&format!("{} is used from now on, as it is there now", foreign::shown(&folder)))?;
        }
    }
    if requests.is_empty() && (as_written || own_identity || begin_anew || !anew.is_empty()) && !json {
        return Ok(());
    }
    let scheduler = &file.settings().scheduler;
    for request in requests.iter().filter(|request| !matches!(request, Request::Show(_))) {
        let name = request.key().name;
        if !is_used(scheduler, name) {
            let frequency = scheduler.frequency.word();
            remark(&format!("{name} is noted, but has no effect while scheduler.frequency is {frequency}."));
        }
    }
    let chosen: Vec<&Key> = requests.iter().map(Request::key).collect();
    if json { print_json(&as_json(&file, &chosen)) } else { print(in_words(&file, &chosen).trim_end()) }
}

/// Whether a setting of the schedule has any effect with the frequency chosen. An administrator who sets a time of the
/// day believes that it is kept to.
fn is_used(scheduler: &Scheduler, name: &str) -> bool {
    let by = scheduler.frequency;
    let personalized =
        |unit: Option<Unit>| by == Frequency::Personalized && unit.is_none_or(|unit| unit == scheduler.unit);
    match name {
        "scheduler.at" => !matches!(by, Frequency::Never | Frequency::EveryHour),
        "scheduler.weekdays" => by == Frequency::EveryWeek || personalized(Some(Unit::Weeks)),
        "scheduler.day" => by == Frequency::EveryMonth || personalized(Some(Unit::Months)),
        "scheduler.every" | "scheduler.unit" | "scheduler.from" => personalized(None),
        _ => true,
    }
}

fn complain_of(warning: &Warning) {
    complain(&ErrorReport::new(ErrorKind::Settings, warning.message.clone(), warning.hint.clone()));
}

impl Request {
    fn key(&self) -> &'static Key {
        match self {
            Request::Show(key) | Request::Reset(key) => key,
            Request::Set(key, _) | Request::Add(key, _) | Request::Take(key, _) => key,
        }
    }
}

/// `keep.last`, `keep.last=5`, `content.attachments+=/srv/files` or `content.attachments-=/srv/files`.
fn parse(text: &str) -> Result<Request> {
    let Some((name, value)) = text.split_once('=') else { return find(text).map(Request::Show) };
    let make: fn(&'static Key, String) -> Request = match name.chars().last() {
        Some('+') => Request::Add,
        Some('-') => Request::Take,
        _ => Request::Set,
    };
    let key = find(name.trim_end_matches(['+', '-']).trim())?;
    if key.is_own {
        return Err(Error::new(ErrorKind::Refused, format!("{} is kept by Strongroom and cannot be set", key.name))
            .hint("Leave it as it is: it belongs to the archives of this data file."));
    }
    Ok(make(key, value.trim().to_owned()))
}

fn find(name: &str) -> Result<&'static Key> {
    Key::find(name).ok_or_else(|| {
        let section = name.split_once('.').map_or("", |(section, _)| section);
        let near: Vec<&str> =
            KEYS.iter().map(|key| key.name).filter(|known| known.split('.').next() == Some(section)).collect();
        let hint = if near.is_empty() {
            "The command strongroom settings DATAFILE lists all settings.".to_owned()
        } else {
            format!("In that section there are {}.", near.join(", "))
        };
        let (section, key) = name.split_once('.').unwrap_or(("", name));
        let meant = unknown::setting(section, key).map_or_else(String::new, |name| format!("Did you mean {name}? "));
        let hint = format!("{meant}{hint}");
        Error::new(ErrorKind::Refused, format!("there is no setting named {name}")).hint(hint)
    })
}

fn apply(settings: &mut Settings, request: &Request) -> Result<()> {
    match request {
        Request::Show(_) => Ok(()),
        Request::Reset(key) if key.is_own => parse(&format!("{}=", key.name)).map(|_| ()),
        Request::Reset(key) => {
            key.reset(settings);
            Ok(())
        }
        Request::Set(key, text) => set(settings, key, text),
        Request::Add(key, text) => change_list(settings, key, text, true),
        Request::Take(key, text) => change_list(settings, key, text, false),
    }
}

/// Tries what the text can mean: a text, a value of TOML, a list of one, a list parted by commas.
fn set(settings: &mut Settings, key: &Key, text: &str) -> Result<()> {
    let text = if key.is_path && !text.is_empty() && !text.starts_with(['[', '"', '\'']) {
        std::path::absolute(text).map_or_else(|_| text.to_owned(), |path| path.to_string_lossy().into_owned())
    } else {
        text.to_owned()
    };
    let parts = || text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let meanings = [
        Some(Value::from(text.as_str())),
        text.parse::<Value>().ok(),
        Some(Value::Array([text.as_str()].into_iter().filter(|t| !t.is_empty()).collect())),
        Some(Value::Array(parts().collect())),
    ];
    if meanings.iter().flatten().any(|value| key.set(settings, value).is_some()) {
        return Ok(());
    }
    let message = format!("{} must be {}, but is {text}", key.name, key.expected.trim_end_matches(", in quotes"));
    Err(Error::new(ErrorKind::Settings, message).hint("Write it as KEY=VALUE."))
}

fn change_list(settings: &mut Settings, key: &Key, text: &str, add: bool) -> Result<()> {
    let list = |value: Option<Value>| value.and_then(|v| v.as_array().cloned()).unwrap_or_default();
    // The new item alone is understood as by KEY=VALUE; then it joins those there were.
    let mut alone = settings.clone();
    set(&mut alone, key, text)?;
    let (new, mut all) = (key.get(&alone), list(key.get(settings)));
    let Some(Value::Array(new)) = new else {
        return Err(
            Error::new(ErrorKind::Settings, format!("{} is not a list", key.name)).hint("Write it as KEY=VALUE.")
        );
    };
    let is = |a: &Value, b: &Value| a.as_str() == b.as_str();
    all.retain(|item| !new.iter().any(|other| is(item, other)));
    if add {
        all.extend(new);
    }
    let emptied = all.is_empty();
    if key.set(settings, &Value::Array(all)).is_some() || emptied {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Settings, format!("{} must be {}", key.name, key.expected))
        .hint("Write it as KEY=VALUE."))
}

fn shown(file: &SettingsFile, key: &Key) -> Option<String> {
    key.get(file.settings()).map(|value| value.to_string().trim().to_owned())
}

/// What could be pasted into the file.
fn in_words(file: &SettingsFile, chosen: &[&Key]) -> String {
    let line = |key: &Key| match shown(file, key) {
        Some(value) => format!("{} = {}\n", key.name, foreign::foreign(&value)),
        None => format!("# {} is not set\n", key.name),
    };
    if !chosen.is_empty() {
        return chosen.iter().map(|key| line(key)).collect();
    }
    let mut words = format!("# {}\n", foreign::shown(&file.path()));
    for key in KEYS {
        let default = if key.is_default(file.settings()) { " (default)" } else { "" };
        words += &format!("\n# {}{default}\n{}", key.meaning, line(key));
    }
    for unknown in file.unknown() {
        words += &format!("\n# NOT KNOWN, and without effect: {unknown}\n");
    }
    words
}

fn as_json(file: &SettingsFile, chosen: &[&Key]) -> Json {
    let value = |key: &Key| match key.get(file.settings()) {
        None => Json::Null,
        Some(value) => plain(&value),
    };
    let all = chosen.is_empty();
    let values: Map<String, Json> = KEYS
        .iter()
        .filter(|key| all || chosen.iter().any(|c| c.name == key.name))
        .map(|key| (key.name.to_owned(), value(key)))
        .collect();
    json!({ "file": file.path(), "settings": values, "unknown": file.unknown() })
}

fn plain(value: &Value) -> Json {
    match value {
        Value::String(text) => text.value().as_str().into(),
        Value::Integer(number) => (*number.value()).into(),
        Value::Boolean(yes) => (*yes.value()).into(),
        Value::Array(list) => list.iter().map(plain).collect(),
        Value::InlineTable(parts) => parts.iter().map(|(key, part)| (key.to_owned(), plain(part))).collect(),
        other => other.to_string().trim().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_text_is_taken_for_what_the_setting_is() -> Result<()> {
        let mut settings = Settings::default();
        for text in [
            "scheduler.weekdays=monday, thursday",
            "scheduler.frequency=Every-Day",
            "scheduler.at=6:30",
            "scheduler.from=2026-02-03",
            "keep.last=7",
            "keep.all=true",
            "on-finish=['/bin/mail', 'a, b']",
            "content.attachments=/a, with a comma",
            "content.attachments+=/b",
            "content.attachments+=/b",
            "content.attachments-=/a, with a comma",
            "destination.folder=/backups",
            "destination.folder=",
        ] {
            apply(&mut settings, &parse(text)?)?;
        }
        let words: Vec<&str> = settings.scheduler.weekdays.iter().map(|day| day.word()).collect();
        assert_eq!(words, ["monday", "thursday"]);
        assert_eq!(settings.scheduler.at.to_string(), "06:30:00");
        assert_eq!(settings.scheduler.from.map(|day| day.to_string()).as_deref(), Some("2026-02-03"));
        assert_eq!((settings.keep.last, settings.keep.all), (7, true));
        assert_eq!(settings.on_finish, ["/bin/mail", "a, b"]);
        assert_eq!(settings.content.attachments, [PathBuf::from("/b")]);
        assert_eq!(settings.destination.folder, None);
        Ok(())
    }

    #[test]
    fn what_can_not_be_set_is_said() -> std::result::Result<(), Box<dyn std::error::Error>> {
        for (text, message, hint) in [
            (
                "keep.lst=5",
                "there is no setting named keep.lst",
                "Did you mean keep.last? In that section there are keep.all, keep.last, keep.hourly, keep.daily, \
                 keep.weekly, keep.monthly, keep.yearly, keep.delete-oldest.",
            ),
            (
                "nothing",
                "there is no setting named nothing",
                "The command strongroom settings DATAFILE lists all settings.",
            ),
            (
                "keep.last=many",
                "keep.last must be a whole number from 1 to 9999, but is many",
                "Write it as KEY=VALUE.",
            ),
            ("keep.last+=1", "keep.last is not a list", "Write it as KEY=VALUE."),
            (
                "data-file.id=x",
                "data-file.id is kept by Strongroom and cannot be set",
                "Leave it as it is: it belongs to the archives of this data file.",
            ),
        ] {
            let outcome = parse(text).and_then(|request| apply(&mut Settings::default(), &request));
            let error = outcome.err().ok_or(text)?;
            assert_eq!((error.message(), error.hint_text()), (message, Some(hint)));
        }
        Ok(())
    }
}
