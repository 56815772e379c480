//! What stands in the way of `strongroom take-back`: every kind of it, made by foreign programs; triggers and cascades;
//! programs that write meanwhile; the end of the process in the middle.

use std::{
    process::{Command as Process, Stdio},
    time::{Duration, Instant},
};

use crate::support::{
    Running,
    engine::foreign_commits,
    has,
    kept::{Kept, content},
    text,
};

const SCHEMA: &str = "CREATE TABLE clients(id INTEGER PRIMARY KEY, name TEXT UNIQUE, city); \
     CREATE TABLE invoices(id INTEGER PRIMARY KEY, client INTEGER REFERENCES clients(id) ON DELETE CASCADE, total \
     REAL); CREATE TABLE keyed(k TEXT PRIMARY KEY, v) WITHOUT ROWID; CREATE TABLE dropped(x); INSERT INTO dropped \
     VALUES(1); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<50) INSERT INTO clients SELECT \
     i, 'client '||i, 'city' FROM n; INSERT INTO invoices SELECT id, id, id*1.5 FROM clients; INSERT INTO keyed \
     SELECT name, id FROM clients";

#[test]
fn every_conflict_is_found_named_and_decided() {
    let Some(mut kept) = Kept::new("", SCHEMA) else { return };
    // Changed again since: another column as well.
    let commit = kept.commit("UPDATE clients SET city='wrong' WHERE id IN(1, 2)").to_string();
    kept.commit("UPDATE clients SET name='renamed' WHERE id=1");
    let chosen = ["--commit", &commit];
    assert_eq!(kept.conflicts(&chosen), ["changed"]);
    kept.done(&["--commit", &commit, "--on-conflict", "skip"]);
    assert_eq!(kept.value("SELECT name||city FROM clients WHERE id<3"), "renamedwrong\nclient 2city");
    kept.done(&["--commit", &commit, "--on-conflict", "overwrite"]);
    assert_eq!(kept.value("SELECT name||city FROM clients WHERE id=1"), "renamedcity", "what came later stays");

    // Gone.
    let commit = kept.commit("UPDATE keyed SET v='wrong' WHERE k='client 4'").to_string();
    kept.commit("DELETE FROM keyed WHERE k='client 4'");
    assert_eq!(kept.conflicts(&["--commit", &commit]), ["gone"]);
    kept.done(&["--commit", &commit, "--on-conflict", "overwrite"]);
    assert_eq!(kept.value("SELECT v FROM keyed WHERE k='client 4'"), "4");

    // The key is taken again.
    let commit = kept.commit("DELETE FROM keyed WHERE k='client 5'").to_string();
    kept.commit("INSERT INTO keyed VALUES('client 5', 'another')");
    assert_eq!(kept.conflicts(&["--commit", &commit]), ["taken"]);
    kept.done(&["--commit", &commit, "--on-conflict", "overwrite"]);
    assert_eq!(kept.value("SELECT v FROM keyed WHERE k='client 5'"), "5");

    // Two must not have the same name.
    let commit = kept.commit("DELETE FROM clients WHERE id=10").to_string();
    kept.commit("INSERT INTO clients VALUES(700, 'client 10', 'elsewhere')");
    let chosen = ["--commit", &commit, "--table", "clients"];
    assert_eq!(kept.conflicts(&chosen), ["unique"]);
    let skipped = kept.done(&[&chosen[..], &["--on-conflict", "skip"]].concat());
    assert!(skipped.contains("NOT TAKEN BACK: clients 10: UNIQUE"), "{skipped}");
    kept.done(&[&chosen[..], &["--on-conflict", "overwrite"]].concat());
    assert_eq!(kept.value("SELECT group_concat(id) FROM clients WHERE name='client 10'"), "10");

    // The record that it refers to is gone, and stays so.
    let commit = kept.commit("DELETE FROM invoices WHERE id=20").to_string();
    kept.commit("PRAGMA foreign_keys=OFF; DELETE FROM clients WHERE id=20");
    let chosen = ["--commit", &commit];
    assert_eq!(kept.conflicts(&chosen), ["no-parent"]);
    kept.done(&["--commit", &commit, "--on-conflict", "overwrite"]);
    assert_eq!(kept.value("SELECT client FROM invoices WHERE id=20"), "20");

    // Records refer to what is to go.
    let commit = kept.commit("INSERT INTO clients VALUES(800, 'new one', 'x')").to_string();
    kept.commit("INSERT INTO invoices VALUES(900, 800, 1)");
    assert_eq!(kept.conflicts(&["--commit", &commit, "--table", "clients"]), ["children"]);
    kept.done(&["--commit", &commit, "--table", "clients", "--on-conflict", "skip"]);
    assert_eq!(kept.value("SELECT count(*) FROM clients WHERE id=800"), "1");

    // Others changed it between those that are chosen.
    let first = kept.commit("UPDATE clients SET city='one' WHERE id=30").to_string();
    kept.commit("UPDATE clients SET name='by another' WHERE id=30");
    let last = kept.commit("UPDATE clients SET city='two' WHERE id=30").to_string();
    let numbers = format!("{first}:1,{last}:1");
    assert_eq!(kept.conflicts(&["--operations", &numbers]), ["changed-between"]);
    kept.done(&["--operations", &numbers, "--on-conflict", "overwrite"]);
    assert_eq!(kept.value("SELECT name||' '||city FROM clients WHERE id=30"), "by another city");
}

#[test]
fn a_schema_that_is_another_one_is_said_and_what_can_be_done_is_done() {
    let Some(mut kept) = Kept::new("", SCHEMA) else { return };
    let changed = kept.commit("UPDATE clients SET city='wrong' WHERE id=1; DELETE FROM clients WHERE id=2").to_string();
    let dropped = kept.commit("DELETE FROM dropped").to_string();
    let created = kept.commit("CREATE TABLE later(x); INSERT INTO later VALUES(1)").to_string();
    // A column that came later is no conflict: it has what it has by itself.
    foreign_commits(&kept.data, "ALTER TABLE clients ADD COLUMN added DEFAULT 'itself'; DROP TABLE dropped");
    kept.commit("SELECT 1");
    let first = ["--commit", &changed, "--operations", "1", "--table", "clients"];
    kept.done(&first);
    assert_eq!(kept.value("SELECT city||added FROM clients WHERE id=1"), "cityitself");
    kept.done(&["--commit", &changed, "--operations", "2", "--table", "clients"]);
    assert_eq!(kept.value("SELECT name||added FROM clients WHERE id=2"), "client 2itself");

    assert_eq!(kept.conflicts(&["--commit", &dropped, "--table", "dropped"]), ["table"]);
    let output = kept.take_back(&["--commit", &dropped, "--table", "dropped", "--on-conflict", "overwrite"]);
    assert!(text(&output.stderr).contains("cannot be overwritten"), "{}", text(&output.stderr));
    // A change of the schema is not taken back singly.
    let output = kept.take_back(&["--commit", &created, "--action", "create"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("CANNOT BE TAKEN BACK: to create table"), "{}", text(&output.stderr));

    // A column that is gone.
    let commit = kept.commit("UPDATE clients SET city='wrong', name='kept' WHERE id=3").to_string();
    foreign_commits(&kept.data, "ALTER TABLE clients RENAME COLUMN city TO town");
    kept.commit("SELECT 1");
    assert_eq!(kept.conflicts(&["--commit", &commit, "--table", "clients"]), ["columns"]);
    kept.done(&["--commit", &commit, "--table", "clients", "--on-conflict", "overwrite"]);
    assert_eq!(kept.value("SELECT name||' '||town FROM clients WHERE id=3"), "client 3 wrong");

    // What SQLite does not take.
    let commit = kept.commit("UPDATE keyed SET v=1 WHERE k='client 7'").to_string();
    foreign_commits(
        &kept.data,
        "CREATE TABLE other(k TEXT PRIMARY KEY, v CHECK(v<>7)) WITHOUT ROWID; INSERT INTO other SELECT k, nullif(v, \
         7) FROM keyed; DROP TABLE keyed; ALTER TABLE other RENAME TO keyed",
    );
    kept.commit("SELECT 1");
    assert_eq!(kept.conflicts(&["--commit", &commit, "--table", "keyed"]), ["refused"]);
}

#[test]
fn cascades_are_named_and_come_back_with_what_they_were_made_by() {
    let Some(mut kept) = Kept::new("", SCHEMA) else { return };
    let before = kept.content();
    foreign_commits(&kept.data, "PRAGMA foreign_keys=ON; DELETE FROM clients WHERE id BETWEEN 10 AND 19");
    let commit = (kept.commit("SELECT 1") - 1).to_string();
    assert_eq!(kept.value("SELECT count(*) FROM invoices"), "40");
    let plan = kept.plan(&["--commit", &commit, "--table", "clients"]);
    assert!(plan["notes"].to_string().contains("10 operations on invoices"), "{plan}");
    assert_eq!(plan["beside"][0]["is_cascade"], true);
    // The invoices alone would refer to nobody.
    assert_eq!(kept.conflicts(&["--commit", &commit, "--table", "invoices"]), ["no-parent"]);
    kept.done(&["--commit", &commit, "--table", "clients", "--with-cascades"]);
    assert_eq!(kept.content(), before);
}

#[test]
fn triggers_neither_fire_twice_nor_leave_a_full_text_index_behind() {
    let schema = "CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT); CREATE TABLE audit(id INTEGER PRIMARY KEY, \
                  what); CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT); CREATE VIRTUAL TABLE found USING \
         fts5(body, content='docs', content_rowid='id'); \
         CREATE TRIGGER noted AFTER UPDATE ON notes BEGIN INSERT INTO audit(what) VALUES(old.body||'->'||new.body); \
         END; CREATE TRIGGER docs_added AFTER INSERT ON docs BEGIN INSERT INTO found(rowid, body) VALUES(new.id, \
         new.body); END; CREATE TRIGGER docs_gone AFTER DELETE ON docs BEGIN INSERT INTO found(found, rowid, body) \
         VALUES('delete', old.id, old.body); END; \
         CREATE TRIGGER docs_other AFTER UPDATE ON docs BEGIN INSERT INTO found(found, rowid, body) \
         VALUES('delete', old.id, old.body); INSERT INTO found(rowid, body) VALUES(new.id, new.body); END; \
         INSERT INTO notes VALUES(1, 'first'); INSERT INTO docs VALUES(1, 'sea'), (2, 'land'), (3, 'sky')";
    let Some(mut kept) = Kept::new("", schema) else { return };
    // What a trigger wrote is an operation of the same commit, and goes with it.
    let commit = kept.commit("UPDATE notes SET body='wrong' WHERE id=1").to_string();
    assert_eq!(kept.value("SELECT count(*) FROM audit"), "1");
    let plan = kept.plan(&["--commit", &commit, "--table", "notes", "--table", "audit"]);
    assert!(plan["notes"].to_string().contains("Triggers of notes stay off (noted)"), "{plan}");
    kept.done(&["--commit", &commit, "--table", "notes", "--table", "audit"]);
    assert_eq!(kept.value("SELECT body, (SELECT count(*) FROM audit) FROM notes"), "first|0");

    let commit = kept
        .commit(
            "DELETE FROM docs WHERE id=1; UPDATE docs SET body='fire' WHERE id=2; INSERT INTO docs VALUES(4, 'ice')",
        )
        .to_string();
    let said = kept.done(&["--commit", &commit, "--table", "docs"]);
    assert!(said.contains("docs: 1 brought back, 1 changed back, 1 removed"), "{said}");
    let hits = |word: &str| format!("SELECT group_concat(rowid) FROM found WHERE found MATCH '{word}'");
    assert_eq!(["sea", "land", "fire", "ice", "sky"].map(|word| kept.value(&hits(word))), ["1", "2", "", "", "3"]);
    assert_eq!(kept.value("INSERT INTO found(found, rank) VALUES('integrity-check', 1)"), "");
    // Of the virtual table itself nothing is taken back singly.
    let output = kept.take_back(&["--table", "found"]);
    assert!(text(&output.stderr).contains("found is a virtual table"), "{}", text(&output.stderr));

    // Triggers that do both leave the choice.
    foreign_commits(
        &kept.data,
        "CREATE TRIGGER docs_noted AFTER DELETE ON docs BEGIN INSERT INTO audit(what) VALUES(old.body); END",
    );
    let commit = kept.commit("UPDATE docs SET body='x' WHERE id=3").to_string();
    assert_eq!(kept.conflicts(&["--commit", &commit, "--table", "docs"]), ["triggers"]);
}

#[test]
fn a_rule_of_the_table_decides_nothing_in_silence() {
    let schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE ON CONFLICT REPLACE); INSERT INTO t \
                  VALUES(1, 'a'), (2, 'b')";
    let Some(mut kept) = Kept::new("", schema) else { return };
    let commit = kept.commit("DELETE FROM t WHERE id=1").to_string();
    kept.commit("INSERT INTO t VALUES(3, 'a')");
    assert_eq!(kept.conflicts(&["--commit", &commit, "--table", "t"]), ["unique"]);
}

/// Adds to a counter of every record, one transaction after the other, and says how long the longest took.
const WRITER: &str = r#"
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
print("ready", flush=True)
end, n, longest = time.time() + float(sys.argv[2]), 0, 0
while time.time() < end:
    n += 1
    begun = time.time()
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE counters SET n=n+1 WHERE id=?", (n % 50 + 1,))
    db.execute("INSERT INTO added VALUES(?)", (n,))
    db.execute("COMMIT")
    longest = max(longest, time.time() - begun)
    time.sleep(0.002)
print(n, longest)
"#;

#[test]
fn nothing_of_a_program_that_writes_meanwhile_is_lost_or_mixed() {
    if !has("python3") {
        return;
    }
    let schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b); CREATE TABLE counters(id INTEGER PRIMARY KEY, \
                  n); CREATE TABLE added(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE \
         i<1000) INSERT INTO t SELECT i, 'text '||i, randomblob(100) FROM n; \
         INSERT INTO counters SELECT id, 0 FROM t WHERE id<=50";
    let Some(mut kept) = Kept::new("", schema) else { return };
    let before: Vec<String> = kept.content().into_iter().filter(|line| line.starts_with("t ")).collect();
    let commit = kept.commit("DELETE FROM t").to_string();
    let mut writer = Process::new("python3")
        .args(["-c", WRITER, kept.data.to_str().unwrap(), "12"])
        .stdout(Stdio::piped())
        .spawn()
        .map(Running)
        .unwrap();
    let mut out = std::io::BufReader::new(writer.0.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let said = kept.done(&["--commit", &commit, "--table", "t"]);
    assert!(said.contains("t: 1000 brought back"), "{said}");
    line.clear();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let (written, longest) = line.trim().split_once(' ').unwrap();
    eprintln!("{}; the program that wrote meanwhile waited for {longest} s at most", said.lines().next().unwrap());
    assert_eq!(kept.value("SELECT sum(n), (SELECT count(*) FROM added) FROM counters"), format!("{written}|{written}"));
    let after: Vec<String> = kept.content().into_iter().filter(|line| line.starts_with("t ")).collect();
    assert_eq!(after, before);
    assert_eq!(kept.value("PRAGMA integrity_check"), "ok");
}

#[test]
fn a_record_that_is_changed_between_plan_and_run_stops_everything() {
    use strongroom::{
        control::Control,
        error::ErrorKind,
        records::history::Wanted,
        restore::trail::trail_of_log,
        take_back::{self, Decisions, Plan, Selection},
    };
    let Some(mut kept) = Kept::new("", SCHEMA) else { return };
    let commit = kept.commit("UPDATE clients SET city='wrong' WHERE id<10");
    let control = Control::default();
    let wanted =
        Wanted { first: Some(commit), last: Some(commit), tables: vec!["clients".to_owned()], ..Wanted::default() };
    let selection = Selection { wanted, ..Selection::default() }.settled().unwrap();
    let log = kept.place.at("Backups/a.journal");
    let trail = trail_of_log(&log, None, &[], &control).unwrap();
    let chosen = take_back::choose(&kept.data, None, trail, &selection, &control).unwrap();
    let plan = Plan::make(&kept.data, &chosen, &Decisions::default(), &control).unwrap();
    assert!(plan.is_settled() && plan.statement_count() == 9);
    // The same value for whoever gets it through a socket.
    let sent: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(sent, plan);
    kept.commit("UPDATE clients SET name='meanwhile' WHERE id=9");
    let before = kept.content();
    let error = take_back::run(&plan, &control).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
    assert!(error.message().contains("clients 9 was changed meanwhile"), "{error}");
    assert_eq!(kept.content(), before);
    // Also where only the schema is another one.
    kept.commit("UPDATE clients SET name='client 9' WHERE id=9");
    foreign_commits(&kept.data, "CREATE TABLE meanwhile(x)");
    assert_eq!(take_back::run(&plan, &control).unwrap_err().kind(), ErrorKind::Changed);
    // What nothing was decided about is not run at all.
    kept.commit("UPDATE clients SET name='other' WHERE id=8");
    let plan = Plan::make(&kept.data, &chosen, &Decisions::default(), &control).unwrap();
    assert_eq!(take_back::run(&plan, &control).unwrap_err().kind(), ErrorKind::Refused);
    // One is skipped, the others are done.
    let each = plan.open().map(|(number, _)| (number, take_back::Decision::Skip)).collect();
    let plan = Plan::make(&kept.data, &chosen, &Decisions { each, ..Decisions::default() }, &control).unwrap();
    let report = take_back::run(&plan, &control).unwrap();
    assert_eq!((report.records(), report.skipped.len()), (8, 1));
    assert_eq!(kept.value("SELECT count(*) FROM clients WHERE city='wrong'"), "1");
}

#[test]
fn the_end_of_the_process_in_the_middle_leaves_all_or_nothing() {
    let schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL \
                  SELECT i+1 FROM n WHERE i<4000) INSERT INTO t SELECT i, 'text '||i, randomblob(200) FROM n";
    let Some(mut kept) = Kept::new("", schema) else { return };
    let whole = kept.content();
    let commit = kept.commit("DELETE FROM t WHERE id%2=0").to_string();
    let half = kept.content();
    // The service would do the job: without it, the command does it itself.
    let _ = kept.service.0.kill();
    let _ = kept.service.0.wait();
    let data = kept.data.to_str().unwrap().to_owned();
    let (mut was_undone, mut was_done) = (0, 0);
    let begun = Instant::now();
    for round in 0..40u64 {
        let mut child = kept.place.program();
        child
            .args(["take-back", &data, "--commit", &commit, "--table", "t", "--yes"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = Running(child.spawn().unwrap());
        std::thread::sleep(Duration::from_millis(40 * round));
        let _ = child.0.kill();
        let _ = child.0.wait();
        let now = content(&kept.data);
        assert!(now == whole || now == half, "neither all nor nothing, after {} ms", 40 * round);
        if now == half {
            was_undone += 1;
        } else {
            was_done += 1;
            foreign_commits(&kept.data, "DELETE FROM t WHERE id%2=0");
            if was_done > 3 || begun.elapsed() > Duration::from_secs(90) {
                break;
            }
        }
    }
    eprintln!("ended {was_undone} times before and {was_done} times after");
    assert!(was_undone > 0, "it was never ended before");
    assert_eq!(kept.value("PRAGMA integrity_check"), "ok");
}

/// SQLite compares by the collation and the affinity of the column that is referred to.
#[test]
fn children_that_refer_in_another_form_are_seen() {
    let schema = "CREATE TABLE p(k TEXT COLLATE NOCASE PRIMARY KEY); CREATE TABLE c(id INTEGER PRIMARY KEY, k \
                  REFERENCES p); CREATE TABLE p2(k INTEGER PRIMARY KEY); CREATE TABLE c2(id INTEGER PRIMARY KEY, k \
         BLOB REFERENCES p2)";
    let Some(mut kept) = Kept::new("", schema) else { return };
    let commit = kept.commit("INSERT INTO p VALUES('abc'); INSERT INTO p2 VALUES(5)").to_string();
    kept.commit("INSERT INTO c VALUES(1, 'ABC'); INSERT INTO c2 VALUES(1, '5')");
    assert_eq!(kept.conflicts(&["--commit", &commit]), ["children"]);
    kept.done(&["--commit", &commit, "--on-conflict", "skip"]);
    assert_eq!(kept.value("SELECT (SELECT count(*) FROM p)||(SELECT count(*) FROM p2)"), "11");
    assert_eq!(kept.value("PRAGMA foreign_key_check"), "");
}

/// A name as a default means its own text.
#[test]
fn what_a_column_held_that_was_added_with_a_name_as_its_default_comes_back() {
    let schema = "CREATE TABLE a(id INTEGER PRIMARY KEY, x); INSERT INTO a VALUES(1, 1), (2, 2); \
         ALTER TABLE a ADD s TEXT DEFAULT \"dq\"; ALTER TABLE a ADD r DEFAULT bare; ALTER TABLE a ADD q DEFAULT [br]";
    let Some(mut kept) = Kept::new("", schema) else { return };
    let all = "SELECT group_concat(id||x||s||r||q) FROM a";
    let before = kept.value(all);
    let first = kept.commit("UPDATE a SET x=22 WHERE id=2").to_string();
    let last = kept.commit("DELETE FROM a WHERE id=1").to_string();
    kept.done(&["--commit", &format!("{first}..{last}")]);
    assert_eq!(kept.value(all), before);
}

/// After VACUUM another record may have the rowid.
#[test]
fn a_record_that_only_has_the_rowid_and_the_look_of_a_deleted_one_is_not_taken_for_it() {
    let Some(mut kept) = Kept::new("", "CREATE TABLE a(x); INSERT INTO a VALUES('a'), ('a'), ('a'), ('a'), ('a')")
    else {
        return;
    };
    let commit = kept.commit("DELETE FROM a WHERE rowid=3").to_string();
    foreign_commits(&kept.data, "VACUUM");
    assert_eq!(kept.conflicts(&["--commit", &commit]), ["table"]);
}

/// A trigger of an update that keeps a full-text index sees an update, whichever columns change.
#[test]
fn a_full_text_index_stays_right_where_a_unique_column_is_taken_back() {
    let schema = "CREATE TABLE a(id INTEGER PRIMARY KEY, k TEXT UNIQUE, x); \
         CREATE VIRTUAL TABLE f USING fts5(x, content=a, content_rowid=id); \
         CREATE TRIGGER a1 AFTER INSERT ON a BEGIN INSERT INTO f(rowid, x) VALUES(new.id, new.x); END; \
         CREATE TRIGGER a3 AFTER UPDATE ON a BEGIN INSERT INTO f(f, rowid, x) VALUES('delete', old.id, old.x); \
         INSERT INTO f(rowid, x) VALUES(new.id, new.x); END; INSERT INTO a VALUES(1, 'k1', 'hello world')";
    let Some(mut kept) = Kept::new("", schema) else { return };
    let commit = kept.commit("UPDATE a SET k='n', x='zzz' WHERE id=1").to_string();
    kept.done(&["--commit", &commit, "--table", "a"]);
    assert_eq!(kept.value("SELECT k||x FROM a"), "k1hello world");
    assert_eq!(kept.value("SELECT group_concat(rowid) FROM f WHERE f MATCH 'hello'"), "1");
    // As a writer from the beginning: one that reads first is told at once that another has the lock, as the service
    // may.
    foreign_commits(&kept.data, "BEGIN IMMEDIATE; INSERT INTO f(f, rank) VALUES('integrity-check', 1); COMMIT");
}
