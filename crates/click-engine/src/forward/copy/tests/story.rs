//! Stories by dice: processes die, logs are put back, the second site starts anew, messages come
//! late. What a tracker ever took for copied comes to the cluster.

use std::collections::BTreeSet;
use std::ops::Range;

use super::*;
use crate::log::RecordBatch;

/// A tracker whose own log is put back now and then, and what was ever copied for it.
struct Story {
    tracker: Tracker,
    copier: Copier,
    site: Site,
    cluster: Cluster,
    dir: tempfile::TempDir,
    /// Payloads of which the tracker believed that the second site has them.
    promised: BTreeSet<Vec<u8>>,
    appended: u64,
    dice: u64,
}

impl Story {
    fn new(seed: u64) -> Story {
        let (dir, cluster, site) =
            (tempfile::tempdir().unwrap(), Cluster::default(), Site::default());
        site.start(dir.path(), &cluster, LONG);
        let tracker = Tracker::new(&site);
        let copier = tracker.copier();
        let (promised, dice) = (BTreeSet::new(), seed.wrapping_mul(2).wrapping_add(1));
        Story { tracker, copier, site, cluster, dir, promised, appended: 0, dice }
    }

    /// Below `limit`, which is above 0.
    fn roll(&mut self, limit: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.dice >> 33) % limit
    }

    fn payloads(&self, partition: u32, range: Range<u64>) -> Vec<Vec<u8>> {
        let mut batch = RecordBatch::new();
        if !range.is_empty() {
            self.tracker.own.read(partition, range.start, 1 << 20, &mut batch).unwrap();
        }
        let below = batch.iter().filter(|(offset, ..)| *offset < range.end);
        below.map(|(_, _, payload)| payload.to_vec()).collect()
    }

    fn end(&self, partition: u32) -> u64 {
        self.tracker.own.range(partition).end
    }

    fn act(&mut self) {
        let partition = u32::from(self.roll(2) == 1);
        match self.roll(16) {
            0..5 => {
                for _ in 0..=self.roll(3) {
                    self.appended += 1;
                    let payload = format!("record {}", self.appended);
                    self.tracker.append(partition, &[&payload]);
                }
            }
            5..10 => {
                self.tracker.later();
                self.copier.step();
            }
            // The cluster gets some from the tracker.
            10 => {
                let (acked, end) = (self.tracker.shared.acked(partition), self.end(partition));
                let now = acked + self.roll(end - acked + 1);
                let got = self.payloads(partition, acked..now);
                self.cluster.has.lock().unwrap().extend(got);
                self.tracker.shared.note_acked(partition as usize, now);
            }
            11 => self.copier = self.tracker.copier(),
            12 => self.restart(u64::MAX),
            // The own log is as it was some time ago, and perhaps the name of its copy.
            13 => {
                let (back, name) = (self.roll(4), self.roll(2) == 1);
                self.restart(self.end(0).max(self.end(1)).saturating_sub(back));
                if name {
                    self.tracker.disk = Arc::new(MemDisk::new(3));
                    create_spool(&self.tracker.disk);
                    self.copier = self.tracker.copier();
                }
            }
            14 => {
                self.site.stop();
                self.site.start(self.dir.path(), &self.cluster, LONG);
            }
            _ => self.say_again(),
        }
        self.note_promises();
    }

    /// The process starts again, on what its log had below `end`; its positions may be older.
    fn restart(&mut self, end: u64) {
        let mut lanes = Vec::new();
        let new = Tracker { disk: Arc::clone(&self.tracker.disk), ..Tracker::new(&self.site) };
        for partition in 0..2 {
            let kept = self.payloads(partition, 0..self.end(partition).min(end));
            let acked = self.tracker.shared.acked(partition);
            let known = acked.min(kept.len() as u64);
            lanes.push((known - self.roll(known + 1).min(2), u64::MAX));
            for payload in kept {
                drop(new.own.append(partition, &payload).unwrap());
            }
        }
        let copying = Copying { missing: Missing::Refuse, patience: AFTER };
        let shared = Arc::new(Forwarding::new(&lanes, AFTER, Some(copying)));
        self.tracker = Tracker { shared, ..new };
        self.copier = self.tracker.copier();
    }

    /// A message comes once more, late.
    fn say_again(&mut self) {
        let handed = self.site.handed.lock().unwrap().clone();
        let old = handed.len() as u64;
        if old > 0 {
            let message = &handed[usize::try_from(self.roll(old)).unwrap()];
            if !Given::decode(message).unwrap().sections.is_empty() {
                // It may be refused.
                let _ = self.site.take_bytes(message);
            }
        }
    }

    fn note_promises(&mut self) {
        for partition in 0..2 {
            let shared = &self.tracker.shared;
            let copied =
                self.payloads(partition, shared.acked(partition)..shared.copied(partition));
            self.promised.extend(copied);
        }
    }
}

/// Plays one to its end.
fn play(seed: u64) {
    let mut story = Story::new(seed);
    for _ in 0..120 {
        story.act();
    }
    let Story { site, cluster, promised, .. } = story;
    cluster.is_there.store(true, Ordering::Relaxed);
    wait_until("all is handed on", || site.status().waiting == 0);
    let has = cluster.counts();
    let lost: Vec<_> = promised.iter().filter(|payload| !has.contains_key(*payload)).collect();
    assert!(lost.is_empty(), "seed {seed}: {} of {} lost", lost.len(), promised.len());
    assert!(promised.len() > 20, "seed {seed} has tried nothing");
    site.stop();
}

#[test]
fn whatever_happens_what_was_copied_comes_to_the_cluster() {
    // Mostly they wait.
    std::thread::scope(|all| {
        for at in 0..8 {
            all.spawn(move || (0..3).for_each(|round| play(3 * at + round)));
        }
    });
}
