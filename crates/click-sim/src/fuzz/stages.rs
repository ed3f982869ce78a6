//! The hosted stages: batches, policies and snapshots. Any bytes end in an error or in a state
//! that can be handed on: what a stage hands out the next one takes, and its snapshot is taken
//! again as the same.
//!
//! An input's first byte says what the others are, its second the key group of a snapshot.

use std::ops::Range;
use std::sync::OnceLock;

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
type Take = fn(u8, &[u8]) -> Result<(), HostError>;

/// By the input's first byte.
const KINDS: [Take; 13] = [
    |group, bytes| sequence(None, bytes, group),
    |group, bytes| users(user(None)?, bytes, group),
    |group, bytes| sources(source(None)?, bytes, group),
    |group, bytes| windows(window(None)?, bytes, group),
    |group, bytes| sequence(Some(bytes), &[], group),
    |group, bytes| users(user(Some((group, bytes)))?, &[], group),
    |group, bytes| sources(source(Some((group, bytes)))?, &[], group),
    |group, bytes| windows(window(Some((group, bytes)))?, &[], group),
    |_, bytes| policies(bytes),
    |group, bytes| journal(bytes, group),
    |_, bytes| decode_verdicts(bytes).map(drop),
    |_, bytes| decode_dead_letters(bytes).map(drop),
    |_, bytes| decode_published(bytes).map(drop),
];

pub(super) fn check(bytes: &[u8]) -> bool {
    let Some(([kind, group], bytes)) = bytes.split_first_chunk::<2>() else { return false };
    KINDS[usize::from(*kind) % KINDS.len()](*group % GROUPS.end, bytes).is_ok()
}

fn sequence(snapshot: Option<&[u8]>, records: &[u8], group: u8) -> Result<(), HostError> {
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
    let mut next = user(None)?;
    if let Some(policies) = &announced.policies {
        next.learn(policies).expect(OUR_OWN);
    }
    users(next, &joined(&out.clicks), group).expect(OUR_OWN);
    Ok(())
}

/// Batches may be joined, and these stages own all key groups.
fn joined(batches: &Routed) -> Vec<u8> {
    batches.iter().flat_map(|(_, batch)| batch.iter().copied()).collect()
}

fn user(snapshot: Option<(u8, &[u8])>) -> Result<UserHost, HostError> {
    UserHost::open(header(), groups(snapshot), None, snapshot.as_slice())
}

/// All of them at the beginning, the snapshot's own behind it.
fn groups(snapshot: Option<(u8, &[u8])>) -> Range<u8> {
    snapshot.map_or(GROUPS, |(group, _)| group..group + 1)
}

fn users(mut host: UserHost, clicks: &[u8], group: u8) -> Result<(), HostError> {
    host.apply(clicks)?;
    let mut decided = Vec::new();
    for w in [half_way(), END] {
        let kept = host.snapshot(group, true).expect("its group");
        let again = user(Some((group, &kept))).expect(OUR_OWN);
        assert_eq!(again.snapshot(group, true).as_ref(), Ok(&kept), "the same state");
        let out = host.advance(w);
        // Empty if the stage was there already.
        if !out.journal.is_empty() {
            host.restore_journal(&out.journal).expect(OUR_OWN);
        }
        decided.extend(joined(&out.clicks));
    }
    sources(source(None)?, &decided, group).expect(OUR_OWN);
    Ok(())
}

fn source(snapshot: Option<(u8, &[u8])>) -> Result<SourceHost, HostError> {
    SourceHost::open(header(), groups(snapshot), None, snapshot.as_slice())
}

fn sources(mut host: SourceHost, clicks: &[u8], group: u8) -> Result<(), HostError> {
    // What a snapshot holds was counted before, for a window stage that is not here.
    let counted_before = host.snapshot(group).expect("its group").len() > size_of::<u64>();
    host.apply(clicks)?;
    let mut counts = Vec::new();
    for w in [half_way(), END] {
        let kept = host.snapshot(group).expect("its group");
        // What waits is put in order by then.
        let again = |kept: &[u8]| source(Some((group, kept))).expect(OUR_OWN).snapshot(group);
        let in_order = again(&kept).expect("its group");
        assert_eq!(in_order.len(), kept.len(), "as many clicks");
        assert_eq!(again(&in_order).as_ref(), Ok(&in_order), "the same state");
        let out = host.advance(w);
        decode_verdicts(&out.verdicts).expect(OUR_OWN);
        counts.extend(joined(&out.counts));
    }
    let taken = windows(window(None)?, &counts, group);
    assert!(taken.is_ok() || counted_before && taken == Err(HostError::Contradiction), "{OUR_OWN}");
    Ok(())
}

fn window(snapshot: Option<(u8, &[u8])>) -> Result<WindowHost, HostError> {
    WindowHost::open(header(), groups(snapshot), None, snapshot.as_slice())
}

fn windows(mut host: WindowHost, counts: &[u8], group: u8) -> Result<(), HostError> {
    host.apply(counts)?;
    for w in [half_way(), END] {
        let kept = host.snapshot(group).expect("its group");
        let again = window(Some((group, &kept))).expect(OUR_OWN);
        assert_eq!(again.snapshot(group).as_ref(), Ok(&kept), "the same state");
        let rows = decode_published(&host.advance(w)?).expect(OUR_OWN);
        assert!(rows.iter().all(|row| row.row.counts.conserved()), "classes and pending add up");
    }
    Ok(())
}

fn policies(bytes: &[u8]) -> Result<(), HostError> {
    let mut host = SequenceHost::open(header(), Partition(0), None)?;
    host.learn(bytes)?;
    user(None)?.learn(bytes).expect("what another stage took");
    let again = SequenceHost::open(header(), Partition(0), Some(&host.snapshot()));
    assert_eq!(again.expect(OUR_OWN).timeline(), host.timeline(), "the same policies");
    Ok(())
}

fn journal(bytes: &[u8], group: u8) -> Result<(), HostError> {
    let mut host = user(None)?;
    host.restore_journal(bytes)?;
    users(host, &[], group)
}

/// A batch of every kind, and snapshots in the middle of the log.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut sequence = SequenceHost::open(header(), Partition(0), None).expect("a beginning");
    let mut records = Vec::new();
    for (offset, (time, payload)) in (0..).zip(&world().log[0]) {
        put_record(&mut records, Offset(offset), Millis(*time), payload);
    }
    sequence.apply(&records).expect("whole records");
    let mut user = user(None).expect("a beginning");
    let mut source = source(None).expect("a beginning");
    let mut window = window(None).expect("a beginning");
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
            (9, of_user, users.journal),
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
