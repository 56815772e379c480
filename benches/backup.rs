//! Backup and restore beside the tools that an administrator would use otherwise, in one run, on a data file it makes.
//!
//! `cargo bench --bench backup` prints a table of ratios. Every figure is the median over rounds in which both sides
//! took turns, as whole processes, everything synced. Needs the commands `zstd` and `sqlite3`. `STRONGROOM_BENCH_MIB`
//! changes the size of the data file (1024), `STRONGROOM_BENCH_DIR` the folder, `STRONGROOM_BENCH_ROUNDS` the number of
//! rounds (5), and `STRONGROOM_BENCH_ONLY=archives` leaves out what is about compression and writers. What the disk
//! gives is printed first: verification and repair are meant to be as fast as a disk, and a disk that the host holds in
//! memory is as fast as they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, params};

const PROGRAM: &str = env!("CARGO_BIN_EXE_strongroom");

struct Bench {
    folder: PathBuf,
    data: PathBuf,
    rounds: usize,
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn main() {
    let base =
        env::var_os("STRONGROOM_BENCH_DIR").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&base).unwrap();
    let mib = number("STRONGROOM_BENCH_MIB", 1024);
    let data = folder.path().join("bench.sqlite");
    make_data(&data, mib << 20);
    let bench =
        Bench { folder: folder.path().to_path_buf(), data, rounds: number("STRONGROOM_BENCH_ROUNDS", 5) as usize };
    println!("data file {mib} MiB, {} rounds, {} cores", bench.rounds, thread::available_parallelism().unwrap());
    println!("{}\n", bench.disk());
    println!("| What | Against | Ratio (median) | At most | |\n|---|---|---|---|---|");
    if env::var("STRONGROOM_BENCH_ONLY").is_err() {
        bench.backup_against_zstd();
        bench.backup_against_sqlite_then_zstd();
        bench.restore_against_zstd();
        bench.paced_writer();
        bench.memory();
    }
    bench.none_against_cp();
    bench.redundancy_against_none();
    bench.verify_against_reading();
    bench.repair_against_verify();
    bench.memory_of_recovery();
}

/// Records as an office has them: words, numbers, dates, and a tenth of incompressible content.
fn make_data(path: &Path, bytes: u64) {
    const WORDS: [&str; 24] = [
        "invoice",
        "Edelweiss",
        "delivery",
        "Zürich",
        "reminder",
        "payment",
        "order",
        "article",
        "client",
        "meeting",
        "Bahnhofstrasse",
        "open",
        "paid",
        "draft",
        "document",
        "appointment",
        "telephone",
        "amount",
        "discount",
        "Bern",
        "note",
        "contract",
        "offer",
        "address",
    ];
    let mut conn = Connection::open(path).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA cache_size=-200000;
         CREATE TABLE records(id INTEGER PRIMARY KEY, client INTEGER, day TEXT, amount REAL, text TEXT, scan BLOB);
         CREATE INDEX by_client ON records(client); CREATE INDEX by_day ON records(day);
         CREATE TABLE counters(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO counters VALUES(1,0)",
    )
    .unwrap();
    let mut state = 42u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut written = 0;
    while written < bytes {
        let tx = conn.transaction().unwrap();
        {
            let mut insert =
                tx.prepare("INSERT INTO records(client,day,amount,text,scan) VALUES(?1,?2,?3,?4,?5)").unwrap();
            for _ in 0..20_000 {
                let words = 20 + random() % 60;
                let text: Vec<&str> = (0..words).map(|_| WORDS[(random() % 24) as usize]).collect();
                let text = text.join(" ");
                let scan: Vec<u8> = (0..random() % 96).map(|_| (random() >> 32) as u8).collect();
                let day = format!("20{:02}-{:02}-{:02}", random() % 27, random() % 12 + 1, random() % 28 + 1);
                insert
                    .execute(params![
                        (random() % 50_000) as i64,
                        day,
                        (random() % 1_000_000) as f64 / 100.0,
                        text,
                        scan
                    ])
                    .unwrap();
            }
        }
        tx.commit().unwrap();
        conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        written = fs::metadata(path).unwrap().len();
    }
    drop(conn);
    fs::File::open(path).unwrap().sync_all().unwrap();
}

fn timed(mut command: Command) -> f64 {
    let begun = Instant::now();
    let output = command.stdin(Stdio::null()).output().unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    seconds
}

fn shell(script: &str, arguments: &[&Path]) -> Command {
    let mut command = Command::new("sh");
    command.arg("-ec").arg(script).arg("sh").args(arguments);
    command
}

/// Has the system forget what it holds of a file in memory, so that whoever reads it next waits for the disk.
fn forget(path: &Path) {
    let file = fs::File::open(path).unwrap();
    file.sync_all().unwrap();
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

/// Seconds to read a file and hash it with all cores: what no verification can be faster than.
fn hashed(path: &Path) -> f64 {
    let begun = Instant::now();
    let length = fs::metadata(path).unwrap().len();
    let count = thread::available_parallelism().unwrap().get() as u64;
    thread::scope(|scope| {
        for n in 0..count {
            scope.spawn(move || {
                let file = fs::File::open(path).unwrap();
                let mut hasher = blake3::Hasher::new();
                let mut buffer = vec![0; 4 << 20];
                let (mut at, end) = (length * n / count, length * (n + 1) / count);
                while at < end {
                    let part = ((end - at) as usize).min(buffer.len());
                    std::os::unix::fs::FileExt::read_exact_at(&file, &mut buffer[..part], at).unwrap();
                    hasher.update(&buffer[..part]);
                    at += part as u64;
                }
                std::hint::black_box(hasher.finalize());
            });
        }
    });
    begun.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn row(what: &str, against: &str, ratio: f64, limit: &str, detail: &str) {
    println!("| {what} | {against} | {ratio:.2} | {limit} | {detail} |");
}

impl Bench {
    fn strongroom(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env("XDG_DATA_HOME", self.folder.join("own")).env("XDG_CONFIG_HOME", self.folder.join("own"));
        command
    }

    fn empty(&self, name: &str) -> PathBuf {
        let folder = self.folder.join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder
    }

    fn backup(&self) -> Command {
        let mut command = self.strongroom();
        command.arg("backup").arg(&self.data).arg("--to").arg(self.empty("archives"));
        command
    }

    /// The one archive there is: its number goes up with every backup.
    fn archive(&self) -> PathBuf {
        fs::read_dir(self.folder.join("archives")).unwrap().next().unwrap().unwrap().path()
    }

    /// Both in turn, after one round that is not counted; the median of the ratios of the pairs.
    fn compare(&self, mut ours: impl FnMut() -> f64, mut theirs: impl FnMut() -> f64) -> (f64, String) {
        ours();
        theirs();
        let pairs: Vec<(f64, f64)> = (0..self.rounds).map(|_| (ours(), theirs())).collect();
        let detail = format!(
            "{:.2} s : {:.2} s",
            median(pairs.iter().map(|p| p.0).collect()),
            median(pairs.iter().map(|p| p.1).collect())
        );
        (median(pairs.iter().map(|p| p.0 / p.1).collect()), detail)
    }

    /// How many bytes a second the disk gives to one reader, and takes, syncing included.
    fn disk(&self) -> String {
        let copy = self.folder.join("copy.sqlite");
        let bytes = fs::metadata(&self.data).unwrap().len() as f64;
        let speed = |seconds: Vec<f64>| (bytes / median(seconds) / 1e6).round();
        let read = || {
            forget(&self.data);
            timed(shell("cat \"$1\" > /dev/null", &[&self.data]))
        };
        let write = || {
            let _ = fs::remove_file(&copy);
            timed(shell("cp \"$1\" \"$2\"; sync \"$2\"", &[&self.data, &copy]))
        };
        let (read, write) = ((0..3).map(|_| read()).collect(), (0..3).map(|_| write()).collect());
        let _ = fs::remove_file(&copy);
        format!("the disk: {} MB/s read by `cat`, {} MB/s copied by `cp` and synced", speed(read), speed(write))
    }

    fn backup_against_zstd(&self) {
        let out = self.folder.join("zstd.out");
        let (ratio, detail) = self.compare(
            || timed(self.backup()),
            || {
                let _ = fs::remove_file(&out);
                timed(shell("zstd -1 -T2 -q \"$1\" -o \"$2\"; sync \"$2\"", &[&self.data, &out]))
            },
        );
        row("full backup, Fast", "`zstd -1 -T2`, synced", ratio, "1.15", &detail);
    }

    fn backup_against_sqlite_then_zstd(&self) {
        let (copy, out) = (self.folder.join("copy.sqlite"), self.folder.join("zstd.out"));
        let (ratio, detail) = self.compare(
            || timed(self.backup()),
            || {
                let _ = (fs::remove_file(&copy), fs::remove_file(&out));
                timed(shell(
                    "sqlite3 \"$1\" \".backup '$2'\"; zstd -1 -T2 -q \"$2\" -o \"$3\"; sync \"$3\"",
                    &[&self.data, &copy, &out],
                ))
            },
        );
        let _ = (fs::remove_file(&copy), fs::remove_file(&out));
        row("full backup, Fast", "`sqlite3 .backup`, then `zstd -1 -T2`", ratio, "0.70", &detail);
    }

    fn restore_against_zstd(&self) {
        timed(self.backup());
        let archive = self.archive();
        let out = self.folder.join("zstd.out");
        let mut with_check = Vec::new();
        let (ratio, detail) = self.compare(
            || {
                let mut command = self.strongroom();
                command.arg("restore").arg(&archive).arg("--to").arg(self.empty("restored")).arg("--json");
                let begun = Instant::now();
                let output = command.output().unwrap();
                with_check.push(begun.elapsed().as_secs_f64());
                let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
                // SQLite's integrity check comes on top and is no part of the comparison.
                report["restoring_ms"].as_f64().unwrap() / 1000.0
            },
            || {
                let _ = fs::remove_file(&out);
                timed(shell("zstd -d -q -c \"$1\" > \"$2\"; sync \"$2\"", &[&archive, &out]))
            },
        );
        let detail = format!("{detail}; with SQLite's integrity check {:.2} s", median(with_check));
        let _ = (fs::remove_file(&out), fs::remove_dir_all(self.folder.join("restored")));
        row("restore with hash check", "`zstd -d` of the same archive, synced", ratio, "1.30", &detail);
    }

    /// Commits of a writer that wants 200 a second, while backups run one after the other and while none does.
    fn paced_writer(&self) {
        let ratios: Vec<f64> = (0..self.rounds.min(3))
            .map(|_| {
                let during = self.commits_while(|| {
                    timed(self.backup());
                    timed(self.backup());
                });
                let without = self.commits_while(|| thread::sleep(Duration::from_secs(4)));
                during / without
            })
            .collect();
        row("commits/s of a paced writer (200/s) during backups", "without", median(ratios), "≥ 0.90", "");
    }

    fn commits_while(&self, work: impl FnOnce()) -> f64 {
        let (done, commits) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                let conn = Connection::open(&self.data).unwrap();
                conn.busy_timeout(Duration::from_secs(60)).unwrap();
                conn.execute_batch("PRAGMA synchronous=NORMAL").unwrap();
                let begun = Instant::now();
                let mut next = 0u32;
                while !done.load(Ordering::Relaxed) {
                    next += 1;
                    let due = Duration::from_millis(5) * next;
                    thread::sleep(due.saturating_sub(begun.elapsed()));
                    conn.execute("UPDATE counters SET n=n+1", []).unwrap();
                    commits.fetch_add(1, Ordering::Relaxed);
                }
            });
            let begun = Instant::now();
            work();
            let rate = commits.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
            done.store(true, Ordering::Relaxed);
            rate
        })
    }

    fn stored(&self, options: &[&str]) -> Command {
        let mut command = self.backup();
        command.args(options);
        command
    }

    fn none_against_cp(&self) {
        let copy = self.folder.join("copy.sqlite");
        let (ratio, detail) = self.compare(
            || timed(self.stored(&["--compression", "none"])),
            || {
                let _ = fs::remove_file(&copy);
                timed(shell("cp \"$1\" \"$2\"; sync \"$2\"", &[&self.data, &copy]))
            },
        );
        let _ = fs::remove_file(&copy);
        row("full backup, None", "`cp`, synced", ratio, "1.30", &detail);
    }

    fn redundancy_against_none(&self) {
        let (ratio, detail) =
            self.compare(|| timed(self.stored(&["--redundancy", "medium"])), || timed(self.stored(&[])));
        row("full backup, redundancy Medium", "without", ratio, "1.50", &detail);
        let (ratio, detail) = self.compare(
            || timed(self.stored(&["--redundancy", "high", "--interlacing", "high"])),
            || timed(self.stored(&[])),
        );
        row("full backup, redundancy and interlacing High", "without", ratio, "", &detail);
    }

    /// Reading and hashing the same file, with all cores: two halves by `b3sum`-like hashing in this process. Both read
    /// it from the disk: an archive that is verified was written days ago, and memory would flatter whoever came
    /// second.
    fn verify_against_reading(&self) {
        for options in [["--compression", "none"], ["--compression", "fast"], ["--redundancy", "medium"]] {
            timed(self.stored(&options));
            let archive = self.archive();
            let (ratio, detail) = self.compare(
                || {
                    let mut command = self.strongroom();
                    command.arg("verify").arg(&archive);
                    forget(&archive);
                    timed(command)
                },
                || {
                    forget(&archive);
                    hashed(&archive)
                },
            );
            let what = format!("verify ({})", options.join(" ").trim_start_matches("--"));
            // As a speed: how much of that of reading and hashing.
            row(&what, "reading and hashing the archive, all cores", 1.0 / ratio, "≥ 0.80", &detail);
        }
    }

    /// 5 % of the blocks damaged, all over the archive. Both read it from the disk, for the same reason.
    fn repair_against_verify(&self) {
        timed(self.stored(&["--compression", "none", "--redundancy", "medium"]));
        let (archive, damaged) = (self.archive(), self.folder.join("damaged.4BK"));
        fs::copy(&archive, &damaged).unwrap();
        let file = fs::File::options().write(true).open(&damaged).unwrap();
        for n in 0..fs::metadata(&archive).unwrap().len() / (20 * 16384) {
            std::os::unix::fs::FileExt::write_all_at(&file, &[0xdd; 4096], n * 20 * 16384 + (n * 7919) % 200_000)
                .unwrap();
        }
        file.sync_all().unwrap();
        let copy = self.folder.join("copy.4BK");
        let (ratio, detail) = self.compare(
            || {
                let _ = fs::remove_file(&copy);
                let mut command = self.strongroom();
                command.arg("repair").arg(&damaged).arg("--to").arg(&copy);
                forget(&damaged);
                timed(command)
            },
            || {
                let mut command = self.strongroom();
                command.arg("verify").arg(&archive);
                forget(&archive);
                timed(command)
            },
        );
        for file in [&copy, &damaged] {
            let _ = fs::remove_file(file);
        }
        row("repair, 5 % of the blocks damaged", "verify of the sound archive", ratio, "3.00", &detail);
    }

    fn memory_of_recovery(&self) {
        let high = ["--compression", "none", "--redundancy", "high", "--interlacing", "high"];
        let backup = peak_mib(self.stored(&high));
        let archive = self.archive();
        let file = fs::File::options().write(true).open(&archive).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &vec![0; 64 << 20], 100 << 20).unwrap();
        let mut repair = self.strongroom();
        repair.arg("repair").arg(&archive).arg("--to").arg(self.folder.join("copy.4BK"));
        let repair = peak_mib(repair);
        let _ = fs::remove_file(self.folder.join("copy.4BK"));
        println!("| peak memory at High/High of a backup, of a repair | | {backup} MiB, {repair} MiB | 512 MiB | |");
    }

    /// The peak of the resident memory of a backup and of a restore, from `/proc`.
    fn memory(&self) {
        let backup = peak_mib(self.backup());
        let archive = self.archive();
        let mut restore = self.strongroom();
        restore.arg("restore").arg(&archive).arg("--to").arg(self.empty("restored"));
        let restore = peak_mib(restore);
        println!("| peak memory of a backup, of a restore | | {backup} MiB, {restore} MiB | 200 MiB | |");
    }
}

fn peak_mib(mut command: Command) -> u64 {
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or("0");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
        peak = peak.max(kib / 1024);
        thread::sleep(Duration::from_millis(5));
    }
    peak
}
