//! The generator: the same seed gives the same log, and the logs reach every class and corner.

use std::collections::BTreeMap;

use click_sim::generate::{GeneratorConfig, generate};
use click_sim::reference::{PlainPayload, PlainRecord, Reference};

const SEEDS: u64 = 150;

fn log(seed: u64) -> (Vec<PlainRecord>, u32) {
    let config = GeneratorConfig::from_seed(seed);
    (generate(&config, seed), config.partitions)
}

#[test]
fn same_seed_same_log() {
    for seed in 0..20 {
        assert_eq!(log(seed), log(seed));
        assert_ne!(log(seed), log(seed + 1));
    }
}

#[test]
fn offsets_are_gapless_and_the_header_comes_first() {
    for seed in 0..SEEDS {
        let (records, partitions) = log(seed);
        let mut next = vec![0; partitions as usize];
        for record in &records {
            assert_eq!(record.offset, next[record.partition as usize], "seed {seed}");
            next[record.partition as usize] += 1;
        }
        assert!(matches!(records[0].payload, PlainPayload::Header(_)));
        assert_eq!(records[0].position(), (0, 0));
    }
}

#[test]
fn everything_is_final_and_conserved_at_the_end() {
    for seed in 0..SEEDS {
        let (records, partitions) = log(seed);
        let ledger = Reference::new(records, partitions);
        let w = ledger.watermark();
        let verdicts = ledger.verdicts(w).len() as u64;
        for rows in [
            ledger.rows_by_ad(w).into_values().collect::<Vec<_>>(),
            ledger.rows_by_publisher(w).into_values().collect(),
        ] {
            assert_eq!(rows.iter().map(|r| r.measured).sum::<u64>(), verdicts, "seed {seed}");
            for row in rows {
                assert_eq!(row.pending, 0, "seed {seed}");
                assert_eq!(row.counts.iter().sum::<u64>(), row.measured, "seed {seed}");
                assert!(row.version_ms <= w);
            }
        }
    }
}

/// Counts how often each corner is reached, so that none is quietly lost.
fn corners() -> BTreeMap<String, usize> {
    let mut corners = BTreeMap::new();
    let mut count =
        |name: &str, times: usize| *corners.entry(name.to_owned()).or_insert(0) += times;
    for seed in 0..SEEDS {
        let (records, partitions) = log(seed);
        count("records", records.len());
        let ledger = Reference::new(records, partitions);
        let w = ledger.watermark();
        for verdict in ledger.verdicts(w).values() {
            count(verdict.class, 1);
            count("with several reasons", usize::from(verdict.reasons.len() > 1));
            count("with G3", usize::from(verdict.reasons.contains(&"G3")));
            count("under a later policy", usize::from(verdict.policy != "default"));
        }
        count("late rows", ledger.rows_by_ad(w).keys().filter(|key| key.2.is_some()).count());
        count("repeats", ledger.repeats(w).len());
        count("gaps", ledger.gaps(w).len());
        count("dead letters", ledger.dead_letters(w).len());
        count("refused policies", ledger.refused_policies(w).len());
    }
    corners
}

#[test]
fn every_corner_is_reached() {
    let corners = corners();
    println!("{corners:#?}");
    let names = [
        "T2",
        "T3",
        "T4",
        "G8",
        "G5",
        "D1",
        "D2",
        "G3",
        "V",
        "late rows",
        "repeats",
        "gaps",
        "dead letters",
        "refused policies",
        "with several reasons",
        "with G3",
        "under a later policy",
    ];
    for name in names {
        assert!(corners.get(name).copied().unwrap_or(0) >= 40, "{name} is hardly reached");
    }
}
