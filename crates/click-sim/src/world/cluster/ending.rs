//! How a story with a cluster ends: all trouble is over, everything is handed on, what is missing
//! is asked for, and what is left is compared with the promises and the reference. Must never hide
//! what healthy machines do not mend by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use click_core::record::Record;
use click_engine::driver::Engine;
use click_engine::forward::Hole;
use click_engine::log::EventLog;

use super::super::judge;
use super::super::tracker::Facts;
use super::stage::Stage;
use super::topic::timeless;
use crate::generate::home_partition;

/// Rounds that healthy machines may take to end what was begun.
const LAST_ROUNDS: usize = 1_500;

impl Stage {
    /// All trouble ends; returns a fingerprint of what is left.
    pub(super) fn recover_and_judge(&mut self, anew: bool) -> u64 {
        self.topic.behave();
        self.store.fail(0, 0);
        let now = self.now().max(self.topic.newest_time() + 1);
        self.clock.set_wall(now);
        for site in &mut self.sites {
            site.disk_changes(false);
            site.clock.set_wall(now);
            if anew {
                site.kill();
            }
            site.start();
        }
        self.start_engines();
        self.last_clicks();
        let mut quiet = 0;
        for _ in 0..LAST_ROUNDS {
            self.settle();
            let holes = self.real_holes();
            let is_done = self.is_done();
            quiet = if is_done && holes.is_empty() { quiet + 1 } else { 0 };
            // One more, so that an instant of the grid lies behind all verdicts.
            if quiet > 1 {
                return self.judge();
            }
            if is_done && !holes.is_empty() {
                self.ask();
            }
            self.pass(1_500);
        }
        panic!(
            "{LAST_ROUNDS} rounds without trouble, and not all clicks are handed on and decided, \
             or open: {:?}",
            self.real_holes()
        );
    }

    /// A click of each tracker for each partition, so that lost tails are seen.
    fn last_clicks(&mut self) {
        let partitions = self.topic.partitions();
        for (number, site) in (0..).zip(&mut self.sites) {
            for partition in 0..partitions {
                let is_there = |seed: &u64| {
                    home_partition(Facts::of(*seed).click(0).user_key(), partitions) == partition
                };
                let seed = (number * 10_000..).find(is_there);
                site.click_in(partition, seed.expect("users of every partition"));
            }
            site.heartbeat();
        }
    }

    fn settle(&mut self) {
        for site in &mut self.sites {
            site.own_log_works();
            site.forward();
        }
        self.topic.inner().run();
        self.tick();
        for number in 0..2 {
            self.fold(number);
            self.fold(number);
            self.publish(number);
        }
    }

    /// Whether everything is handed on, read, decided and published.
    fn is_done(&self) -> bool {
        let handed_on = self.sites.iter().all(super::site::Site::is_done);
        let Some(engines) = &self.engines else { return false };
        let decided = |engine: &Engine| {
            let status = engine.status();
            let status = status.lock().unwrap_or_else(PoisonError::into_inner);
            let ends = (0..self.topic.partitions()).map(|number| self.topic.range(number).end);
            let read = status.read_to.iter().map(|to| to.0).eq(ends);
            read && status.pending == 0 && status.arriving == 0 && status.rows_waiting == 0
        };
        handed_on && self.topic.inner().senders.is_quiet() && engines.iter().all(decided)
    }

    /// Holes but for numbers whose records were refused: those are no clicks.
    fn real_holes(&self) -> Vec<Hole> {
        let refused: BTreeSet<_> = self.sites.iter().flat_map(|site| &site.refused).collect();
        let is_refused = |hole: &Hole| {
            let identity = |seq| (hole.tracker_id.clone(), hole.partition, seq);
            (hole.from..hole.to).all(|seq| refused.contains(&identity(seq)))
        };
        self.holes().into_iter().filter(|hole| !is_refused(hole)).collect()
    }

    fn judge(&self) -> u64 {
        let Some([first, second]) = &self.engines else { panic!("the engines are at work") };
        judge::engines_agree(first, second);
        let records = self.topic.records();
        judge::ledger_is_true(&records, self.topic.begun_with(), &self.store, first);
        self.acknowledged_is_there();
        self.nothing_was_made_up(&records);
        judge::fingerprint(&records, &self.store)
    }

    /// What was acknowledged the cluster has; what was durable in an own log it has, or lost as
    /// planned.
    fn acknowledged_is_there(&self) {
        for (number, site) in self.sites.iter().enumerate() {
            for click in &site.acknowledged {
                assert!(
                    self.topic.has(click.partition, &click.timeless),
                    "an acknowledged click of site {number} is lost: {:?}",
                    Record::decode(&click.timeless).map(|record| (record.transport, record.kind)),
                );
            }
            for (partition, records) in (0..).zip(site.seen()) {
                let handed_on = |record: &Vec<u8>| self.topic.was_confirmed(partition, record);
                assert!(records.iter().all(handed_on), "site {number} kept a record to itself");
            }
        }
    }

    /// The cluster has what own logs had, in its partition, but for the time of sending; and one
    /// record of each identity.
    fn nothing_was_made_up(&self, records: &[Vec<(u64, Vec<u8>)>]) {
        for (partition, records) in records.iter().enumerate() {
            let own = self.sites.iter().flat_map(|site| &site.seen()[partition]);
            let own: BTreeSet<&Vec<u8>> = own.collect();
            let mut clicks: BTreeMap<(String, u64), Vec<u8>> = BTreeMap::new();
            for (_, payload) in records {
                let Ok(Record { transport: Some(transport), kind, .. }) = Record::decode(payload)
                else {
                    continue;
                };
                let payload = timeless(payload);
                assert!(own.contains(&payload), "partition {partition}: made up: {transport:?}");
                if matches!(kind, click_core::record::Kind::Click(_)) {
                    let identity = (transport.tracker_id.to_owned(), transport.seq);
                    let known = clicks.entry(identity).or_insert_with(|| payload.clone());
                    assert!(*known == payload, "two records are {transport:?}");
                }
            }
        }
    }
}
