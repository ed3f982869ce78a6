//! Where a story with a cluster is played: trackers' machines, the cluster, and the engines.

use std::sync::{Arc, PoisonError};

use click_core::record::Record;
use click_core::types::Millis;
use click_engine::disk::MemDisk;
use click_engine::driver::Engine;
use click_engine::forward::Hole;
use click_engine::log::{Clock, EventLog, ManualClock};

use super::super::Outcome;
use super::super::stage::{START_MS, open_engine};
use super::super::store::TroubledStore;
use super::plan::{ClusterAction, ClusterPlan};
use super::site::Site;
use super::topic::Topic;

/// The world of a story.
pub(super) struct Stage {
    pub(super) topic: Topic,
    /// The true time, which engines know.
    pub(super) clock: Arc<ManualClock>,
    pub(super) sites: Vec<Site>,
    /// The engines' disk.
    disk: MemDisk,
    pub(super) store: TroubledStore,
    pub(super) engines: Option<[Engine; 2]>,
    restarts: u64,
}

impl Stage {
    pub(super) fn new(plan: &ClusterPlan) -> Stage {
        let clock = Arc::new(ManualClock::new(START_MS));
        let topic = Topic::new(plan, clock.clone());
        let site = |number| Site::new(number, plan, &topic, START_MS);
        Stage {
            sites: (0..plan.sites).map(site).collect(),
            topic,
            clock,
            disk: MemDisk::new(plan.seed),
            store: TroubledStore::new(),
            engines: None,
            restarts: 0,
        }
    }

    /// Plays all actions, lets everything recover, and judges what is left.
    ///
    /// # Panics
    /// If a promise is broken.
    pub(super) fn play(mut self, plan: &ClusterPlan) -> Outcome {
        for action in &plan.actions {
            self.act(*action);
            self.topic.inner().run();
        }
        let fingerprint = self.recover_and_judge(plan.ends_anew);
        let records = self.topic.records();
        Outcome {
            records: records.iter().map(|records| records.len() as u64).sum(),
            acknowledged: self.sites.iter().map(|site| site.acknowledged.len() as u64).sum(),
            rows: self.store.rows().len() as u64,
            restarts: self.restarts + self.sites.iter().map(|site| site.restarts).sum::<u64>(),
            fingerprint,
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.now().0 / 1000
    }

    fn act(&mut self, action: ClusterAction) {
        match action {
            ClusterAction::Click { site, seed } => self.sites[site].click(seed),
            ClusterAction::Heartbeat { site } => self.sites[site].heartbeat(),
            ClusterAction::OwnLogWorks { site } => self.sites[site].own_log_works(),
            ClusterAction::Forward { site } => self.sites[site].forward(),
            ClusterAction::Kill { site } => self.sites[site].kill(),
            ClusterAction::PowerFails { site } => self.sites[site].power_fails(),
            ClusterAction::Start { site } => self.sites[site].start(),
            ClusterAction::DiskFull { site, room } => {
                let site = &mut self.sites[site];
                site.disk_changes(true);
                site.disk.set_capacity(site.disk.used() + room);
            }
            ClusterAction::DiskFails { site, op, nth } => {
                self.sites[site].disk_changes(true);
                self.sites[site].disk.fail_from(op, nth);
            }
            ClusterAction::DiskHeals { site } => self.sites[site].disk_changes(false),
            ClusterAction::SiteClock { site, ms } => {
                let clock = &self.sites[site].clock;
                clock.set_wall((clock.now().0 / 1000).saturating_add_signed(ms));
            }
            ClusterAction::SenderBreaks { site } => self.topic.break_sender(site),
            ClusterAction::Pass { ms } => self.pass(ms),
            ClusterAction::LeaderClock { partition, ms } => self.topic.set_clock(partition, ms),
            ClusterAction::NewLeader { partition } => self.new_leader(partition),
            ClusterAction::Away { away } => self.topic.inner().is_away = away,
            ClusterAction::Loses { partition, count } => self.topic.loses(partition, count),
            ClusterAction::Cutover => self.topic.cutover(self.now()),
            ClusterAction::Learn { site } => self.sites[site].learn(),
            ClusterAction::Ask => {
                self.ask();
            }
            ClusterAction::Tick => self.tick(),
            ClusterAction::Fold { engine } => self.fold(engine),
            ClusterAction::Publish { engine } => self.publish(engine),
            ClusterAction::EnginesEnd { power } => self.end_engines(power),
            ClusterAction::EnginesStart => self.start_engines(),
            ClusterAction::StoreFails { calls, seed } => self.store.fail(calls, seed),
        }
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.clock.advance(ms);
        self.sites.iter().for_each(|site| site.clock.advance(ms));
    }

    fn new_leader(&self, partition: usize) {
        let mut inner = self.topic.inner();
        inner.new_leader(u32::try_from(partition).unwrap_or(0));
        let ms = inner.dice.pick(&[-5_000, -700, -3, 0, 3, 700, 5_000]);
        drop(inner);
        self.topic.set_clock(partition, ms);
    }

    pub(super) fn tick(&self) {
        let tick = Record::tick(Millis(self.now())).to_bytes();
        for partition in 0..self.topic.partitions() {
            // A refused tick is not missed.
            let _ = self.topic.append(partition, &tick);
        }
    }

    pub(super) fn fold(&mut self, number: usize) {
        let Some(engines) = &mut self.engines else { return };
        let stepped = engines[number].step();
        stepped.unwrap_or_else(|error| panic!("engine {number}: {error}"));
    }

    pub(super) fn publish(&self, number: usize) {
        let Some(engines) = &self.engines else { return };
        // A store that does not answer is tried again.
        let _ = engines[number].publish(&mut self.store.clone());
    }

    fn end_engines(&mut self, power: bool) {
        self.restarts += u64::from(self.engines.take().is_some());
        if power { self.disk.crash() } else { self.disk.kill() }
    }

    pub(super) fn start_engines(&mut self) {
        if self.engines.is_some() {
            return;
        }
        let open = |number| {
            let log: Arc<dyn EventLog> = Arc::new(self.topic.clone());
            let opened = open_engine(&log, &self.disk, &self.clock, &self.store, number);
            opened.unwrap_or_else(|error| panic!("opening engine {number}: {error}"))
        };
        self.engines = Some([open(0), open(1)]);
    }

    /// What the first engine misses.
    pub(super) fn holes(&self) -> Vec<Hole> {
        let Some(engines) = &self.engines else { return Vec::new() };
        let status = engines[0].status();
        let status = status.lock().unwrap_or_else(PoisonError::into_inner);
        let hole = |gap: &click_core::fold::Gap| Hole {
            partition: gap.partition.0,
            tracker_id: gap.tracker_id.clone(),
            epoch: gap.epoch,
            from: gap.from,
            to: gap.to,
        };
        status.open_gaps.iter().map(hole).collect()
    }

    /// Asks every tracker for what the engine misses.
    pub(super) fn ask(&mut self) {
        let holes = self.holes();
        if !holes.is_empty() {
            self.sites.iter_mut().for_each(|site| site.ask(&holes));
        }
    }
}
