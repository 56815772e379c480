//! The superuser works for other users' data files: whatever they lay beside them, it is done with their rights.
#![cfg(unix)]

use crate::support;

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{lchown, symlink},
    path::{Path, PathBuf},
    process::Stdio,
};

use strongroom::{
    archive::Archive,
    engine::{Command, Config, Engine, JobId},
    error::ErrorKind,
    journal::integrate::Until,
    restore::Logs,
    service::install::Plan,
    storage::owners::this_user,
};
use support::{
    Place, Running,
    engine::until,
    make_data_file, names_in, text,
    user::{User, all_below, mode, owner, set_mode},
};

/// A data file of `user` in a folder of his own.
fn data_of(user: &User, place: &Place, name: &str) -> PathBuf {
    let folder = user.folder(place, name);
    let data = folder.join("a.sqlite");
    drop(make_data_file(&data, "", 10));
    user.own(&data);
    data
}

fn settings(user: &User, data: &Path, toml: &str) {
    user.write(&data.with_file_name("a.strongroom.toml"), toml);
}

#[test]
fn the_superuser_hands_out_none_of_his_files() {
    let Some(user) = User::new(61_101) else { return };
    let place = Place::new();
    let data = data_of(&user, &place, "vault");
    let secret = place.at("secret");
    fs::write(&secret, "of the superuser").unwrap();
    set_mode(&secret, 0o600);
    settings(&user, &data, &format!("[content]\nattachments = ['{}']\n", secret.display()));
    let output = place.run(&["backup", data.to_str().unwrap()]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("working as 61101") && said.contains("secret may not be read by this user"), "{said}");
    let archive = data.with_file_name("Backups").join("a[0001].4BK");
    let names: Vec<String> = Archive::open(&archive).unwrap().items().iter().map(|item| item.name.clone()).collect();
    assert!(!names.iter().any(|name| name.contains("secret")), "{names:?}");
    // All that was written is his, and nothing was noted among what the superuser keeps.
    for path in all_below(data.parent().unwrap()).iter().chain(&all_below(&user.state())) {
        assert_eq!(owner(path), user.id, "{}", path.display());
    }
    assert!(user.state().join("data/strongroom/history.sqlite").is_file());
    assert!(!place.own().exists(), "{:?}", names_in(&place.own()));
    assert_eq!(mode(&user.state()), 0o700);
}

#[test]
fn what_the_owner_may_not_write_is_not_written_for_him() {
    let Some(user) = User::new(61_102) else { return };
    let place = Place::new();
    let data = data_of(&user, &place, "vault");
    let target = place.at("of the superuser");
    fs::create_dir(&target).unwrap();
    let refused = |arguments: &[&str]| {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?} {output:?}");
        assert_eq!(names_in(&target), Vec::<String>::new(), "{arguments:?}");
        assert_eq!((owner(&target), owner(&place.folder.path().canonicalize().unwrap())), (0, 0));
    };
    let file = data.to_str().unwrap();
    settings(&user, &data, &format!("[destination]\nfolder = '{}'\n", target.display()));
    refused(&["backup", file]);
    settings(&user, &data, &format!("[log]\nfile = '{}'\n", target.join("a.journal").display()));
    // The backup is made, and its log is not.
    let output = place.run(&["backup", file]);
    assert!(names_in(&target).is_empty(), "{output:?}");
    settings(&user, &data, "");
    fs::remove_dir_all(data.with_file_name("Backups")).unwrap();
    symlink(&target, data.with_file_name("Backups")).unwrap();
    refused(&["backup", file]);
    fs::remove_file(data.with_file_name("Backups")).unwrap();
    // The settings themselves in the place of a file of the superuser.
    fs::write(target.join("conf"), "[keep]\nlast = 1\n").unwrap();
    fs::remove_file(data.with_file_name("a.strongroom.toml")).unwrap();
    symlink(target.join("conf"), data.with_file_name("a.strongroom.toml")).unwrap();
    let output = place.run(&["settings", file, "keep.last=7"]);
    assert!(text(&output.stderr).contains("is a link"), "{output:?}");
    assert_eq!(fs::read_to_string(target.join("conf")).unwrap(), "[keep]\nlast = 1\n");
}

#[test]
fn one_who_was_begun_by_the_superuser_has_no_way_back() {
    let Some(user) = User::new(61_103) else { return };
    let place = Place::new();
    let data = data_of(&user, &place, "vault");
    let mut command = place.program();
    command.env("SECRET_OF_ROOT", "x").args(["serve", "--no-log"]).arg(&data).stdout(Stdio::piped());
    let mut child = Running(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("is looked after"), "{line}");
    // A terminal is left, by a process of its own.
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.0.id())).unwrap_or_default();
    let process = children.split_whitespace().next().map_or(child.0.id(), |first| first.parse().unwrap());
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let all = vec!["61103".to_owned(); 4];
    assert_eq!((field("Uid:"), field("Gid:"), field("Groups:")), (all.clone(), all, vec!["61103".to_owned()]));
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(field(set), ["0000000000000000"], "{set}");
    }
    // Its new user cannot look into it, and so not act through the terminal of the superuser.
    assert_eq!(owner(Path::new(&format!("/proc/{process}/environ"))), 0);
    let environment = text(&fs::read(format!("/proc/{process}/environ")).unwrap());
    assert!(!environment.contains("SECRET_OF_ROOT") && !environment.contains("own"), "{environment}");
    drop(status);
    // Who has the data file in his care is found by the superuser, through the socket of that user.
    let status = place.run(&["status", data.to_str().unwrap()]);
    assert!(text(&status.stdout).contains("In the care of"), "{status:?}");
    let process = rustix::process::Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    assert!(child.0.wait().unwrap().success());
}

#[test]
fn an_engine_of_the_superuser_acts_on_no_file_of_others() {
    let Some(user) = User::new(61_104) else { return };
    assert_eq!(this_user(), 0);
    let place = Place::new();
    let data = data_of(&user, &place, "vault");
    // The superuser's own, in a folder where another user can replace everything.
    let own = data.with_file_name("b.sqlite");
    drop(make_data_file(&own, "", 10));
    let engine = |as_root: bool| Engine::start(Config { as_root, ..Config::private(&place.own()) }).unwrap();
    let refusal = |engine: &Engine, path: &Path| {
        let handle = engine.handle();
        handle.send(Command::OpenDataFile { path: path.to_path_buf() }).unwrap();
        let status = until(&handle, |s| !s.refused.is_empty() || s.data_file(path).is_some());
        status.refused.first().map(|refused| refused.error.clone())
    };
    let error = refusal(&engine(true), &data).expect("let in");
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.message.contains("belongs to 61104") && error.hint.is_some(), "{error:?}");
    let error = refusal(&engine(false), &own).expect("let in");
    assert!(error.message.contains("61104 can write"), "{error:?}");
    assert!(error.hint.unwrap().contains("--as-root"));
    assert_eq!(refusal(&engine(true), &own), None);
    // Nor does it restore into the folder of another user, which he could replace by a link.
    let mine = place.at("mine.sqlite");
    drop(make_data_file(&mine, "", 10));
    let archive = place.backup(&mine).unwrap().archive;
    let (running, job, destination) = (engine(false), JobId::new(), data.with_file_name("to"));
    let (items, segments) = (Vec::new(), Vec::new());
    let restore = Command::Restore { job, archive, items, destination, logs: Logs::None, until: Until::End, segments };
    running.handle().send(restore).unwrap();
    let status = until(&running.handle(), |s| s.finished_job(job).is_some());
    let error = status.finished_job(job).unwrap().result.clone().unwrap_err();
    assert!(error.message.contains("belongs to 61104") && !data.with_file_name("to").exists(), "{error:?}");
    // The same by command. Settings that the other user lays there are not believed even then.
    let file = own.to_str().unwrap();
    let refused = place.run(&["backup", file]);
    assert!(refused.status.code() == Some(1) && text(&refused.stderr).contains("--as-root"), "{refused:?}");
    for arguments in [["backup", "--as-root", file], ["--as-root", "backup", file], ["backup", file, "--as-root"]] {
        let output = place.run(&arguments);
        assert!(output.status.success(), "{arguments:?} {output:?}");
    }
    let misplaced = place.run(&[file, "backup", file]);
    assert!(
        misplaced.status.code() == Some(2) && text(&misplaced.stderr).contains("belongs after it"),
        "{misplaced:?}"
    );
    user.write(&own.with_file_name("b.strongroom.toml"), "[content]\nattachments = ['/etc/shadow']\n");
    let refused = place.run(&["backup", "--as-root", file]);
    assert!(text(&refused.stderr).contains("are not believed: they belong to 61104"), "{refused:?}");
}

/// A data file of the superuser whose two rows stand only in the journal of a transaction that never ended.
fn hot_journal(of: &Path) -> Vec<u8> {
    let place = Place::new();
    let source = place.at("a.sqlite");
    fs::copy(of, &source).unwrap();
    let conn = rusqlite::Connection::open(&source).unwrap();
    conn.execute_batch("PRAGMA cache_size=1; PRAGMA cache_spill=1; BEGIN; UPDATE t SET x='planted'").unwrap();
    conn.cache_flush().unwrap();
    fs::read(place.at("a.sqlite-journal")).unwrap()
}

#[test]
fn status_of_the_superuser_plays_back_no_planted_journal() {
    let Some(user) = User::new(61_109) else { return };
    let place = Place::new();
    for (name, mode, refusal) in [("vault", 0o755, "61109 can write"), ("sticky", 0o1777, "who may not write")] {
        let folder = user.folder(&place, name);
        let data = folder.join("a.sqlite");
        let conn = rusqlite::Connection::open(&data).unwrap();
        conn.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES('first'),('second')").unwrap();
        drop(conn);
        if mode == 0o1777 {
            std::os::unix::fs::chown(&folder, Some(0), Some(0)).unwrap();
            set_mode(&folder, mode);
        }
        let journal = hot_journal(&data);
        rusqlite::Connection::open(&data).unwrap().execute_batch("UPDATE t SET x='committed'").unwrap();
        let before = fs::read(&data).unwrap();
        let planted = folder.join("a.sqlite-journal");
        fs::write(&planted, &journal).unwrap();
        user.own(&planted);
        for command in ["status", "backup", "check"] {
            let output = place.run(&[command, data.to_str().unwrap()]);
            assert!(!output.status.success() && text(&output.stderr).contains(refusal), "{name} {command}: {output:?}");
            assert_eq!(fs::read(&data).unwrap(), before, "{name}: {command} wrote what was planted");
        }
        // It would have been played back: as the superuser's own it is, by a backup.
        std::os::unix::fs::chown(&planted, Some(0), Some(0)).unwrap();
        let output = place.run(&["backup", "--as-root", data.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
        assert_ne!(fs::read(&data).unwrap(), before, "{name}: the journal was not hot");
    }
}

#[test]
fn what_the_superuser_has_open_reaches_no_program_of_the_owner() {
    let Some(user) = User::new(61_110) else { return };
    let place = Place::new();
    let data = data_of(&user, &place, "vault");
    let (secret, program, seen) = (place.at("secret"), data.with_file_name("look"), data.with_file_name("seen"));
    fs::write(&secret, "of the superuser").unwrap();
    set_mode(&secret, 0o600);
    user.write(&program, &format!("#!/bin/sh\ncat <&7 >'{0}' 2>&1\necho ended >>'{0}'\n", seen.display()));
    set_mode(&program, 0o755);
    settings(&user, &data, &format!("on-finish = ['{}']\n", program.display()));
    let script = "exec 7<\"$3\"; exec \"$0\" \"$1\" \"$2\"";
    let arguments = ["-c", script, support::PROGRAM, "backup", data.to_str().unwrap(), secret.to_str().unwrap()];
    let output = place.run_program(Path::new("sh"), &arguments);
    assert!(output.status.success(), "{output:?}");
    let said = fs::read_to_string(&seen).unwrap();
    assert!(said.ends_with("ended\n") && !said.contains("superuser"), "{said}");
}

#[test]
fn one_process_becomes_one_user() {
    let (Some(first), Some(second)) = (User::new(61_105), User::new(61_106)) else { return };
    let place = Place::new();
    let (a, b) = (data_of(&first, &place, "a"), data_of(&second, &place, "b"));
    let output = place.run(&["serve", "--no-log", a.to_str().unwrap(), b.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("belong to different users"), "{output:?}");
    // Nobody can say of himself whom the program becomes.
    for as_whom in [["--become", "0", "0", "staying"], ["--become", "61106", "61106", "staying"]] {
        let output = first.program(&place).args(as_whom).arg("status").arg(&a).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("could not become the user"), "{output:?}");
    }
}

#[test]
fn what_is_restored_belongs_to_whoever_owns_the_folder() {
    let Some(user) = User::new(61_107) else { return };
    let place = Place::new();
    let data = data_of(&user, &place, "vault");
    assert!(place.run(&["backup", data.to_str().unwrap()]).status.success());
    let archive = data.with_file_name("Backups").join("a[0001].4BK");
    // A link in the way leads to where the user may write nothing.
    let target = place.at("of the superuser");
    fs::create_dir(&target).unwrap();
    let link = data.with_file_name("restored");
    symlink(&target, &link).unwrap();
    lchown(&link, Some(user.id), None).unwrap();
    let to = data.with_file_name("restored").join("here");
    let output = place.run(&["restore", archive.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    assert!(!output.status.success() && names_in(&target).is_empty(), "{output:?}");
    // A folder of the superuser himself, that the user could replace by a link.
    let to = data.with_file_name("mine");
    fs::create_dir(&to).unwrap();
    let output = place.run(&["restore", archive.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    assert!(!output.status.success() && text(&output.stderr).contains("61107 can write"), "{output:?}");
    let to = data.with_file_name("again");
    assert!(place.run(&["restore", archive.to_str().unwrap(), "--to", to.to_str().unwrap()]).status.success());
    for path in all_below(&to).iter().chain([&to]) {
        assert_eq!(owner(path), user.id, "{}", path.display());
    }
}

#[test]
fn a_service_follows_no_link_of_one_user_to_the_file_of_another() {
    let Some(user) = User::new(61_111) else { return };
    let place = Place::new();
    let folder = user.folder(&place, "vault");
    let of_root = place.at("root.sqlite");
    drop(make_data_file(&of_root, "", 10));
    let link = folder.join("a.sqlite");
    symlink(&of_root, &link).unwrap();
    lchown(&link, Some(user.id), None).unwrap();
    for more in [&["--no-start"][..], &["--no-start", "--user"]] {
        let output = place.run(&[&["service", "install", link.to_str().unwrap()], more].concat());
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains("a link of 61111 to a file of root"), "{output:?}");
    }
}

/// A plan as for a system whose folders are below `etc` and `lib`.
fn plan(place: &Place, user: &User) -> Plan {
    Plan {
        name: "strongroom-vault.service".to_owned(),
        file: (place.at("etc/systemd/strongroom-vault.service"), "[Service]\n".to_owned()),
        list: place.at("etc/strongroom/vault.toml"),
        owner: Some((user.id, user.id)),
        state: Some(place.at("lib/strongroom-vault")),
        begin: Vec::new(),
        end: [Vec::new(), Vec::new()],
        advice: None,
    }
}

#[test]
fn a_service_is_installed_twice_and_nothing_of_the_superuser_is_given_away() {
    let Some(user) = User::new(61_108) else { return };
    let place = Place::new();
    let data = data_of(&user, &place, "vault");
    fs::create_dir(place.at("lib")).unwrap();
    let plan = plan(&place, &user);
    plan.install(std::slice::from_ref(&data), false).unwrap();
    let (list, state) = (place.at("etc/strongroom/vault.toml"), place.at("lib/strongroom-vault"));
    assert_eq!((owner(&list), mode(&list), mode(list.parent().unwrap())), (0, 0o640, 0o755));
    assert_eq!((owner(&state), mode(&state)), (user.id, 0o700));
    // The user lays links in his own folder, to what belongs to the superuser.
    let target = place.at("of the superuser");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("service.toml"), "untouched").unwrap();
    fs::remove_dir(&state).unwrap();
    symlink(&target, &state).unwrap();
    let other = data.with_file_name("b.sqlite");
    plan.install(std::slice::from_ref(&other), false).unwrap();
    assert_eq!((owner(&target), owner(&target.join("service.toml"))), (0, 0));
    assert_eq!(fs::read_to_string(target.join("service.toml")).unwrap(), "untouched");
    let listed = fs::read_to_string(&list).unwrap();
    assert!(listed.contains("a.sqlite") && listed.contains("b.sqlite"), "{listed}");
    // The service can read its list, and not change it.
    let other = place.at("vault/c.sqlite");
    drop(make_data_file(&other, "", 10));
    user.own(&other);
    fs::write(&list, format!("data-files = ['{}']\n", other.display())).unwrap();
    let mut service = user.program(&place);
    service.args(["serve", "--list"]).arg(&list).stdout(Stdio::piped());
    let mut child = Running(service.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("vault.toml"), "{line}");
    let begun = std::time::Instant::now();
    let care = || text(&user.program(&place).args(["service", "status"]).output().unwrap().stdout);
    while !care().contains("c.sqlite") {
        assert!(begun.elapsed().as_secs() < 60, "{}", care());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    drop(child);
    assert!(fs::read_to_string(&list).unwrap().contains("c.sqlite"));
}

#[test]
fn the_usual_folder_is_not_where_a_link_of_somebody_else_leads() {
    let (Some(user), Some(neighbour)) = (User::new(61_131), User::new(61_132)) else { return };
    let place = Place::new();
    let (data, elsewhere) = (data_of(&user, &place, "vault"), user.folder(&place, "private"));
    set_mode(data.parent().unwrap(), 0o777);
    let link = data.with_file_name("Backups");
    symlink(&elsewhere, &link).unwrap();
    lchown(&link, Some(neighbour.id), Some(neighbour.id)).unwrap();
    let backup = || user.program(&place).arg("backup").arg(&data).output().unwrap();
    let refused = backup();
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("Backups is a link that 61132 made"), "{said}");
    assert_eq!(names_in(&elsewhere), Vec::<String>::new());
    // His own link is his own word.
    lchown(&link, Some(user.id), Some(user.id)).unwrap();
    let made = backup();
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(names_in(&elsewhere).contains(&"a[0001].4BK".to_owned()));
}

/// In a folder like `/tmp` others can make files, and delete none of ours: neither have the backups delete them.
#[test]
fn what_a_neighbour_puts_among_the_archives_pushes_none_out_and_is_not_what_comes_back() {
    let Some(user) = User::new(61_113) else { return };
    let place = Place::new();
    let (data, folder) = (place.at("app/a.sqlite"), place.at("shared"));
    fs::create_dir(place.at("app")).unwrap();
    fs::create_dir(&folder).unwrap();
    set_mode(&folder, 0o1777);
    drop(make_data_file(&data, "", 10));
    let data = data.to_str().unwrap();
    let destination = format!("destination.folder={}", folder.display());
    assert!(place.run(&["settings", data, &destination, "keep.last=10"]).status.success());
    for _ in 0..6 {
        assert!(place.run(&["backup", data]).status.success());
    }
    let his: Vec<PathBuf> = (4..7).map(|number| folder.join(format!("a[{number:04}].4BK"))).collect();
    his.iter().for_each(|archive| user.own(archive));
    assert!(place.run(&["settings", data, "keep.last=3"]).status.success());
    let status = text(&place.run(&["status", data]).stdout);
    assert!(status.contains("a[0006].4BK belongs to 61113, who may have put it there, and 2 more"), "{status}");
    assert!(status.contains("Last full backup   0003") && !status.contains("another data file"), "{status}");
    let listed = text(&place.run(&["list", data]).stdout);
    assert_eq!(listed.matches("BELONGS TO 61113, WHO MAY HAVE PUT IT THERE").count(), 3, "{listed}");
    let made = place.run(&["backup", data]);
    let kept = [2, 3, 4, 5, 6, 7].map(|number| format!("a[{number:04}].4BK"));
    assert!(
        made.status.success() && names_in(&folder).iter().filter(|name| name.ends_with("4BK")).eq(&kept),
        "{made:?}"
    );
    // Only where nothing else is left, and not without a word.
    fs::remove_file(data).unwrap();
    let restore = |to: &str| {
        let output = place.run(&["restore", data, "--to", place.at(to).to_str().unwrap()]);
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (_, said) = restore("ours");
    assert!(said.contains("Archive 0007"), "{said}");
    for number in [2, 3, 7] {
        fs::remove_file(folder.join(format!("a[{number:04}].4BK"))).unwrap();
    }
    let (code, said) = restore("his");
    assert!(code == Some(1) && said.contains("belongs to 61113, who may have put it there"), "{said}");
    let named = place.run(&["restore", his[0].to_str().unwrap(), "--to", place.at("named").to_str().unwrap()]);
    assert!(named.status.success(), "{named:?}");
}

#[test]
fn a_log_that_a_neighbour_may_have_put_there_is_neither_continued_nor_integrated() {
    let Some(user) = User::new(61_115) else { return };
    let place = Place::new();
    let (data, folder) = (place.at("app/a.sqlite"), place.at("shared"));
    fs::create_dir(place.at("app")).unwrap();
    fs::create_dir(&folder).unwrap();
    set_mode(&folder, 0o1777);
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 10));
    let (path, log) = (data.to_str().unwrap(), folder.join("a.journal"));
    let setting = format!("log.file={}", log.display());
    assert!(place.run(&["settings", path, &setting]).status.success());
    let serve = || Running(place.program().args(["serve", path]).stderr(Stdio::null()).spawn().unwrap());
    let until = |what: &str| {
        let begun = std::time::Instant::now();
        loop {
            let said = text(&place.run(&["status", path]).stdout);
            if said.contains(what) {
                return;
            }
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{said}");
        }
    };
    let service = serve();
    until("; complete");
    assert!(place.run(&["backup", path]).status.success());
    drop(service);
    user.own(&log);
    let restored = place.run(&["restore", path, "--to", place.at("to").to_str().unwrap()]);
    let said = text(&restored.stderr);
    assert!(
        restored.status.code() == Some(1) && said.contains("belongs to 61115, who may have put it there"),
        "{said}"
    );
    let _service = serve();
    until("belongs to 61115, who may have put it there");
    until("; complete");
    assert_ne!(owner(&log), user.id, "another one is written");
    assert!(names_in(&folder).iter().any(|name| name.contains("set-aside")), "{:?}", names_in(&folder));
}
