//! Between the plain records of the reference and the core's own types.
//!
//! Owns translation and nothing else: it must never decide, sort or drop anything.

use click_core::limits::MAX_TIME_MS;
use click_core::policy::{Policy, Timeline};
use click_core::record::{
    Click, Header, Kind, Layout, Part, Previous, Record, SourceKeys, Transport,
};
use click_core::row::{Row, RowKey};
use click_core::stage::source;
use click_core::types::{Micros, Millis};

use crate::reference::{
    AdKey, PlainClick, PlainHeader, PlainHeartbeat, PlainIdentity, PlainIp, PlainLayout,
    PlainPayload, PlainPolicy, PlainPrevious, PlainRecord, PlainRow, Position, PublisherKey,
    Verdict,
};

/// The key of a row in either view.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlainKey {
    Ad(AdKey),
    Publisher(PublisherKey),
}

/// The payload of a record as it stands in the log. `partitions` is what a header says of it.
#[must_use]
pub fn payload(record: &PlainRecord, partitions: u32) -> Vec<u8> {
    match &record.payload {
        PlainPayload::Undecodable(bytes) => bytes.clone(),
        PlainPayload::Click(click) => {
            let ip = address(click);
            from_click(click, &ip).to_bytes()
        }
        PlainPayload::Tick { sent_at } => bare(*sent_at, Kind::Tick).to_bytes(),
        PlainPayload::Heartbeat(heartbeat) => {
            let (tracker_id, next_seq) = (heartbeat.tracker_id.as_str(), heartbeat.next_seq);
            let transport = Transport { tracker_id, epoch: heartbeat.epoch, seq: next_seq };
            let record = bare(heartbeat.sent_at, Kind::Heartbeat { next_seq });
            Record { transport: Some(transport), ..record }.to_bytes()
        }
        PlainPayload::Policy(policy) => {
            bare(policy.sent_at, Kind::Policy(from_policy(policy))).to_bytes()
        }
        PlainPayload::Header(header) => {
            bare(header.sent_at, Kind::Header(from_header(header, partitions))).to_bytes()
        }
        PlainPayload::Layout(layout) => {
            bare(layout.sent_at, Kind::Layout(from_layout(layout))).to_bytes()
        }
    }
}

/// The header that stands first in partition 0, or one of zeros.
#[must_use]
pub fn header(records: &[PlainRecord], partitions: u32) -> Header {
    let first = records.iter().find(|record| record.position() == (0, 0));
    match first.map(|record| &record.payload) {
        Some(PlainPayload::Header(header)) => from_header(header, partitions),
        _ => Header { log_id: [0; 16], generation: 0, partitions },
    }
}

/// A row of the core as the reference would have it; its version without the generation.
#[must_use]
pub fn plain_row(row: &Row) -> (PlainKey, PlainRow) {
    let (minute, posted) = (u64::from(row.minute.0), row.posted_minute.map(|m| u64::from(m.0)));
    let key = match (*row.key).clone() {
        RowKey::Ad { ad_id, currency, campaign_id, advertiser_id } => {
            PlainKey::Ad((ad_id, minute, posted, currency, campaign_id, advertiser_id))
        }
        RowKey::Publisher { publisher_id, placement_id, currency } => {
            PlainKey::Publisher((publisher_id, placement_id, minute, posted, currency))
        }
    };
    let content = PlainRow {
        measured: row.counts.measured,
        pending: row.counts.pending,
        counts: row.counts.by_class,
        sum: row.counts.sum_micros,
        version_ms: row.version.at().0,
    };
    (key, content)
}

/// A verdict of the core as the reference would have it.
///
/// # Panics
/// If the timeline does not know the verdict's policy.
#[must_use]
pub fn plain_verdict(verdict: &source::Verdict, timeline: &Timeline) -> (Position, Verdict) {
    let policy = timeline.get(verdict.policy).expect("a verdict's policy is in the timeline");
    let plain = Verdict {
        class: verdict.reasons.class().code(),
        reasons: verdict.reasons.iter().map(click_core::verdict::Class::code).collect(),
        policy: policy.policy_id.clone(),
    };
    ((verdict.partition.0, verdict.offset.0), plain)
}

fn bare(sent_at: Option<u64>, kind: Kind<'_>) -> Record<'_> {
    Record { sent_at: sent_at.map(Millis), transport: None, previous: None, kind }
}

fn from_click<'a>(click: &'a PlainClick, ip: &'a [u8]) -> Record<'a> {
    let transport = click.identity.as_ref().map(|identity| Transport {
        tracker_id: &identity.tracker_id,
        epoch: identity.epoch,
        seq: identity.seq,
    });
    let previous = click.previous.as_ref().map(|previous| Previous {
        tracker_id: &previous.tracker_id,
        epoch: previous.epoch,
        next_seq: previous.next_seq,
    });
    let kind = Kind::Click(Click {
        click_id: &click.click_id,
        issuer: &click.issuer,
        user_id: &click.user_id,
        ad_id: &click.ad_id,
        campaign_id: &click.campaign_id,
        advertiser_id: &click.advertiser_id,
        publisher_id: &click.publisher_id,
        placement_id: &click.placement_id,
        currency: &click.currency,
        price: Micros(click.price_micros),
        payout: Micros(click.payout_micros),
        received_at: Millis(click.received_at),
        expires_at: click.expires_at.map(Millis),
        ad_active: click.ad_active,
        ip,
        source_key: &click.source_key,
        user_agent: click.user_agent.as_deref(),
        method: click.method.as_deref().unwrap_or_default(),
        purpose: click.purpose.as_deref().unwrap_or_default(),
        ..Click::default()
    });
    Record { sent_at: click.sent_at.map(Millis), transport, previous, kind }
}

fn address(click: &PlainClick) -> Vec<u8> {
    match click.ip {
        None => Vec::new(),
        Some(PlainIp::V4(bytes)) => bytes.to_vec(),
        Some(PlainIp::V6(bytes)) => bytes.to_vec(),
    }
}

fn from_policy(policy: &PlainPolicy) -> Policy {
    Policy {
        policy_id: policy.id.clone(),
        effective_from: Millis(policy.effective_from),
        link_lifetime_ms: policy.link_lifetime_ms,
        spool_limit_ms: policy.spool_limit_ms,
        horizon_ms: policy.horizon_ms,
        seal_after_ms: policy.seal_after_ms,
        double_click_ms: policy.double_click_ms,
        burst_clicks: u64::from(policy.burst_clicks),
    }
}

fn from_header(header: &PlainHeader, partitions: u32) -> Header {
    Header { log_id: header.log_id, generation: header.generation, partitions }
}

fn from_layout(layout: &PlainLayout) -> Layout {
    let part = |(topic, partitions): &(String, u32)| Part {
        topic: topic.clone(),
        partitions: *partitions,
    };
    let parts = layout.parts.iter().map(part).collect();
    Layout { log_id: layout.log_id, number: layout.number, parts }
}

/// A record of a log as the reference would have it.
#[must_use]
pub fn plain_record(
    (partition, offset): Position,
    append_time: u64,
    payload: &[u8],
) -> PlainRecord {
    let payload = match Record::decode(payload) {
        Ok(record) => plain_payload(&record),
        Err(_) => PlainPayload::Undecodable(payload.to_vec()),
    };
    PlainRecord { partition, offset, append_time, payload }
}

fn plain_payload(record: &Record<'_>) -> PlainPayload {
    let sent_at = record.sent_at.map(|at| at.0);
    match &record.kind {
        Kind::Click(click) => PlainPayload::Click(Box::new(plain_click(record, click))),
        Kind::Tick => PlainPayload::Tick { sent_at },
        Kind::Heartbeat { next_seq } => PlainPayload::Heartbeat(PlainHeartbeat {
            sent_at,
            tracker_id: record.transport.map(|one| one.tracker_id.to_owned()).unwrap_or_default(),
            epoch: record.transport.map(|one| one.epoch).unwrap_or_default(),
            next_seq: *next_seq,
        }),
        Kind::Policy(policy) => PlainPayload::Policy(plain_policy(policy, sent_at)),
        Kind::Header(header) => PlainPayload::Header(PlainHeader {
            sent_at,
            log_id: header.log_id,
            generation: header.generation,
        }),
        Kind::Layout(layout) => PlainPayload::Layout(PlainLayout {
            sent_at,
            log_id: layout.log_id,
            number: layout.number,
            parts: layout.parts.iter().map(|part| (part.topic.clone(), part.partitions)).collect(),
        }),
    }
}

fn plain_click(record: &Record<'_>, click: &Click<'_>) -> PlainClick {
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    PlainClick {
        sent_at: record.sent_at.map(|at| at.0),
        identity: record.transport.map(|one| PlainIdentity {
            tracker_id: one.tracker_id.to_owned(),
            epoch: one.epoch,
            seq: one.seq,
        }),
        previous: record.previous.map(|one| PlainPrevious {
            tracker_id: one.tracker_id.to_owned(),
            epoch: one.epoch,
            next_seq: one.next_seq,
        }),
        click_id: click.click_id.to_owned(),
        issuer: click.issuer.to_owned(),
        user_id: click.user_id.to_owned(),
        ad_id: click.ad_id.to_owned(),
        campaign_id: click.campaign_id.to_owned(),
        advertiser_id: click.advertiser_id.to_owned(),
        publisher_id: click.publisher_id.to_owned(),
        placement_id: click.placement_id.to_owned(),
        currency: click.currency.to_owned(),
        price_micros: click.price.0,
        payout_micros: click.payout.0,
        received_at: click.received_at.0,
        expires_at: click.expires_at.map(|at| at.0),
        ad_active: click.ad_active,
        ip: plain_ip(click.ip),
        source_key: click.source_key.to_vec(),
        user_agent: click.user_agent.map(str::to_owned),
        method: known(click.method),
        purpose: known(click.purpose),
    }
}

fn plain_ip(bytes: &[u8]) -> Option<PlainIp> {
    let v4 = <[u8; 4]>::try_from(bytes).map(PlainIp::V4);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(PlainIp::V6)).ok()
}

/// # Panics
/// If more clicks than a `u32` holds are allowed within a second.
fn plain_policy(policy: &Policy, sent_at: Option<u64>) -> PlainPolicy {
    PlainPolicy {
        sent_at,
        id: policy.policy_id.clone(),
        effective_from: policy.effective_from.0,
        link_lifetime_ms: policy.link_lifetime_ms,
        spool_limit_ms: policy.spool_limit_ms,
        horizon_ms: policy.horizon_ms,
        seal_after_ms: policy.seal_after_ms,
        double_click_ms: policy.double_click_ms,
        burst_clicks: u32::try_from(policy.burst_clicks).expect("a number of clicks"),
    }
}

const _: () = assert!(MAX_TIME_MS == crate::reference::MAX_TIME_MS, "both know the same times");

/// The log of these records, by partition: `append_time` and payload, in offset order. It begins
/// with `partitions`; records of others belong to layouts.
#[must_use]
pub fn log(records: &[PlainRecord], partitions: u32) -> Vec<Vec<(u64, Vec<u8>)>> {
    let greatest = records.iter().map(|record| record.partition + 1).max().unwrap_or(0);
    let mut log = vec![Vec::new(); partitions.max(greatest) as usize];
    for record in records {
        log[record.partition as usize].push((record.append_time, payload(record, partitions)));
    }
    log
}

/// Gives each click with an address the key of its source, as trackers do, unless it has one.
pub fn give_source_keys(records: &mut [PlainRecord]) {
    let keys = SourceKeys::new(&[3; 32]);
    for record in records {
        let PlainPayload::Click(click) = &mut record.payload else { continue };
        let ip = match &click.ip {
            None => &[][..],
            Some(PlainIp::V4(address)) => address,
            Some(PlainIp::V6(address)) => address,
        };
        if let Some(key) = keys.of(ip).filter(|_| click.source_key.is_empty()) {
            click.source_key = key.to_vec();
        }
    }
}
