//! Writes that a [`MemDisk`] takes, vouches for and does not keep: lost ones, and ones that land
//! where something else was. What a good copy of the disk would hold is remembered, so that an
//! operator can bring it back. Must never forget a byte that is owed, or owe one that its owner
//! has written anew.

use super::MemDisk;
use super::mem::{State, next_random};
use super::mem_file::{Inode, Pending, SECTOR, outside};

/// Places of earlier writes that a misdirected one may go to.
const REMEMBERED: usize = 8;

/// How a disk lies about a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// It is not stored.
    Lost,
    /// It is stored where something else was: in any file, often at the place of an older write.
    Misdirected,
}

/// Of one file: what its owner believes to be there.
#[derive(Debug, Default)]
pub(super) struct Owed {
    firm: Vec<Pending>,
    /// Not flushed yet, so promised to nobody.
    unsynced: Vec<Pending>,
    /// Where the last writes began, newest first, and how long the newest is.
    places: Vec<usize>,
    newest_len: usize,
}

impl Owed {
    /// The owner has written, or changed the length: older debts there are gone.
    pub(super) fn settle(&mut self, change: &Pending) {
        let (from, to) = match change {
            Pending::Write(at, data) => (*at, at + data.len()),
            Pending::Len(len) => (*len, usize::MAX),
        };
        for debts in [&mut self.firm, &mut self.unsynced] {
            *debts = outside(std::mem::take(debts), from, to);
        }
        if let Pending::Write(at, data) = change {
            self.newest_len = data.len();
            self.places.truncate(REMEMBERED - 1);
            self.places.insert(0, *at);
        }
    }

    pub(super) fn sync(&mut self) {
        self.firm.append(&mut self.unsynced);
    }

    /// What was not flushed was promised to nobody.
    pub(super) fn crash(&mut self) {
        self.unsynced.clear();
    }

    pub(super) fn lost(&mut self, write: Pending) {
        self.settle(&write);
        self.unsynced.push(write);
    }

    pub(super) fn overwritten(&mut self, good: Pending) {
        self.firm.push(good);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.firm.is_empty() && self.unsynced.is_empty()
    }

    pub(super) fn take(&mut self) -> Vec<Pending> {
        self.sync();
        std::mem::take(&mut self.firm)
    }

    /// Whether some bytes are of the newest write.
    fn is_newest(&self, at: usize, len: usize) -> bool {
        self.places
            .first()
            .is_some_and(|newest| at < newest + self.newest_len && *newest < at + len)
    }
}

impl MemDisk {
    /// The disk lies about the `nth` write from now (1 = the next).
    pub fn lie_at(&self, nth: u64, lie: Lie) {
        let mut state = self.lock();
        let at = state.calls(super::DiskOp::Write) + nth;
        state.lie = Some((at, lie));
    }

    /// Whether any file lacks something that its owner was told to be there.
    pub fn owes(&self) -> bool {
        self.lock().inodes.values().any(|inode| !inode.owed.is_empty())
    }

    /// What is owed is brought back from a good copy; no more lies.
    pub fn make_good(&self) {
        let mut state = self.lock();
        state.lie = None;
        state.inodes.values_mut().for_each(Inode::make_good);
    }
}

impl State {
    /// Whether the write that was just counted is lied about.
    pub(super) fn lies_now(&mut self) -> Option<Lie> {
        let (at, lie) = self.lie?;
        if self.calls(super::DiskOp::Write) < at {
            return None;
        }
        self.lie = None;
        Some(lie)
    }

    /// Puts a write of `owner` where it does not belong. Not over another file's newest bytes:
    /// where these are vouched for by the very write that went astray, nothing can tell that they
    /// are damaged (docs/formats/log.md).
    pub(super) fn misdirect(&mut self, owner: u64, data: &[u8]) {
        let inodes: Vec<u64> = self.inodes.keys().copied().collect();
        let random = usize::try_from(next_random(&mut self.rng) >> 33).unwrap_or(0);
        let victim = if random.is_multiple_of(2) { owner } else { inodes[random % inodes.len()] };
        let Some(inode) = self.inodes.get_mut(&victim) else { return };
        let sectors = inode.len() / SECTOR;
        let place = match inode.owed.places.get(random / 2 % (2 * REMEMBERED)) {
            Some(place) => *place,
            None if sectors == 0 => return,
            None => random / 4 % sectors * SECTOR,
        };
        if victim == owner || !inode.owed.is_newest(place, data.len()) {
            inode.overwrite_unasked(place, data);
        }
    }
}
