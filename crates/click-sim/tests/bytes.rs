//! Bytes of any kind: decoders say no, and never panic, hang or take memory without bound.

use click_core::fold::{
    Fold, JournalBytes, SnapshotPart, decode_journal, decode_rows, encode_journal,
};
use click_core::record::Record;
use click_core::stage::user::{Claim, Journal, PairClick};
use click_core::types::Millis;
use click_sim::check::{Dice, Run, Style, World};
use click_sim::generate::{GeneratorConfig, generate};

fn noise(dice: &mut Dice, longest: usize) -> Vec<u8> {
    let small = dice.percent(50);
    let byte = |dice: &mut Dice| dice.number().to_le_bytes()[0] >> if small { 5 } else { 0 };
    (0..dice.below(longest + 1)).map(|_| byte(dice)).collect()
}

/// Flips, cuts or extends.
fn damage(dice: &mut Dice, bytes: &mut Vec<u8>) {
    for _ in 0..dice.between(1, 4) {
        let at = dice.below(bytes.len());
        match dice.below(4) {
            0 => bytes.truncate(at),
            1 => bytes.push(dice.number().to_le_bytes()[0]),
            _ if bytes.is_empty() => {}
            2 => bytes[at] = dice.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            _ => bytes[at] ^= 1 << dice.below(8),
        }
    }
}

fn journal(dice: &mut Dice) -> Journal {
    let mut journal = Journal::default();
    for number in 0..dice.between(0, 20) {
        let (group, fold_time) = (dice.pick(&[0, 5, 127]), Millis(1_700_000_000_000 + number));
        let identity = u128::from(dice.number());
        journal.claims.push(Claim { group, identity, fold_time });
        journal.pairs.push(PairClick { group, identity, fold_time, age_ms: 7 });
    }
    journal
}

#[test]
fn decoders_take_any_bytes() {
    let mut dice = Dice::new(1);
    for _ in 0..50_000 {
        let mut bytes = noise(&mut dice, 200);
        let _ = Record::decode(&bytes);
        let _ = decode_journal(&bytes);
        let _ = decode_rows(&bytes);
        bytes = encode_journal(&journal(&mut dice));
        assert!(decode_journal(&bytes).is_ok_and(|back| encode_journal(&back) == bytes));
        damage(&mut dice, &mut bytes);
        if let Ok(journal) = decode_journal(&bytes) {
            assert_eq!(encode_journal(&journal), bytes, "nothing is left over");
        }
    }
}

#[test]
fn journals_put_together_are_one() {
    let mut dice = Dice::new(3);
    let (mut bytes, mut whole) = (JournalBytes::default(), Journal::default());
    for round in 0..200 {
        let next = journal(&mut dice);
        bytes.append(&next);
        whole.claims.extend(next.claims);
        whole.pairs.extend(next.pairs);
        assert_eq!(bytes.is_empty(), whole.is_empty());
        assert_eq!(bytes.pieces().concat(), encode_journal(&whole), "{round}");
        if dice.percent(10) {
            bytes.clear();
            whole = Journal::default();
        }
    }
}

#[test]
fn restore_takes_any_bytes() {
    let mut dice = Dice::new(2);
    let config = GeneratorConfig { records: 60, ..GeneratorConfig::from_seed(1) };
    let world = World::new(&generate(&config, 1), config.partitions);
    let times: Vec<u64> = world.history.fold_times.values().copied().collect();
    let w = times[times.len() / 2] + 1;
    let parts = Run::new(&world, Style::plain(), Dice::new(0)).up_to(w);
    let mut taken = 0;
    for round in 0..3_000 {
        let mut parts = parts.clone();
        let at = if round % 2 == 0 { 0 } else { dice.below(parts.len()) };
        match &mut parts[at] {
            SnapshotPart::Common(bytes) => damage(&mut dice, bytes),
            SnapshotPart::Group(group, bytes) => {
                if dice.percent(10) {
                    *group = dice.number().to_le_bytes()[0];
                }
                damage(&mut dice, bytes);
            }
        }
        if dice.percent(5) {
            let bytes = noise(&mut dice, 300);
            parts.push(SnapshotPart::Group(dice.number().to_le_bytes()[0], bytes));
        }
        let mut fold = Fold::new(&world.header, 1);
        taken += usize::from(fold.restore(&parts).is_ok());
    }
    assert!(taken < 3_000, "damage is never seen");
}
