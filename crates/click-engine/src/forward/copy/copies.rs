//! All copies that this site keeps for others, each in a directory of its own, which goes once the
//! cluster has all of it and its giver is silent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use click_core::record::Header;

use super::kept::Kept;
use super::{CopyRefusal, Given, Held, Name};
use crate::disk::{RealDisk, create_dir_durable};
use crate::forward::Remote;
use crate::hex::hex;
use crate::log::{LogError, LogId, LogOptions};

/// Most own logs of which copies are kept.
const MAX_COPIES: usize = 16;
/// Time between two looks for copies that are done with.
const TIDY: Duration = Duration::from_secs(1);
/// What a copy is called while it is removed.
const GONE: &str = "gone";
/// How finely a stop is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// How copies are kept.
#[derive(Clone)]
pub struct CopiesConfig {
    /// Where they are.
    pub dir: PathBuf,
    /// Which log they are for.
    pub header: Header,
    /// Largest segment, bytes.
    pub segment_bytes: u64,
    /// How long a giver is silent before a copy that the cluster has goes.
    pub silence: Duration,
}

/// How they are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopiesStatus {
    /// Own logs of others.
    pub logs: usize,
    /// Their records that the cluster has not confirmed.
    pub waiting: u64,
}

/// Makes a way to a part of the log, by its number; and says how many partitions that has. Fails
/// for a part that nobody here has heard of yet.
type Ways = Box<dyn Fn(u32) -> Result<(u32, Box<dyn Remote>), LogError> + Send + Sync>;

/// An own log of somebody, and the part of the log that it is in front of.
type Own = (Name, u32);

/// See the module.
pub struct Copies {
    config: CopiesConfig,
    ways: Ways,
    kept: Mutex<BTreeMap<Own, Arc<Kept>>>,
    /// The sessions of this process's own copiers.
    own: Mutex<BTreeSet<Name>>,
    stop: AtomicBool,
    chores: Mutex<Option<JoinHandle<()>>>,
}

impl Copies {
    /// Opens those that are there, and goes on handing them to the cluster.
    ///
    /// # Errors
    /// If one cannot be opened, with its directory.
    pub fn open(config: CopiesConfig, ways: Ways) -> Result<Arc<Copies>, LogError> {
        let (kept, own, chores) = (Mutex::default(), Mutex::default(), Mutex::default());
        let copies = Copies { config, ways, kept, own, stop: AtomicBool::new(false), chores };
        let dir = &copies.config.dir;
        create_dir_durable(&RealDisk, dir)
            .map_err(|error| LogError::io("cannot create", dir, &error))?;
        for own in names(dir)? {
            let (partitions, way) = (copies.ways)(own.1)?;
            copies.open_one(own, partitions, way, &mut lock(&copies.kept))?;
        }
        let copies = Arc::new(copies);
        let tidying = Arc::downgrade(&copies);
        let chores = std::thread::Builder::new().name("copies-chores".into()).spawn(move || {
            let mut tidied = Instant::now();
            while let Some(copies) = tidying.upgrade() {
                if copies.stop.load(Ordering::Relaxed) {
                    return;
                }
                if tidied.elapsed() >= TIDY {
                    tidied = Instant::now();
                    copies.tidy();
                }
                drop(copies);
                std::thread::sleep(LOOK);
            }
        });
        *lock(&copies.chores) = Some(chores.map_err(LogError::copy)?);
        Ok(copies)
    }

    /// Takes a message, of at most `MAX_MESSAGE` bytes. Blocks until what it gives is durable.
    ///
    /// # Errors
    /// See there.
    pub fn take(&self, message: &[u8]) -> Result<Held, CopyRefusal> {
        let given = Given::decode(message).map_err(CopyRefusal::Damaged)?;
        if given.log_id != self.config.header.log_id {
            return Err(CopyRefusal::OtherLog);
        }
        if lock(&self.own).contains(&given.session) {
            return Err(CopyRefusal::Itself);
        }
        if self.stop.load(Ordering::Relaxed) {
            return Err(CopyRefusal::Log(LogError::Closed));
        }
        self.kept_of(&given)?.take(&given)
    }

    /// The copy that a message is for; a new one if it is a question.
    fn kept_of(&self, given: &Given<'_>) -> Result<Arc<Kept>, CopyRefusal> {
        let own = (given.spool, given.part);
        let mut kept = lock(&self.kept);
        let known = kept.get(&own).map(Arc::clone);
        let (kept, partitions) = match known {
            Some(known) => (Arc::clone(&known), known.partitions()),
            None if !given.sections.is_empty() => return Err(CopyRefusal::AskFirst),
            None if kept.len() >= MAX_COPIES => return Err(CopyRefusal::TooMany(MAX_COPIES)),
            None => {
                let (partitions, way) = (self.ways)(given.part)?;
                if partitions != given.partitions {
                    return Err(CopyRefusal::OtherLog);
                }
                (self.open_one(own, partitions, way, &mut kept)?, partitions)
            }
        };
        if partitions == given.partitions { Ok(kept) } else { Err(CopyRefusal::OtherLog) }
    }

    /// Takes nothing from this process's own copiers, of which one has this session: a copy beside
    /// its original is none.
    pub fn note_own(&self, session: Name) {
        lock(&self.own).insert(session);
    }

    /// How they are doing.
    pub fn status(&self) -> CopiesStatus {
        let kept = lock(&self.kept);
        let waiting = kept.values().map(|kept| kept.waiting()).sum();
        CopiesStatus { logs: kept.len(), waiting }
    }

    /// Takes no more; the next start hands on the rest.
    ///
    /// # Errors
    /// Why handing on had failed, if it had.
    pub fn stop(&self) -> Result<(), LogError> {
        self.stop.store(true, Ordering::Relaxed);
        let _ = lock(&self.chores).take().map(JoinHandle::join);
        let kept = std::mem::take(&mut *lock(&self.kept));
        kept.values().for_each(|kept| kept.ask_to_stop());
        kept.values().map(|kept| kept.join()).fold(Ok(()), Result::and)
    }

    fn open_one(
        &self,
        own: Own,
        partitions: u32,
        way: Box<dyn Remote>,
        kept: &mut BTreeMap<Own, Arc<Kept>>,
    ) -> Result<Arc<Kept>, LogError> {
        let Header { log_id, generation, .. } = self.config.header;
        let options = LogOptions {
            partitions,
            generation,
            log_id: Some(LogId(log_id)),
            segment_bytes: self.config.segment_bytes,
            ..LogOptions::default()
        };
        let opened = Arc::new(Kept::open(&self.config.dir.join(dir_of(own)), &options, way)?);
        kept.insert(own, Arc::clone(&opened));
        Ok(opened)
    }

    fn tidy(&self) {
        let mut kept = lock(&self.kept);
        kept.retain(|_, kept| {
            if !kept.close_if_done(self.config.silence) {
                return true;
            }
            // Its thread had nothing to do; a directory that stays is opened at the next start.
            let _ = kept.join();
            let gone = kept.dir().with_extension(GONE);
            // Half a copy must not pass for one.
            if std::fs::rename(kept.dir(), &gone).is_ok() {
                let _ = std::fs::remove_dir_all(&gone);
            }
            false
        });
    }
}

/// The own logs of which copies are in a directory; what was about to go goes.
fn names(dir: &Path) -> Result<Vec<Own>, LogError> {
    let failed = |error| LogError::io("cannot read", dir, &error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == GONE) {
            std::fs::remove_dir_all(&path)
                .map_err(|error| LogError::io("cannot remove", &path, &error))?;
        } else if let Some(own) = path.file_name().and_then(|name| own_of(name.to_str()?)) {
            names.push(own);
        }
    }
    Ok(names)
}

/// The name of a copy's directory: the part behind the name, but for the first one.
fn dir_of((name, part): Own) -> String {
    let name = hex(&name);
    if part == 0 { name } else { format!("{name}-{part}") }
}

fn own_of(text: &str) -> Option<Own> {
    let (name, part) = text.split_once('-').unwrap_or((text, "0"));
    let name = u128::from_str_radix(name, 16).ok()?;
    let own = (name.to_be_bytes(), part.parse().ok()?);
    (dir_of(own) == text).then_some(own)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
