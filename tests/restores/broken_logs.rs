//! A log is worth what an archive leads to: archives and logs that were deleted, damaged, cut or away for a while.

use std::{fs, path::Path};

use strongroom::journal::reader::LogReader;

use crate::{
    scene::{Scene, said},
    support::{self, logical_content, text},
};

/// Overwrites some bytes in the middle of a file.
fn harm(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 20].iter_mut().for_each(|byte| *byte ^= 0x5a);
    fs::write(path, bytes).unwrap();
}

#[test]
fn full_backups_without_a_commit_in_between_lead_on_to_the_log_in_use() {
    let Some(mut scene) = Scene::new() else { return };
    scene.backup();
    scene.backup();
    for number in [1, 2, 3] {
        said(&scene.restore(&scene.archive(number), &format!("from {number}"), &[]), 0);
    }
    scene.commits(1);
    said(&scene.restore(&scene.archive(1), "after another", &[]), 0);
    assert_eq!(logical_content(&scene.place.at("after another/a.sqlite")), logical_content(&scene.data));
    scene.kill();
    said(&scene.restore(&scene.archive(1), "without a service", &[]), 0);
}

/// What is damaged leads nowhere; newer archives need it for nothing.
#[test]
fn an_old_log_that_is_damaged_leads_no_restore_back_to_an_old_archive() {
    let Some(mut scene) = Scene::new() else { return };
    scene.backup();
    scene.commits(1);
    scene.backup();
    scene.commits(1);
    let live = logical_content(&scene.data);
    scene.stop();
    harm(&scene.log("a[0001].4BL"));
    let data = scene.data.clone();
    let _ = scene.restore(&data, "while the file is there", &[]);
    assert_eq!(logical_content(&scene.place.at("while the file is there/a.sqlite")), live);
    scene.lose();
    let words = said(&scene.restore(&data, "lost", &[]), 1);
    assert!(words.contains("nothing is known after commit 5") && !words.contains("damaged"), "{words}");
    assert_eq!(logical_content(&scene.place.at("lost/a.sqlite")), live);
    let output = scene.place.run(&["restore", data.to_str().unwrap(), "--in-place"]);
    assert!(logical_content(&data) == live, "{}{}", text(&output.stdout), text(&output.stderr));
}

/// The way that is named for a lost data file leads somewhere, however damaged its log is.
#[test]
fn a_lost_data_file_comes_back_as_far_as_its_damaged_log_goes() {
    let Some(mut scene) = Scene::new() else { return };
    scene.commits(20);
    scene.backup();
    scene.commits(20);
    scene.stop();
    let data = scene.data.to_str().unwrap().to_owned();
    harm(&scene.log("a[0001].4BL"));
    // One that is there is left alone, and it is said how to go on.
    let live = logical_content(&scene.data);
    let words = said(&scene.place.run(&["restore", scene.archive(1).to_str().unwrap(), "--in-place", &data]), 1);
    assert!(words.contains("nothing was restored: ") && words.contains("(--commit "), "{words}");
    assert_eq!(logical_content(&scene.data), live);
    harm(&scene.log("a.journal"));
    scene.lose();
    let words = said(&scene.place.run(&["restore", &data, "--in-place"]), 1);
    assert!(words.contains("is damaged at byte "), "{words}");
    let back = logical_content(&scene.data);
    assert!(back != live && scene.more_in_place() > 23, "{back:?}");
}

/// Backups that are made while the disk of the log is away must not push out the one that the log goes on from.
#[test]
fn the_archive_that_a_log_goes_on_from_stays_while_the_log_is_away() {
    let Some(mut scene) = Scene::new() else { return };
    let data = scene.data.to_str().unwrap().to_owned();
    assert!(scene.place.run(&["settings", &data, "keep.last=1"]).status.success());
    scene.backup();
    scene.commits(1);
    scene.stop();
    fs::rename(scene.place.at("logs"), scene.place.at("away")).unwrap();
    for _ in 0..3 {
        let output = scene.place.run(&["backup", &data]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    }
    assert!(scene.archive(2).exists() && !scene.archive(1).exists() && !scene.archive(3).exists());
    fs::rename(scene.place.at("away"), scene.place.at("logs")).unwrap();
    scene.serve();
    scene.commits(2);
    let live = logical_content(&scene.data);
    assert!(!scene.status().contains("no archive leads to the log"), "{}", scene.status());
    let to = scene.data.clone();
    said(&scene.restore(&to, "all of it", &[]), 0);
    assert_eq!(logical_content(&scene.place.at("all of it/a.sqlite")), live);
}

/// A log that was begun before there was an archive, and held no commit yet, knows nothing but how long the data file
/// was.
#[test]
fn a_file_that_grew_or_shrank_before_the_first_backup_is_restored_to_every_commit_after_it() {
    for (number, change) in
        ["INSERT INTO t(a) SELECT hex(randomblob(900)) FROM t", "DELETE FROM t; VACUUM"].iter().enumerate()
    {
        let Some(mut scene) = Scene::begun(false) else { return };
        scene.stop();
        support::engine::foreign_commits(&scene.data, &format!("{change}; PRAGMA wal_checkpoint(TRUNCATE)"));
        scene.serve();
        scene.backup();
        scene.commits(2);
        let live = logical_content(&scene.data);
        let to = scene.data.clone();
        said(&scene.restore(&to, "all", &[]), 0);
        assert_eq!(logical_content(&scene.place.at("all/a.sqlite")), live, "{number}");
        let mut log = LogReader::open(&scene.log("a.journal")).unwrap();
        let pages = log.header().page_count;
        while log.next_record().unwrap().is_some() {}
        let first = (log.tail().commit - 1).to_string();
        said(&scene.restore(&to, "first", &["--commit", &first]), 0);
        let page_size = 4096;
        let restored = fs::metadata(scene.place.at("first/a.sqlite")).unwrap().len();
        assert!(restored >= u64::from(pages) * page_size, "{number}: {pages} pages, {restored} bytes");
    }
}

/// What was committed between archives that were made meanwhile is in that log alone.
#[test]
fn a_log_that_leads_over_backups_made_while_it_was_away_stays_as_long_as_they() {
    let Some(mut scene) = Scene::new() else { return };
    let data = scene.data.to_str().unwrap().to_owned();
    assert!(scene.place.run(&["settings", &data, "keep.last=3"]).status.success());
    scene.backup();
    scene.commits(1);
    scene.stop();
    fs::rename(scene.place.at("logs"), scene.place.at("away")).unwrap();
    for _ in 0..2 {
        assert_eq!(scene.place.run(&["backup", &data]).status.code(), Some(1));
    }
    fs::rename(scene.place.at("away"), scene.place.at("logs")).unwrap();
    scene.serve();
    scene.commits(2);
    let mut log = LogReader::open(&scene.log("a.journal")).unwrap();
    while log.next_record().unwrap().is_some() {}
    let between = (logical_content(&scene.data), log.tail().commit);
    scene.commits(1);
    scene.backup();
    assert!([2, 3, 4, 5].iter().all(|number| scene.archive(*number).exists()) && !scene.archive(1).exists());
    let commit = between.1.to_string();
    let to = scene.data.clone();
    said(&scene.restore(&to, "between", &["--commit", &commit]), 0);
    assert_eq!(logical_content(&scene.place.at("between/a.sqlite")), between.0);
    for _ in 0..2 {
        scene.backup();
    }
    assert!(!scene.archive(2).exists() && !scene.archive(4).exists() && scene.archive(5).exists());
}

/// With its log away, the state of the archive is no reason to take everything since out of the file that is there.
#[test]
fn a_live_data_file_does_not_go_back_to_the_archive_while_its_log_is_away() {
    let Some(mut scene) = Scene::new() else { return };
    scene.stop();
    let live = logical_content(&scene.data);
    fs::rename(scene.place.at("logs"), scene.place.at("away")).unwrap();
    let data = scene.data.to_str().unwrap().to_owned();
    let told = said(&scene.place.run(&["restore", &data, "--in-place"]), 1);
    assert!(told.contains("nothing was restored") && told.contains("--no-log"), "{told}");
    assert_eq!(logical_content(&scene.data), live);
    scene.place.run(&["restore", &data, "--in-place", "--no-log"]);
    assert_eq!(scene.more_in_place(), 0, "who asks for it gets it");
}

#[test]
fn a_log_that_no_archive_leads_to_is_not_called_complete() {
    let Some(mut scene) = Scene::new() else { return };
    scene.backup();
    scene.commits(1);
    // By the archived log the one before leads there.
    fs::remove_file(scene.archive(2)).unwrap();
    let is_said = |scene: &Scene| scene.status().contains("no archive leads to the log");
    assert!(!is_said(&scene), "{}", scene.status());
    fs::rename(scene.archive(1), scene.place.at("elsewhere/a[0001].4BK")).unwrap();
    let begun = std::time::Instant::now();
    while !is_said(&scene) {
        assert!(begun.elapsed().as_secs() < 60, "{}", scene.status());
    }
    assert!(!scene.status().contains("; complete"), "{}", scene.status());
    scene.stop();
    assert!(is_said(&scene), "{}", scene.status());
    fs::rename(scene.place.at("elsewhere/a[0001].4BK"), scene.archive(1)).unwrap();
    assert!(!is_said(&scene), "{}", scene.status());
}

#[test]
fn a_log_that_an_older_archive_leads_to_goes_on_after_the_newest_was_deleted() {
    let Some(mut scene) = Scene::new() else { return };
    scene.backup();
    scene.commits(2);
    let live = logical_content(&scene.data);
    scene.stop();
    fs::remove_file(scene.archive(2)).unwrap();
    scene.serve();
    let (archive, status) = (scene.archive(1), scene.status());
    assert!(!status.contains("does not go on from"), "{status}");
    said(&scene.restore(&archive, "all of it", &[]), 0);
    assert_eq!(logical_content(&scene.place.at("all of it/a.sqlite")), live);
    said(&scene.restore(&archive, "one", &["--commit", "4"]), 0);
    scene.commits(1);
    said(&scene.restore(&archive, "one of before, after another", &["--commit", "4"]), 0);
}

/// Of itself it looks like a shorter log.
#[test]
fn a_log_that_was_cut_while_nobody_watched_is_told_from_a_whole_one() {
    let Some(mut scene) = Scene::new() else { return };
    scene.commits(20);
    scene.stop();
    let log = scene.log("a.journal");
    let whole = fs::read(&log).unwrap();
    // Nothing was touched.
    scene.serve();
    assert!(!scene.status().contains("which it held at"), "{}", scene.status());
    scene.stop();
    fs::write(&log, &whole[..whole.len() / 2]).unwrap();
    scene.serve();
    let status = scene.status();
    assert!(status.contains("lacks commit") && status.contains("which it held at"), "{status}");
    // What it lacks is in the data file, and comes with the next step.
    said(&scene.restore(&scene.archive(1), "all of it", &[]), 0);
    assert_eq!(logical_content(&scene.place.at("all of it/a.sqlite")), logical_content(&scene.data));
}

/// At the end of a commit, so that it looks like a shorter log.
#[test]
fn an_archived_log_that_was_cut_is_told_from_a_whole_one_by_whoever_lists_it() {
    let Some(scene) = Scene::new() else { return };
    scene.commits(3);
    scene.backup();
    // Beside the archives, by which it is known.
    let log = scene.archive(1).with_file_name("a[0001].4BL");
    fs::rename(scene.log("a[0001].4BL"), &log).unwrap();
    let whole = fs::read(&log).unwrap();
    let (mut reader, mut ends) = (LogReader::open(&log).unwrap(), Vec::new());
    while let Some(record) = reader.next_record().unwrap() {
        ends.push(record.tail().length as usize);
    }
    let jobs: [&[&str]; 3] = [&["commits"], &["commits", "--page", "1"], &["log"]];
    let runs = |code| jobs.map(|job| said(&scene.place.run(&[job, &[log.to_str().unwrap()]].concat()), code));
    runs(0);
    let mut looked_whole = 0;
    for end in &ends[..ends.len() - 1] {
        fs::write(&log, &whole[..*end]).unwrap();
        let is_told = |said: &String| said.contains("full backup 0002, which closed it, was cut at commit");
        looked_whole += usize::from(runs(1).iter().all(is_told));
    }
    // Elsewhere it ends within a block, which is told from the log itself.
    assert!(looked_whole > 0, "{ends:?}");
    fs::write(&log, "").unwrap();
    for said in runs(1) {
        assert!(said.contains("is empty, and no log any more") && said.contains("Else bring back a copy"), "{said}");
    }
}

/// What is in it is missing in the middle of the way, where nothing else shows that there was more.
#[test]
fn a_list_of_commits_and_taking_back_say_that_a_log_in_between_is_missing() {
    let Some(mut scene) = Scene::new() else { return };
    scene.commits(2);
    scene.backup();
    scene.commits(2);
    scene.backup();
    scene.commits(2);
    scene.stop();
    let (data, archive) = (scene.data.display().to_string(), scene.archive(1).display().to_string());
    let lists: [&[&str]; 3] = [&["log"], &["log", "--json"], &["log", "--csv"]];
    let run = |job: &[&str], more: &[&str]| scene.place.run(&[job, &[&data, "--archive", &archive], more].concat());
    for job in lists {
        said(&run(job, &[]), 0);
    }
    let (log, whole) = (scene.log("a[0002].4BL"), fs::read(scene.log("a[0002].4BL")).unwrap());
    for harm in [|log: &Path| fs::remove_file(log).unwrap(), |log: &Path| fs::write(log, "").unwrap()] {
        harm(&log);
        for job in lists {
            for more in [&[][..], &["--commit", "4..9999"]] {
                let told = said(&run(job, more), 1);
                assert!(told.contains("nothing is known after"), "{told}");
            }
            said(&run(job, &["--commit", "..2"]), 0);
        }
        let take_back = run(&["take-back"], &["--commit", "2..9999", "--dry-run"]);
        let told = text(&take_back.stdout) + &text(&take_back.stderr);
        assert!(!take_back.status.success() && told.contains("nothing is known after"), "{told}");
        fs::write(&log, &whole).unwrap();
    }
    // Another in the place of the one in use.
    fs::copy(&log, scene.log("a.journal")).unwrap();
    let told = said(&scene.place.run(&["log", &data]), 1);
    assert!(told.contains("is an archived log in the place of the one in use"), "{told}");
}

#[test]
fn settings_that_name_a_file_as_the_folder_for_archives_bar_no_restore() {
    let Some(mut scene) = Scene::new() else { return };
    scene.commits(2);
    let live = logical_content(&scene.data);
    scene.stop();
    let settings = scene.data.with_extension("strongroom.toml");
    let (folder, good) = (scene.place.at("archives").display().to_string(), fs::read_to_string(&settings).unwrap());
    let mistaken = good.replacen(&format!("\nfolder = \"{folder}\""), "\nfolder = \"/etc/hostname\"", 1);
    assert_ne!(mistaken, good);
    fs::write(&settings, mistaken).unwrap();
    scene.lose();
    let told = said(&scene.restore(&scene.data, "back", &[]), 1);
    assert!(told.contains("ends there, and nobody writes it any more"), "{told}");
    assert_eq!(logical_content(&scene.place.at("back/a.sqlite")), live);
}

/// Its commits are none of this data file's.
#[test]
fn a_log_of_another_data_file_counts_for_nothing_also_without_a_service() {
    let Some(mut scene) = Scene::new() else { return };
    let Some(mut other) = Scene::new() else { return };
    other.commits(9);
    scene.stop();
    other.stop();
    fs::copy(other.log("a.journal"), scene.log("a.journal")).unwrap();
    let status = scene.status();
    assert!(status.contains("it is the log of another data file") && !status.contains("commits since"), "{status}");
    scene.lose();
    let status = scene.status();
    assert!(status.contains("it is the log of another data file"), "{status}");
    // What is no data file is not listed as one that has no archives.
    for mistaken in [scene.archive(1), scene.place.at("app/a.strongroom.toml"), scene.log("a.journal")] {
        let output = scene.place.run(&["list", mistaken.to_str().unwrap()]);
        assert!(output.status.code() == Some(1) && !text(&output.stdout).contains("No archives"), "{output:?}");
    }
}

/// A log that is begun in the place of another one counts from the same number.
#[test]
fn a_commit_that_stands_in_two_logs_is_asked_about_and_a_log_that_is_named_is_meant() {
    let Some(mut scene) = Scene::new() else { return };
    let old = scene.log("a.journal");
    let other = scene.place.at("logs/b.journal");
    let data = scene.data.to_str().unwrap().to_owned();
    let setting = format!("log.file={}", other.display());
    scene.stop();
    assert!(scene.place.run(&["settings", &data, &setting]).status.success());
    scene.serve();
    support::engine::foreign_commits(&scene.data, "INSERT INTO t(a) VALUES('in the other one')");
    let archive = scene.archive(1);
    let live = logical_content(&scene.data);
    let _ = scene.restore(&archive, "all", &[]);
    assert_eq!(logical_content(&scene.place.at("all/a.sqlite")), live);
    for what in [&archive, &scene.data.clone()] {
        let words = said(&scene.restore(what, "asked", &["--commit", "2"]), 1);
        assert!(words.contains("commit 2 stands in two logs: ") && !scene.place.at("asked").exists(), "{words}");
    }
    let named = ["--log", old.to_str().unwrap(), "--commit", "2"];
    said(&scene.restore(&archive, "old", &named), 0);
    assert_eq!(scene.more("old"), 2);
    let named = ["--log", other.to_str().unwrap(), "--commit", "2"];
    said(&scene.restore(&archive, "new", &named), 0);
    assert_eq!(logical_content(&scene.place.at("new/a.sqlite")), live);
}
