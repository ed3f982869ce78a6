//! Why a host's call is refused.

use click_core::hosted::HostError;

/// See the module. After any of these but `NoStage` the stage is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// The core refuses.
    #[error("the stage refuses: {0}")]
    Host(#[from] HostError),
    /// No frames, or of a port that this stage does not read.
    #[error("not frames for this stage, or cut short")]
    Frames,
    /// The record that should name the log.
    #[error("not a header record: pass the first record of partition 0")]
    Header,
    /// A number that names no stage.
    #[error("no stage has the number {0}: use those of the bridge of this version")]
    Kind(i32),
    /// Key groups beyond the number that there are.
    #[error("key groups {0} to {1} (exclusive): there are 0 to 128; set the maximum parallelism")]
    Groups(i32, i32),
    /// Work before the start, or state after it.
    #[error("out of order: open, restore each key group, start, and only then anything else")]
    Order,
    /// A watermark that no log reaches.
    #[error("watermark {0} is beyond all time: never pass the end of a stream on")]
    Watermark(u64),
    /// A call before this one failed.
    #[error("an earlier call of this stage failed: close it, and open it from its last snapshots")]
    Failed,
    /// Closed, or never open.
    #[error("no stage is open under this handle")]
    NoStage,
    /// A buffer shorter than what is said to be in it.
    #[error("the buffer has to be a direct one and hold what it is said to hold")]
    Buffer,
}
