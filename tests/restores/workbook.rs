//! Records and operations in workbooks for spreadsheet programs, read back by a foreign program.

use crate::{scene::Scene, support};

use std::{fs, path::Path, process::Output};

use rusqlite::Connection;
use serde_json::{Value, json};
use support::{Place, engine::foreign_commits, names_in, text, xlsx};

fn query(place: &Place, data: &Path, more: &[&str]) -> Output {
    place.run(&[&["query", data.to_str().unwrap()], more].concat())
}

/// A data file with a backup, of which states can be looked at.
fn backed_up(sql: &str) -> (Place, std::path::PathBuf) {
    let place = Place::new();
    let data = place.at("a.sqlite");
    Connection::open(&data).unwrap().execute_batch(sql).unwrap();
    let made = place.run(&["backup", data.to_str().unwrap()]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    (place, data)
}

#[test]
fn every_value_is_what_it_was_or_is_said_to_be_cut() {
    let sql = "CREATE TABLE t(id INTEGER PRIMARY KEY, v);
        INSERT INTO t(v) VALUES(NULL), (0), (-17), (999999999999999), (1000000000000000), (9007199254740993),
        (-9223372036854775808), (0.1), (1e300), (9e999), ('=1+1'), ('+A1'), ('007'), (''), (' both '),
        ('<a> & \"b\"' || char(10) || 'ü文𝄞' || char(13) || char(1)), ('_x0041_'), (x'00ff'), (x''),
        (substr(hex(zeroblob(17000)), 1, 32767)), (substr(hex(zeroblob(17000)), 1, 32768)), (zeroblob(20000))";
    let (place, data) = backed_up(sql);
    let file = place.at("saved.xlsx");
    let saved = query(&place, &data, &["SELECT id, v FROM t", "--save", file.to_str().unwrap()]);
    assert!(saved.status.success(), "{}", text(&saved.stderr));
    assert!(text(&saved.stdout).starts_with("22 records in "), "{}", text(&saved.stdout));
    let said = text(&saved.stderr);
    assert!(said.contains("2 values are longer than the 32767 characters that a cell holds"), "{said}");
    let Some(found) = xlsx::sheets(&file) else { return };
    let rows = found["Records"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]), (23, &json!([["id"], ["v"]])));
    let value = |id: usize| rows[id].get(1).cloned().unwrap_or(Value::Null);
    let number = |id: usize| value(id).as_str().and_then(|digits| digits.parse::<f64>().ok());
    assert_eq!(value(1), Value::Null);
    assert_eq!((number(2), number(3), number(4)), (Some(0.0), Some(-17.0), Some(999_999_999_999_999.0)));
    // A spreadsheet would round them.
    let whole = [json!(["1000000000000000"]), json!(["9007199254740993"]), json!(["-9223372036854775808"])];
    assert_eq!([value(5), value(6), value(7)], whole);
    assert_eq!((number(8), number(9), value(10)), (Some(0.1), Some(1e300), json!(["inf"])));
    // Text is text, whatever a spreadsheet would make of it.
    assert_eq!([value(11), value(12), value(13)], [json!(["=1+1"]), json!(["+A1"]), json!(["007"])]);
    assert_eq!((value(14), value(15)), (Value::Null, json!([" both "])));
    assert_eq!((value(16), value(17)), (json!(["<a> & \"b\"\nü文𝄞\r\u{1}"]), json!(["_x0041_"])));
    assert_eq!((value(18), value(19)), (json!(["x'00ff'"]), json!(["x''"])));
    let zeros = |count: usize| "0".repeat(count);
    assert_eq!((value(20), value(21)), (json!([zeros(32767)]), json!([zeros(32767)])));
    assert_eq!(value(22), json!([format!("x'{}", zeros(32765))]));
    let cut = json!([
        [["Sheet"], ["Row"], ["Column"], ["Characters"]],
        [["Records"], "22", ["v"], "32768"],
        [["Records"], "23", ["v"], "40003"]
    ]);
    assert_eq!(found["Cut values"], cut);
}

#[test]
fn a_file_that_is_there_stays_unless_somebody_says_so_and_nothing_is_left_of_what_fails() {
    let (place, data) = backed_up("CREATE TABLE t(a, b); INSERT INTO t VALUES(1, 2)");
    let file = place.at("saved.XLSX");
    let name = file.to_str().unwrap();
    fs::write(&file, "something of mine").unwrap();
    let before = names_in(&place.at(""));
    let refused = query(&place, &data, &["SELECT * FROM t", "--save", name]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("exists"), "{}", text(&refused.stderr));
    let failed = query(&place, &data, &["SELECT abs(-9223372036854775806-b) FROM t", "--save", name, "--overwrite"]);
    assert!(!failed.status.success(), "{}", text(&failed.stdout));
    assert_eq!(fs::read_to_string(&file).unwrap(), "something of mine");
    assert_eq!(names_in(&place.at("")), before, "nothing is left");
    // One without a record has its titles.
    let saved = query(&place, &data, &["SELECT * FROM t WHERE a>1", "--save", name, "--overwrite"]);
    assert!(saved.status.success(), "{}", text(&saved.stderr));
    let Some(found) = xlsx::sheets(&file) else { return };
    assert_eq!(found, json!({ "Records": [[["a"], ["b"]]] }));
}

#[test]
fn the_operations_of_a_log_are_saved_as_the_csv_has_them() {
    let Some(scene) = Scene::new() else { return };
    let sql =
        "INSERT INTO k VALUES('=a,\"b\"' || char(10), 7); UPDATE t SET a='other' WHERE id=3; DELETE FROM t WHERE id=4";
    foreign_commits(&scene.data, sql);
    let (data, file) = (scene.data.to_str().unwrap(), scene.place.at("activity.xlsx"));
    let name = file.to_str().unwrap();
    let csv = scene.place.run(&["log", data, "--csv"]);
    assert!(csv.status.success(), "{}", text(&csv.stderr));
    let saved = scene.place.run(&["log", data, "--xlsx", name]);
    assert!(saved.status.success(), "{}", text(&saved.stderr));
    let (csv, said) = (text(&csv.stdout), text(&saved.stdout));
    assert!(said.starts_with(&format!("{} operations in ", csv.lines().count() - 1)), "{said}");
    // Python reads the CSV, too: field by field they are the same.
    let Some(found) = xlsx::sheets(&file) else { return };
    let rows = found["Activity"].as_array().unwrap();
    let script = "import csv, json, sys; print(json.dumps(list(csv.reader(sys.stdin))))";
    let mut python = std::process::Command::new("python3");
    python.args(["-c", script]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut python = python.spawn().unwrap();
    std::io::Write::write_all(&mut python.stdin.take().unwrap(), csv.as_bytes()).unwrap();
    let expected: Vec<Vec<String>> = serde_json::from_slice(&python.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(&expected) {
        for (at, field) in expected.iter().enumerate() {
            let cell = row.get(at).cloned().unwrap_or(Value::Null);
            let is_number = [0, 1, 9].contains(&at) && row != &rows[0];
            let wanted = match field.is_empty() {
                true => Value::Null,
                false if is_number => json!(field),
                false => json!([field]),
            };
            assert_eq!(cell, wanted, "{expected:?}");
        }
    }
    assert!(expected.iter().any(|fields| fields[8].contains(r#"=a,\"b\"\n"#)), "{csv}");

    // Not twice under one name, and under no name that says something else.
    let again = scene.place.run(&["log", data, "--xlsx", name]);
    assert!(!again.status.success() && text(&again.stderr).contains("exists"), "{}", text(&again.stderr));
    let filtered = scene.place.run(&["log", data, "--xlsx", name, "--overwrite", "--action", "delete"]);
    assert!(text(&filtered.stdout).starts_with("1 operation in "), "{}", text(&filtered.stderr));
    assert_eq!(xlsx::sheets(&file).unwrap()["Activity"].as_array().unwrap().len(), 2);
    let other = scene.place.run(&["log", data, "--xlsx", scene.place.at("a.csv").to_str().unwrap()]);
    assert!(text(&other.stderr).contains("End its name with .xlsx"), "{}", text(&other.stderr));
    let left = names_in(&scene.place.at("")).into_iter().find(|name| name.starts_with(".strongroom-scratch"));
    assert_eq!(left, None);
}
