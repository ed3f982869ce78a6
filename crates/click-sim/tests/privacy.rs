//! Archives without what tells of persons: addresses truncated and users erased, the ledger is the
//! same to the unit, for the audit and for DuckDB; and nothing else can be changed in that way.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use click_core::record::{Click, Kind, Record};
use click_core::types::Millis;
use click_engine::archive::{
    Archive, ArchiveConfig, ArchiveError, ArchiveParts, Archiver, Audit, DiskObjects, Objects,
    Revision, SALT_BYTES, Salt, Truncated, Truncation, audit, erase_user, truncate_addresses,
};
use click_engine::disk::MemDisk;
use click_engine::log::{EventLog, ManualClock, RecordBatch};
use click_sim::bridge::give_source_keys;
use click_sim::check::World;
use click_sim::generate::{GeneratorConfig, generate};
use click_sim::given_log::GivenLog;
use click_sim::reference::{PlainPayload, PlainRecord};

const DAY_MS: u64 = 24 * 3_600_000;
/// Longer than any dedup horizon.
const LONG_AFTER_MS: u64 = 60 * DAY_MS;

struct Archived {
    log: GivenLog,
    objects: Arc<DiskObjects>,
}

impl Archived {
    fn new(records: &[PlainRecord], partitions: u32) -> Archived {
        let world = World::new(records, partitions);
        let disk = Arc::new(MemDisk::new(0));
        let objects = Arc::new(DiskObjects::new(disk.clone(), Path::new("/archive")));
        let parts = ArchiveParts {
            log: Arc::new(GivenLog::new(world.header, world.log.clone())),
            disk,
            clock: Arc::new(ManualClock::new(0)),
            checkpoints: PathBuf::from("/state"),
            objects: objects.clone(),
            told: None,
        };
        let config = ArchiveConfig { rows_per_file: 100, ..ArchiveConfig::default() };
        Archiver::open(parts, config).unwrap().finish().unwrap();
        Archived { log: GivenLog::new(world.header, world.log), objects }
    }

    /// Of generated records, each click with the key of its source.
    fn generated(seed: u64) -> Archived {
        let config = GeneratorConfig::from_seed(seed);
        let mut records = generate(&config, seed);
        give_source_keys(&mut records);
        Archived::new(&records, config.partitions)
    }

    /// The same, long after.
    fn long_ago(seed: u64) -> Archived {
        let config = GeneratorConfig::from_seed(seed);
        let mut records = generate(&config, seed);
        give_source_keys(&mut records);
        let latest = records.iter().map(|record| record.append_time).max().unwrap();
        for partition in 0..config.partitions {
            let own = records.iter().filter(|record| record.partition == partition);
            let (offset, append_time) = (own.count() as u64, latest + LONG_AFTER_MS);
            let payload = PlainPayload::Tick { sent_at: None };
            records.push(PlainRecord { partition, offset, append_time, payload });
        }
        Archived::new(&records, config.partitions)
    }

    fn archive(&self) -> Archive {
        Archive::open(self.objects.clone()).unwrap()
    }

    fn audit(&self) -> Audit {
        audit(self.archive(), None, Some(&self.log), 1, &|_| true).unwrap()
    }

    /// All that is archived, as bytes by name.
    fn everything(&self) -> BTreeMap<String, Vec<u8>> {
        let names = ["manifest", "clicks", "verdicts"].map(|f| self.objects.list(f).unwrap());
        let bytes = |name: String| (name.clone(), self.objects.get(&name).unwrap().unwrap());
        names.concat().into_iter().map(bytes).collect()
    }

    fn for_each_click(&self, mut look: impl FnMut(&Click<'_>)) {
        let log = self.archive().into_log();
        for partition in 0..log.partitions() {
            let (mut batch, mut next) = (RecordBatch::default(), 0);
            while next < log.range(partition).end {
                batch.clear();
                log.read(partition, next, 1 << 20, &mut batch).unwrap();
                next += batch.len() as u64;
                for (_, _, payload) in batch.iter() {
                    if let Ok(Record { kind: Kind::Click(click), .. }) = Record::decode(payload) {
                        look(&click);
                    }
                }
            }
        }
    }

    /// How many clicks each user has.
    fn users(&self) -> BTreeMap<String, u64> {
        let mut users = BTreeMap::new();
        self.for_each_click(|click| *users.entry(click.user_id.to_owned()).or_default() += 1);
        users.remove("");
        users
    }

    /// Files of records are those that the newest revisions name, and no others.
    fn has_no_leftovers(&self) {
        let archive = self.archive();
        let files = archive.manifests().iter().flat_map(|manifest| &manifest.files);
        let mut named: Vec<_> = files.map(|file| file.name.clone()).collect();
        let mut there =
            [self.objects.list("clicks").unwrap(), self.objects.list("verdicts").unwrap()].concat();
        named.sort();
        there.sort();
        assert_eq!(named, there);
    }
}

/// As if it were random.
fn salt(number: usize) -> Salt {
    [number.to_le_bytes()[0]; SALT_BYTES]
}

#[test]
fn truncated_addresses_change_nothing_that_counts() {
    let (mut files, mut clicks) = (0, 0);
    for seed in 0..20 {
        let archived = Archived::generated(seed);
        let before = archived.audit();
        assert_eq!(before.differences, [], "seed {seed}");
        let half = archived.archive().until() / 2 + archived.archive().manifests()[0].until / 2;
        let first = truncate_addresses(&archived.archive(), Millis(half)).unwrap();
        same(&before, &archived.audit(), seed);
        let all = Millis(archived.archive().until());
        let second = truncate_addresses(&archived.archive(), all).unwrap();
        let spans = archived.archive().manifests().len() as u64;
        assert_eq!(first.spans + second.spans, spans, "seed {seed}");
        let after = archived.audit();
        same(&before, &after, seed);
        assert_eq!(after.rewritten, first.files + second.files, "seed {seed}");
        archived.for_each_click(|click| {
            clicks += 1;
            let rest = &click.ip[click.ip.len().saturating_sub(1)..];
            assert!(rest.iter().all(|byte| *byte == 0) && click.peer_ip.is_empty());
            assert_eq!(click.user_agent, None);
        });
        archived.has_no_leftovers();
        let again = truncate_addresses(&archived.archive(), all).unwrap();
        assert_eq!(again, Truncated::default());
        files += after.rewritten;
    }
    assert!(files > 40 && clicks > 2_000, "{files} files, {clicks} clicks");
}

fn same(before: &Audit, after: &Audit, seed: u64) {
    assert_eq!(after.differences, [], "seed {seed}");
    assert_eq!((&after.result, after.by_class), (&before.result, before.by_class), "seed {seed}");
    assert_eq!((after.verdicts, after.log_records), (before.verdicts, before.log_records));
}

#[test]
fn a_click_without_a_source_key_keeps_its_address() {
    let config = GeneratorConfig::from_seed(1);
    let archived = Archived::new(&generate(&config, 1), config.partitions);
    let before = archived.everything();
    let all = Millis(archived.archive().until());
    let error = truncate_addresses(&archived.archive(), all).unwrap_err().to_string();
    assert!(error.contains("has an address and no source key"), "{error}");
    let revised = archived.archive().revisions().count();
    let named =
        archived.archive().manifests()[0].files.iter().all(|f| before.contains_key(&f.name));
    assert!(revised == 0 && named);
    assert_eq!(archived.audit().differences, []);
}

#[test]
fn erased_users_change_nothing_that_counts() {
    let mut erased = 0;
    for seed in 0..10 {
        let archived = Archived::long_ago(seed);
        let before = archived.audit();
        let mut erased_here = 0;
        for (number, (user, clicks)) in archived.users().into_iter().enumerate().take(4) {
            // Some of truncated archives.
            if number == 2 {
                let all = Millis(archived.archive().until());
                truncate_addresses(&archived.archive(), all).unwrap();
            }
            let done = erase_user(&archived.archive(), &user, &salt(number)).unwrap();
            assert_eq!((done.clicks, done.remaining), (clicks, 0), "seed {seed}, {user:?}");
            erased += clicks;
            let after = archived.audit();
            same(&before, &after, seed);
            let users = archived.users();
            let names = users.iter().filter(|(name, _)| name.starts_with("erased-"));
            let (names, renamed) =
                names.fold((0, 0), |(n, sum), (_, clicks)| (n + 1, sum + clicks));
            assert_eq!(
                (users.get(&user), names, renamed),
                (None, number + 1, erased_here + clicks)
            );
            erased_here += clicks;
            archived.has_no_leftovers();
        }
    }
    assert!(erased > 250, "{erased}");
}

/// What may still be repeated stays; what cannot goes.
#[test]
fn recent_clicks_are_erased_later() {
    let (mut gone, mut remaining) = (0, 0);
    for seed in 0..12 {
        let archived = Archived::generated(seed);
        let before = archived.audit();
        for (user, clicks) in archived.users().into_iter().take(3) {
            let done = erase_user(&archived.archive(), &user, &salt(user.len())).unwrap();
            assert_eq!(done.clicks + done.remaining, clicks, "seed {seed}, {user:?}");
            assert_eq!(done.remaining > 0, done.possible_at.0 > archived.archive().until());
            assert_eq!(archived.users().get(&user).copied().unwrap_or(0), done.remaining);
            (gone, remaining) = (gone + done.clicks, remaining + done.remaining);
            same(&before, &archived.audit(), seed);
        }
    }
    assert!(remaining > 90, "{gone} and {remaining}");
}

/// A revision cannot be used to change what counts, nor be changed itself.
#[test]
fn a_forged_revision_is_found() {
    let config = GeneratorConfig::from_seed(3);
    let mut records = generate(&config, 3);
    give_source_keys(&mut records);
    let archived = Archived::new(&records, config.partitions);
    let all = Millis(archived.archive().until());
    truncate_addresses(&archived.archive(), all).unwrap();
    let good = archived.everything();
    // The archive of other clicks at the same positions, truncated like ours.
    for record in &mut records {
        if let PlainPayload::Click(click) = &mut record.payload {
            click.price_micros += 1;
        }
    }
    let other = Archived::new(&records, config.partitions);
    truncate_addresses(&other.archive(), all).unwrap();
    let ours: Revision = archived.archive().revisions().next().unwrap().clone();
    let mut theirs: Revision = other.archive().revisions().next().unwrap().clone();
    for (file, own) in theirs.files.iter_mut().zip(&ours.files) {
        let bytes = other.objects.get(&file.name).unwrap().unwrap();
        archived.objects.put(&file.name, &bytes).unwrap();
        file.kept.clone_from(&own.kept);
    }
    theirs.previous.clone_from(&ours.previous);
    let name = Revision::name(ours.number, ours.revision);
    archived.objects.put(&name, &theirs.encode()).unwrap();
    let found = archived.audit();
    let difference = found.differences.first().unwrap();
    assert!(difference.how.contains("other clicks than its manifest tells of"), "{difference:?}");
    // With the hashes of what it holds it is of other records.
    theirs.files.clone_from(&other.archive().revisions().next().unwrap().files);
    archived.objects.put(&name, &theirs.encode()).unwrap();
    refused(&archived, "is of other records than its manifest");
    theirs.previous.replace_range(..8, "00000000");
    archived.objects.put(&name, &theirs.encode()).unwrap();
    refused(&archived, "does not follow the one before it");
    archived.objects.put(&name, &good[&name]).unwrap();
    assert_eq!(archived.audit().differences, []);
}

fn refused(archived: &Archived, how: &str) {
    match Archive::open(archived.objects.clone()) {
        Err(ArchiveError::Damaged { reason, .. }) => assert!(reason.contains(how), "{reason}"),
        other => panic!("{:?}", other.map(|archive| archive.manifests().len())),
    }
}

/// A second one that rewrites the same span in between is told, and its files are swept away.
#[test]
fn two_rewriters_do_not_mix() {
    let archived = Archived::long_ago(5);
    let before = archived.audit();
    let seen_before = archived.archive();
    let users: Vec<String> = archived.users().into_keys().take(2).collect();
    erase_user(&archived.archive(), &users[0], &salt(0)).unwrap();
    let error = erase_user(&seen_before, &users[1], &salt(1)).unwrap_err().to_string();
    assert!(error.contains("somebody else") || error.contains("is missing"), "{error}");
    same(&before, &archived.audit(), 5);
    erase_user(&archived.archive(), &users[1], &salt(1)).unwrap();
    same(&before, &archived.audit(), 5);
    archived.has_no_leftovers();
}

/// A store that fails at the writing of one manifest or revision.
struct FailsOnce {
    objects: Arc<DiskObjects>,
    /// How many are written before.
    left: AtomicUsize,
}

impl Objects for FailsOnce {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.objects.put(name, bytes)
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<bool, ArchiveError> {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 0 {
            let (name, reason) = (name.to_owned(), "is away".to_owned());
            return Err(ArchiveError::Objects { name, reason });
        }
        self.objects.put_new(name, bytes)
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        self.objects.get(name)
    }

    fn length(&self, name: &str) -> Result<Option<u64>, ArchiveError> {
        self.objects.length(name)
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        self.objects.list(folder)
    }

    fn remove(&self, name: &str) -> Result<(), ArchiveError> {
        self.objects.remove(name)
    }
}

/// A user of several spans has one name in all of them, however often the erasure is cut short.
#[test]
fn an_erasure_that_was_cut_short_is_gone_on_with() {
    let mut cut_short = 0;
    for seed in 0..12 {
        let archived = Archived::long_ago(seed);
        let before = archived.audit();
        let Some(user) = archived.users().into_keys().next() else { continue };
        for written in 0..3 {
            let left = AtomicUsize::new(written);
            let failing = FailsOnce { objects: archived.objects.clone(), left };
            let archive = Archive::open(Arc::new(failing)).unwrap();
            match erase_user(&archive, &user, &salt(written)) {
                Ok(_) => {}
                Err(error) => {
                    assert!(error.to_string().contains("is away"), "{error}");
                    assert_eq!(archived.audit().unfinished_erasures, 1);
                    cut_short += 1;
                }
            }
        }
        erase_user(&archived.archive(), &user, &salt(9)).unwrap();
        let after = archived.audit();
        same(&before, &after, seed);
        assert_eq!(after.unfinished_erasures, 0);
        archived.has_no_leftovers();
    }
    assert!(cut_short > 10, "{cut_short}");
}

/// Truncates span by span to an instant; returns how many spans and files.
fn truncate_by_steps(truncation: &mut Truncation, before: u64) -> Truncated {
    let mut all = Truncated::default();
    while let Some(done) = truncation.step(Millis(before)).unwrap() {
        all.spans += done.spans;
        all.files += done.files;
    }
    all
}

/// Beside an archiver: to the same bytes as by the command, whatever was truncated or erased
/// before, and however often it begins anew.
#[test]
fn an_archive_is_truncated_as_it_grows_old() {
    let mut spans = 0;
    for seed in 0..12 {
        let (archived, at_once) = (Archived::generated(seed), Archived::generated(seed));
        let before = archived.audit();
        let ends: Vec<u64> = archived.archive().manifests().iter().map(|m| m.until).collect();
        let mut truncation = Truncation::new(archived.objects.clone());
        assert_eq!(truncate_by_steps(&mut truncation, ends[0] - 1), Truncated::default());
        for (number, end) in ends.iter().enumerate() {
            if number % 3 == 0 {
                truncation = Truncation::new(archived.objects.clone());
            }
            // The span that ends here has to go at this instant, and no later one.
            assert_eq!(truncate_by_steps(&mut truncation, end - 1).spans, 0, "seed {seed}");
            assert_eq!(truncate_by_steps(&mut truncation, *end).spans, 1, "seed {seed}");
            let revised = archived.archive().revisions().count();
            assert_eq!(revised, number + 1, "seed {seed}");
            spans += 1;
        }
        same(&before, &archived.audit(), seed);
        archived.has_no_leftovers();
        truncate_addresses(&at_once.archive(), Millis(u64::MAX)).unwrap();
        assert!(archived.everything() == at_once.everything(), "seed {seed}");
    }
    assert!(spans > 60, "{spans}");
}

/// Erased spans are truncated, too, and truncated ones are not begun again.
#[test]
fn erased_spans_are_truncated_as_well() {
    for seed in 0..6 {
        let archived = Archived::long_ago(seed);
        let before = archived.audit();
        let users: Vec<String> = archived.users().into_keys().take(2).collect();
        let ends: Vec<u64> = archived.archive().manifests().iter().map(|m| m.until).collect();
        let middle = ends[ends.len() / 2];
        truncate_by_steps(&mut Truncation::new(archived.objects.clone()), middle);
        for (number, user) in users.iter().enumerate() {
            erase_user(&archived.archive(), user, &salt(number)).unwrap();
        }
        let rest = ends.iter().filter(|end| **end > middle).count() as u64;
        let done = truncate_by_steps(&mut Truncation::new(archived.objects.clone()), u64::MAX);
        assert_eq!(done.spans, rest, "seed {seed}");
        assert!(archived.archive().revisions().all(|revision| revision.truncated));
        same(&before, &archived.audit(), seed);
        archived.has_no_leftovers();
    }
}

/// Whoever has read the manifests before a span was truncated finds its files none the less.
#[test]
fn an_audit_goes_on_while_files_are_truncated() {
    for seed in 0..6 {
        let archived = Archived::generated(seed);
        let (before, opened) = (archived.audit(), archived.archive());
        truncate_by_steps(&mut Truncation::new(archived.objects.clone()), u64::MAX);
        let after = audit(opened, None, Some(&archived.log), 1, &|_| true).unwrap();
        same(&before, &after, seed);
        // A file that is really gone is missing.
        let opened = archived.archive();
        let mut files = opened.manifests().iter().flat_map(|manifest| &manifest.files);
        let name = files.rfind(|file| file.dataset == "clicks").unwrap().name.clone();
        archived.objects.remove(&name).unwrap();
        let found = audit(opened, None, Some(&archived.log), 1, &|_| true).unwrap();
        let is_named = |how: &str| how.contains("is missing");
        assert!(found.differences.iter().any(|d| d.what == name && is_named(&d.how)), "{found:?}");
    }
}

/// A truncation that fails at any write, removal or none of them goes on where it was.
#[test]
fn a_truncation_that_was_cut_short_is_gone_on_with() {
    let archived = Archived::generated(2);
    let before = archived.audit();
    let spans = archived.archive().manifests().len();
    let mut cut_short = 0;
    for written in 0..spans {
        let left = AtomicUsize::new(written % 2);
        let failing = Arc::new(FailsOnce { objects: archived.objects.clone(), left });
        let mut truncation = Truncation::new(failing);
        loop {
            match truncation.step(Millis(u64::MAX)) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    assert!(error.to_string().contains("is away"), "{error}");
                    cut_short += 1;
                    break;
                }
            }
        }
    }
    // What a revision has replaced and nobody has removed.
    let truncated = archived.archive().revisions().last().unwrap().clone();
    let name = &truncated.files[0].name;
    let original = format!("{}.parquet", name.split("-r").next().unwrap());
    archived.objects.put(&original, b"with addresses").unwrap();
    truncate_by_steps(&mut Truncation::new(archived.objects.clone()), u64::MAX);
    assert!(cut_short > 2, "{cut_short}");
    same(&before, &archived.audit(), 2);
    archived.has_no_leftovers();
}

/// Files are not removed on the word of a manifest that was changed.
#[test]
fn a_changed_manifest_is_not_truncated() {
    let archived = Archived::generated(4);
    let name = "manifest/00000000000000000000.json";
    let bytes = archived.objects.get(name).unwrap().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    archived.objects.put(name, text.replacen("  ", "   ", 1).as_bytes()).unwrap();
    let before = archived.everything();
    let mut truncation = Truncation::new(archived.objects.clone());
    let error = truncation.step(Millis(u64::MAX)).unwrap_err().to_string();
    assert!(error.contains("knows it by another hash"), "{error}");
    assert!(archived.everything() == before);
}
