//! Waiting for durability without a system call or a timer per click.
//!
//! Waking a task of another thread costs a write to that thread's event descriptor. So each server
//! thread has one task that waits for its commits in the order they were made: the log wakes that
//! task once per flush, and it wakes the requests locally. It also gives up on those whose deadline
//! has passed: as each has about the same time, the first in line is the first to be late. Must
//! never resolve a commit itself.

use click_engine::log::{Commit, LogError, Position};
use std::cell::RefCell;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;

type Outcome = Result<Position, LogError>;

struct Entry {
    commit: Commit,
    deadline: Instant,
    waiter: oneshot::Sender<Option<Outcome>>,
}

thread_local! {
    static QUEUE: RefCell<Option<mpsc::UnboundedSender<Entry>>> = const { RefCell::new(None) };
}

/// Starts this thread's waiting task; call it once, inside the thread's runtime. The queue holds at
/// most one entry per open request of the thread.
pub fn start_here() {
    let (sender, mut entries) = mpsc::unbounded_channel::<Entry>();
    QUEUE.with(|queue| queue.replace(Some(sender)));
    tokio::spawn(async move {
        while let Some(Entry { commit, deadline, waiter }) = entries.recv().await {
            // A waiter that is gone has closed its connection.
            let _ = waiter.send(timeout_at(deadline.into(), commit).await.ok());
        }
    });
}

/// The commit's outcome, by way of this thread's task if it has one; `None` after the deadline.
pub async fn outcome(commit: Commit, deadline: Instant) -> Option<Outcome> {
    if commit.is_settled() {
        return Some(commit.await);
    }
    match enqueue(commit, deadline) {
        Ok(waiting) => waiting.await.unwrap_or(Some(Err(LogError::Closed))),
        Err(commit) => timeout_at(deadline.into(), commit).await.ok(),
    }
}

fn enqueue(
    commit: Commit,
    deadline: Instant,
) -> Result<oneshot::Receiver<Option<Outcome>>, Commit> {
    QUEUE.with(|queue| match &*queue.borrow() {
        None => Err(commit),
        Some(sender) => {
            let (waiter, waiting) = oneshot::channel();
            let entry = Entry { commit, deadline, waiter };
            sender.send(entry).map_err(|unsent| unsent.0.commit)?;
            Ok(waiting)
        }
    })
}
