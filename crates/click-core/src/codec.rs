//! Byte forms that snapshots and the batches between hosted stages share. Row keys travel in
//! words, since their numbers mean nothing elsewhere.

use crate::keys::{KeyId, KeyTable};
use crate::planted::{Bug, planted};
use crate::policy::{Policy, Timeline};
use crate::record::{Kind, Record};
use crate::row::Counts;
use crate::snapshot::{Reader, SnapshotError, Writer};
use crate::stage::event::{Facts, Flags, Posted, Slot};
use crate::stage::layouts::Layouts;
use crate::stage::partial::Partial;
use crate::stage::sequence::SequenceState;
use crate::stage::transport::{Seen, Transports};
use crate::stage::user::{Claim, Journal, PairClick, UserStage};
use crate::stage::window::OpenRow;
use crate::types::{Micros, Millis, Minute, Offset, Partition};
use crate::verdict::{CLASSES, Reasons};
use alloc::string::String;
use alloc::vec::Vec;

pub(crate) fn put_timeline(out: &mut Writer, timeline: &Timeline) {
    let mut policies: Vec<_> = timeline.entries().filter(|(_, index, _)| *index > 0).collect();
    policies.sort_by_key(|(_, index, _)| *index);
    out.len(policies.len());
    for (effective, _, policy) in policies {
        let record = Record {
            sent_at: None,
            transport: None,
            previous: None,
            kind: Kind::Policy(Policy { effective_from: effective, ..policy.clone() }),
        };
        out.slice(&record.to_bytes());
        out.u64(policy.effective_from.0);
    }
}

pub(crate) fn take_timeline(input: &mut Reader<'_>) -> Result<Timeline, SnapshotError> {
    let mut timeline = Timeline::default();
    for _ in 0..input.len(16)? {
        let record = Record::decode(input.slice()?).map_err(|_| SnapshotError)?;
        let Kind::Policy(policy) = record.kind else { return Err(SnapshotError) };
        let effective = policy.effective_from;
        if policy.check().is_err() && !planted(Bug::PolicyUnchecked) {
            return Err(SnapshotError);
        }
        let policy = Policy { effective_from: input.time()?, ..policy };
        timeline.reinstate(policy, effective);
    }
    Ok(timeline)
}

pub(crate) fn put_sequence(out: &mut Writer, state: &SequenceState) {
    out.u64(state.position.0);
    out.u64(state.fold_time.0);
    out.u64(state.repeats);
    let header = state.header.map(|header| Record {
        sent_at: None,
        transport: None,
        previous: None,
        kind: Kind::Header(header),
    });
    out.slice(&header.map(|header| header.to_bytes()).unwrap_or_default());
    let (seen, given_up) = state.transports.save();
    out.u64(given_up);
    out.len(seen.len());
    for (identity, seen) in seen {
        out.u128(identity);
        out.slice(seen.name.as_bytes());
        out.u64(seen.epoch);
        out.u64(seen.next_seq);
        out.option(seen.last_record.map(|time| time.0));
        out.len(seen.intervals.len());
        for (from, to) in &seen.intervals {
            out.u64(*from);
            out.u64(*to);
        }
    }
}

/// Nothing while the log has the partitions that it began with, as ever.
pub(crate) fn put_layouts(out: &mut Writer, layouts: &Layouts) {
    let Some(layout) = layouts.newest() else { return };
    let kind = Kind::Layout(layout.clone());
    out.slice(&Record { sent_at: None, transport: None, previous: None, kind }.to_bytes());
    layouts.times().iter().for_each(|time| out.u64(time.0));
}

/// Takes what is left of the input.
pub(crate) fn take_layouts(
    input: &mut Reader<'_>,
    layouts: &mut Layouts,
) -> Result<(), SnapshotError> {
    if input.is_empty() {
        return Ok(());
    }
    let record = Record::decode(input.slice()?).map_err(|_| SnapshotError)?;
    let Kind::Layout(layout) = record.kind else { return Err(SnapshotError) };
    let mut times = Vec::new();
    while !input.is_empty() {
        times.push(input.time()?);
    }
    if layouts.reinstate(layout, times) { Ok(()) } else { Err(SnapshotError) }
}

pub(crate) fn take_sequence(input: &mut Reader<'_>) -> Result<SequenceState, SnapshotError> {
    let (position, fold_time) = (Offset(input.u64()?), input.time()?);
    let repeats = input.u64()?;
    if repeats > position.0 {
        return Err(SnapshotError);
    }
    let header = match input.slice()? {
        [] => None,
        bytes => match Record::decode(bytes).map_err(|_| SnapshotError)?.kind {
            Kind::Header(header) => Some(header),
            Kind::Click(_)
            | Kind::Tick
            | Kind::Heartbeat { .. }
            | Kind::Policy(_)
            | Kind::Layout(_) => return Err(SnapshotError),
        },
    };
    let given_up = input.u64()?;
    let count = input.len(16)?;
    let mut seen = Vec::new();
    for _ in 0..count {
        seen.push((input.u128()?, take_seen(input)?));
    }
    let transports = Transports::load(seen, given_up).ok_or(SnapshotError)?;
    Ok(SequenceState { position, fold_time, repeats, header, transports })
}

fn take_seen(input: &mut Reader<'_>) -> Result<Seen, SnapshotError> {
    let name: String = input.text()?;
    let (epoch, next_seq) = (input.u64()?, input.u64()?);
    let last_record = input.option()?.map(Millis);
    let (mut intervals, mut least) = (Vec::new(), 0);
    for _ in 0..input.len(16)? {
        let (from, to) = (input.u64()?, input.u64()?);
        // Sorted, apart from each other, and all of it has been sent.
        if from < least || from >= to || to > next_seq {
            return Err(SnapshotError);
        }
        least = to.saturating_add(1);
        intervals.push((from, to));
    }
    Ok(Seen { name, epoch, intervals, next_seq, last_record })
}

/// Identity and fold time.
pub(crate) const CLAIM_BYTES: usize = 16 + 8;
/// The same and the age.
pub(crate) const PAIR_BYTES: usize = CLAIM_BYTES + 4;

/// A claim but for its group.
pub(crate) fn claim_bytes(claim: &Claim) -> [u8; CLAIM_BYTES] {
    let mut bytes = [0; CLAIM_BYTES];
    bytes[..16].copy_from_slice(&claim.identity.to_le_bytes());
    bytes[16..].copy_from_slice(&claim.fold_time.0.to_le_bytes());
    bytes
}

/// A pair but for its group.
pub(crate) fn pair_bytes(pair: &PairClick) -> [u8; PAIR_BYTES] {
    let mut bytes = [0; PAIR_BYTES];
    bytes[..16].copy_from_slice(&pair.identity.to_le_bytes());
    bytes[16..24].copy_from_slice(&pair.fold_time.0.to_le_bytes());
    bytes[24..].copy_from_slice(&pair.age_ms.to_le_bytes());
    bytes
}

/// What a user stage holds of a key group; nothing, where journals hold it.
pub(crate) fn put_users(
    out: &mut Writer,
    users: Option<&UserStage>,
    group: u8,
    now: Millis,
    timeline: &Timeline,
) {
    let Some(users) = users else { return [0, 0].into_iter().for_each(|none| out.len(none)) };
    let (claims, pairs) = users.held(group);
    out.reserve(claims * CLAIM_BYTES + pairs * PAIR_BYTES);
    let (at, mut count) = (out.place_for_len(), 0);
    users.for_each_claim(group, now, timeline, |claim| {
        out.part(&claim_bytes(&claim));
        count += 1;
    });
    out.put_len(at, count);
    let (at, mut count) = (out.place_for_len(), 0);
    users.for_each_pair(group, now, |pair| {
        out.part(&pair_bytes(&pair));
        count += 1;
    });
    out.put_len(at, count);
}

pub(crate) fn take_journal(input: &mut Reader<'_>, group: u8) -> Result<Journal, SnapshotError> {
    let mut journal = Journal::default();
    for _ in 0..input.len(CLAIM_BYTES)? {
        let (identity, fold_time) = (input.u128()?, Millis(input.u64()?));
        journal.claims.push(Claim { group, identity, fold_time });
    }
    for _ in 0..input.len(PAIR_BYTES)? {
        let (identity, fold_time, age_ms) = (input.u128()?, Millis(input.u64()?), input.u32()?);
        journal.pairs.push(PairClick { group, identity, fold_time, age_ms });
    }
    Ok(journal)
}

pub(crate) fn put_clicks(out: &mut Writer, clicks: &[&Facts], keys: &KeyTable) {
    out.len(clicks.len());
    clicks.iter().for_each(|click| put_facts(out, click, keys));
}

pub(crate) fn put_facts(out: &mut Writer, click: &Facts, keys: &KeyTable) {
    out.u128(click.source);
    out.u64(click.fold_time.0);
    out.u64(click.offset.0);
    out.u64(click.received_at.0);
    out.u64(click.price.0);
    out.u64(click.payout.0);
    out.u32(click.partition.0);
    put_key(out, keys.words(click.ad_key));
    put_key(out, keys.words(click.publisher_key));
    out.u32(click.policy);
    out.option(click.posted.minute().map(|minute| u64::from(minute.0)));
    out.u16(click.reasons.0);
    out.u8(click.user_group);
    out.u8(click.source_group);
    out.u8(click.burst_clicks);
    out.u8(click.flags.0);
}

pub(crate) fn take_clicks(
    input: &mut Reader<'_>,
    keys: &mut KeyTable,
) -> Result<Vec<Facts>, SnapshotError> {
    let count = input.len(100)?;
    (0..count).map(|_| take_facts(input, keys)).collect()
}

pub(crate) fn take_facts(
    input: &mut Reader<'_>,
    keys: &mut KeyTable,
) -> Result<Facts, SnapshotError> {
    Ok(Facts {
        source: input.u128()?,
        fold_time: input.time()?,
        offset: Offset(input.u64()?),
        received_at: input.time()?,
        price: Micros(input.u64()?),
        payout: Micros(input.u64()?),
        partition: Partition(input.u32()?),
        ad_key: take_key(input, keys)?,
        publisher_key: take_key(input, keys)?,
        policy: input.u32()?,
        posted: Posted::to(take_minute(input)?),
        reasons: Reasons::from_bits(input.u16()?).ok_or(SnapshotError)?,
        user_group: take_group(input)?,
        source_group: take_group(input)?,
        burst_clicks: input.u8()?,
        flags: Flags(input.u8()?),
    })
}

pub(crate) fn put_slot(out: &mut Writer, slot: Slot, keys: &KeyTable) {
    put_key(out, keys.words(slot.key));
    out.u32(slot.minute.0);
    out.option(slot.posted.minute().map(|minute| u64::from(minute.0)));
}

pub(crate) fn take_slot(
    input: &mut Reader<'_>,
    keys: &mut KeyTable,
) -> Result<Slot, SnapshotError> {
    let key = take_key(input, keys)?;
    let minute = Minute(input.u32()?);
    Ok(Slot { key, minute, posted: Posted::to(take_minute(input)?) })
}

/// What a number of clicks change about a row, on its way to the row's owner.
#[derive(Clone, Copy)]
pub(crate) struct Delta {
    pub(crate) slot: Slot,
    pub(crate) partial: Partial,
    /// Grid instant at or before the first of the changes.
    pub(crate) since: Millis,
}

pub(crate) fn put_delta(out: &mut Writer, delta: &Delta, keys: &KeyTable) {
    put_slot(out, delta.slot, keys);
    let partial = &delta.partial;
    out.u64(partial.measured);
    out.u64(partial.decided);
    partial.by_class.iter().for_each(|count| out.u32(*count));
    out.i128(partial.sum_micros);
    out.u64(delta.since.0);
    out.u64(partial.changed.0);
}

pub(crate) fn take_delta(
    input: &mut Reader<'_>,
    keys: &mut KeyTable,
) -> Result<Delta, SnapshotError> {
    let slot = take_slot(input, keys)?;
    let (measured, decided) = (input.u64()?, input.u64()?);
    let mut by_class = [0; CLASSES];
    for count in &mut by_class {
        *count = input.u32()?;
    }
    let sum_micros = input.i128()?;
    let (since, changed) = (input.grid_instant()?, input.grid_instant()?);
    let classified: u64 = by_class.iter().map(|count| u64::from(*count)).sum();
    // Each click that becomes known becomes pending.
    let pending = measured;
    let partial = Partial { measured, pending, decided, by_class, sum_micros, changed };
    if decided == classified && since <= changed {
        Ok(Delta { slot, partial, since })
    } else {
        Err(SnapshotError)
    }
}

pub(crate) fn put_key(out: &mut Writer, key: &[u64]) {
    out.words(key);
}

pub(crate) fn take_key(
    input: &mut Reader<'_>,
    keys: &mut KeyTable,
) -> Result<KeyId, SnapshotError> {
    keys.read(input.words()?).ok_or(SnapshotError)
}

/// About what a row takes: its numbers and a key of some ids.
const ROW_BYTES: usize = 240;

pub(crate) fn put_rows(
    out: &mut Writer,
    rows: impl ExactSizeIterator<Item = OpenRow>,
    keys: &KeyTable,
) {
    out.len(rows.len());
    out.reserve(rows.len() * ROW_BYTES);
    for row in rows {
        put_slot(out, row.slot, keys);
        put_counts(out, &row.counts);
        out.u64(row.changed.0);
        out.u8(u8::from(row.unpublished));
        out.u8(u8::from(row.decided));
    }
}

pub(crate) fn take_rows(
    input: &mut Reader<'_>,
    keys: &mut KeyTable,
) -> Result<Vec<OpenRow>, SnapshotError> {
    let mut rows = Vec::new();
    for _ in 0..input.len(100)? {
        let slot = take_slot(input, keys)?;
        let counts = take_counts(input)?;
        let changed = input.grid_instant()?;
        let (unpublished, decided) = (input.u8()? == 1, input.u8()? == 1);
        if u32::try_from(counts.pending).is_err() {
            return Err(SnapshotError);
        }
        rows.push(OpenRow { slot, counts, changed, unpublished, decided });
    }
    Ok(rows)
}

pub(crate) fn take_minute(input: &mut Reader<'_>) -> Result<Option<Minute>, SnapshotError> {
    let minute = input.option()?.map(u32::try_from).transpose();
    minute.map(|minute| minute.map(Minute)).map_err(|_| SnapshotError)
}

pub(crate) fn put_counts(out: &mut Writer, counts: &Counts) {
    out.u64(counts.measured);
    out.u64(counts.pending);
    counts.by_class.iter().for_each(|count| out.u64(*count));
    out.i128(counts.sum_micros);
}

pub(crate) fn take_counts(input: &mut Reader<'_>) -> Result<Counts, SnapshotError> {
    let mut counts = Counts { measured: input.u64()?, pending: input.u64()?, ..Counts::default() };
    for count in &mut counts.by_class {
        *count = input.u64()?;
    }
    counts.sum_micros = input.i128()?;
    if counts.conserved() { Ok(counts) } else { Err(SnapshotError) }
}

pub(crate) fn take_group(input: &mut Reader<'_>) -> Result<u8, SnapshotError> {
    let group = input.u8()?;
    if u16::from(group) < crate::limits::KEY_GROUPS { Ok(group) } else { Err(SnapshotError) }
}
