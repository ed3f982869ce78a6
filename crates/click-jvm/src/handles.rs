//! Open stages by number. A number is never given twice, so a call on a closed stage is an error
//! and not a dangling pointer; a stage that failed once, or panicked, refuses from then on.

use crate::error::StageError;
use crate::stage::Stage;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

struct Held {
    stage: Stage,
    /// A key group's snapshot on its way to the host, and how much of it is there. Its memory
    /// serves the next one.
    state: (Vec<u8>, usize),
    failed: bool,
}

struct Open {
    stages: BTreeMap<i64, Arc<Mutex<Held>>>,
    last: i64,
}

static OPEN: Mutex<Open> = Mutex::new(Open { stages: BTreeMap::new(), last: 0 });

/// Nothing that can panic is done while it is locked.
fn open() -> MutexGuard<'static, Open> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a stage; the number is its handle.
pub fn add(stage: Stage) -> i64 {
    let held = Held { stage, state: (Vec::new(), 0), failed: false };
    let mut open = open();
    open.last += 1;
    let handle = open.last;
    open.stages.insert(handle, Arc::new(Mutex::new(held)));
    handle
}

/// Lets go of a stage, whatever happened to it; false if it was closed before.
pub fn close(handle: i64) -> bool {
    let held = open().stages.remove(&handle);
    held.is_some()
}

/// Works with a stage.
pub fn with<T>(
    handle: i64,
    work: impl FnOnce(&mut Stage) -> Result<T, StageError>,
) -> Result<T, StageError> {
    with_held(handle, |held| work(&mut held.stage))
}

/// Takes a snapshot for [`take_state`]; its length in bytes.
pub fn snapshot(handle: i64, group: u8) -> Result<usize, StageError> {
    with_held(handle, |held| {
        let (state, taken) = &mut held.state;
        held.stage.snapshot(group, state)?;
        *taken = 0;
        Ok(state.len())
    })
}

/// Moves what is left of the last snapshot into `buffer`, as much as fits.
pub fn take_state(handle: i64, buffer: &mut [u8]) -> Result<usize, StageError> {
    with_held(handle, |held| {
        let (state, taken) = &mut held.state;
        let rest = &state[*taken..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        *taken += count;
        Ok(count)
    })
}

fn with_held<T>(
    handle: i64,
    work: impl FnOnce(&mut Held) -> Result<T, StageError>,
) -> Result<T, StageError> {
    let held = open().stages.get(&handle).cloned().ok_or(StageError::NoStage)?;
    // Poisoned by a panic of an earlier call.
    let mut held = held.lock().map_err(|_| StageError::Failed)?;
    if held.failed {
        return Err(StageError::Failed);
    }
    let done = work(&mut held);
    held.failed = done.is_err();
    done
}
