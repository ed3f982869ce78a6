//! State as of the watermark, in parts, and back. The dedup set is either part of the key groups'
//! parts (a full snapshot) or left to the host's journal of claims (an incremental one).

use super::bytes::{put_counts, take_counts, take_minute};
use super::shard::shard_of;
use super::{Fold, Totals};
use crate::keys::{KeyId, KeyTable, well_formed};
use crate::limits::KEY_GROUPS;
use crate::policy::{Policy, Timeline};
use crate::record::{Kind, Record};
use crate::snapshot::{Reader, SnapshotError, Writer};
use crate::stage::event::{Facts, Flags, Posted, Slot};
use crate::stage::sequence::{Sequence, SequenceState};
use crate::stage::transport::{Seen, Transports};
use crate::stage::user::{Claim, Journal, PairClick};
use crate::stage::window::OpenRow;
use crate::types::{Micros, Millis, Minute, Offset, Partition};
use crate::verdict::Reasons;
use alloc::string::String;
use alloc::vec::Vec;

/// A part of a snapshot; parts may be stored and moved on their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotPart {
    /// Watermark, policies, totals and the sequence stages.
    Common(Vec<u8>),
    /// The keyed stages of one key group.
    Group(u8, Vec<u8>),
}

/// What a restore says about where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The snapshot's watermark.
    pub watermark: Millis,
    /// Per partition the first offset to read.
    pub positions: Vec<Offset>,
}

impl Fold {
    /// All state as of the watermark. `with_claims` puts the dedup set into the groups' parts.
    pub fn snapshot(&self, with_claims: bool) -> Vec<SnapshotPart> {
        let mut parts = Vec::from([SnapshotPart::Common(self.save_common())]);
        let mut waiting: Vec<Vec<&Facts>> = alloc::vec![Vec::new(); usize::from(KEY_GROUPS)];
        let mut rows: Vec<Vec<OpenRow>> = alloc::vec![Vec::new(); usize::from(KEY_GROUPS)];
        for shard in &self.shards {
            for click in shard.source.waiting() {
                waiting[usize::from(click.source_stage_group())].push(click);
            }
            for row in shard.window.rows() {
                rows[usize::from(self.keys.group(row.slot.key))].push(row);
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "there are 128 groups")]
        for group in 0..KEY_GROUPS as u8 {
            let journal = if with_claims {
                let shard = &self.shards[shard_of(group, self.shards.len())];
                shard.user.snapshot(group, self.watermark, &self.timeline)
            } else {
                Journal::default()
            };
            let at = usize::from(group);
            rows[at].sort_by(|a, b| self.by_key(a, b));
            let mut out = Writer::default();
            put_journal(&mut out, &journal);
            put_clicks(&mut out, &waiting[at], &self.keys);
            put_rows(&mut out, &rows[at], &self.keys);
            parts.push(SnapshotPart::Group(group, out.into_bytes()));
        }
        parts
    }

    fn by_key(&self, a: &OpenRow, b: &OpenRow) -> core::cmp::Ordering {
        let key = |row: &OpenRow| (row.slot.minute, row.slot.posted);
        self.keys.words(a.slot.key).cmp(self.keys.words(b.slot.key)).then(key(a).cmp(&key(b)))
    }

    /// Loads a snapshot into a fold that has just been made.
    pub fn restore(&mut self, parts: &[SnapshotPart]) -> Result<Restored, SnapshotError> {
        let common = parts.iter().find_map(|part| match part {
            SnapshotPart::Common(bytes) => Some(bytes),
            SnapshotPart::Group(..) => None,
        });
        self.load_common(common.ok_or(SnapshotError)?)?;
        let mut waiting: Vec<Vec<Facts>> = alloc::vec![Vec::new(); self.shards.len()];
        for part in parts {
            if let SnapshotPart::Group(group, bytes) = part {
                self.load_group(*group, bytes, &mut waiting)?;
            }
        }
        for (shard, mut clicks) in self.shards.iter_mut().zip(waiting) {
            clicks.sort_by_key(Facts::fold_order);
            shard.source.restore(&clicks, &self.timeline);
        }
        let positions = self.sequences.iter().map(Sequence::read_to).collect();
        Ok(Restored { watermark: self.watermark, positions })
    }

    /// Adds claims that were journalled before the snapshot's watermark, oldest first.
    pub fn restore_journal(&mut self, journal: &Journal) {
        let shards = self.shards.len();
        let mut split: Vec<Journal> = alloc::vec![Journal::default(); shards];
        for claim in &journal.claims {
            split[shard_of(claim.group, shards)].claims.push(*claim);
        }
        for pair in &journal.pairs {
            split[shard_of(pair.group, shards)].pairs.push(*pair);
        }
        for (shard, journal) in self.shards.iter_mut().zip(split) {
            shard.user.restore(&journal, self.watermark, &self.timeline);
        }
    }

    fn load_group(
        &mut self,
        group: u8,
        bytes: &[u8],
        waiting: &mut [Vec<Facts>],
    ) -> Result<(), SnapshotError> {
        if u16::from(group) >= KEY_GROUPS {
            return Err(SnapshotError);
        }
        let mut input = Reader::new(bytes);
        let journal = take_journal(&mut input, group)?;
        let shard = shard_of(group, self.shards.len());
        self.shards[shard].user.restore(&journal, self.watermark, &self.timeline);
        waiting[shard].extend(take_clicks(&mut input, &mut self.keys)?);
        for row in take_rows(&mut input, &mut self.keys)? {
            self.shards[shard].window.restore(&row, self.watermark);
        }
        input.end()
    }

    fn save_common(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u64(self.watermark.0);
        put_timeline(&mut out, &self.timeline);
        out.u64(self.totals.measured);
        self.totals.by_class.iter().for_each(|count| out.u64(*count));
        out.u64(self.totals.dead_letters);
        out.len(self.sequences.len());
        self.sequences.iter().for_each(|sequence| put_sequence(&mut out, &sequence.snapshot()));
        out.into_bytes()
    }

    fn load_common(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut input = Reader::new(bytes);
        self.watermark = Millis(input.u64()?);
        self.timeline = take_timeline(&mut input)?;
        let mut totals = Totals { measured: input.u64()?, ..Totals::default() };
        for count in &mut totals.by_class {
            *count = input.u64()?;
        }
        totals.dead_letters = input.u64()?;
        self.totals = totals;
        if input.len(8)? != self.sequences.len() {
            return Err(SnapshotError);
        }
        for (number, sequence) in (0..).zip(&mut self.sequences) {
            *sequence = Sequence::restore(Partition(number), take_sequence(&mut input)?);
        }
        input.end()
    }
}

fn put_timeline(out: &mut Writer, timeline: &Timeline) {
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

fn take_timeline(input: &mut Reader<'_>) -> Result<Timeline, SnapshotError> {
    let mut timeline = Timeline::default();
    for _ in 0..input.len(16)? {
        let record = Record::decode(input.slice()?).map_err(|_| SnapshotError)?;
        let Kind::Policy(policy) = record.kind else { return Err(SnapshotError) };
        let effective = policy.effective_from;
        let policy = Policy { effective_from: Millis(input.u64()?), ..policy };
        timeline.reinstate(policy, effective);
    }
    Ok(timeline)
}

fn put_sequence(out: &mut Writer, state: &SequenceState) {
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

fn take_sequence(input: &mut Reader<'_>) -> Result<SequenceState, SnapshotError> {
    let (position, fold_time) = (Offset(input.u64()?), Millis(input.u64()?));
    let repeats = input.u64()?;
    let header = match input.slice()? {
        [] => None,
        bytes => match Record::decode(bytes).map_err(|_| SnapshotError)?.kind {
            Kind::Header(header) => Some(header),
            Kind::Click(_) | Kind::Tick | Kind::Heartbeat { .. } | Kind::Policy(_) => {
                return Err(SnapshotError);
            }
        },
    };
    let given_up = input.u64()?;
    let count = input.len(16)?;
    let mut seen = Vec::new();
    for _ in 0..count {
        seen.push((input.u128()?, take_seen(input)?));
    }
    let transports = Transports::load(seen, given_up);
    Ok(SequenceState { position, fold_time, repeats, header, transports })
}

fn take_seen(input: &mut Reader<'_>) -> Result<Seen, SnapshotError> {
    let name: String = input.text()?;
    let (epoch, next_seq) = (input.u64()?, input.u64()?);
    let last_record = input.option()?.map(Millis);
    let mut intervals = Vec::new();
    for _ in 0..input.len(16)? {
        intervals.push((input.u64()?, input.u64()?));
    }
    Ok(Seen { name, epoch, intervals, next_seq, last_record })
}

fn put_journal(out: &mut Writer, journal: &Journal) {
    out.len(journal.claims.len());
    for claim in &journal.claims {
        out.u128(claim.identity);
        out.u64(claim.fold_time.0);
    }
    out.len(journal.pairs.len());
    for pair in &journal.pairs {
        out.u128(pair.identity);
        out.u64(pair.fold_time.0);
        out.u32(pair.age_ms);
    }
}

fn take_journal(input: &mut Reader<'_>, group: u8) -> Result<Journal, SnapshotError> {
    let mut journal = Journal::default();
    for _ in 0..input.len(24)? {
        let (identity, fold_time) = (input.u128()?, Millis(input.u64()?));
        journal.claims.push(Claim { group, identity, fold_time });
    }
    for _ in 0..input.len(28)? {
        let (identity, fold_time, age_ms) = (input.u128()?, Millis(input.u64()?), input.u32()?);
        journal.pairs.push(PairClick { group, identity, fold_time, age_ms });
    }
    Ok(journal)
}

fn put_clicks(out: &mut Writer, clicks: &[&Facts], keys: &KeyTable) {
    out.len(clicks.len());
    for click in clicks {
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
}

fn take_clicks(input: &mut Reader<'_>, keys: &mut KeyTable) -> Result<Vec<Facts>, SnapshotError> {
    let mut clicks = Vec::new();
    for _ in 0..input.len(100)? {
        clicks.push(Facts {
            source: input.u128()?,
            fold_time: Millis(input.u64()?),
            offset: Offset(input.u64()?),
            received_at: Millis(input.u64()?),
            price: Micros(input.u64()?),
            payout: Micros(input.u64()?),
            partition: Partition(input.u32()?),
            ad_key: take_key(input, keys)?,
            publisher_key: take_key(input, keys)?,
            policy: input.u32()?,
            posted: Posted::to(take_minute(input)?),
            reasons: Reasons(input.u16()?),
            user_group: input.u8()?,
            source_group: input.u8()?,
            burst_clicks: input.u8()?,
            flags: Flags(input.u8()?),
        });
    }
    Ok(clicks)
}

fn put_key(out: &mut Writer, key: &[u64]) {
    out.len(key.len());
    key.iter().for_each(|word| out.u64(*word));
}

fn take_key(input: &mut Reader<'_>, keys: &mut KeyTable) -> Result<KeyId, SnapshotError> {
    let words = input.len(8)?;
    let key: Vec<u64> = (0..words).map(|_| input.u64()).collect::<Result<_, _>>()?;
    if well_formed(&key) { Ok(keys.intern(&key)) } else { Err(SnapshotError) }
}

fn put_rows(out: &mut Writer, rows: &[OpenRow], keys: &KeyTable) {
    out.len(rows.len());
    for row in rows {
        put_key(out, keys.words(row.slot.key));
        out.u32(row.slot.minute.0);
        out.option(row.slot.posted.minute().map(|minute| u64::from(minute.0)));
        put_counts(out, &row.counts);
        out.u64(row.changed.0);
        out.u8(u8::from(row.unpublished));
        out.u8(u8::from(row.decided));
    }
}

fn take_rows(input: &mut Reader<'_>, keys: &mut KeyTable) -> Result<Vec<OpenRow>, SnapshotError> {
    let mut rows = Vec::new();
    for _ in 0..input.len(100)? {
        let key = take_key(input, keys)?;
        let minute = Minute(input.u32()?);
        let slot = Slot { key, minute, posted: Posted::to(take_minute(input)?) };
        let counts = take_counts(input)?;
        let changed = Millis(input.u64()?);
        let (unpublished, decided) = (input.u8()? == 1, input.u8()? == 1);
        if u32::try_from(counts.pending).is_err() {
            return Err(SnapshotError);
        }
        rows.push(OpenRow { slot, counts, changed, unpublished, decided });
    }
    Ok(rows)
}
