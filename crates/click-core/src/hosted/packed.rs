//! Clicks on their way to the next stage, and waiting in one: near to each other in time and of few
//! rows, so most take less than half of what they take alone. Times and offsets are told by their
//! distance from those that a run begins with, row keys by a place that both sides remember.
//!
//! A run is what one [`Packer`] packs; runs may be joined end to end.

use super::route::Routed;
use crate::codec::{put_facts, take_facts, take_group};
use crate::hash::MAX_WORDS;
use crate::keys::{KeyId, KeyTable};
use crate::limits::{KEY_GROUPS, MAX_TIME_MS};
use crate::snapshot::{Reader, SnapshotError, Writer};
use crate::stage::event::{Event, Facts, Flags, Posted};
use crate::types::{Micros, Millis, Offset, Partition};
use crate::verdict::Reasons;
use alloc::vec::Vec;

/// What a click's first byte tells. The first one of a run: its time and offset follow.
const BEGINS: u8 = 1;
/// Too far from the run's first one: as in a snapshot.
const FAR: u8 = 2;
/// The row key of the advertiser view follows.
const AD_FOLLOWS: u8 = 4;
/// The row key of the publisher view follows.
const PUBLISHER_FOLLOWS: u8 = 8;
const KNOWN: u8 = BEGINS | FAR | AD_FOLLOWS | PUBLISHER_FOLLOWS;

/// Bytes of a click that is near, without its source.
const NEAR_BYTES: usize = 29;
/// Places for row keys in a run.
const PLACES: usize = 1 << 10;
/// A key's words are told in a byte.
const _: () = assert!(MAX_WORDS <= 255, "keys are too long");

/// The time and offset that a run's are told from.
#[derive(Clone, Copy)]
struct Base {
    fold_time: u64,
    offset: u64,
}

/// Row keys of a run by their places, each with the run's number: the next one begins empty.
#[derive(Default)]
struct Places {
    keys: Vec<(u32, KeyId)>,
    run: u32,
}

impl Places {
    fn begin(&mut self) {
        self.run = self.run.wrapping_add(1);
        if self.keys.is_empty() || self.run == 0 {
            self.keys.clear();
            self.keys.resize(PLACES, (0, 0));
            self.run = 1;
        }
    }

    fn get(&self, place: u16) -> Option<KeyId> {
        let (run, key) = *self.keys.get(usize::from(place))?;
        (run == self.run).then_some(key)
    }

    fn put(&mut self, place: u16, key: KeyId) -> Option<()> {
        self.keys.get_mut(usize::from(place)).map(|it| *it = (self.run, key))
    }

    /// The place of a key, and whether the run has told it.
    #[expect(clippy::cast_possible_truncation, reason = "there are fewer places")]
    fn find(&mut self, key: KeyId) -> (u16, bool) {
        let place = (key as usize % PLACES) as u16;
        let is_told = self.get(place) == Some(key);
        if !is_told {
            self.put(place, key);
        }
        (place, is_told)
    }
}

/// Packs clicks for one key group.
#[derive(Default)]
struct Packer {
    out: Writer,
    base: Option<Base>,
    places: Places,
    /// Bytes of the run before.
    before: usize,
}

impl Packer {
    fn put(&mut self, identities: &[u8], click: &Facts, keys: &KeyTable) {
        let begins = self.base.is_none();
        let base = *self.base.get_or_insert_with(|| {
            self.places.begin();
            self.out.reserve(self.before);
            Base { fold_time: click.fold_time.0, offset: click.offset.0 }
        });
        let near = near_bytes(click, base);
        let mut tag = if begins { BEGINS } else { 0 };
        let (ad, publisher) = (click.ad_key, click.publisher_key);
        let places = near.map(|_| [self.places.find(ad), self.places.find(publisher)]);
        let is_told = |at: usize| places.is_none_or(|places| places[at].1);
        tag |= if near.is_none() { FAR } else { 0 };
        tag |= if is_told(0) { 0 } else { AD_FOLLOWS };
        tag |= if is_told(1) { 0 } else { PUBLISHER_FOLLOWS };
        self.out.u8(tag);
        if begins {
            self.out.u64(base.fold_time);
            self.out.u64(base.offset);
        }
        self.out.part(identities);
        let (Some(near), Some(places)) = (near, places) else {
            return put_facts(&mut self.out, click, keys);
        };
        self.out.u128(click.source);
        self.out.part(&near);
        for ((place, is_told), key) in places.into_iter().zip([ad, publisher]) {
            self.out.u16(place);
            if !is_told {
                self.out.short_words(keys.words(key));
            }
        }
    }

    fn finish(&mut self) -> Vec<u8> {
        self.base = None;
        let run = core::mem::take(&mut self.out).into_bytes();
        self.before = run.len();
        run
    }
}

/// What is told of a click that is near, but for source and row keys.
fn near_bytes(click: &Facts, base: Base) -> Option<[u8; NEAR_BYTES]> {
    let distance = |from: u64, to: u64| i32::try_from(to.wrapping_sub(from).cast_signed()).ok();
    let small = |micros: Micros| u32::try_from(micros.0).ok();
    if click.posted != Posted::NONE {
        return None;
    }
    let mut bytes = [0; NEAR_BYTES];
    let fold_time = distance(base.fold_time, click.fold_time.0)?;
    bytes[0..4].copy_from_slice(&fold_time.to_le_bytes());
    bytes[4..8].copy_from_slice(&distance(base.offset, click.offset.0)?.to_le_bytes());
    let received_at = distance(click.fold_time.0, click.received_at.0)?;
    bytes[8..12].copy_from_slice(&received_at.to_le_bytes());
    bytes[12..16].copy_from_slice(&small(click.price)?.to_le_bytes());
    bytes[16..20].copy_from_slice(&small(click.payout)?.to_le_bytes());
    bytes[20..22].copy_from_slice(&u16::try_from(click.partition.0).ok()?.to_le_bytes());
    bytes[22..24].copy_from_slice(&click.reasons.0.to_le_bytes());
    bytes[24] = u8::try_from(click.policy).ok()?;
    bytes[25] = click.user_group;
    bytes[26] = click.source_group;
    bytes[27] = click.burst_clicks;
    bytes[28] = click.flags.0;
    Some(bytes)
}

/// Packs clicks, each for its key group.
pub(super) struct ClickRouter {
    groups: Vec<Packer>,
}

impl ClickRouter {
    pub(super) fn new() -> ClickRouter {
        ClickRouter { groups: (0..KEY_GROUPS).map(|_| Packer::default()).collect() }
    }

    /// A click for the user stage.
    pub(super) fn put_event(&mut self, event: &Event, keys: &KeyTable) {
        let mut identities = [0; 32];
        identities[..16].copy_from_slice(&event.claim.to_le_bytes());
        identities[16..].copy_from_slice(&event.pair.to_le_bytes());
        self.groups[usize::from(event.facts.user_group)].put(&identities, &event.facts, keys);
    }

    /// A click for the source stage.
    pub(super) fn put_click(&mut self, click: &Facts, keys: &KeyTable) {
        self.groups[usize::from(click.source_stage_group())].put(&[], click, keys);
    }

    /// A run for each key group, empty where nothing went to it.
    pub(super) fn pieces(&mut self) -> Vec<Vec<u8>> {
        self.groups.iter_mut().map(Packer::finish).collect()
    }

    /// A run for each key group that anything went to.
    pub(super) fn finish(&mut self) -> Routed {
        (0..).zip(self.pieces()).filter(|(_, run)| !run.is_empty()).collect()
    }
}

/// Reads runs.
#[derive(Default)]
pub(super) struct Unpacker {
    base: Option<Base>,
    places: Places,
}

impl Unpacker {
    /// Before bytes that begin with a run.
    pub(super) fn begin(&mut self) {
        self.base = None;
    }

    /// A click for the user stage.
    pub(super) fn take_event(
        &mut self,
        input: &mut Reader<'_>,
        keys: &mut KeyTable,
    ) -> Result<Event, SnapshotError> {
        let (tag, base) = self.take_tag(input)?;
        let (claim, pair) = (input.u128()?, input.u128()?);
        Ok(Event { claim, pair, facts: self.take_facts(tag, base, input, keys)? })
    }

    /// A click for the source stage.
    pub(super) fn take_click(
        &mut self,
        input: &mut Reader<'_>,
        keys: &mut KeyTable,
    ) -> Result<Facts, SnapshotError> {
        let (tag, base) = self.take_tag(input)?;
        self.take_facts(tag, base, input, keys)
    }

    fn take_tag(&mut self, input: &mut Reader<'_>) -> Result<(u8, Base), SnapshotError> {
        let tag = input.u8()?;
        if tag & !KNOWN != 0 {
            return Err(SnapshotError);
        }
        if tag & BEGINS != 0 {
            self.places.begin();
            self.base = Some(Base { fold_time: input.u64()?, offset: input.u64()? });
        }
        Ok((tag, self.base.ok_or(SnapshotError)?))
    }

    fn take_facts(
        &mut self,
        tag: u8,
        base: Base,
        input: &mut Reader<'_>,
        keys: &mut KeyTable,
    ) -> Result<Facts, SnapshotError> {
        if tag & FAR != 0 {
            return take_facts(input, keys);
        }
        let source = input.u128()?;
        let near = input.array()?;
        let ad_key = self.take_key(tag & AD_FOLLOWS != 0, input, keys)?;
        let publisher_key = self.take_key(tag & PUBLISHER_FOLLOWS != 0, input, keys)?;
        let facts = Facts { source, ad_key, publisher_key, ..near_facts(&near, base)? };
        Ok(facts)
    }

    fn take_key(
        &mut self,
        follows: bool,
        input: &mut Reader<'_>,
        keys: &mut KeyTable,
    ) -> Result<KeyId, SnapshotError> {
        let place = input.u16()?;
        if !follows {
            return self.places.get(place).ok_or(SnapshotError);
        }
        let key = keys.read(input.short_words()?).ok_or(SnapshotError)?;
        self.places.put(place, key).ok_or(SnapshotError)?;
        Ok(key)
    }
}

/// The click that [`near_bytes`] tells of, without source and row keys.
fn near_facts(bytes: &[u8; NEAR_BYTES], base: Base) -> Result<Facts, SnapshotError> {
    let mut input = Reader::new(bytes);
    let mut far = |from: u64| Ok(from.wrapping_add_signed(i64::from(input.i32()?)));
    let fold_time = far(base.fold_time)?;
    let (offset, received_at) = (far(base.offset)?, far(fold_time)?);
    if fold_time.max(received_at) > MAX_TIME_MS {
        return Err(SnapshotError);
    }
    Ok(Facts {
        source: 0,
        fold_time: Millis(fold_time),
        offset: Offset(offset),
        received_at: Millis(received_at),
        price: Micros(u64::from(input.u32()?)),
        payout: Micros(u64::from(input.u32()?)),
        partition: Partition(u32::from(input.u16()?)),
        ad_key: 0,
        publisher_key: 0,
        reasons: Reasons::from_bits(input.u16()?).ok_or(SnapshotError)?,
        policy: u32::from(input.u8()?),
        posted: Posted::NONE,
        user_group: take_group(&mut input)?,
        source_group: take_group(&mut input)?,
        burst_clicks: input.u8()?,
        flags: Flags(input.u8()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Identity;
    use crate::types::Minute;
    use alloc::vec;

    const FIRST: u64 = 1 << 40;

    fn table() -> KeyTable {
        KeyTable::new(Identity::new(&[7; 16]))
    }

    /// A key of a publisher named by a number, in a table.
    fn key(keys: &mut KeyTable, number: u64) -> KeyId {
        let head = u64::from_le_bytes([b'p', 8, 0, 0, 0, 0, 0, 0]);
        let name = u64::from_le_bytes(*b"pub-0000") + ((number % 10) << 56) + ((number / 10) << 48);
        keys.read(&[head, name].map(u64::to_le_bytes)).expect("well formed")
    }

    fn click(keys: &mut KeyTable) -> Facts {
        Facts {
            source: 5,
            fold_time: Millis(FIRST),
            offset: Offset(FIRST),
            received_at: Millis(FIRST),
            price: Micros(1),
            payout: Micros(2),
            partition: Partition(3),
            ad_key: key(keys, 1),
            publisher_key: key(keys, 2),
            policy: 4,
            posted: Posted::NONE,
            reasons: Reasons::default(),
            user_group: 6,
            source_group: 7,
            burst_clicks: 10,
            flags: Flags(Flags::USER),
        }
    }

    fn pack(clicks: &[Facts], keys: &KeyTable) -> Vec<u8> {
        let mut packer = Packer::default();
        clicks.iter().for_each(|click| packer.put(&[], click, keys));
        packer.finish()
    }

    fn unpack(bytes: &[u8], keys: &mut KeyTable) -> Result<Vec<Facts>, SnapshotError> {
        let (mut unpacker, mut input) = (Unpacker::default(), Reader::new(bytes));
        let mut clicks = Vec::new();
        while !input.is_empty() {
            clicks.push(unpacker.take_click(&mut input, keys)?);
        }
        Ok(clicks)
    }

    #[test]
    fn what_is_too_far_comes_back_as_what_is_near() {
        let mut keys = table();
        let first = click(&mut keys);
        let at = |distance: i64| FIRST.wrapping_add_signed(distance);
        let (ahead, behind) = (i64::from(i32::MAX), i64::from(i32::MIN));
        let time = |distance| Facts { fold_time: Millis(at(distance)), ..first };
        let time = |distance| Facts { received_at: Millis(at(distance)), ..time(distance) };
        let offset = |distance| Facts { offset: Offset(at(distance)), ..first };
        let received = |distance| Facts { received_at: Millis(at(distance)), ..first };
        let price = |price| Facts { price: Micros(price), ..first };
        let payout = |payout| Facts { payout: Micros(payout), ..first };
        let partition = |partition| Facts { partition: Partition(partition), ..first };
        let policy = |policy| Facts { policy, ..first };
        let posted = Facts { posted: Posted::to(Some(Minute(1))), ..first };
        let micros = u64::from(u32::MAX);
        let cases = [
            [time(ahead), time(ahead + 1)],
            [time(behind), time(behind - 1)],
            [offset(ahead), offset(ahead + 1)],
            [offset(behind), offset(behind - 1)],
            [received(ahead), received(ahead + 1)],
            [received(behind), received(behind - 1)],
            [price(micros), price(micros + 1)],
            [payout(micros), payout(micros + 1)],
            [partition(u32::from(u16::MAX)), partition(u32::from(u16::MAX) + 1)],
            [policy(255), policy(256)],
            [first, posted],
        ];
        for [near, far] in cases {
            let begun = pack(&[first], &keys).len();
            for (click, bytes) in [(near, 1 + 16 + NEAR_BYTES + 4), (far, 150)] {
                let clicks = [first, click, first];
                let packed = pack(&clicks, &keys);
                let took = packed.len() - begun - (1 + 16 + NEAR_BYTES + 4);
                assert!(if bytes == 150 { took > 100 } else { took == bytes }, "{took}: {click:?}");
                assert_eq!(unpack(&packed, &mut keys), Ok(clicks.to_vec()));
            }
        }
    }

    #[test]
    fn runs_are_read_in_any_order_by_a_table_that_knows_nothing() {
        let mut keys = table();
        let first = click(&mut keys);
        let other = Facts { ad_key: key(&mut keys, 3), offset: Offset(9), ..first };
        let runs = [pack(&[first, other], &keys), pack(&[other, other, first], &keys)];
        let orders = [
            (vec![1, 0, 1], vec![other, other, first, first, other, other, other, first]),
            (vec![0, 0, 1], vec![first, other, first, other, other, other, first]),
        ];
        for (order, clicks) in orders {
            let joined: Vec<u8> = order.iter().flat_map(|run| runs[*run].clone()).collect();
            let mut there = table();
            let found = unpack(&joined, &mut there).expect("whole runs");
            assert_eq!(found.len(), clicks.len());
            for (found, click) in found.iter().zip(&clicks) {
                let words = [found.ad_key, found.publisher_key].map(|key| there.words(key));
                assert_eq!(words, [click.ad_key, click.publisher_key].map(|key| keys.words(key)));
                assert_eq!(found.offset, click.offset);
            }
        }
    }

    #[test]
    fn keys_that_share_a_place_take_turns() {
        let mut keys = table();
        let first = click(&mut keys);
        let crowd = (0..100).map(|number| key(&mut keys, number));
        let crowd = crowd.map(|publisher_key| Facts { publisher_key, ..first });
        let clicks: Vec<Facts> = crowd.collect::<Vec<_>>().repeat(2);
        assert_eq!(unpack(&pack(&clicks, &keys), &mut keys), Ok(clicks));
        let mut places = Places::default();
        places.begin();
        let above = KeyId::try_from(PLACES).expect("small");
        assert_eq!(places.find(0), (0, false));
        assert_eq!(places.find(above), (0, false));
        assert_eq!(places.find(0), (0, false), "the other one took its place");
        assert_eq!(places.find(0), (0, true));
        places.begin();
        assert_eq!(places.find(0), (0, false), "a run knows nothing of the one before");
        places.run = u32::MAX;
        places.keys[1] = (1, 1);
        places.begin();
        assert_eq!(places.find(1), (1, false), "numbers of runs that begin anew");
    }

    #[test]
    fn what_no_packer_packs_is_refused() {
        let mut keys = table();
        let first = click(&mut keys);
        let whole = pack(&[first, first], &keys);
        for end in 1..whole.len() {
            let is_whole = unpack(&whole[..end], &mut keys).is_ok();
            assert_eq!(is_whole, end == pack(&[first], &keys).len(), "{end} bytes");
        }
        let damaged = |at: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            unpack(&bytes, &mut table())
        };
        assert_eq!(damaged(0, AD_FOLLOWS), Err(SnapshotError), "no beginning");
        assert_eq!(damaged(0, 16), Err(SnapshotError), "no such mark");
        assert_eq!(damaged(8, 0xff), Err(SnapshotError), "a time that nothing can have");
        let behind = pack(&[first], &keys).len();
        assert_eq!(damaged(behind + 1 + 16 + NEAR_BYTES + 1, 3), Err(SnapshotError), "no place");
        assert_eq!(damaged(behind + 1 + 16 + NEAR_BYTES, 9), Err(SnapshotError), "an empty place");
    }
}
