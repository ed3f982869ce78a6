//! [`MemDisk`]: a file system in memory that forgets. Owns the crash model and the fault plan used
//! by crash tests and the simulator; contents and choices depend on the seed alone.
//!
//! Model: a write is durable after `sync_data` of its file, a name after `sync_dir` of its
//! directory. At [`MemDisk::crash`] every 512-byte sector of an unsynced write is kept or lost by
//! itself, and a prefix of each directory's unsynced changes is kept. What a failed sync covered
//! can never be made durable by a later sync of it. Must never keep more than that promises.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::mem_file::Inode;
use super::mem_lies::Lie;
use super::{Disk, DiskFile, DiskLock, LockMode, OpenMode};

/// Linux numbers of the two errors that matter here.
pub(super) const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// A call that is made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskOp {
    Read,
    Write,
    Sync,
    SyncDir,
    Preallocate,
}

/// In-memory [`Disk`]; clones share the same contents.
#[derive(Debug, Clone)]
pub struct MemDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
pub(super) struct State {
    names: BTreeMap<PathBuf, u64>,
    dirs: BTreeSet<PathBuf>,
    durable_names: BTreeMap<PathBuf, u64>,
    durable_dirs: BTreeSet<PathBuf>,
    changes: Vec<Change>,
    pub(super) inodes: BTreeMap<u64, Inode>,
    locks: BTreeMap<PathBuf, i64>,
    pub(super) epoch: u64,
    next_inode: u64,
    pub(super) rng: u64,
    pub(super) lie: Option<(u64, Lie)>,
    capacity: u64,
    calls: BTreeMap<DiskOp, u64>,
    faults: BTreeMap<DiskOp, u64>,
}

#[derive(Debug, Clone)]
enum Change {
    Dir(PathBuf),
    File(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Change {
    fn dir(&self) -> &Path {
        let (Change::Dir(p) | Change::File(p, _) | Change::Rename(p, _) | Change::Remove(p)) = self;
        p.parent().unwrap_or(Path::new(""))
    }
}

impl MemDisk {
    /// An empty disk without a size limit.
    pub fn new(seed: u64) -> Self {
        let state = State {
            names: BTreeMap::new(),
            dirs: BTreeSet::new(),
            durable_names: BTreeMap::new(),
            durable_dirs: BTreeSet::new(),
            changes: Vec::new(),
            inodes: BTreeMap::new(),
            locks: BTreeMap::new(),
            epoch: 0,
            next_inode: 1,
            rng: seed,
            lie: None,
            capacity: u64::MAX,
            calls: BTreeMap::new(),
            faults: BTreeMap::new(),
        };
        MemDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// Power loss: unsynced things are lost or kept as the model says, open handles and locks die.
    pub fn crash(&self) {
        self.lock().crash();
    }

    /// The process dies: open handles and locks die, the system keeps what was written.
    pub fn kill(&self) {
        let mut state = self.lock();
        state.epoch += 1;
        state.locks.clear();
        state.inodes.values_mut().for_each(|inode| inode.owed.crash());
    }

    /// Bytes of all files.
    pub fn used(&self) -> u64 {
        self.lock().used()
    }

    /// Names of all files.
    pub fn files(&self) -> Vec<PathBuf> {
        self.lock().names.keys().cloned().collect()
    }

    /// Bytes that fit; preallocations and growing writes beyond fail with `ENOSPC`.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity = bytes;
    }

    /// Makes the `nth` call of this kind from now (1 = the next) and all later ones fail with
    /// `EIO`.
    pub fn fail_from(&self, op: DiskOp, nth: u64) {
        let mut state = self.lock();
        let at = state.calls(op) + nth;
        state.faults.insert(op, at);
    }

    /// Ends all injected failures.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    /// How often this call has been made.
    pub fn calls(&self, op: DiskOp) -> u64 {
        self.lock().calls(op)
    }

    /// Changes bytes behind the owner's back, durably (bit rot, misdirected writes).
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut state = self.lock();
        let inode = state.inode_of(path)?;
        state.inodes.get_mut(&inode).ok_or_else(not_found)?.tamper(change);
        Ok(())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn calls(&self, op: DiskOp) -> u64 {
        self.calls.get(&op).copied().unwrap_or(0)
    }

    /// Counts a call and says whether it must fail.
    pub(super) fn call(&mut self, op: DiskOp) -> io::Result<()> {
        let count = self.calls.entry(op).or_insert(0);
        *count += 1;
        let fails = self.faults.get(&op).is_some_and(|at| *count >= *at);
        if fails { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }

    fn used(&self) -> u64 {
        self.inodes.values().map(Inode::size).fold(0, u64::saturating_add)
    }

    /// Refuses to let files grow by `bytes` beyond the capacity.
    pub(super) fn reserve(&self, bytes: u64) -> io::Result<()> {
        let fits = self.used().saturating_add(bytes) <= self.capacity;
        if fits { Ok(()) } else { Err(io::Error::from_raw_os_error(ENOSPC)) }
    }

    fn inode_of(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(not_found)
    }

    fn has_dir(&self, dir: &Path) -> bool {
        dir.parent().is_none() || dir.as_os_str().is_empty() || self.dirs.contains(dir)
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.names, &mut self.dirs, &change);
        self.changes.push(change);
    }

    fn sync_dir(&mut self, dir: &Path) {
        let (now, later) =
            std::mem::take(&mut self.changes).into_iter().partition(|c| c.dir() == dir);
        self.changes = later;
        let now: Vec<Change> = now;
        now.iter().for_each(|c| apply(&mut self.durable_names, &mut self.durable_dirs, c));
        self.forget_unnamed();
    }

    fn crash(&mut self) {
        self.epoch += 1;
        self.locks.clear();
        let mut ended = BTreeSet::new();
        for change in std::mem::take(&mut self.changes) {
            let dir = change.dir().to_path_buf();
            if ended.contains(&dir) || next_random(&mut self.rng).is_multiple_of(3) {
                ended.insert(dir);
            } else {
                apply(&mut self.durable_names, &mut self.durable_dirs, &change);
            }
        }
        self.drop_orphans();
        self.names = self.durable_names.clone();
        self.dirs = self.durable_dirs.clone();
        let rng = &mut self.rng;
        self.inodes.values_mut().for_each(|inode| inode.crash(rng));
        self.forget_unnamed();
    }

    /// A name whose directory was lost is lost with it.
    fn drop_orphans(&mut self) {
        let dirs = self.durable_dirs.clone();
        let whole = |path: &Path| {
            let mut above = path.ancestors().skip(1).filter(|p| p.parent().is_some());
            above.all(|p| p.as_os_str().is_empty() || dirs.contains(p))
        };
        self.durable_dirs.retain(|dir| whole(dir));
        self.durable_names.retain(|path, _| whole(path));
    }

    /// Frees files without any name. Open handles to them become stale: nobody reads them here.
    fn forget_unnamed(&mut self) {
        let mut named: BTreeSet<u64> = self.durable_names.values().copied().collect();
        named.extend(self.names.values());
        let held = |c: &Change| if let Change::File(_, inode) = c { Some(*inode) } else { None };
        named.extend(self.changes.iter().filter_map(held));
        self.inodes.retain(|inode, file| named.contains(inode) || file.is_open());
    }
}

fn apply(names: &mut BTreeMap<PathBuf, u64>, dirs: &mut BTreeSet<PathBuf>, change: &Change) {
    match change {
        Change::Dir(path) => {
            dirs.insert(path.clone());
        }
        Change::File(path, inode) => {
            names.insert(path.clone(), *inode);
        }
        Change::Rename(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
        Change::Remove(path) => {
            names.remove(path);
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(super) fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub(super) fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Disk for MemDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let mut missing: Vec<&Path> = dir.ancestors().filter(|p| !state.has_dir(p)).collect();
        missing.reverse();
        missing.into_iter().for_each(|p| state.change(Change::Dir(p.to_path_buf())));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        if !state.has_dir(dir) {
            return Err(not_found());
        }
        let all = state.names.keys().chain(&state.dirs);
        let inside = all.filter(|p| p.parent() == Some(dir)).filter_map(|p| p.file_name());
        let names: BTreeSet<String> = inside.map(|n| n.to_string_lossy().into_owned()).collect();
        Ok(names.into_iter().collect())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        let found = state.names.get(path).copied();
        let inode = match (found, mode) {
            (Some(_), OpenMode::CreateNew) => {
                return Err(io::Error::from(io::ErrorKind::AlreadyExists));
            }
            (Some(inode), _) => inode,
            (None, OpenMode::Read | OpenMode::Write | OpenMode::WritePages) => {
                return Err(not_found());
            }
            (None, OpenMode::CreateNew | OpenMode::CreateOrOpen) => {
                if !state.has_dir(path.parent().unwrap_or(Path::new(""))) {
                    return Err(not_found());
                }
                let inode = state.next_inode;
                state.next_inode += 1;
                state.inodes.insert(inode, Inode::default());
                state.change(Change::File(path.to_path_buf(), inode));
                inode
            }
        };
        let epoch = state.epoch;
        let handle = state.inodes.get_mut(&inode).ok_or_else(not_found)?.handle();
        drop(state);
        let writable = mode != OpenMode::Read;
        let state = Arc::clone(&self.state);
        Ok(Arc::new(super::mem_file::MemFile { state, inode, epoch, writable, _handle: handle }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.inode_of(from)?;
        if from.parent() != to.parent() {
            return Err(io::Error::from(io::ErrorKind::Unsupported));
        }
        state.change(Change::Rename(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.inode_of(path)?;
        state.change(Change::Remove(path.to_path_buf()));
        state.forget_unnamed();
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.call(DiskOp::SyncDir)?;
        state.sync_dir(dir);
        Ok(())
    }

    fn free_space(&self, _dir: &Path) -> io::Result<u64> {
        let state = self.lock();
        let used = state.inodes.values().map(Inode::size).fold(0, u64::saturating_add);
        Ok(state.capacity.saturating_sub(used))
    }

    fn lock(&self, path: &Path, mode: LockMode) -> io::Result<Box<dyn DiskLock>> {
        let mut state = MemDisk::lock(self);
        let held = state.locks.get(path).copied().unwrap_or(0);
        let now = match mode {
            LockMode::Shared if held >= 0 => held + 1,
            LockMode::Exclusive if held == 0 => -1,
            LockMode::Shared | LockMode::Exclusive => {
                return Err(io::Error::from(io::ErrorKind::WouldBlock));
            }
        };
        state.locks.insert(path.to_path_buf(), now);
        let (epoch, path) = (state.epoch, path.to_path_buf());
        Ok(Box::new(MemLock { state: Arc::clone(&self.state), path, epoch }))
    }
}

struct MemLock {
    state: Arc<Mutex<State>>,
    path: PathBuf,
    epoch: u64,
}

impl DiskLock for MemLock {}

impl Drop for MemLock {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.epoch == self.epoch {
            let held = state.locks.get(&self.path).copied().unwrap_or(0);
            let left = if held > 0 { held - 1 } else { 0 };
            state.locks.insert(self.path.clone(), left);
        }
    }
}
