//! The command line as scripts use it: exit codes, JSON, messages with hints.

use crate::support;

use std::{fs, process::Output};

use support::{Place, logical_content, make_data_file, names_in, text};

fn json(output: &Output) -> Vec<serde_json::Value> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn failure(output: &Output) -> (Option<i32>, String) {
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    (output.status.code(), text(&output.stderr))
}

#[test]
fn the_whole_round_by_commands() {
    let place = Place::new();
    let folder = place.at("office");
    let folder = folder.to_str().unwrap();
    let sample = json(&place.run(&["sample", folder, "--json"]));
    let data = format!("{folder}/OMB_Edelweiss.sqlite");
    assert_eq!(sample[0]["path"], data.as_str());
    let client = place.run(&["sample-client", &data, "--rate", "1000", "--commits", "5"]);
    assert_eq!(text(&client.stdout), "5 commits\n", "{}", text(&client.stderr));

    let made = json(&place.run(&["backup", &data, "--json"]));
    let archive = format!("{folder}/Backups/OMB_Edelweiss[0001].4BK");
    assert_eq!(made[0]["archive"], archive.as_str());
    assert_eq!((&made[0]["number"], made.len()), (&1.into(), 1));
    let elsewhere = place.at("elsewhere");
    let second = json(&place.run(&["backup", &data, "--to", elsewhere.to_str().unwrap(), "--json"]));
    assert_eq!(second[0]["number"], 2);
    json(&place.run(&["backup", &data, "--json"]));

    let listed = json(&place.run(&["list", &data, "--json"]));
    assert_eq!(listed.iter().map(|a| a["number"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(json(&place.run(&["list", elsewhere.to_str().unwrap(), "--json"]))[0]["number"], 2);
    assert!(json(&place.run(&["verify", &archive, "--json"]))[0]["bytes"].as_u64().unwrap() > 1_000_000);

    let to = place.at("to");
    let restored = json(&place.run(&["restore", &archive, "--to", to.to_str().unwrap(), "--json"]));
    assert_eq!(restored[0]["integrity"]["result"], "sound");
    assert_eq!(names_in(&to), ["OMB_Edelweiss.sqlite", "OMB_Edelweiss.strongroom.toml", "strongroom-manifest.toml"]);
    assert_eq!(logical_content(&to.join("OMB_Edelweiss.sqlite")), logical_content(data.as_ref()));
    // Without --to: a new folder named like the archive, and another one the second time.
    for name in ["OMB_Edelweiss[0001]", "OMB_Edelweiss[0001] (2)"] {
        let report = json(&place.run(&["restore", &archive, "--json"]));
        assert_eq!(report[0]["destination"], format!("{folder}/Backups/{name}").as_str());
    }
    let words = text(&place.run(&["list", &data]).stdout);
    assert!(words.starts_with("0003  20") && words.lines().count() == 2, "{words}");
    // The list outlives the data file.
    fs::remove_file(&data).unwrap();
    assert_eq!(json(&place.run(&["list", &data, "--json"])).len(), 2);
}

#[test]
fn failures_have_exit_code_1_and_say_what_to_do() {
    let place = Place::new();
    let at = |name: &str| place.at(name).to_str().unwrap().to_owned();
    fs::write(place.at("text.db"), "no database at all").unwrap();
    fs::write(place.at("empty.db"), "").unwrap();
    make_data_file(&place.at("a.sqlite"), "", 10);
    json(&place.run(&["backup", &at("a.sqlite"), "--json"]));
    let cases = [
        (vec!["backup".to_owned(), at("gone")], "gone does not exist\n  Check the path."),
        (
            vec!["backup".into(), at("text.db")],
            "text.db is not an SQLite database: it begins with \"no database at a\"\n  Choose",
        ),
        (vec!["backup".into(), at("empty.db")], "empty.db is empty (0 bytes)\n  Start the application once"),
        (vec!["backup".into(), at("")], " is a folder\n  Choose the data file itself"),
        (
            vec!["verify".into(), at("a.sqlite")],
            "a.sqlite is not a Strongroom archive, or its beginning is damaged\n  Choose",
        ),
        (
            vec!["restore".into(), at("Backups/a[0001].4BK"), "--to".into(), at("")],
            "a.sqlite exists already\n  Existing files are never overwritten.",
        ),
        (vec!["list".into(), at("nowhere/a.sqlite")], "neither does its folder for archives"),
        (vec!["sample-client".into(), at("a.sqlite"), "--commits".into(), "1".into()], "a.sqlite is not the sample"),
    ];
    for (arguments, expected) in cases {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, said) = failure(&place.run(&arguments));
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with("strongroom: ") && said.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn wrong_usage_has_exit_code_2() {
    let place = Place::new();
    for arguments in [vec!["list"], vec!["backup"], vec!["restore", "a", "--nothing"], vec!["verify", "a", "b"]] {
        assert_eq!(failure(&place.run(&arguments)).0, Some(2), "{arguments:?}");
    }
    assert_eq!(place.run(&["--help"]).status.code(), Some(0));
}

#[test]
fn a_restored_but_damaged_data_file_is_a_failure_with_its_files_kept() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "PRAGMA journal_mode=DELETE", 3000);
    let mut bytes = fs::read(&data).unwrap();
    let page = bytes.len() / 2 / 4096 * 4096;
    bytes[page..page + 300].fill(0xaa);
    fs::write(&data, &bytes).unwrap();
    // The archive is made all the same: it may hold the only copy of what can still be saved.
    let output = place.run(&["backup", data.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("SQLite finds damaged"), "{}", text(&output.stderr));
    let archive = place.at("Backups/a[0001].4BK");
    let output = place.run(&["restore", archive.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("SQLite finds it damaged"), "{}", text(&output.stderr));
    assert_eq!(fs::read(place.at("Backups/a[0001]/a.sqlite")).unwrap(), bytes);
}

#[cfg(unix)]
#[test]
fn no_permission_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    fs::set_permissions(&data, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&data).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    let (code, said) = failure(&place.run(&["backup", data.to_str().unwrap()]));
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot read") && said.contains("permission denied"), "{said}");
}

#[test]
fn a_data_file_that_is_restored_in_place_is_named_once() {
    for named in [&["restore", "DATAFILE", "--in-place"][..], &["restore", "--in-place", "DATAFILE"]] {
        let place = Place::new();
        let data = place.at("a.sqlite");
        let conn = make_data_file(&data, "PRAGMA journal_mode=WAL", 5);
        assert!(place.run(&["backup", data.to_str().unwrap()]).status.success());
        let before = logical_content(&data);
        conn.execute_batch("DELETE FROM t WHERE rowid = 1").unwrap();
        let with = |path: &str| -> Vec<String> { named.iter().map(|word| word.replace("DATAFILE", path)).collect() };
        let run = |path: &str| place.run(&with(path).iter().map(String::as_str).collect::<Vec<_>>());
        // An archive does not say which data file is meant.
        let (code, said) = failure(&run(place.at("Backups/a[0001].4BK").to_str().unwrap()));
        assert!(code == Some(1) && said.contains("a[0001].4BK is an archive, and no data file"), "{said}");
        assert!(said.contains("--in-place DATAFILE."), "{said}");
        let output = run(data.to_str().unwrap());
        assert!(output.status.success(), "{named:?}: {}", text(&output.stderr));
        assert_eq!(logical_content(&data), before, "{named:?}");
    }
}
