//! `strongroom take-back`: what foreign programs did to records is taken back while they write, and nothing else. Held
//! against copies of what the records were.

use std::process::{Command as Process, Stdio};

use crate::support::{engine::foreign_commits, kept::Kept, records::Dice, text};

const SCHEMA: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b, c REAL, d AS (id+1) STORED, e AS \
                      (a||'!')); CREATE TABLE k(k TEXT COLLATE NOCASE, n, v, PRIMARY KEY(n DESC, k)) WITHOUT ROWID; \
     CREATE TABLE p(x, y); CREATE TABLE numbered(id INTEGER PRIMARY KEY AUTOINCREMENT, x); \
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<60) \
     INSERT INTO t(id, a, b, c) SELECT i, 'first '||i, CASE i%4 WHEN 0 THEN NULL WHEN 1 THEN zeroblob(i*90) WHEN 2 \
     THEN i/7.0 ELSE i END, i*0.1 FROM n; INSERT INTO p SELECT a, b FROM t; INSERT INTO k SELECT a, id%5, b FROM t; \
     INSERT INTO numbered(x) SELECT a FROM t";

const FORMS: &[&str] = &[
    "PRAGMA page_size=1024",
    "PRAGMA encoding='UTF-16le'; PRAGMA page_size=512",
    "PRAGMA encoding='UTF-16be'; PRAGMA auto_vacuum=1",
];

#[test]
fn an_accidental_delete_is_taken_back_alone_and_that_is_taken_back_again() {
    for pragmas in FORMS {
        let Some(mut kept) = Kept::new(pragmas, SCHEMA) else { return };
        let odd = "INSERT INTO t(id, a, b, c) VALUES(-9223372036854775808, 'a'||char(0)||'b', CAST(x'ff00d8' AS \
                   TEXT), 9e999), (9223372036854775807, 'it''s ä文'||char(10), x'', 0.1+0.2), (1000, '', 1e-300, \
                   -1.5e308), (1001, NULL, 5e-324, 3)";
        kept.commit(odd);
        let before = kept.content();
        let wrong = kept.commit("DELETE FROM t WHERE id%3<>0; DELETE FROM p WHERE rowid>30; DELETE FROM k WHERE n>2");
        let emptied = kept.content();
        kept.commit("UPDATE t SET b='kept' WHERE id=3; INSERT INTO p(rowid, x) VALUES(5000, 'new')");
        let after_all = kept.content();

        let wrong = wrong.to_string();
        let said = kept.done(&["--commit", &wrong]);
        assert!(said.contains("t: ") && said.contains("brought back"), "{said}");
        let mut expected = before.clone();
        expected.extend(after_all.iter().filter(|line| !emptied.contains(line)).cloned());
        expected.retain(|line| !emptied.contains(line) || after_all.contains(line));
        expected.sort();
        assert_eq!(kept.content(), expected, "{pragmas}");
        assert_eq!(kept.value("PRAGMA integrity_check"), "ok");

        // It is a commit like any other.
        let mark = kept.commit("SELECT 1");
        let range = format!("{}..{}", mark - 1, mark - 1);
        kept.done(&["--commit", &range]);
        assert_eq!(kept.content(), after_all, "{pragmas}: the records are again what they were");
    }
}

/// A statement that changes some records.
fn statement(dice: &mut Dice) -> String {
    let (n, m) = (dice.below(80), dice.below(80));
    match dice.below(11) {
        0 => format!("INSERT OR REPLACE INTO t(id, a, b, c) VALUES({n}, 'a{m}', randomblob({m}*20), {n}/3.0)"),
        1 => format!("INSERT INTO k VALUES('K{n}', {m}%5, {n}) ON CONFLICT(n, k) DO UPDATE SET v=excluded.v||'+'"),
        2 => format!("UPDATE OR REPLACE t SET id=id+7 WHERE id BETWEEN {n} AND {n}+3"),
        3 => format!("DELETE FROM t WHERE id BETWEEN {n} AND {n}+5"),
        4 => format!("UPDATE OR REPLACE t SET a='x'||a WHERE id%9={n}%9"),
        // Two that change places.
        5 => format!(
            "UPDATE t SET a='swap' WHERE id={n}; UPDATE OR REPLACE t SET a='first {n}' WHERE id={m}; UPDATE OR \
             REPLACE t SET a='first {m}' WHERE id={n}"
        ),
        6 => format!("INSERT INTO p SELECT a, b FROM t WHERE id BETWEEN {n} AND {n}+9"),
        7 => format!("DELETE FROM p WHERE rowid%7={m}%7"),
        8 => format!("UPDATE k SET k=upper(k) WHERE n={m}%5"),
        9 => format!("INSERT INTO numbered(x) VALUES({n}); DELETE FROM numbered WHERE id%13={m}%13"),
        _ => format!("DELETE FROM k WHERE v={n}; UPDATE p SET y={m}, x=NULL WHERE rowid={n}"),
    }
}

#[test]
fn random_sets_are_taken_back_to_the_copies_that_were_kept() {
    for (seed, pragmas) in FORMS.iter().enumerate() {
        let Some(mut kept) = Kept::new(pragmas, SCHEMA) else { return };
        let mut dice = Dice(seed as u64 + 7);
        let mut states = vec![(kept.commit("SELECT 1"), kept.content())];
        for _ in 0..14 {
            let sql: Vec<String> = (0..1 + dice.below(4)).map(|_| statement(&mut dice)).collect();
            let number = kept.commit(&sql.join("; "));
            states.push((number, kept.content()));
        }
        // All of some tables since a commit: these become what they were, and no other record is touched.
        for tables in [&["t"][..], &["k", "p"], &["t", "k", "p", "numbered"]] {
            let at = dice.below(states.len() as u64 - 1) as usize;
            let (from, before) = (states[at].0 + 1, &states[at].1);
            let is_of = |line: &&String| tables.iter().any(|table| line.starts_with(&format!("{table} ")));
            let now = kept.content();
            let mut expected: Vec<String> =
                before.iter().filter(is_of).chain(now.iter().filter(|line| !is_of(line))).cloned().collect();
            expected.sort();
            let range = format!("{from}..");
            let mut arguments = vec!["--commit", &range];
            tables.iter().for_each(|table| arguments.extend(["--table", table]));
            if expected == now {
                continue;
            }
            kept.done(&arguments);
            assert_eq!(kept.content(), expected, "{pragmas}: {tables:?} since {from}");
            assert_eq!(kept.value("PRAGMA integrity_check"), "ok");
            // And forth again, by taking that back.
            let last = kept.commit("SELECT 1") - 1;
            kept.done(&["--commit", &last.to_string()]);
            assert_eq!(kept.content(), now, "{pragmas}: {tables:?} since {from}, taken back");
        }
    }
}

#[test]
fn only_what_is_chosen_by_number_key_and_action_is_taken_back() {
    let Some(mut kept) = Kept::new("", SCHEMA) else { return };
    let commit =
        kept.commit("DELETE FROM t WHERE id IN(5, 6, 7); UPDATE t SET b='other' WHERE id IN(8, 9)").to_string();
    let plan = kept.plan(&["--commit", &commit, "--operations", "2..3"]);
    let keys: Vec<&str> =
        plan["records"].as_array().unwrap().iter().map(|step| step["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["6", "7"], "{plan}");
    assert!(plan["records"][0]["statements"][0].as_str().unwrap().starts_with("INSERT OR ABORT INTO \"t\"("), "{plan}");
    kept.done(&["--operations", &format!("{commit}:1")]);
    kept.done(&["--commit", &commit, "--action", "modify", "--key", "9"]);
    let there = "SELECT group_concat(id||typeof(b), ' ') FROM (SELECT * FROM t WHERE id BETWEEN 5 AND 9 ORDER BY id)";
    assert_eq!(kept.value(there), "5blob 8text 9blob");

    // What is taken back already is no conflict, and nothing is written.
    let said = kept.done(&["--operations", &format!("{commit}:1")]);
    assert!(said.contains("1 already as they had been"), "{said}");
    // Several operations on one record since a moment are one step.
    let first = kept.commit("UPDATE t SET c=1 WHERE id=20");
    kept.commit("UPDATE t SET c=2, a='new' WHERE id=20");
    kept.commit("DELETE FROM t WHERE id=20");
    let plan = kept.plan(&["--table", "T", "--key", "20", "--commit", &format!("{first}..")]);
    assert_eq!(plan["records"].as_array().unwrap().len(), 1, "{plan}");
    kept.done(&["--table", "T", "--key", "20", "--commit", &format!("{first}..")]);
    assert_eq!(kept.value("SELECT a, c FROM t WHERE id=20"), "first 20|2.0");
    // Added and deleted again is nothing at all.
    let from = kept.commit("INSERT INTO t(id) VALUES(500)");
    kept.commit("DELETE FROM t WHERE id=500");
    let said = kept.done(&["--table", "t", "--commit", &format!("{from}..")]);
    assert!(said.contains("0 records"), "{said}");
}

#[test]
fn a_selection_that_is_nothing_or_everything_and_one_that_nobody_confirms_are_refused() {
    let Some(mut kept) = Kept::new("", SCHEMA) else { return };
    let commit = kept.commit("DELETE FROM t WHERE id<9").to_string();
    let before = kept.content();
    for (arguments, message) in [
        (&["take-back", "--yes"][..], "everything"),
        (&["take-back", "--yes", "--operations", "3"], "no commit is named"),
        (&["take-back", "--yes", "--operations", "x"], "names no operations"),
        (&["take-back", "--yes", "--table", "nothing"], "holds no operation like these"),
        (&["take-back", "--yes", "--commit", &commit, "--table", "k"], "holds no operation like these"),
        (&["take-back", "--commit", &commit], "must be confirmed"),
    ] {
        let output = kept.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains(message), "{arguments:?}: {}", text(&output.stderr));
    }
    assert_eq!(kept.run(&["take-back", "--yes", "--dry-run", "--commit", &commit]).status.code(), Some(2));
    // A log that is of another data file.
    let other = Kept::new("", SCHEMA).unwrap();
    let archive = other.place.at("Backups/a[0001].4BK");
    let output = kept.take_back(&["--commit", &commit, "--archive", archive.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("another data file") || text(&output.stderr).contains("no log"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(kept.content(), before);
}

#[test]
fn the_saved_script_does_the_same_in_the_foreign_shell_and_nothing_where_a_record_is_another_one() {
    for pragmas in FORMS {
        let Some(mut kept) = Kept::new(pragmas, SCHEMA) else { return };
        kept.commit(
            "INSERT INTO t(id, a, b, c) VALUES(900, 'it''s'||char(13)||char(10)||'.quit', CAST(x'ff00d8' AS \
                     TEXT), 0.1+0.2), (901, 'b', 5e-324, 1e300)",
        );
        let before = kept.content();
        let commit = kept
            .commit("DELETE FROM t WHERE id>40; UPDATE k SET v=x'00' WHERE n=3; INSERT INTO p VALUES(1, 2)")
            .to_string();
        let script = kept.place.at("back.sql");
        let output = kept.run(&[
            "take-back",
            "--commit",
            &commit,
            "--table",
            "t",
            "--table",
            "k",
            "--table",
            "p",
            "--save",
            script.to_str().unwrap(),
        ]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let run = || {
            let file = std::fs::File::open(&script).unwrap();
            Process::new("sqlite3")
                .arg(&kept.data)
                .stdin(file)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .output()
                .unwrap()
        };
        // One record is another one for a while.
        foreign_commits(&kept.data, "INSERT INTO t(id, b) VALUES(50, 'in the way')");
        let between = kept.content();
        let output = run();
        assert!(!output.status.success() && text(&output.stderr).contains("CHECK"), "{}", text(&output.stderr));
        assert_eq!(kept.content(), between);
        foreign_commits(&kept.data, "DELETE FROM t WHERE id=50");
        let output = run();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(kept.content(), before, "{pragmas}");
        let again = kept.run(&["take-back", "--commit", &commit, "--save", script.to_str().unwrap()]);
        assert!(text(&again.stderr).contains("exists already"), "{}", text(&again.stderr));
    }
}

#[test]
fn the_commit_of_an_operation_leads_back_to_just_before_it_and_that_can_be_undone() {
    let Some(mut kept) = Kept::new("", SCHEMA) else { return };
    kept.commit("UPDATE t SET c=7 WHERE id=1");
    let before = kept.content();
    let commit = kept.commit("DELETE FROM t WHERE id<30");
    kept.commit("UPDATE p SET y='later'");
    let later = kept.content();
    // Listing it says how.
    let output = kept.run(&["log", "--table", "t", "--action", "delete"]);
    let way = format!("strongroom restore '{}' --in-place --commit {}", kept.data.display(), commit - 1);
    assert!(text(&output.stderr).contains(&way), "{}", text(&output.stderr));
    let back = (commit - 1).to_string();
    let output = kept.run(&["restore", "--in-place", "--commit", &back]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(kept.content(), before);
    let output = kept.run(&["undo", "--yes"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(kept.content(), later);
    // Everything up to it, and nothing after.
    let output = kept.run(&["restore", "--in-place", "--commit", &commit.to_string()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(kept.value("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM p WHERE y='later')"), "31|0");
}
