//! Refuses to build with an SQLite that lacks what the program is made of.
//!
//! The options of the bundled SQLite come from `.cargo/config.toml`, which `cargo install` does not read.
#![allow(clippy::print_stdout)] // That is how a build script talks to Cargo.

/// As in `.cargo/config.toml`, and as `sqlite::built` asks for at every start.
const NEEDED: [&str; 2] = ["SQLITE_ENABLE_SNAPSHOT", "SQLITE_ENABLE_DBPAGE_VTAB"];

fn main() -> Result<(), String> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBSQLITE3_FLAGS");
    let flags = std::env::var("LIBSQLITE3_FLAGS").unwrap_or_default();
    let given: Vec<&str> = flags.split_whitespace().map(|flag| flag.trim_start_matches("-D")).collect();
    if NEEDED.iter().all(|option| given.contains(option)) {
        return Ok(());
    }
    let wanted: Vec<String> = NEEDED.iter().map(|option| format!("-D{option}")).collect();
    Err(format!(
        "SQLite would be built without what Strongroom needs. Build in the project's own folder, or give the options \
         yourself: LIBSQLITE3_FLAGS=\"{}\" cargo install …",
        wanted.join(" ")
    ))
}
