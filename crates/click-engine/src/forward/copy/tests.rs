//! An own log, its copier, and a second site that keeps copies on a real disk, in front of a
//! cluster that takes everything, or nothing.

mod story;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use click_core::record::Header;

use super::*;
use crate::disk::MemDisk;
use crate::forward::waiters::{Copying, Forwarding, Missing};
use crate::forward::{Outcome, Remote};
use crate::log::{EventLog, LogError, LogId, ManualClock, MemLog};

const HEADER: Header = Header { log_id: [9; 16], generation: 1, partitions: 2 };
const AFTER: Duration = Duration::from_millis(300);

/// What the cluster has: payloads by partition, in the order in which they came.
#[derive(Clone, Default)]
struct Cluster {
    is_there: Arc<AtomicBool>,
    has: Arc<Mutex<Vec<Vec<u8>>>>,
}

struct Way(Cluster, Vec<Outcome>);

impl Remote for Way {
    fn send(&mut self, partition: u32, offset: u64, payload: &[u8]) -> Result<bool, LogError> {
        if !self.0.is_there.load(Ordering::Relaxed) {
            return Err(LogError::kafka("away"));
        }
        self.0.has.lock().unwrap().push(payload.to_vec());
        self.1.push(Outcome { partition, offset, result: Ok(1) });
        Ok(true)
    }

    fn outcomes(&mut self, _: Duration, out: &mut Vec<Outcome>) {
        out.append(&mut self.1);
    }

    fn reset(&mut self) -> Result<(), LogError> {
        self.1.clear();
        Ok(())
    }
}

impl Cluster {
    /// How often it has each payload, sorted.
    fn counts(&self) -> BTreeMap<Vec<u8>, usize> {
        let mut counts = BTreeMap::new();
        for payload in self.has.lock().unwrap().iter() {
            *counts.entry(payload.clone()).or_default() += 1;
        }
        counts
    }
}

/// The second site, which can be away, and remembers what it was handed.
#[derive(Clone, Default)]
struct Site {
    copies: Arc<Mutex<Option<Arc<Copies>>>>,
    handed: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Peer for Site {
    fn hand(&mut self, message: &[u8]) -> Result<Held, LogError> {
        let copies = self.copies.lock().unwrap().clone();
        let copies = copies.ok_or_else(|| LogError::copy("away"))?;
        self.handed.lock().unwrap().push(message.to_vec());
        copies.take(message).map_err(LogError::copy)
    }
}

impl Site {
    fn start(&self, dir: &Path, cluster: &Cluster, silence: Duration) {
        let config =
            CopiesConfig { dir: dir.into(), header: HEADER, segment_bytes: 1 << 20, silence };
        let cluster = cluster.clone();
        // Of a log that has moved once, to one partition more.
        let ways = Box::new(move |part| {
            let way: Box<dyn Remote> = Box::new(Way(cluster.clone(), Vec::new()));
            match part {
                0 | 1 => Ok((HEADER.partitions + part, way)),
                _ => Err(LogError::copy("nobody here knows of this part")),
            }
        });
        *self.copies.lock().unwrap() = Some(Copies::open(config, ways).unwrap());
    }

    fn stop(&self) {
        self.copies.lock().unwrap().take().unwrap().stop().unwrap();
    }

    fn status(&self) -> CopiesStatus {
        self.copies.lock().unwrap().as_ref().unwrap().status()
    }

    fn take(&self, message: Message) -> Result<Held, CopyRefusal> {
        self.take_bytes(&message.finish())
    }

    fn take_bytes(&self, message: &[u8]) -> Result<Held, CopyRefusal> {
        self.copies.lock().unwrap().as_ref().unwrap().take(message)
    }
}

fn create_spool(disk: &MemDisk) {
    crate::disk::create_dir_durable(disk, Path::new("/spool")).unwrap();
}

/// A tracker whose cluster is late from the first record on.
struct Tracker {
    own: Arc<MemLog>,
    shared: Arc<Forwarding>,
    clock: Arc<ManualClock>,
    disk: Arc<MemDisk>,
    site: Site,
}

impl Tracker {
    fn new(site: &Site) -> Tracker {
        let clock = Arc::new(ManualClock::new(1));
        let own = Arc::new(MemLog::new(LogId(HEADER.log_id), 1, 2, Arc::clone(&clock) as _));
        let copying = Copying { missing: Missing::Refuse, patience: AFTER };
        let shared = Forwarding::new(&[(0, 1000), (0, 1000)], AFTER, Some(copying));
        let disk = Arc::new(MemDisk::new(1));
        create_spool(&disk);
        Tracker { own, shared: Arc::new(shared), clock, disk, site: site.clone() }
    }

    fn copier(&self) -> Copier {
        let own: Arc<dyn EventLog> = Arc::clone(&self.own) as _;
        let (shared, peer) = (Arc::clone(&self.shared), Box::new(self.site.clone()));
        let (disk, clock) = (Arc::clone(&self.disk) as _, Arc::clone(&self.clock) as _);
        Copier::open(own, shared, peer, disk, clock, "/spool".into(), 0).unwrap()
    }

    fn append(&self, partition: u32, payloads: &[&str]) {
        for payload in payloads {
            drop(self.own.append(partition, payload.as_bytes()).unwrap());
        }
    }

    fn at_risk(&self) -> (u64, u64) {
        let status = self.shared.status(&*self.own);
        (status.behind, status.at_risk)
    }

    fn complaint(&self) -> Option<String> {
        self.shared.status(&*self.own).copy_problem
    }

    /// Steps until nothing is to be said.
    fn settle(&self, copier: &mut Copier) {
        for _ in 0..20 {
            if !copier.step() {
                return;
            }
        }
        panic!("it never comes to an end: {:?}", self.complaint());
    }

    /// The clock goes on, so that what is due in a second is due.
    fn later(&self) {
        self.clock.advance(1_000_000);
    }
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn once(payloads: &[&str]) -> BTreeMap<Vec<u8>, usize> {
    payloads.iter().map(|payload| (payload.as_bytes().to_vec(), 1)).collect()
}

const LONG: Duration = Duration::from_secs(600);

#[test]
fn what_the_cluster_is_late_with_is_at_the_second_site_and_comes_to_the_cluster_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let (cluster, site) = (Cluster::default(), Site::default());
    site.start(dir.path(), &cluster, LONG);
    let tracker = Tracker::new(&site);
    let mut copier = tracker.copier();
    assert!(!copier.step(), "nothing to copy");
    tracker.append(0, &["a", "b"]);
    tracker.append(1, &["c"]);
    assert_eq!(tracker.at_risk(), (3, 3));
    tracker.settle(&mut copier);
    assert_eq!((tracker.at_risk(), site.status().waiting), ((3, 0), 3));
    // The second site dies and comes back, in the midst.
    tracker.append(0, &["d"]);
    site.stop();
    tracker.settle_with_problem(&mut copier, "away");
    assert_eq!(tracker.at_risk(), (4, 1));
    site.start(dir.path(), &cluster, LONG);
    tracker.later();
    tracker.settle(&mut copier);
    assert_eq!((tracker.at_risk(), tracker.complaint()), ((4, 0), None));
    // The tracker is lost; the cluster is back.
    drop((copier, tracker));
    cluster.is_there.store(true, Ordering::Relaxed);
    wait_until("the copies are handed on", || site.status().waiting == 0);
    assert_eq!(cluster.counts(), once(&["a", "b", "c", "d"]));
    site.stop();
}

impl Tracker {
    fn settle_with_problem(&self, copier: &mut Copier, expected: &str) {
        assert!(copier.step());
        let problem = self.complaint().unwrap_or_default();
        assert!(problem.contains(expected), "{problem}");
        assert!(!copier.step(), "not again at once");
    }
}

#[test]
fn what_the_cluster_has_got_since_is_dropped_and_the_copy_goes() {
    let dir = tempfile::tempdir().unwrap();
    let (cluster, site) = (Cluster::default(), Site::default());
    site.start(dir.path(), &cluster, Duration::from_millis(1500));
    let tracker = Tracker::new(&site);
    let mut copier = tracker.copier();
    tracker.append(0, &["a", "b", "c"]);
    tracker.settle(&mut copier);
    tracker.shared.note_acked(0, 2);
    tracker.later();
    tracker.settle(&mut copier);
    wait_until("a and b are dropped", || site.status().waiting == 1);
    // The cluster gets one more than was copied; then it is late again, and the copy goes on there.
    tracker.append(0, &["d"]);
    tracker.shared.note_acked(0, 4);
    tracker.later();
    tracker.settle(&mut copier);
    wait_until("c is dropped", || site.status().waiting == 0);
    assert!(!copier.step(), "nothing is left to tell");
    tracker.append(0, &["e"]);
    tracker.settle(&mut copier);
    assert_eq!((tracker.at_risk(), site.status().waiting), ((1, 0), 1));
    cluster.is_there.store(true, Ordering::Relaxed);
    wait_until("e is handed on", || site.status().waiting == 0);
    assert_eq!(cluster.counts(), once(&["e"]), "the cluster has the others from the tracker");
    wait_until("the copy goes", || site.status().logs == 0);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    // The next copy begins anew.
    cluster.is_there.store(false, Ordering::Relaxed);
    tracker.append(0, &["f"]);
    for _ in 0..3 {
        tracker.later();
        copier.step();
    }
    assert_eq!((tracker.at_risk(), site.status().waiting), ((2, 0), 2), "e and f");
    site.stop();
}

#[test]
fn a_second_site_that_lost_its_disk_gets_everything_again() {
    let (cluster, site) = (Cluster::default(), Site::default());
    let dir = tempfile::tempdir().unwrap();
    site.start(dir.path(), &cluster, LONG);
    let tracker = Tracker::new(&site);
    let mut copier = tracker.copier();
    tracker.append(1, &["a", "b"]);
    tracker.settle(&mut copier);
    site.stop();
    let another = tempfile::tempdir().unwrap();
    site.start(another.path(), &cluster, LONG);
    // Nothing is new, and it is noticed all the same.
    tracker.later();
    tracker.settle_with_problem(&mut copier, "ask first");
    tracker.later();
    tracker.settle(&mut copier);
    assert_eq!((tracker.at_risk(), site.status().waiting), ((2, 0), 2));
    site.stop();
}

#[test]
fn an_own_log_that_was_put_back_begins_a_copy_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (cluster, site) = (Cluster::default(), Site::default());
    site.start(dir.path(), &cluster, LONG);
    let tracker = Tracker::new(&site);
    tracker.append(0, &["a", "b"]);
    tracker.settle(&mut tracker.copier());
    // The state before b, under the same name: another record is in its place, or none.
    for (number, now) in [&["a", "B", "C"][..], &["a"][..]].into_iter().enumerate() {
        let put_back = Tracker { disk: Arc::clone(&tracker.disk), ..Tracker::new(&site) };
        put_back.append(0, now);
        put_back.settle(&mut put_back.copier());
        assert_eq!(put_back.at_risk().1, 0);
        assert_eq!(site.status().logs, number + 2);
    }
    // The same log again goes on where it was.
    let (handed, again) = (site.handed.lock().unwrap().len(), Tracker::new(&site));
    again.append(0, &["a"]);
    let same = Tracker { disk: Arc::new(MemDisk::new(2)), ..again };
    create_spool(&same.disk);
    same.settle(&mut same.copier());
    assert_eq!(site.handed.lock().unwrap().len(), handed + 2, "a question and the record");
    let logs = site.status().logs;
    same.append(0, &["x"]);
    same.settle(&mut same.copier());
    assert_eq!(site.status().logs, logs, "a new process, the same copy");
    cluster.is_there.store(true, Ordering::Relaxed);
    wait_until("all are handed on", || site.status().waiting == 0);
    for lost in ["a", "b", "B", "C", "x"] {
        assert!(cluster.counts().contains_key(lost.as_bytes()), "{lost}");
    }
    site.stop();
}

#[test]
fn a_copy_is_of_the_part_that_its_spool_is_in_front_of() {
    let dir = tempfile::tempdir().unwrap();
    let (cluster, site) = (Cluster::default(), Site::default());
    site.start(dir.path(), &cluster, LONG);
    let message = |part, partitions, record: Option<&[u8]>| {
        let mut message = Message::new(HEADER.log_id, [1; 16], [2; 16], part, partitions);
        if let Some(record) = record {
            message.section(partitions - 1, 0, 0);
            message.record(record);
        }
        message
    };
    assert!(matches!(site.take(message(2, 2, None)), Err(CopyRefusal::Log(_))), "no such part");
    assert_eq!(site.take(message(1, 2, None)), Err(CopyRefusal::OtherLog), "it has three");
    assert_eq!(site.take(message(1, 3, None)).unwrap().ends, [0; 3]);
    assert_eq!(site.take(message(1, 3, Some(b"a"))).unwrap().ends, [0, 0, 1]);
    assert_eq!(site.take(message(1, 2, Some(b"b"))), Err(CopyRefusal::OtherLog));
    assert_eq!(site.take(message(0, 2, Some(b"b"))), Err(CopyRefusal::AskFirst), "another copy");
    site.stop();
    site.start(dir.path(), &cluster, LONG);
    assert_eq!(site.take(message(1, 3, None)).unwrap().ends, [0, 0, 1], "it is found again");
    cluster.is_there.store(true, Ordering::Relaxed);
    wait_until("it is handed on", || site.status().waiting == 0);
    assert_eq!(cluster.counts(), once(&["a"]));
    site.stop();
}

fn message(spool: u8, session: u8, section: Option<(u64, u64, &[&str])>) -> Message {
    let mut message = Message::new(HEADER.log_id, [spool; 16], [session; 16], 0, HEADER.partitions);
    if let Some((acked, from, records)) = section {
        message.section(1, acked, from);
        records.iter().for_each(|record| message.record(record.as_bytes()));
    }
    message
}

#[test]
fn holes_strangers_and_damage_are_refused_and_a_copy_that_comes_twice_is_taken_once() {
    let dir = tempfile::tempdir().unwrap();
    let (cluster, site) = (Cluster::default(), Site::default());
    site.start(dir.path(), &cluster, LONG);
    let give = |session, acked, from, records: &[&str]| {
        site.take(message(1, session, Some((acked, from, records)))).map(|held| held.ends[1])
    };
    assert_eq!(give(1, 0, 0, &["a"]), Err(CopyRefusal::AskFirst), "nobody has asked");
    let ends = site.take(message(1, 1, None)).unwrap();
    assert_eq!((ends.ends, ends.last), (vec![0, 0], vec![String::new(), String::new()]));
    let hole = |end, from| Err(CopyRefusal::Hole { partition: 1, end, from });
    assert_eq!(give(1, 0, 1, &["b"]), hole(0, 1), "the cluster has not got the first one");
    assert_eq!(give(1, 0, 0, &["a", "b"]), Ok(2));
    assert_eq!(give(1, 0, 0, &["a", "b"]), Ok(2), "sent twice");
    assert_eq!(give(1, 0, 1, &["b", "c"]), Ok(3), "only c is new");
    assert_eq!(site.status().waiting, 3);
    assert_eq!(give(1, 3, 5, &["f"]), hole(3, 5), "one is missing");
    assert_eq!(give(1, 4, 5, &["f"]), hole(3, 5), "still");
    assert_eq!(give(1, 5, 5, &["f"]), Ok(6), "the cluster has what is between");
    wait_until("what the cluster has is dropped", || site.status().waiting == 1);
    // Another process asks, and the first one's messages come too late.
    assert_eq!(site.take(message(1, 2, None)).unwrap().last[1], mark_of(b"f"));
    assert_eq!(give(1, 5, 6, &["g"]), Err(CopyRefusal::AskFirst));
    assert_eq!(give(2, 5, 6, &["g"]), Ok(7));
    let stranger = Message::new([0; 16], [1; 16], [2; 16], 0, HEADER.partitions);
    assert_eq!(site.take(stranger), Err(CopyRefusal::OtherLog));
    let stranger = Message::new(HEADER.log_id, [1; 16], [2; 16], 0, 3);
    assert_eq!(site.take(stranger), Err(CopyRefusal::OtherLog));
    let mut damaged = message(1, 2, Some((5, 7, &["h"]))).finish();
    damaged[80] ^= 1;
    assert!(matches!(site.take_bytes(&damaged), Err(CopyRefusal::Damaged(_))));
    // Where it is survives a restart: it knows the place behind the gap.
    site.stop();
    std::fs::create_dir_all(dir.path().join("00.gone/p0000")).unwrap();
    site.start(dir.path(), &cluster, LONG);
    assert_eq!(site.take(message(1, 3, None)).unwrap().ends, [0, 7]);
    assert!(!dir.path().join("00.gone").exists(), "half a copy passes for none");
    site.copies.lock().unwrap().as_ref().unwrap().note_own([4; 16]);
    assert_eq!(site.take(message(1, 4, None)), Err(CopyRefusal::Itself));
    // There is room for sixteen.
    for spool in 2..=16 {
        site.take(message(spool, 1, None)).unwrap();
    }
    assert_eq!(site.take(message(17, 1, None)), Err(CopyRefusal::TooMany(16)));
    site.stop();
}
