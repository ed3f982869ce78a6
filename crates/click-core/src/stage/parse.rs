//! Parse: payloads to facts. Stateless, so any number of threads may parse chunks of a partition
//! side by side; the sequence stage puts the chunks in order.

use super::event::{Event, Facts, Flags, Posted};
use crate::hash::Identity;
use crate::keys::{KeyTable, Keys, ad_key, publisher_key};
use crate::planted::{Bug, planted};
use crate::policy::Policy;
use crate::record::{
    CLICK_NUMBER, DecodeError, Envelope, Fields, Header, Kind, Layout, Previous, Record, Source,
    Transport,
};
use crate::rules::{method, purpose};
use crate::types::{Millis, Offset, Partition};
use crate::verdict::Reasons;
use crate::words::Lying;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// Number of a tracker in its chunk.
pub(super) type TrackerIndex = u32;

/// What a record says about the sender's sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender {
    pub(super) tracker: TrackerIndex,
    pub(super) seq: u64,
}

/// What a record is, after parsing.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// Index into the chunk's events.
    Click(u32),
    Tick,
    Heartbeat(u64),
    Policy(Box<Policy>),
    Header(Box<Header>),
    Layout(Box<Layout>),
    Bad(DecodeError),
}

/// A time or none, in eight bytes: no valid time is so late.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaybeMillis(u64);

impl MaybeMillis {
    const NONE: MaybeMillis = MaybeMillis(u64::MAX);

    fn of(time: Option<Millis>) -> MaybeMillis {
        time.map_or(MaybeMillis::NONE, |time| MaybeMillis(time.0))
    }

    #[inline]
    pub(super) const fn get(self) -> Option<Millis> {
        if self.0 == u64::MAX { None } else { Some(Millis(self.0)) }
    }
}

/// A parsed record.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) offset: Offset,
    /// `append_time` until the chunk is sequenced, then `fold_time`.
    pub(super) time: Millis,
    pub(super) sent_at: MaybeMillis,
    pub(super) expires_at: MaybeMillis,
    pub(super) sender: Option<Sender>,
    pub(super) previous: Option<Sender>,
    pub(super) item: Item,
}

/// A tracker that a chunk's records name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TrackerName {
    pub(super) identity: u128,
    pub(super) name: String,
    pub(super) epoch: u64,
}

/// An event and which of its row keys it is whose number is not known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) event: u32,
    pub(super) is_ad: bool,
}

/// Consecutive records of one partition, parsed.
#[derive(Clone, Default)]
pub struct Chunk {
    pub(super) records: Vec<Parsed>,
    pub(super) events: Vec<Event>,
    /// Row keys that the table of keys did not have, and whose they are.
    pub(super) new_keys: Keys,
    pub(super) owners: Vec<Owner>,
    pub(super) trackers: Vec<TrackerName>,
    pub(super) policies: u32,
    pub(super) layouts: u32,
}

impl Chunk {
    /// How many records were parsed.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether a layout record is among them.
    pub(crate) const fn has_layouts(&self) -> bool {
        self.layouts > 0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Empties it, keeping its memory.
    fn clear(&mut self) {
        self.records.clear();
        self.events.clear();
        self.new_keys = Keys::default();
        self.owners.clear();
        self.trackers.clear();
        (self.policies, self.layouts) = (0, 0);
    }
}

/// Parses consecutive records `(offset, append_time, payload)` of `partition`; `spare` gives its
/// memory.
#[inline(never)]
pub fn parse<'a>(
    keys: &KeyTable,
    partition: Partition,
    spare: Chunk,
    records: impl Iterator<Item = (Offset, Millis, &'a [u8])>,
) -> Chunk {
    let mut parser = Parser::new(keys, partition, spare, records.size_hint().0);
    for (offset, append_time, payload) in records {
        parser.record(offset, append_time, payload);
    }
    parser.look_up();
    parser.chunk
}

/// Clicks whose row keys are looked up together, so that the look-ups do not wait for memory.
const BLOCK: usize = 32;

struct Parser<'k, 'a> {
    keys: &'k KeyTable,
    partition: Partition,
    chunk: Chunk,
    fields: Fields<'a>,
    /// The newest events, whose row keys have been asked for.
    block: Vec<Asked<'a>>,
}

/// Identities of a click's row keys, and its body.
struct Asked<'a> {
    ad: u128,
    publisher: u128,
    body: &'a [u8],
}

impl<'k, 'a> Parser<'k, 'a> {
    fn new(keys: &'k KeyTable, partition: Partition, mut chunk: Chunk, records: usize) -> Self {
        chunk.clear();
        chunk.records.reserve(records);
        chunk.events.reserve(records);
        let (fields, block) = (Fields::default(), Vec::with_capacity(BLOCK));
        Parser { keys, partition, chunk, fields, block }
    }

    #[inline]
    fn record(&mut self, offset: Offset, append_time: Millis, payload: &'a [u8]) {
        let mut parsed = Parsed {
            offset,
            time: append_time,
            sent_at: MaybeMillis::NONE,
            expires_at: MaybeMillis::NONE,
            sender: None,
            previous: None,
            item: Item::Tick,
        };
        if let Err(error) = self.read(payload, &mut parsed) {
            parsed.item = Item::Bad(error);
            parsed.sent_at = MaybeMillis::NONE;
            (parsed.sender, parsed.previous) = (None, None);
        }
        self.chunk.records.push(parsed);
    }

    /// Clicks are read in place, the few others as whole records.
    #[inline]
    fn read(&mut self, payload: &'a [u8], parsed: &mut Parsed) -> Result<(), DecodeError> {
        let envelope = Envelope::decode(payload)?;
        let transport = envelope.transport()?;
        parsed.item = if envelope.kind.0 == CLICK_NUMBER {
            self.fields.read(envelope.kind.1)?;
            parsed.expires_at = MaybeMillis::of(self.fields.time::<30>());
            Item::Click(self.click(parsed.offset, envelope.kind.1))
        } else {
            self.item(Record::decode(payload)?.kind)
        };
        parsed.sent_at = MaybeMillis::of(envelope.sent_at);
        parsed.sender = transport.map(|transport| self.sender(transport));
        parsed.previous = envelope.previous().map(|previous| self.previous(previous));
        Ok(())
    }

    fn item(&mut self, kind: Kind<'_>) -> Item {
        match kind {
            Kind::Click(_) | Kind::Tick => Item::Tick,
            Kind::Heartbeat { next_seq } => Item::Heartbeat(next_seq),
            Kind::Policy(policy) => {
                self.chunk.policies += 1;
                Item::Policy(Box::new(policy))
            }
            Kind::Header(header) => Item::Header(Box::new(header)),
            Kind::Layout(layout) => {
                self.chunk.layouts += 1;
                Item::Layout(Box::new(layout))
            }
        }
    }

    fn sender(&mut self, transport: Transport<'_>) -> Sender {
        Sender { tracker: self.tracker(transport.tracker_id, transport.epoch), seq: transport.seq }
    }

    fn previous(&mut self, previous: Previous<'_>) -> Sender {
        Sender {
            tracker: self.tracker(previous.tracker_id, previous.epoch),
            seq: previous.next_seq,
        }
    }

    /// Few trackers fill a chunk, and mostly the one before: look from the end.
    #[inline]
    fn tracker(&mut self, name: &str, epoch: u64) -> TrackerIndex {
        let known = &mut self.chunk.trackers;
        let found = known.iter().rposition(|known| known.epoch == epoch && known.name == name);
        let index = found.unwrap_or_else(|| {
            let identity = self.keys.identity().of([&epoch.to_le_bytes(), name.as_bytes()]);
            known.push(TrackerName { identity, name: String::from(name), epoch });
            known.len() - 1
        });
        number(index)
    }

    /// Takes the click whose fields have just been read; returns its event's number.
    #[inline]
    fn click(&mut self, offset: Offset, body: &'a [u8]) -> u32 {
        if self.block.len() == BLOCK {
            self.look_up();
        }
        let identity = self.keys.identity();
        let asked = Asked {
            ad: ad_key(&self.fields).identity(identity),
            publisher: publisher_key(&self.fields).identity(identity),
            body,
        };
        self.keys.hint(asked.ad);
        self.keys.hint(asked.publisher);
        self.block.push(asked);
        self.chunk.events.push(event(identity, &self.fields, self.partition, offset));
        number(self.chunk.events.len() - 1)
    }

    /// Looks up the row keys of the newest events.
    fn look_up(&mut self) {
        let chunk = &mut self.chunk;
        let first = chunk.events.len() - self.block.len();
        for (at, asked) in (first..).zip(self.block.drain(..)) {
            let found = (self.keys.find(asked.ad), self.keys.find(asked.publisher));
            if let (Some(ad), Some(publisher)) = found {
                let facts = &mut chunk.events[at].facts;
                (facts.ad_key, facts.publisher_key) = (ad, publisher);
            } else {
                chunk.add_keys(number(at), asked.body);
            }
        }
    }
}

impl Chunk {
    /// Adds both row keys of an event.
    #[cold]
    fn add_keys(&mut self, event: u32, body: &[u8]) {
        let mut fields = Fields::default();
        assert!(fields.read(body).is_ok(), "a click that has been read before");
        self.new_keys.push(&ad_key(&fields));
        self.new_keys.push(&publisher_key(&fields));
        self.owners.extend([true, false].map(|is_ad| Owner { event, is_ad }));
    }
}

#[expect(clippy::cast_possible_truncation, reason = "chunks are small")]
const fn number(index: usize) -> u32 {
    index as u32
}

/// A click's facts, but for the numbers of its row keys.
#[inline(always)]
fn event(identity: &Identity, click: &Fields<'_>, partition: Partition, offset: Offset) -> Event {
    let (click_id, issuer) = (click.lying::<1>(), click.lying::<3>());
    let (user, ad) = (click.lying::<4>(), click.lying::<6>());
    let issuer = if planted(Bug::ClaimIgnoresIssuer) { Lying::NOTHING } else { issuer };
    let claimer = if planted(Bug::ClaimIgnoresUser) { Lying::NOTHING } else { user };
    let source = source_of(identity, click);
    Event {
        claim: identity.of_parts(3, [issuer, click_id, claimer]),
        pair: if user.is_empty() { 0 } else { identity.of_parts(2, [user, ad]) },
        facts: Facts {
            source,
            fold_time: Millis(0),
            offset,
            received_at: click.time::<17>().unwrap_or_default(),
            price: click.price::<12>(),
            payout: click.price::<14>(),
            partition,
            ad_key: 0,
            publisher_key: 0,
            policy: 0,
            posted: Posted::NONE,
            reasons: Reasons::NONE,
            user_group: identity.group(if user.is_empty() { click_id } else { user }),
            source_group: if source == 0 { 0 } else { identity.group_of_source(source) },
            burst_clicks: 0,
            flags: flags_of(click),
        },
    }
}

fn flags_of(click: &Fields<'_>) -> Flags {
    let mut flags = 0;
    if click.number::<31>() == Some(0) {
        flags |= Flags::INACTIVE;
    }
    if method::is_no_click(click.bytes::<20>()) {
        flags |= Flags::NO_CLICK_METHOD;
    }
    if purpose::is_not_a_person(click.bytes::<21>()) {
        flags |= Flags::PREFETCH;
    }
    if !click.lying::<4>().is_empty() {
        flags |= Flags::USER;
    }
    Flags(flags)
}

const IPV4: u128 = 1 << 64;
const IPV6: u128 = 2 << 64;
const KEYED: u128 = 1 << 127;

/// The source of the activity rule as a number; 0 if unknown.
fn source_of(identity: &Identity, click: &Fields<'_>) -> u128 {
    match Source::of(click.bytes::<22>(), click.bytes::<24>()) {
        Source::Unknown => 0,
        Source::Key(key) => identity.of([key]) | KEYED,
        Source::V4(address) => IPV4 | u128::from(u32::from_be_bytes(address)),
        Source::Subnet(subnet) => IPV6 | u128::from(u64::from_be_bytes(subnet)),
    }
}
