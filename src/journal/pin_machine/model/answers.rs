//! What is done of what the machine says, in the model.
#![cfg(test)]

use super::{super::*, Fault, Found, Mode, Progress, Who, World, sqlite};

impl World {
    pub(super) fn obey(&mut self, order: Order) -> Found {
        match order {
            Order::Release(number) => {
                if number >= self.pins.len() {
                    return Err(format!("there is no pin {number}"));
                }
                let pin = self.pins.remove(number);
                self.wal.end_read(pin);
            }
            Order::LetWritersIn if self.fault != Some(Fault::KeepsOut) => self.open(),
            Order::WatchNoMore => self.is_watched = false,
            _ => {}
        }
        Ok(())
    }

    /// None when it takes longer.
    pub(super) fn answer(&mut self, ask: Ask) -> Result<Option<Event>, String> {
        let done = Ok(Some(Event::Done));
        Ok(Some(match ask {
            Ask::Take { plain } => {
                if self.pins.len() >= 3 {
                    return Err("there is no further connection for a pin".into());
                }
                let plain = plain || self.fault == Some(Fault::AllowsRestart);
                let Some(reader) = self.wal.read(!plain) else { return Ok(Some(Event::Failed)) };
                self.pins.push(reader);
                if self.fault == Some(Fault::Forgets) {
                    self.wal.end_read(reader);
                    self.pins.iter_mut().for_each(|pin| pin.slot = sqlite::NONE);
                }
                Event::Taken(reader.position())
            }
            Ask::Absorb(to) => self.absorb(&to)?,
            Ask::LookBeside => Event::Beside { is_shut: self.gate.is_some(), is_copying: self.copier.is_some() },
            Ask::LockWriters(_) | Ask::LockAtRest(_) => {
                if self.gate.is_none() {
                    self.gate = self.wal.lock(Who::Gate);
                }
                Event::Answer(self.gate.is_some())
            }
            Ask::Checkpoint => {
                if self.ours.is_none() {
                    self.ours = self.wal.begin_checkpoint(Who::Ours, Mode::Passive);
                    if self.ours.is_some() {
                        return Ok(None);
                    }
                    return Ok(Some(Event::Copied(Checkpoint { busy: true, frames: 0, backfilled: 0 })));
                }
                let Some(mut run) = self.ours.take() else { return done };
                if self.wal.advance(&mut run) == Progress::Moved {
                    self.ours = Some(run);
                    return Ok(None);
                }
                self.how_far()
            }
            Ask::HowFar => self.how_far(),
            Ask::CountCommits => Event::Counter((self.wal.frames == 0).then_some(u32::from(self.wal.counter))),
            Ask::CopyBehind => {
                self.copier.get_or_insert(None);
                Event::Done
            }
            Ask::Watch(_) => {
                self.is_watched = true;
                Event::Done
            }
            Ask::IsAlone => Event::Answer(self.reader.is_none() && self.writer.is_none() && self.checkpoint.is_none()),
            Ask::EmptyWal => {
                let (commits, is_news) = (self.wal.commits, self.wal.frames > 0);
                let is_done = self.wal.truncate();
                if is_done && is_news {
                    self.restarted(commits)?;
                }
                Event::Answer(is_done)
            }
            Ask::ForgetPageCount => {
                let can = self.gate.is_some() && self.wal.frames == 0;
                self.wal.counter += u8::from(can);
                Event::Counter(can.then_some(u32::from(self.wal.counter)))
            }
            Ask::IsUnwritten | Ask::IsOwnWal | Ask::Compare | Ask::SyncWal | Ask::Pause(_) => return done,
        }))
    }

    fn how_far(&self) -> Event {
        let (frames, backfilled) = (u32::from(self.wal.frames), u32::from(self.wal.backfill));
        Event::Copied(Checkpoint { busy: false, frames, backfilled })
    }

    fn absorb(&mut self, to: &WalPosition) -> Result<Event, String> {
        if to.salts[0] != u32::from(self.wal.salt) || to.frame_max > u32::from(self.wal.frames) {
            return Err("frames were overwritten that a pin protects".into());
        }
        let (place, in_all) = (self.machine.place, to.frame_max);
        let commits = if place.is_in_generation_of(to) { in_all - place.mark.frame } else { in_all };
        if !place.is_in_generation_of(to) && place.are_all(in_all, to) != Some(true) {
            (self.is_ready, self.must_compare) = (false, true);
            let found = format!("{:?} commits were made, {in_all} can be read", place.commits_until(to));
            return if self.is_excused { Ok(Event::Failed) } else { Err(found) };
        }
        let is_cut = self.machine.phase == Phase::Cutting;
        if u32::from(self.logged) + commits != to.checksum[0] {
            return Err(format!("{commits} commits are logged after {} that end at {}", self.logged, to.checksum[0]));
        }
        if !is_cut || self.fault != Some(Fault::CutsAnywhere) {
            self.logged += commits as u8;
        }
        self.machine.logged(WalMark::from(to));
        self.machine.take_counter(to);
        Ok(Event::Done)
    }
}
