//! Parse: payloads to facts. Stateless, so any number of threads may parse chunks of a partition
//! side by side; the sequence stage puts the chunks in order.

use super::event::{Event, Facts, Flags, Posted};
use crate::hash::Identity;
use crate::keys::{KeyList, ad_key, publisher_key};
use crate::planted::{Bug, planted};
use crate::policy::Policy;
use crate::record::{
    CLICK_NUMBER, Click, DecodeError, Envelope, Header, Kind, Previous, Record, Transport,
};
use crate::rules::{method, purpose};
use crate::types::{Millis, Offset, Partition};
use crate::verdict::Reasons;
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

/// Consecutive records of one partition, parsed.
#[derive(Clone, Default)]
pub struct Chunk {
    pub(super) records: Vec<Parsed>,
    pub(super) events: Vec<Event>,
    /// Two of each event: its row keys.
    pub(super) keys: KeyList,
    pub(super) trackers: Vec<TrackerName>,
    pub(super) policies: u32,
}

impl Chunk {
    /// How many records were parsed.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// Parses consecutive records `(offset, append_time, payload)` of `partition`, about `expected`.
pub fn parse<'a>(
    identity: &Identity,
    partition: Partition,
    expected: usize,
    records: impl Iterator<Item = (Offset, Millis, &'a [u8])>,
) -> Chunk {
    let mut parser = Parser::new(identity, partition, expected);
    for (offset, append_time, payload) in records {
        parser.record(offset, append_time, payload);
    }
    parser.chunk
}

struct Parser<'i> {
    identity: &'i Identity,
    partition: Partition,
    chunk: Chunk,
}

impl<'i> Parser<'i> {
    fn new(identity: &'i Identity, partition: Partition, records: usize) -> Self {
        let keys = KeyList::new(identity.seed(), records);
        let mut chunk = Chunk { keys, ..Chunk::default() };
        chunk.records.reserve(records);
        chunk.events.reserve(records);
        Parser { identity, partition, chunk }
    }

    #[inline]
    fn record(&mut self, offset: Offset, append_time: Millis, payload: &[u8]) {
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
    fn read(&mut self, payload: &[u8], parsed: &mut Parsed) -> Result<(), DecodeError> {
        let envelope = Envelope::decode(payload)?;
        let transport = envelope.transport()?;
        parsed.item = if envelope.kind.0 == CLICK_NUMBER {
            let mut click = Click::default();
            click.read(envelope.kind.1)?;
            parsed.expires_at = MaybeMillis::of(click.expires_at);
            let event = self.event(&click, parsed.offset);
            self.chunk.events.push(event);
            #[expect(clippy::cast_possible_truncation, reason = "chunks are small")]
            let index = self.chunk.events.len() as u32 - 1;
            Item::Click(index)
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
            let identity = self.identity.of([&epoch.to_le_bytes(), name.as_bytes()]);
            known.push(TrackerName { identity, name: String::from(name), epoch });
            known.len() - 1
        });
        #[expect(clippy::cast_possible_truncation, reason = "chunks are small")]
        let index = index as TrackerIndex;
        index
    }

    #[inline]
    fn event(&mut self, click: &Click<'_>, offset: Offset) -> Event {
        let identity = self.identity;
        let (user, has_user) = (click.user_id.as_bytes(), !click.user_id.is_empty());
        let source = source_of(identity, click);
        let issuer = if planted(Bug::ClaimIgnoresIssuer) { "" } else { click.issuer };
        let claimer = if planted(Bug::ClaimIgnoresUser) { "" } else { click.user_id };
        self.chunk.keys.push(&ad_key(click));
        self.chunk.keys.push(&publisher_key(click));
        Event {
            claim: identity.of([issuer, click.click_id, claimer].map(str::as_bytes)),
            pair: if has_user { identity.of([user, click.ad_id.as_bytes()]) } else { 0 },
            facts: Facts {
                source,
                fold_time: Millis(0),
                offset,
                received_at: click.received_at,
                price: click.price,
                payout: click.payout,
                partition: self.partition,
                ad_key: 0,
                publisher_key: 0,
                policy: 0,
                posted: Posted::NONE,
                reasons: Reasons::NONE,
                user_group: identity.group(click.user_key().as_bytes()),
                source_group: if source == 0 { 0 } else { identity.group_of_source(source) },
                burst_clicks: 0,
                flags: flags_of(click),
            },
        }
    }
}

fn flags_of(click: &Click<'_>) -> Flags {
    let mut flags = 0;
    if click.ad_active == Some(false) {
        flags |= Flags::INACTIVE;
    }
    if method::is_no_click(click.method) {
        flags |= Flags::NO_CLICK_METHOD;
    }
    if purpose::is_not_a_person(click.purpose) {
        flags |= Flags::PREFETCH;
    }
    if !click.user_id.is_empty() {
        flags |= Flags::USER;
    }
    Flags(flags)
}

const IPV4: u128 = 1 << 64;
const IPV6: u128 = 2 << 64;
const KEYED: u128 = 1 << 127;

/// The source of the activity rule: the kept hash of a truncated address, else the IPv4 address
/// (also where it is mapped into IPv6), else the IPv6 /64; 0 if unknown.
fn source_of(identity: &Identity, click: &Click<'_>) -> u128 {
    if !click.source_key.is_empty() {
        return identity.of([click.source_key]) | KEYED;
    }
    match click.ip {
        [a, b, c, d] => IPV4 | u128::from(u32::from_be_bytes([*a, *b, *c, *d])),
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
            if !planted(Bug::MappedAddressApart) =>
        {
            IPV4 | u128::from(u32::from_be_bytes([*a, *b, *c, *d]))
        }
        [.., low] if click.ip.len() == 16 && planted(Bug::SourceIsWholeAddress) => {
            IPV6 | u128::from(*low)
        }
        [a, b, c, d, e, f, g, h, _, _, _, _, _, _, _, _] => {
            IPV6 | u128::from(u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]))
        }
        _ => 0,
    }
}
