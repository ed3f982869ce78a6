//! Damage that is done to the disk behind the owner's back, how an operator undoes it, and how the
//! world comes to rest when all trouble is over. Must never hide an error that a healthy machine
//! makes.

use std::path::PathBuf;

use click_engine::archive::{Archive, audit};
use click_engine::driver::Engine;
use click_engine::log::EventLog;

use super::judge;
use super::stage::Stage;
use super::tracker::Tracker;
use crate::check::Dice;

/// Rounds that a healthy machine may take to end what was begun.
const LAST_ROUNDS: usize = 60;
const SECTOR: usize = 512;

/// A change behind the owner's back, and how to undo it.
pub(super) struct Rot {
    path: PathBuf,
    at: usize,
    good: Vec<u8>,
    bad: Vec<u8>,
}

impl Stage {
    /// The process dies, some bytes of a file change, and it starts: it sees the change or is not
    /// harmed by it.
    pub(super) fn rot(&mut self, seed: u64) {
        // A tail that a power failure has left unproven is told from rot only by an open log.
        self.start();
        if self.process.is_none() {
            return;
        }
        self.kill();
        self.undo_rot();
        let mut dice = Dice::new(seed);
        let kind = dice.pick(&["log", "checkpoints", "dead-letters"]);
        let mut files = self.disk.files();
        files.retain(|path| path.components().any(|part| part.as_os_str() == kind));
        if files.is_empty() {
            return;
        }
        let path = files[dice.below(files.len())].clone();
        let mut rot = None;
        let changed = self.disk.tamper(&path, |bytes| rot = spoil(bytes, &mut dice));
        changed.expect("a file that was just listed");
        self.rot = rot.map(|(at, good, bad)| Rot { path, at, good, bad });
        self.start_or_repair();
    }

    /// An operator brings the good copy of what was found to be bad. What nobody has found, and
    /// what has been overwritten since, stays.
    fn undo_rot(&mut self) {
        let Some(Rot { path, at, good, bad }) = self.rot.take() else { return };
        // Files that were found bad may have been removed.
        let _ = self.disk.tamper(&path, |bytes| {
            if let Some(place) = bytes.get_mut(at..at + bad.len())
                && *place == bad
            {
                place.copy_from_slice(&good);
            }
        });
    }

    /// All trouble ends. Everything that was begun comes to its end, within bounds.
    pub(super) fn recover(&mut self) -> Engine {
        self.heal_disk();
        self.store.fail(0, 0);
        self.wire.clear_up();
        self.kill();
        self.disk_is_ill = false;
        self.start_or_repair();
        if self.disk.owes() {
            // Whatever is made of it until somebody sees it has to be true.
            self.settle();
            self.repair();
        }
        assert!(self.is_whole(), "a healthy machine does not start");
        self.clock.set_wall(self.now().max(self.newest_time()));
        let (mut quiet, mut is_archived) = (0, false);
        for _ in 0..LAST_ROUNDS {
            self.settle();
            let answered = self.trackers.iter().all(Tracker::is_answered);
            quiet = if answered && self.is_decided() { quiet + 1 } else { 0 };
            // One more, so that an instant of the grid lies behind all verdicts.
            if quiet > 1 && is_archived {
                return self.last_engine();
            }
            if quiet > 1 {
                self.archive_is_the_log();
                (quiet, is_archived) = (0, true);
            }
            self.clock.advance(1_500);
        }
        panic!("{LAST_ROUNDS} rounds without trouble, and not all clicks are answered and decided");
    }

    fn settle(&mut self) {
        let now = self.now();
        let wire = &mut self.wire;
        self.trackers.iter_mut().for_each(|tracker| tracker.send_all(wire, now));
        self.deliver();
        self.tick();
        self.log_works();
        self.log_works();
        for number in 0..2 {
            self.fold(number);
            self.fold(number);
            self.publish(number);
        }
        if !self.is_whole() {
            self.repair();
            assert!(self.is_whole(), "a healthy machine does not start");
        }
    }

    /// Opens what opens; what does not is brought back from the good copy.
    pub(super) fn start_or_repair(&mut self) {
        self.start();
        if !self.is_whole() {
            self.repair();
        }
    }

    fn repair(&mut self) {
        self.kill();
        self.undo_rot();
        self.disk.make_good();
        self.start();
    }

    /// Whether log and both engines are at work.
    pub(super) fn is_whole(&self) -> bool {
        self.process.as_ref().is_some_and(|process| {
            let archives = process.archiver.is_some() || !self.archives;
            archives && process.engines.iter().all(Option::is_some)
        })
    }

    fn newest_time(&self) -> u64 {
        let last = self.seen.iter().filter_map(|records| records.last());
        last.map(|(time, _)| time + 1).max().unwrap_or(0)
    }

    /// Whether both engines have read, decided and published everything.
    fn is_decided(&self) -> bool {
        let Some(process) = &self.process else { return false };
        process.engines.iter().flatten().all(|engine| {
            let status = engine.status();
            let status = status.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let read =
                status.read_to.iter().zip(0..).all(|(to, p)| to.0 == process.log.range(p).end);
            read && status.pending == 0 && status.arriving == 0 && status.rows_waiting == 0
        })
    }

    /// What is archived comes to what was archived of it, and is what the log has.
    fn archive_is_the_log(&mut self) {
        let mut audited = self.audit();
        if audited.is_err() && (self.rot.is_some() || self.disk_lied) {
            // The archive reads what nobody else has read for long.
            self.repair();
            audited = self.audit();
        }
        audited.unwrap_or_else(|error| panic!("{error}"));
    }

    fn audit(&mut self) -> Result<(), String> {
        let Some(process) = &mut self.process else { return Err("no process".into()) };
        let Some(archiver) = process.archiver.take() else { return Ok(()) };
        let log = process.log.clone();
        let archived = archiver.finish().map_err(|error| format!("archiving the end: {error}"))?;
        if archived.manifests == 0 {
            // A log of less than a second has nothing that is final.
            return Ok(());
        }
        let archive = Archive::open(self.archived());
        let archive = archive.map_err(|error| format!("opening the archive: {error}"))?;
        let audit = audit(archive, None, Some(&*log), 1, &|_| true);
        let audit = audit.map_err(|error| format!("auditing: {error}"))?;
        if audit.differ > 0 {
            return Err(format!("the archive: {:?}", audit.differences));
        }
        let is_late = archived.until.plus(3_000).0 <= self.last_time();
        if is_late { Err(format!("archived to {:?} only", archived.until)) } else { Ok(()) }
    }

    fn last_time(&self) -> u64 {
        self.seen
            .iter()
            .filter_map(|records| records.last())
            .map(|(time, _)| *time)
            .min()
            .unwrap_or(0)
    }

    fn last_engine(&mut self) -> Engine {
        let process = self.process.take().expect("it has just settled");
        let [first, second] = process.engines.map(|engine| engine.expect("it has just settled"));
        judge::engines_agree(&first, &second);
        first
    }
}

/// Flips a bit, empties a sector, or puts another one in its place: where, what was there, what is.
fn spoil(bytes: &mut [u8], dice: &mut Dice) -> Option<(usize, Vec<u8>, Vec<u8>)> {
    // Reserved space is mostly empty: rather where something is.
    let filled = bytes.iter().rposition(|byte| *byte != 0)? + 1;
    let end = if dice.percent(90) { filled } else { bytes.len() };
    let at = dice.below(end);
    let to = bytes.len().min(at + SECTOR);
    let bad = match dice.below(3) {
        0 => vec![bytes[at] ^ 1 << dice.below(8)],
        1 => vec![0; to - at],
        _ => {
            let other = dice.below(bytes.len());
            bytes[other..].iter().copied().take(to - at).collect()
        }
    };
    let place = &mut bytes[at..at + bad.len()];
    let good = place.to_vec();
    place.copy_from_slice(&bad);
    Some((at, good, bad))
}
