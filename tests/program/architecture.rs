//! The map at the head of `lib.rs`, held against the sources.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// From the top down: a module may use those below its line, and those on its own line only if it is the same module.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["ui"],
    &["service"],
    &["engine"],
    &["sample"],
    &["take_back"],
    &["repair", "drill", "activity", "recover"],
    &["as_of"],
    &["maintenance"],
    &["backup", "restore", "verify", "schedule", "records"],
    &["settings"],
    &["archive"],
    &["journal"],
    &["sqlite"],
    &["storage", "control"],
    &["error", "warning"],
    &["testing"],
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") && !is_test(&path) {
            found.push(path);
        }
    }
    found
}

/// A module that is compiled for tests alone says so itself.
fn is_test(path: &Path) -> bool {
    fs::read_to_string(path).unwrap().lines().any(|line| line == "#![cfg(test)]")
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|names| names.contains(&module))
}

/// The modules named right after `crate::`, also inside `use crate::{…}`.
fn used(source: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = Vec::new();
    for (at, _) in source.match_indices("crate::") {
        let rest = &source[at + 7..];
        if !rest.starts_with('{') {
            names.push(word(rest));
            continue;
        }
        let mut depth = 0;
        let mut start = true;
        for (n, c) in rest.char_indices() {
            match c {
                '{' => {
                    depth += 1;
                    start = depth == 1;
                }
                '}' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                ',' if depth == 1 => start = true,
                c if start && c.is_alphabetic() => {
                    names.push(word(&rest[n..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    names
}

#[test]
fn calls_go_downward_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for path in sources(&src) {
        let relative = path.strip_prefix(&src).unwrap();
        let top =
            relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if ["lib", "main"].contains(&top.as_str()) {
            continue;
        }
        let from = layer(&top).unwrap_or_else(|| panic!("{top} is in no layer: add it to the map in lib.rs and here"));
        let source = fs::read_to_string(&path).unwrap();
        let source: String =
            source.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for name in used(&source) {
            let to = layer(&name).unwrap_or_else(|| panic!("{} uses {name}, which is in no layer", path.display()));
            assert!(name == top || to > from, "{} uses {name}, which is not below it", path.display());
            seen += 1;
        }
    }
    assert!(seen > 50, "the sources were not read");
}

#[test]
fn the_map_in_lib_names_every_module() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let map: String = lib.lines().filter(|l| l.starts_with("//!")).collect();
    let modules = lib.lines().filter_map(|l| l.strip_prefix("pub mod ")).map(|l| l.trim_end_matches(';'));
    for module in modules {
        assert!(map.contains(&format!(" {module} ")), "{module} is missing in the map");
    }
}

/// Where a module has a map of its files, it names each of them, by a word of the first column.
#[test]
fn a_map_at_the_head_of_a_module_names_every_file() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for path in sources(&src) {
        let source = fs::read_to_string(&path).unwrap();
        let head: Vec<&str> = source.lines().take_while(|line| line.starts_with("//!")).collect();
        let map: Vec<&str> = head.iter().skip_while(|line| **line != "//! ```text").skip(1).copied().collect();
        let map: Vec<&str> = map.into_iter().take_while(|line| *line != "//! ```").collect();
        let folder = path.with_extension("");
        // The map of lib.rs is of modules; other texts at the head of a module show bytes.
        let names_files =
            map.iter().any(|line| line.starts_with("//! ") && folder.join(format!("{}.rs", word(line))).exists());
        if !names_files {
            continue;
        }
        let files = source.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "));
        for file in files.map(|file| file.trim_end_matches(';')) {
            let is_in_program = |path: &PathBuf| file != "tests" && path.exists() && !is_test(path);
            let is_named = map.iter().any(|line| line.split([' ', '·', '/']).any(|word| word == file));
            let is_there = is_in_program(&folder.join(format!("{file}.rs")));
            assert!(!is_there || is_named, "{} does not name {file} in its map", path.display());
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} files");
}

/// The first word of a line of a map.
fn word(line: &str) -> &str {
    line.trim_start_matches("//! ").split(' ').next().unwrap_or_default()
}

#[test]
fn the_engine_knows_no_window_no_terminal_and_no_environment() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in sources(&src) {
        let relative = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        if ["ui", "cli", "main"].iter().any(|top| relative.starts_with(top)) {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        for forbidden in ["egui", "eframe", "println!", "eprintln!", "process::exit", "env::var"] {
            assert!(!source.contains(forbidden), "{relative} contains {forbidden}");
        }
    }
}

#[test]
fn unsafe_code_is_in_two_files() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in sources(&src) {
        let source = fs::read_to_string(&path).unwrap();
        let has = source.contains("unsafe ") && source.contains("allow(unsafe_code)");
        let may = path.ends_with("sqlite/ffi.rs") || path.ends_with("sqlite/vfs.rs");
        assert_eq!(has, may, "{}", path.display());
    }
}

#[test]
fn commands_and_engine_ask_one_clock_for_the_time() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // The clock itself, that which the log is given, and what only a window or its client shows.
    let allowed = ["control.rs", "journal/status.rs", "ui/", "sample", "service/"];
    let mut seen = 0;
    for path in sources(&src) {
        let relative = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        if allowed.iter().any(|allowed| relative.starts_with(allowed)) {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let program = source.split("\nmod tests {").next().unwrap();
        seen += program.matches("clock").count();
        for forbidden in ["Local::now", "Utc::now"] {
            assert!(!program.contains(forbidden), "{relative} asks {forbidden} past the clock that it is given");
        }
    }
    assert!(seen > 30, "the sources were not read");
}

/// Files that are opened by other means than `storage::regular` and `storage::beneath`, and why.
const OPENED_OTHERWISE: &[(&str, &str)] = &[
    // Where those two are, and new files, which are made and not found.
    ("storage/disk.rs", "OpenOptions::new()"),
    ("storage/regular.rs", "OpenOptions::new()"),
    ("storage/beneath/other.rs", "File::options()"),
    ("engine/history.rs", "File::options()"),
    ("sample.rs", "File::options()"),
    // What the system itself writes.
    ("storage/processes.rs", "read_to_string(Path::new(&format!(\"/proc/{process}/fdinfo"),
    ("storage/processes.rs", "fs::read(format!(\"/proc/{id}/{name}\"))"),
    ("storage/processes.rs", "read_to_string(format!(\"/proc/{id}/comm\"))"),
    ("storage/processes.rs", "fs::read(format!(\"/proc/{id}/stat\"))"),
    ("storage/processes.rs", "read_to_string(Path::new(&format!(\"/proc/{id}/fdinfo"),
    ("storage/lock_table.rs", "read_to_string(\"/proc/locks\")"),
    ("storage/lock_table.rs", "read_to_string(\"/proc/self/mountinfo\")"),
    ("storage/disks.rs", "read_to_string(\"/proc/self/mountinfo\")"),
    ("storage/disks.rs", "read_to_string(folder.join(\"loop/backing_file\"))"),
    ("storage/disks.rs", "read_to_string(folder.join(\"removable\"))"),
    // What only root writes.
    ("backup/content/disks.rs", "read_to_string(\"/etc/fstab\")"),
    ("backup/marks.rs", "read_to_string(\"/etc/fstab\")"),
    // Read once, with owner and permissions of what was opened.
    ("settings/origin.rs", "File::open(path)"),
    // Whether there is a terminal.
    ("cli/rights.rs", "File::open(\"/dev/tty\")"),
    // Folders of the program's own user.
    ("storage.rs", "File::open(path).map_err(fail)?"),
    ("engine/history.rs", "File::create(&lock_path)"),
    ("service/background.rs", "File::options()"),
    // It is made where there is none, with the same flags, and looked at afterwards.
    ("engine/data_file/lock.rs", "OpenOptions::new()"),
    // The WAL that is emptied, the log that is being integrated, and the sample under its own temporary name.
    ("journal/pins.rs", "regular::open_with(OpenOptions::new()"),
    ("journal/integrate.rs", "regular::open_with(OpenOptions::new()"),
    ("sample.rs", "OpenOptions::new().write(true).open(part)"),
];

#[test]
fn what_others_can_write_is_opened_in_one_place() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let openings = [
        "File::open(",
        "fs::read(",
        "fs::read_to_string(",
        "OpenOptions::new()",
        "File::options()",
        "fs::copy(",
        "File::create(",
    ];
    let mut used = vec![false; OPENED_OTHERWISE.len()];
    for path in sources(&src) {
        let relative = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        let source = fs::read_to_string(&path).unwrap();
        let program = source.split("\nmod tests {").next().unwrap();
        for (number, line) in program.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            // A module of ours may have a function of that name.
            if !openings.iter().any(|opening| line.contains(opening)) || line.contains("WalFile::open(") {
                continue;
            }
            let known = OPENED_OTHERWISE.iter().position(|(file, how)| *file == relative && line.contains(how));
            let known = known.unwrap_or_else(|| {
                panic!("{relative}:{} opens a file by itself: use storage::regular, or say here why not", number + 1)
            });
            used[known] = true;
        }
    }
    let unused: Vec<_> = OPENED_OTHERWISE.iter().zip(used).filter(|(_, used)| !used).collect();
    assert!(unused.is_empty(), "nothing is opened so any more: {unused:?}");
}

/// Folders whose files use one another downward only; a folder is added when it has got so far.
const WITHOUT_CIRCLES: &[&str] =
    &["engine", "engine/data_file", "engine/history", "engine/status", "service", "service/install"];

/// The modules of a source file, from the top: `engine/status/id.rs` is `engine`, `status`, `id`.
fn module_of(relative: &Path) -> Vec<String> {
    relative.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect()
}

/// Every path that begins with `crate` or `super`, spelled out, also those inside braces.
fn paths(source: &str) -> Vec<Vec<String>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for start in ["crate", "super"] {
        for (at, _) in source.match_indices(start) {
            let is_whole = !source[..at].ends_with(|c: char| is_word(c) || c == ':');
            if is_whole && source[at + start.len()..].starts_with("::") {
                spell_out(&source[at..], &[], &mut found);
            }
        }
    }
    found
}

/// Reads one path after `before`; returns how much of the text it took.
fn spell_out(text: &str, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let path = [before, std::slice::from_ref(&word)].concat();
    let rest = &text[word.len()..];
    let Some(after) = rest.strip_prefix("::") else {
        found.push(path);
        return word.len();
    };
    if !after.starts_with('{') {
        return word.len() + 2 + spell_out(after, &path, found);
    }
    let mut at = 1;
    loop {
        at += after[at..].find(|c: char| !c.is_whitespace() && c != ',').unwrap();
        if after[at..].starts_with('}') {
            return word.len() + 2 + at + 1;
        }
        let taken = spell_out(&after[at..], &path, found);
        at += taken.max(1);
        // What stands in braces of another kind is no list of names.
        at += after[at..].find([',', '}']).unwrap();
    }
}

/// The module that a path in `module` names, from the top.
fn absolute(path: &[String], module: &[String]) -> Vec<String> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    let (base, rest) = match supers {
        0 => (&[][..], &path[1..]),
        n => (&module[..module.len().saturating_sub(n)], &path[n..]),
    };
    [base, rest].concat()
}

/// A file is read as a whole by whoever changes it, tests too.
#[test]
fn no_file_is_longer_than_450_lines() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let (mut seen, mut long) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let lines = fs::read_to_string(&path).unwrap().lines().count();
                seen += 1;
                long.extend((lines > 450).then_some((path, lines)));
            }
        }
    }
    assert!(seen > 300, "the sources were not read");
    assert!(long.is_empty(), "part these along a seam: {long:?}");
}

/// A table in a comment is as wide as its cells.
#[test]
fn comments_are_at_most_120_columns_wide() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in ["src", "tests", "benches"].iter().flat_map(|folder| sources(&root.join(folder))) {
        let source = fs::read_to_string(&path).unwrap();
        let is_wide = |line: &&str| line.chars().count() > 120 && line.trim_start().starts_with("//");
        let wide =
            source.lines().filter(is_wide).find(|line| !line.trim_start_matches(['/', '!', ' ']).starts_with('|'));
        assert_eq!(wide, None, "{}", path.display());
    }
}

#[test]
fn no_files_of_a_folder_go_round_in_circles() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let all: Vec<(Vec<String>, String)> = sources(&src)
        .iter()
        .map(|path| {
            let source = fs::read_to_string(path).unwrap();
            let program = source.split("\nmod tests {").next().unwrap();
            let lines: Vec<&str> = program.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            (module_of(path.strip_prefix(&src).unwrap()), lines.join("\n"))
        })
        .collect();
    let mut seen = 0;
    for folder in WITHOUT_CIRCLES {
        let folder = module_of(Path::new(folder));
        let child =
            |module: &[String]| module.starts_with(&folder).then(|| module.get(folder.len()).cloned()).flatten();
        // What a file below a child uses, the child uses.
        let mut uses: std::collections::BTreeMap<String, std::collections::BTreeSet<String>> =
            all.iter().filter_map(|(module, _)| child(module)).map(|name| (name, Default::default())).collect();
        let names: Vec<String> = uses.keys().cloned().collect();
        for (module, source) in &all {
            let Some(from) = child(module) else { continue };
            let used = paths(source).into_iter().filter_map(|path| child(&absolute(&path, module)));
            let others = used.filter(|to| *to != from && names.contains(to));
            uses.get_mut(&from).unwrap().extend(others);
        }
        seen += uses.values().map(|used| used.len()).sum::<usize>();
        // Whoever uses nothing that is left is taken away; what stays goes round in circles.
        while let Some(name) = uses.iter().find(|(_, used)| used.is_empty()).map(|(name, _)| name.clone()) {
            uses.remove(&name);
            uses.values_mut().for_each(|used| _ = used.remove(&name));
        }
        assert!(uses.is_empty(), "files of {} use each other in a circle: {uses:#?}", folder.join("/"));
    }
    assert!(seen > 100, "the sources were not read");
}

#[test]
fn paths_are_spelled_out_and_found_from_where_they_stand() {
    let module = ["engine", "status", "id"].map(str::to_owned);
    let source = "use crate::{\n    engine::{query::Query, status::{self, jobs}},\n    \
                  error::Result,\n};\npub(super) fn f() {\n\
                  super::super::worker::run(super::host::X)\n}\n";
    let found: Vec<String> = paths(source).iter().map(|path| absolute(path, &module).join("::")).collect();
    for expected in [
        "engine::query::Query",
        "engine::status::self",
        "engine::status::jobs",
        "error::Result",
        "engine::worker::run",
        "engine::status::host::X",
    ] {
        assert!(found.iter().any(|path| path == expected), "{expected} in {found:?}");
    }
}
