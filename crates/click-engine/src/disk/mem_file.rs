//! Files of [`MemDisk`](super::MemDisk): what is seen now, what is durable, and what lies between.
//! Must never let an unsynced byte survive a crash other than by the seeded choice.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::DiskFile;
use super::mem::{DiskOp, EIO, State, next_random, not_found};
use super::mem_lies::{Lie, Owed};

pub(super) const SECTOR: usize = 512;

/// One file. `current` is what reads see.
#[derive(Debug, Default)]
pub(super) struct Inode {
    current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
    /// Covered by a failed sync: may survive a crash, but no later sync vouches for it.
    doomed: Vec<Pending>,
    handle: Weak<()>,
    /// What lies have kept from this file.
    pub(super) owed: Owed,
}

#[derive(Debug, Clone)]
pub(super) enum Pending {
    Write(usize, Vec<u8>),
    Len(usize),
}

impl Inode {
    pub(super) fn size(&self) -> u64 {
        self.current.len() as u64
    }

    pub(super) fn len(&self) -> usize {
        self.current.len()
    }

    pub(super) fn is_open(&self) -> bool {
        self.handle.strong_count() > 0
    }

    pub(super) fn handle(&mut self) -> Arc<()> {
        self.handle.upgrade().unwrap_or_else(|| {
            let handle = Arc::new(());
            self.handle = Arc::downgrade(&handle);
            handle
        })
    }

    pub(super) fn tamper(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.current);
        self.durable.clone_from(&self.current);
        self.pending.clear();
    }

    /// A write that was meant for another place, durably; nobody here knows of it.
    pub(super) fn overwrite_unasked(&mut self, at: usize, data: &[u8]) {
        let Some(place) = self.current.get_mut(at..) else { return };
        let length = data.len().min(place.len());
        self.owed.overwritten(Pending::Write(at, place[..length].to_vec()));
        place[..length].copy_from_slice(&data[..length]);
        if let Some(place) = self.durable.get_mut(at..at + length) {
            place.copy_from_slice(&data[..length]);
        }
    }

    /// What was promised and not kept is there after all.
    pub(super) fn make_good(&mut self) {
        for owed in self.owed.take() {
            keep_all(&mut self.current, &owed);
            keep_all(&mut self.durable, &owed);
        }
    }

    pub(super) fn crash(&mut self, rng: &mut u64) {
        self.owed.crash();
        let unsynced = std::mem::take(&mut self.doomed).into_iter();
        for pending in unsynced.chain(std::mem::take(&mut self.pending)) {
            keep_some(&mut self.durable, &pending, rng);
        }
        self.current.clone_from(&self.durable);
    }

    fn change(&mut self, pending: Pending) {
        self.owed.settle(&pending);
        keep_all(&mut self.current, &pending);
        self.pending.push(pending);
    }

    fn sync(&mut self) {
        self.owed.sync();
        for pending in std::mem::take(&mut self.pending) {
            keep_all(&mut self.durable, &pending);
            if let Pending::Write(at, data) = &pending {
                self.doomed = outside(std::mem::take(&mut self.doomed), *at, at + data.len());
            }
        }
    }
}

/// What is left of writes beside `from..to`, which holds newer bytes for good.
pub(super) fn outside(writes: Vec<Pending>, from: usize, to: usize) -> Vec<Pending> {
    let parts = |pending: Pending| match pending {
        Pending::Write(at, data) if at < to && from < at + data.len() => {
            let before = data[..from.saturating_sub(at)].to_vec();
            let after = data[(to - at).min(data.len())..].to_vec();
            vec![Pending::Write(at, before), Pending::Write(to, after)]
        }
        Pending::Write(..) | Pending::Len(_) => vec![pending],
    };
    let filled = |pending: &Pending| !matches!(pending, Pending::Write(_, data) if data.is_empty());
    writes.into_iter().flat_map(parts).filter(filled).collect()
}

fn keep_all(bytes: &mut Vec<u8>, pending: &Pending) {
    match pending {
        Pending::Len(len) => bytes.resize(*len, 0),
        Pending::Write(at, data) => put(bytes, *at, data),
    }
}

/// Each sector of a write survives or not by itself; a change of length survives whole or not.
fn keep_some(bytes: &mut Vec<u8>, pending: &Pending, rng: &mut u64) {
    match pending {
        Pending::Len(len) => {
            if next_random(rng).is_multiple_of(2) {
                bytes.resize(*len, 0);
            }
        }
        Pending::Write(at, data) => {
            let mut done = 0;
            while done < data.len() {
                let end = data.len().min(done + SECTOR - (at + done) % SECTOR);
                if next_random(rng).is_multiple_of(2) {
                    put(bytes, at + done, &data[done..end]);
                }
                done = end;
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    let end = at + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[at..end].copy_from_slice(data);
}

/// A handle; stale after a crash.
pub(super) struct MemFile {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) inode: u64,
    pub(super) epoch: u64,
    pub(super) writable: bool,
    pub(super) _handle: Arc<()>,
}

impl MemFile {
    fn lock(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.epoch == self.epoch { Ok(state) } else { Err(io::Error::from_raw_os_error(EIO)) }
    }

    fn inode<'a>(&self, state: &'a mut State) -> io::Result<&'a mut Inode> {
        state.inodes.get_mut(&self.inode).ok_or_else(not_found)
    }

    fn grow(&self, state: &mut State, len: u64) -> io::Result<()> {
        if !self.writable {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        let size = self.inode(state)?.size();
        state.reserve(len.saturating_sub(size))
    }
}

fn to_usize(value: u64) -> io::Result<usize> {
    usize::try_from(value).map_err(io::Error::other)
}

impl DiskFile for MemFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.lock()?;
        state.call(DiskOp::Read)?;
        let bytes = &self.inode(&mut state)?.current;
        let from = to_usize(offset)?.min(bytes.len());
        let got = buf.len().min(bytes.len() - from);
        buf[..got].copy_from_slice(&bytes[from..from + got]);
        Ok(got)
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        let mut state = self.lock()?;
        state.call(DiskOp::Write)?;
        self.grow(&mut state, offset + buf.len() as u64)?;
        let pending = Pending::Write(to_usize(offset)?, buf.to_vec());
        let lie = state.lies_now();
        let inode = self.inode(&mut state)?;
        match lie {
            None => inode.change(pending),
            Some(_) => inode.owed.lost(pending),
        }
        if lie == Some(Lie::Misdirected) {
            state.misdirect(self.inode, buf);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.lock()?;
        let outcome = state.call(DiskOp::Sync);
        let inode = self.inode(&mut state)?;
        match outcome {
            Ok(()) => inode.sync(),
            Err(_) => inode.doomed.append(&mut inode.pending),
        }
        outcome
    }

    fn size(&self) -> io::Result<u64> {
        let mut state = self.lock()?;
        Ok(self.inode(&mut state)?.size())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.lock()?;
        self.grow(&mut state, len)?;
        let pending = Pending::Len(to_usize(len)?);
        self.inode(&mut state)?.change(pending);
        Ok(())
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let mut state = self.lock()?;
        state.call(DiskOp::Preallocate)?;
        self.grow(&mut state, len)?;
        let inode = self.inode(&mut state)?;
        if inode.size() < len {
            inode.change(Pending::Len(to_usize(len)?));
        }
        Ok(())
    }
}
