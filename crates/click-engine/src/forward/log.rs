//! The own log as its tracker sees it: an append resolves when the cluster has the record, or as
//! the forwarder's patience decides.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::monotonic;
use super::waiters::Forwarding;
use crate::log::{
    Clock, Commit, EventLog, LogError, LogHealth, LogId, Lull, RecordBatch, Retention,
};

/// See the module.
pub struct ForwardedLog {
    own: Arc<dyn EventLog>,
    shared: Arc<Forwarding>,
    clock: Arc<dyn Clock>,
}

impl ForwardedLog {
    /// The own log of the forwarder that `shared` is of.
    pub fn new(
        own: Arc<dyn EventLog>,
        shared: Arc<Forwarding>,
        clock: Arc<dyn Clock>,
    ) -> ForwardedLog {
        ForwardedLog { own, shared, clock }
    }

    fn forwarded(&self, own: Commit) -> Commit {
        self.shared.wait_for(own, monotonic(&*self.clock))
    }
}

impl EventLog for ForwardedLog {
    fn log_id(&self) -> LogId {
        self.own.log_id()
    }

    fn generation(&self) -> u16 {
        self.own.generation()
    }

    fn partitions(&self) -> u32 {
        self.own.partitions()
    }

    fn append(&self, partition: u32, payload: &[u8]) -> Result<Commit, LogError> {
        Ok(self.forwarded(self.own.append(partition, payload)?))
    }

    fn append_at(&self, partition: u32, time: u64, payload: &[u8]) -> Result<Commit, LogError> {
        Ok(self.forwarded(self.own.append_at(partition, time, payload)?))
    }

    fn append_batch(&self, partition: u32, payloads: &[&[u8]]) -> Result<Commit, LogError> {
        Ok(self.forwarded(self.own.append_batch(partition, payloads)?))
    }

    fn read(
        &self,
        partition: u32,
        from: u64,
        max_bytes: usize,
        batch: &mut RecordBatch,
    ) -> Result<(), LogError> {
        self.own.read(partition, from, max_bytes, batch)
    }

    fn range(&self, partition: u32) -> Range<u64> {
        self.own.range(partition)
    }

    fn last_append_time(&self, partition: u32) -> u64 {
        self.own.last_append_time(partition)
    }

    fn wait(&self, ends: &[u64], timeout: Duration) -> bool {
        self.own.wait(ends, timeout)
    }

    fn health(&self) -> LogHealth {
        self.own.health()
    }

    fn lull(&self) -> Option<Arc<Lull>> {
        self.own.lull()
    }

    fn truncate_before(&self, partition: u32, offset: u64) -> Result<u64, LogError> {
        self.own.truncate_before(partition, offset)
    }

    fn retain(&self, policy: &Retention, floors: &[u64]) -> Result<(), LogError> {
        self.own.retain(policy, floors)
    }
}
