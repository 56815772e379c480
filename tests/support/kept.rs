//! A data file with a log that a service keeps, foreign programs that write to it, and `strongroom take-back`.

use std::{
    path::{Path, PathBuf},
    process::{Command as Process, Output},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    Place, Running,
    engine::{backup, engine, foreign_commits, open_with_log, serve},
    has, text,
};

pub struct Kept {
    pub place: Place,
    pub data: PathBuf,
    marks: u32,
    pub service: Running,
}

impl Kept {
    /// `None` on a machine without the foreign program.
    pub fn new(pragmas: &str, schema: &str) -> Option<Self> {
        if !has("sqlite3") {
            return None;
        }
        let place = Place::new();
        let data = place.at("a.sqlite");
        let mark = "CREATE TABLE mark(id INTEGER PRIMARY KEY)";
        foreign_commits(&data, &format!("{pragmas}; PRAGMA journal_mode=WAL; {schema}; {mark}"));
        let engine = engine(&place);
        open_with_log(&engine.handle(), &data, &place.at("Backups/a.journal"));
        backup(&engine.handle(), &data);
        drop(engine);
        let service = Running(serve(&place, &data));
        Some(Self { place, data, marks: 0, service })
    }

    /// A commit of a foreign program; returns its number once it is in the log.
    pub fn commit(&mut self, sql: &str) -> u64 {
        self.marks += 1;
        let n = self.marks;
        foreign_commits(&self.data, &format!("BEGIN; {sql}; INSERT INTO mark VALUES({n}); COMMIT"));
        self.number_of(n)
    }

    pub fn number_of(&self, mark: u32) -> u64 {
        let begun = Instant::now();
        loop {
            let of = |line: &str| serde_json::from_str::<Value>(line).ok();
            let output = self.run(&["log", "--json", "--table", "mark"]);
            let found =
                text(&output.stdout).lines().filter_map(of).find(|line| line["action"] == "add" && line["key"] == mark);
            if let Some(found) = found {
                return found["commit"].as_u64().unwrap();
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "commit {mark} is not in the log");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The program with this command for the data file.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let (command, rest) = arguments.split_first().unwrap();
        self.place.run(&[&[command, self.data.to_str().unwrap()], rest].concat())
    }

    pub fn take_back(&self, arguments: &[&str]) -> Output {
        self.run(&[&["take-back", "--yes"], arguments].concat())
    }

    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.take_back(arguments);
        assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    pub fn plan(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["take-back", "--dry-run", "--json"], arguments].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
    }

    /// The kinds of conflicts that are in the way.
    pub fn conflicts(&self, arguments: &[&str]) -> Vec<String> {
        let before = self.content();
        let output = self.take_back(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
        assert!(text(&output.stderr).contains("CONFLICT: "), "{}", text(&output.stderr));
        assert_eq!(self.content(), before, "something was changed");
        let plan = self.plan(arguments);
        assert_eq!(plan["is_settled"], false);
        let of = |step: &Value| step["conflicts"].as_array().unwrap().clone();
        let mut kinds: Vec<String> = plan["records"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(of)
            .map(|conflict| conflict["conflict"].as_str().unwrap().to_owned())
            .collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }

    pub fn content(&self) -> Vec<String> {
        content(&self.data)
    }

    pub fn value(&self, sql: &str) -> String {
        let output =
            Process::new("sqlite3").args(["-cmd", ".timeout 60000"]).arg(&self.data).arg(sql).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }
}

/// Every record of every table with its rowid or key, to the last bit; without the mark.
pub fn content(data: &Path) -> Vec<String> {
    let conn = rusqlite::Connection::open(data).unwrap();
    conn.busy_timeout(Duration::from_secs(60)).unwrap();
    let tables = "SELECT name, wr FROM pragma_table_list JOIN sqlite_schema USING(name) WHERE schema='main' AND \
                  rootpage>0 AND name NOT LIKE 'sqlite_%' AND name<>'mark' ORDER BY name";
    let mut asked = conn.prepare(tables).unwrap();
    let tables: Vec<(String, bool)> =
        asked.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    let mut lines = Vec::new();
    for (table, is_by_key) in tables {
        let columns = conn.prepare("SELECT name FROM pragma_table_xinfo(?1)").unwrap();
        let columns = { columns }
            .query_map([&table], |row| row.get::<_, String>(0))
            .unwrap()
            .map(Result::unwrap)
            .collect::<Vec<_>>();
        let one = |name: &String| format!("typeof(\"{name}\")||hex(\"{name}\")||quote(\"{name}\")");
        let row = columns.iter().map(one).collect::<Vec<_>>().join("||'|'||");
        let key = if is_by_key { "'key'" } else { "_rowid_" };
        let mut asked = conn.prepare(&format!("SELECT '{table} '||{key}||' '||{row} FROM \"{table}\"")).unwrap();
        let all = asked.query_map([], |row| row.get_ref(0).map(|line| text(line.as_bytes().unwrap()))).unwrap();
        lines.extend(all.map(Result::unwrap));
    }
    lines.sort();
    lines
}
