//! The hosted stages: batches, policies and snapshots. Any bytes end in an error or in a state
//! that can be handed on: what a stage makes of a log the next one takes, and its snapshot is taken
//! again as the same.
//!
//! An input's first byte says what the others are, its second the key group of a snapshot.

use std::ops::Range;
use std::sync::OnceLock;

use click_core::fold::encode_journal;
use click_core::hosted::{
    HostError, Routed, SequenceHost, SourceHost, UserHost, WindowHost, decode_dead_letters,
    decode_published, decode_verdicts, put_record,
};
use click_core::limits::MAX_TIME_MS;
use click_core::record::Header;
use click_core::types::{Millis, Offset, Partition};

use crate::check::World;
use crate::generate::{GeneratorConfig, generate};

const END: Millis = Millis(MAX_TIME_MS);
const GROUPS: Range<u8> = 0..128;
const IN_TURN: &str = "in turn";
const OUR_OWN: &str = "what the stage before handed out, or a snapshot of ours";

/// Reads an input of one kind.
type Take = fn(Told<'_>, &[u8]) -> Result<(), HostError>;

/// What the stages of a trial are told besides.
#[derive(Clone, Copy)]
struct Told<'a> {
    /// Key group whose snapshots are looked at.
    group: u8,
    policies: Option<&'a [u8]>,
}

/// By the input's first byte.
const KINDS: [Take; 13] = [
    |told, bytes| sequence(None, bytes, told),
    |told, bytes| users(user(None, told)?, bytes, told),
    |told, bytes| sources(source(None, told)?, bytes, told),
    |told, bytes| windows(window(None, told)?, bytes, told),
    |told, bytes| sequence(Some(bytes), &[], told),
    |told, bytes| users(user(Some(bytes), told)?, &[], told),
    |told, bytes| sources(source(Some(bytes), told)?, &[], told),
    |told, bytes| windows(window(Some(bytes), told)?, &[], told),
    |told, bytes| policies(bytes, told),
    |told, bytes| journal(bytes, told),
    |_, bytes| decode_verdicts(bytes).map(drop),
    |_, bytes| decode_dead_letters(bytes).map(drop),
    |_, bytes| decode_published(bytes).map(drop),
];

pub(super) fn check(bytes: &[u8]) -> bool {
    let Some(([kind, group], bytes)) = bytes.split_first_chunk::<2>() else { return false };
    let told = Told { group: *group % GROUPS.end, policies: None };
    KINDS[usize::from(*kind) % KINDS.len()](told, bytes).is_ok()
}

fn sequence(snapshot: Option<&[u8]>, records: &[u8], told: Told<'_>) -> Result<(), HostError> {
    let mut host = SequenceHost::open(header(), Partition(0), snapshot)?;
    let is_kept = |host: &SequenceHost| {
        let kept = host.snapshot();
        let again = SequenceHost::open(header(), Partition(0), Some(&kept)).expect(OUR_OWN);
        assert_eq!(again.snapshot(), kept, "the same state");
    };
    is_kept(&host);
    host.apply(records)?;
    let w = host.watermark();
    let announced = host.announce(w).expect(IN_TURN);
    decode_dead_letters(&announced.dead_letters).expect(OUR_OWN);
    let out = host.advance(w).expect(IN_TURN);
    decode_dead_letters(&out.dead_letters).expect(OUR_OWN);
    is_kept(&host);
    let told = Told { policies: announced.policies.as_deref(), ..told };
    users(user(None, told).expect(OUR_OWN), &joined(&out.clicks), told).expect(OUR_OWN);
    Ok(())
}

/// Batches may be joined, and these stages own all key groups.
fn joined(batches: &Routed) -> Vec<u8> {
    batches.iter().flat_map(|(_, batch)| batch.iter().copied()).collect()
}

/// Damaged clicks are taken if their fields are possible one by one. Where these contradict each
/// other, or the clicks were counted before, it is the window stage that notices, and refuses.
fn noticed_at_last(taken: Result<(), HostError>) -> Result<(), HostError> {
    assert!(matches!(taken, Ok(()) | Err(HostError::Contradiction)), "{OUR_OWN}: {taken:?}");
    taken
}

fn user(snapshot: Option<&[u8]>, told: Told<'_>) -> Result<UserHost, HostError> {
    let (groups, snapshot) = opened(snapshot, told);
    UserHost::open(header(), groups, told.policies, snapshot.as_slice())
}

/// All groups at the beginning, the snapshot's own behind it.
fn opened<'a>(
    snapshot: Option<&'a [u8]>,
    Told { group, .. }: Told<'_>,
) -> (Range<u8>, Option<(u8, &'a [u8])>) {
    let groups = if snapshot.is_some() { group..group + 1 } else { GROUPS };
    (groups, snapshot.map(|bytes| (group, bytes)))
}

fn users(mut host: UserHost, clicks: &[u8], told: Told<'_>) -> Result<(), HostError> {
    host.apply(clicks)?;
    let mut decided = Vec::new();
    for w in [half_way(), END] {
        let kept = host.snapshot(told.group, true).expect("its group");
        let again = user(Some(&kept), told).expect(OUR_OWN);
        assert_eq!(again.snapshot(told.group, true).as_ref(), Ok(&kept), "the same state");
        let out = host.advance(w);
        host.restore_journal(&encode_journal(&out.journal)).expect(OUR_OWN);
        decided.extend(joined(&out.clicks));
    }
    noticed_at_last(sources(source(None, told)?, &decided, told))
}

fn source(snapshot: Option<&[u8]>, told: Told<'_>) -> Result<SourceHost, HostError> {
    let (groups, snapshot) = opened(snapshot, told);
    SourceHost::open(header(), groups, told.policies, snapshot.as_slice())
}

fn sources(mut host: SourceHost, clicks: &[u8], told: Told<'_>) -> Result<(), HostError> {
    let group = told.group;
    host.apply(clicks)?;
    let mut counts = Vec::new();
    for w in [half_way(), END] {
        let kept = host.snapshot(group).expect("its group");
        // What waits is put in order by then.
        let again = |kept: &[u8]| source(Some(kept), told).expect(OUR_OWN).snapshot(group);
        let in_order = again(&kept).expect("its group");
        assert_eq!(in_order.len(), kept.len(), "as many clicks");
        assert_eq!(again(&in_order).as_ref(), Ok(&in_order), "the same state");
        let out = host.advance(w);
        decode_verdicts(&out.verdicts).expect(OUR_OWN);
        counts.extend(joined(&out.counts));
    }
    noticed_at_last(windows(window(None, told)?, &counts, told))
}

fn window(snapshot: Option<&[u8]>, told: Told<'_>) -> Result<WindowHost, HostError> {
    let (groups, snapshot) = opened(snapshot, told);
    WindowHost::open(header(), groups, told.policies, snapshot.as_slice())
}

fn windows(mut host: WindowHost, counts: &[u8], told: Told<'_>) -> Result<(), HostError> {
    host.apply(counts)?;
    for w in [half_way(), END] {
        let kept = host.snapshot(told.group).expect("its group");
        let again = window(Some(&kept), told).expect(OUR_OWN);
        assert_eq!(again.snapshot(told.group).as_ref(), Ok(&kept), "the same state");
        let rows = decode_published(&host.advance(w)?).expect(OUR_OWN);
        assert!(rows.iter().all(|row| row.row.counts.conserved()), "classes and pending add up");
    }
    Ok(())
}

fn policies(bytes: &[u8], told: Told<'_>) -> Result<(), HostError> {
    let mut host = SequenceHost::open(header(), Partition(0), None)?;
    host.learn(bytes)?;
    user(None, told)?.learn(bytes).expect("what another stage took");
    let again = SequenceHost::open(header(), Partition(0), Some(&host.snapshot()));
    assert_eq!(again.expect(OUR_OWN).timeline(), host.timeline(), "the same policies");
    Ok(())
}

fn journal(bytes: &[u8], told: Told<'_>) -> Result<(), HostError> {
    let mut host = user(None, told)?;
    host.restore_journal(bytes)?;
    users(host, &[], told)
}

/// A batch of every kind, and snapshots in the middle of the log.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut sequence = SequenceHost::open(header(), Partition(0), None).expect("a beginning");
    let mut records = Vec::new();
    for (offset, (time, payload)) in (0..).zip(&world().log[0]) {
        put_record(&mut records, Offset(offset), Millis(*time), payload);
    }
    sequence.apply(&records).expect("whole records");
    let told = Told { group: 0, policies: None };
    let mut user = user(None, told).expect("a beginning");
    let mut source = source(None, told).expect("a beginning");
    let mut window = window(None, told).expect("a beginning");
    let mut seeds = vec![(0, 0, records)];
    for w in [half_way(), sequence.watermark()] {
        let announced = sequence.announce(w).expect(IN_TURN);
        let clicks = sequence.advance(w).expect(IN_TURN);
        user.apply(&joined(&clicks.clicks)).expect(OUR_OWN);
        let users = user.advance(w);
        source.apply(&joined(&users.clicks)).expect(OUR_OWN);
        let sources = source.advance(w);
        window.apply(&joined(&sources.counts)).expect(OUR_OWN);
        let rows = window.advance(w).expect(OUR_OWN);
        let first = |batches: &Routed| batches.first().map_or(0, |(group, _)| *group);
        let [of_user, of_source, of_row] =
            [&clicks.clicks, &users.clicks, &sources.counts].map(first);
        let kept = "its group";
        seeds.extend([
            (1, of_user, joined(&clicks.clicks)),
            (2, of_source, joined(&users.clicks)),
            (3, of_row, joined(&sources.counts)),
            (4, of_user, sequence.snapshot()),
            (5, of_user, user.snapshot(of_user, true).expect(kept)),
            (6, of_source, source.snapshot(of_source).expect(kept)),
            (7, of_row, window.snapshot(of_row).expect(kept)),
            (8, 0, announced.policies.unwrap_or_default()),
            (9, of_user, encode_journal(&users.journal)),
            (10, 0, sources.verdicts),
            (11, 0, [announced.dead_letters, clicks.dead_letters].concat()),
            (12, 0, rows),
        ]);
    }
    seeds.retain(|(_, _, bytes)| !bytes.is_empty());
    seeds
        .into_iter()
        .map(|(kind, group, bytes)| [&[kind, group], bytes.as_slice()].concat())
        .collect()
}

/// A log of one partition, the same in every run.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let config =
            GeneratorConfig { records: 40, partitions: 1, ..GeneratorConfig::from_seed(1) };
        World::new(&generate(&config, 1), 1)
    })
}

fn header() -> &'static Header {
    &world().header
}

/// A watermark with clicks on both sides of it.
fn half_way() -> Millis {
    let times = &world().log[0];
    Millis(times[times.len() / 2].0)
}
