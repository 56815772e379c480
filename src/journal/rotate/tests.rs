//! Cuts that a crash interrupted, and files that belong to none.
#![cfg(test)]

use chrono::DateTime;

use super::*;
use crate::{
    journal::{
        Chain, RecordKind,
        aside::is_set_aside,
        format::{Entry, LogHeader, VERSION, page_hash},
        integrate,
    },
    sqlite::wal::WalMark,
    storage::Disk,
};

#[test]
fn a_link_in_the_place_of_the_archived_log_does_not_cost_the_log() -> std::result::Result<(), Box<dyn std::error::Error>>
{
    let folder = tempfile::tempdir()?;
    let (log, to) = (folder.path().join("a.journal"), folder.path().join("a[0001].4BL"));
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    let header = LogHeader {
        ignored: Default::default(),
        version: VERSION,
        identity: uuid::Uuid::from_u128(7),
        page_size: 512,
        base: Position::at(1, 0, Chain([9; 32])),
        rooted: true,
        created: DateTime::UNIX_EPOCH,
        page_count: 5,
        mark: WalMark::default(),
    };
    drop(LogWriter::create(Arc::clone(&storage), &log, header, Ownership::default())?);
    std::os::unix::fs::symlink(&log, &to)?;
    let error = archive(&storage, &log, &to).err().ok_or("the link was taken for the log")?;
    assert_eq!(error.kind(), ErrorKind::Exists);
    assert!(log.is_file());
    // A copy that a crash left is what it seems to be.
    std::fs::remove_file(&to)?;
    std::fs::copy(&log, &to)?;
    archive(&storage, &log, &to)?;
    assert!(!log.exists() && to.is_file());
    Ok(())
}

/// A log with these commits after `base`, each of which writes one page.
fn log_of(path: &Path, version: u32, base: Position, commits: u64) -> Result<LogWriter> {
    let time = DateTime::UNIX_EPOCH;
    let header = LogHeader {
        ignored: Default::default(),
        version,
        identity: uuid::Uuid::from_u128(7),
        page_size: 512,
        base,
        rooted: true,
        created: time,
        page_count: 1,
        mark: WalMark::default(),
    };
    let mut writer = LogWriter::create(Arc::new(Disk), path, header, Ownership::default())?;
    for commit in base.commit + 1..=base.commit + commits {
        let mark = WalMark { frame: commit as u32, ..WalMark::default() };
        let kind = RecordKind::Commit;
        writer.begin(RecordHead { kind, commit, time, wall: time, page_count: 1, mark, state: None });
        let bytes = [commit as u8; 512];
        writer.page(&Entry { page: 1, encoding: 0, hash: page_hash(&bytes), bytes: &bytes })?;
        writer.end()?;
        writer.sync()?;
    }
    Ok(writer)
}

#[test]
fn a_log_whose_backup_succeeded_before_a_crash_gets_its_index_when_it_is_archived()
-> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (log, to) = (folder.path().join("a.journal"), folder.path().join("a[0001].4BL"));
    let cut = log_of(&log, VERSION, Position::at(1, 0, Chain([9; 32])), 3)?.position();
    let position = Position { archive: 2, ..cut };
    drop(log_of(&next_path(&log), VERSION, position, 1)?);
    let (moment, previous_log) = (DateTime::UNIX_EPOCH, to.clone());
    let last = LastArchive { position, moment, page_size: 512, page_count: 1, previous_log };
    // The crash came in the middle of it.
    let blocks = index_of(&mut LogReader::open(&log)?)?.ok_or("no index")?;
    let whole = std::fs::read(&log)?;
    std::fs::write(&log, [whole.as_slice(), &blocks[..blocks.len() - 9]].concat())?;
    settle(&(Arc::new(Disk) as Arc<dyn Storage>), &log, Some(&last), Utc::now())?;
    assert!(std::fs::read(&to)? == [whole, blocks].concat() && !next_path(&log).exists());
    assert_eq!(LogReader::open(&log)?.header().base, position);
    Ok(())
}

#[test]
fn what_a_crash_left_half_taken_back_is_whole_with_the_log_beside_it_and_taken_back_later()
-> std::result::Result<(), Box<dyn std::error::Error>> {
    for version in 1..=VERSION {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("a.journal");
        let (next, base) = (next_path(&log), Position::at(1, 0, Chain([9; 32])));
        let mut writer = log_of(&log, version, base, 2)?;
        let (sealed, cut) = (writer.logged().length, writer.position());
        drop(log_of(&next, VERSION, Position::at(2, cut.commit, cut.chain), 3)?);
        let rest = std::fs::read(&next)?;
        take_back(&mut writer, &next)?;
        assert!(!next.exists() && writer.logged().commit == 5);
        drop(writer);
        let all = std::fs::read(&log)?;
        let mut reader = LogReader::open(&log)?;
        let mut ends = vec![sealed];
        while let Some(record) = reader.next_record()? {
            ends.extend((record.head.commit > 2 && version == 1).then_some(record.end));
        }
        ends.push(all.len() as u64);
        for end in ends {
            std::fs::write(&log, &all[..end as usize])?;
            std::fs::write(&next, &rest)?;
            let control = crate::control::Control::default();
            for logs in [[log.clone(), next.clone()], [next.clone(), log.clone()]] {
                let plan = integrate::plan(uuid::Uuid::from_u128(7), &base, &logs, &control)?;
                assert_eq!((plan.to.commit, plan.commits, plan.fork), (5, 5, None), "version {version}, {end} bytes");
                let target = folder.path().join("a");
                std::fs::write(&target, [0; 512])?;
                let plan = integrate::plan(uuid::Uuid::from_u128(7), &base, &logs, &control)?;
                integrate::integrate(&target, &plan, integrate::Until::End, &control)?;
                assert_eq!(std::fs::read(&target)?, [5; 512]);
            }
            let storage: Arc<dyn Storage> = Arc::new(Disk);
            settle(&storage, &log, None, Utc::now())?;
            assert!(!next.exists() && std::fs::read(&log)? == all, "version {version}, {end} bytes");
        }
        // One that does not lead to where the other begins is left as it is.
        std::fs::remove_file(&log)?;
        let mut writer = log_of(&log, version, Position::at(1, 0, Chain([8; 32])), 4)?;
        std::fs::write(&next, &rest)?;
        assert!(take_back(&mut writer, &next).is_err() && next.exists());
    }
    Ok(())
}

/// One that came back with an older copy of the folder must neither end the log nor be taken for the end of a cut.
#[test]
fn a_log_that_belongs_to_no_cut_is_put_aside_and_the_log_goes_on() -> std::result::Result<(), Box<dyn std::error::Error>>
{
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    let at_cut = Position::at(2, 3, Chain([8; 32]));
    // The same cut, long finished; another past; a damaged header with records after it.
    for (case, base) in [("finished", at_cut), ("another", Position::at(1, 9, Chain([7; 32]))), ("damaged", at_cut)] {
        let folder = tempfile::tempdir()?;
        let (log, archived) = (folder.path().join("a.journal"), folder.path().join("a[0001].4BL"));
        let next = next_path(&log);
        std::fs::write(&archived, "the archived log")?;
        drop(log_of(&log, VERSION, at_cut, 2)?);
        drop(log_of(&next, VERSION, base, 1)?);
        let mut stray = std::fs::read(&next)?;
        stray[50] ^= u8::from(case == "damaged");
        std::fs::write(&next, &stray)?;
        let before = std::fs::read(&log)?;
        let (moment, previous_log) = (DateTime::UNIX_EPOCH, archived.clone());
        let last = LastArchive { position: at_cut, moment, page_size: 512, page_count: 1, previous_log };
        settle(&storage, &log, Some(&last), Utc::now())?;
        assert!(!next.exists() && std::fs::read(&log)? == before, "{case}");
        assert_eq!(std::fs::read(&archived)?, b"the archived log");
        let kept: Vec<PathBuf> = std::fs::read_dir(folder.path())?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<_>>()?;
        let kept = kept.into_iter().find(|path| is_set_aside(path)).ok_or("not kept")?;
        assert_eq!(std::fs::read(kept)?, stray, "{case}");
    }
    Ok(())
}
