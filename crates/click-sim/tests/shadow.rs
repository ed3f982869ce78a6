//! A log folded under another policy than it was judged by: what the reference makes of a log that
//! begins with that policy and has no other.

use std::collections::BTreeMap;

use click_core::policy::Policy;
use click_core::row::Row;
use click_core::stage::source::Verdict;
use click_core::types::Millis;
use click_engine::driver::{RefoldSink, refold_under};
use click_sim::bridge;
use click_sim::check::World;
use click_sim::generate::{GeneratorConfig, generate};
use click_sim::given_log::GivenLog;
use click_sim::reference::{PlainPayload, PlainPolicy, PlainRecord, Position, Reference};

#[derive(Default)]
struct Shadow {
    verdicts: BTreeMap<Position, String>,
    rows: BTreeMap<String, Row>,
}

impl RefoldSink for Shadow {
    fn verdict(&mut self, verdict: &Verdict) {
        let at = (verdict.partition.0, verdict.offset.0);
        self.verdicts.insert(at, verdict.reasons.to_string());
    }

    fn row(&mut self, row: &Row) {
        self.rows.insert(format!("{:?}", row.id()), row.clone());
    }
}

/// Records put in behind the header.
const PUT_IN: u64 = 2;

/// The records with one policy, right behind a header of 1970: in force a minute later. A tick has
/// the header's time.
fn under(records: &[PlainRecord], policy: &PlainPolicy) -> Vec<PlainRecord> {
    let mut changed = Vec::new();
    for record in records {
        let mut record = record.clone();
        if let PlainPayload::Policy(old) = &record.payload
            && !record.payload.is_undecodable()
        {
            record.payload = PlainPayload::Tick { sent_at: old.sent_at };
        }
        if record.position() == (0, 0) {
            let put_in = |offset, append_time, payload| PlainRecord {
                partition: 0,
                offset,
                append_time,
                payload,
            };
            let time = record.append_time;
            changed.push(put_in(0, 0, record.payload));
            changed.push(put_in(1, 0, PlainPayload::Policy(policy.clone())));
            changed.push(put_in(2, time, PlainPayload::Tick { sent_at: None }));
        } else {
            record.offset += if record.partition == 0 { PUT_IN } else { 0 };
            changed.push(record);
        }
    }
    changed
}

#[test]
fn is_the_log_that_begins_with_that_policy() {
    let (mut compared, mut differ) = (0, 0);
    for (seed, at) in (0..60).zip(0..) {
        let config = GeneratorConfig::from_seed(seed);
        let records = generate(&config, seed);
        let own = PlainPolicy {
            id: "other".to_owned(),
            link_lifetime_ms: [12, 24][at % 2] * 3_600_000,
            double_click_ms: [0, 1_000, 29_999, 90_000][at % 4],
            burst_clicks: [1, 4, 9, 11, 40][at % 5],
            ..PlainPolicy::default()
        };
        let policy = Policy {
            policy_id: own.id.clone(),
            effective_from: Millis(u64::MAX),
            link_lifetime_ms: own.link_lifetime_ms,
            double_click_ms: own.double_click_ms,
            burst_clicks: own.burst_clicks.into(),
            ..Policy::default()
        };
        let expected = Reference::new(under(&records, &own), config.partitions);
        let world = World::new(&records, config.partitions);
        let log = GivenLog::new(world.header, world.log);
        let mut shadow = Shadow::default();
        let summary = refold_under(&log, policy, 1 + at % 3, &mut shadow).unwrap();
        assert_eq!(summary.watermark.0, expected.watermark(), "seed {seed}");
        let verdicts: BTreeMap<Position, String> = expected
            .verdicts(expected.watermark())
            .into_iter()
            .map(|((partition, offset), verdict)| {
                let offset = offset - if partition == 0 { PUT_IN } else { 0 };
                ((partition, offset), verdict.reasons.join("+"))
            })
            .collect();
        let wrong: Vec<_> = verdicts
            .iter()
            .map(|(at, reasons)| (at, reasons, shadow.verdicts.get(at)))
            .filter(|(_, expected, found)| Some(*expected) != *found)
            .collect();
        assert!(wrong.is_empty(), "seed {seed}: {wrong:?}");
        assert_eq!(shadow.verdicts.len(), verdicts.len(), "seed {seed}");
        rows_are_the_same(&shadow, &expected, seed);
        compared += verdicts.len();
        let recorded = Reference::new(records, config.partitions);
        let recorded = recorded.verdicts(recorded.watermark());
        let other = |at: &Position| recorded.get(at).map(|verdict| verdict.reasons.join("+"));
        differ +=
            verdicts.iter().filter(|(at, reasons)| other(at).as_ref() != Some(reasons)).count();
    }
    assert!(compared > 8_000 && differ > 500, "{compared} verdicts, {differ} changed");
}

/// Both views, with versions.
fn rows_are_the_same(shadow: &Shadow, expected: &Reference, seed: u64) {
    let plain: BTreeMap<_, _> = shadow.rows.values().map(bridge::plain_row).collect();
    let w = expected.last_grid_instant();
    let by_ad = expected.rows_by_ad(w).into_iter().map(|(k, row)| (bridge::PlainKey::Ad(k), row));
    let by_publisher = expected.rows_by_publisher(w).into_iter();
    let by_publisher = by_publisher.map(|(k, row)| (bridge::PlainKey::Publisher(k), row));
    let expected: BTreeMap<_, _> = by_ad.chain(by_publisher).collect();
    assert_eq!(plain, expected, "seed {seed}");
}
