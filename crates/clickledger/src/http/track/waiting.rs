//! Waiting for durability without a system call per click.
//!
//! Waking a task of another thread costs a write to that thread's event descriptor. So each server
//! thread has one task that waits for its commits in the order they were made: the log wakes that
//! task once per flush, and it wakes the requests locally. Must never resolve a commit itself.

use click_engine::log::{Commit, LogError, Position};
use std::cell::RefCell;
use tokio::sync::{mpsc, oneshot};

type Outcome = Result<Position, LogError>;
type Entry = (Commit, oneshot::Sender<Outcome>);

thread_local! {
    static QUEUE: RefCell<Option<mpsc::UnboundedSender<Entry>>> = const { RefCell::new(None) };
}

/// Starts this thread's waiting task; call it once, inside the thread's runtime. The queue holds at
/// most one entry per open request of the thread.
pub fn start_here() {
    let (sender, mut entries) = mpsc::unbounded_channel::<Entry>();
    QUEUE.with(|queue| queue.replace(Some(sender)));
    tokio::spawn(async move {
        while let Some((commit, waiter)) = entries.recv().await {
            // A waiter that is gone has passed its deadline.
            let _ = waiter.send(commit.await);
        }
    });
}

/// The commit's outcome, by way of this thread's task if it has one.
pub async fn outcome(commit: Commit) -> Outcome {
    if commit.is_settled() {
        return commit.await;
    }
    match enqueue(commit) {
        Ok(waiting) => waiting.await.unwrap_or(Err(LogError::Closed)),
        Err(commit) => commit.await,
    }
}

fn enqueue(commit: Commit) -> Result<oneshot::Receiver<Outcome>, Commit> {
    QUEUE.with(|queue| match &*queue.borrow() {
        None => Err(commit),
        Some(sender) => {
            let (waiter, waiting) = oneshot::channel();
            sender.send((commit, waiter)).map_err(|unsent| unsent.0.0)?;
            Ok(waiting)
        }
    })
}
