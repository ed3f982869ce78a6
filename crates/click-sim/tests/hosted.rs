//! What hosted stages refuse: foreign key groups, the past, watermarks out of turn, damaged bytes.

use click_core::hosted::{
    HostError, SequenceHost, SourceHost, UserHost, WindowHost, decode_dead_letters, put_record,
};
use click_core::types::{Millis, Offset, Partition};
use click_sim::check::{Dice, World};
use click_sim::generate::{GeneratorConfig, generate};

/// A world of one partition, with its watermark.
fn world() -> (World, Millis) {
    let config = GeneratorConfig { records: 60, partitions: 1, ..GeneratorConfig::from_seed(1) };
    let world = World::new(&generate(&config, 1), 1);
    let w = Millis(world.history.reference.watermark());
    (world, w)
}

fn sequence(world: &World) -> SequenceHost {
    let mut batch = Vec::new();
    for (offset, (time, payload)) in (0..).zip(&world.log[0]) {
        put_record(&mut batch, Offset(offset), Millis(*time), payload);
    }
    let mut sequence = SequenceHost::open(&world.header, Partition(0), None).expect("a beginning");
    sequence.apply(&batch).expect("whole records");
    sequence
}

fn users(world: &World) -> UserHost {
    UserHost::open(&world.header, 0..128, None, &[]).expect("a beginning")
}

fn sources(world: &World) -> SourceHost {
    SourceHost::open(&world.header, 0..128, None, &[]).expect("a beginning")
}

/// Batches of each kind: records, clicks for the user stage, clicks for the source stage, counts.
fn batches(world: &World, w: Millis) -> [Vec<Vec<u8>>; 3] {
    let plain = |routed: Vec<(u8, Vec<u8>)>| routed.into_iter().map(|(_, batch)| batch).collect();
    let mut sequence = sequence(world);
    sequence.announce(w).expect("in turn");
    let clicks: Vec<_> = plain(sequence.advance(w).expect("announced").clicks);
    let mut user = users(world);
    clicks.iter().for_each(|batch| user.apply(batch).expect("our own"));
    let decided: Vec<_> = plain(user.advance(w).clicks);
    let mut source = sources(world);
    decided.iter().for_each(|batch| source.apply(batch).expect("our own"));
    let counts = plain(source.advance(w).counts);
    assert!(!clicks.is_empty() && !decided.is_empty());
    [clicks, decided, counts]
}

#[test]
fn watermarks_are_announced_once_and_within_reach() {
    let (world, w) = world();
    let mut sequence = sequence(&world);
    assert_eq!(sequence.watermark(), w);
    assert_eq!(sequence.advance(w).err(), Some(HostError::OutOfTurn), "not announced");
    let beyond = Millis(w.0 + 1);
    assert_eq!(sequence.announce(beyond).err(), Some(HostError::OutOfTurn), "not known");
    sequence.announce(Millis(w.0 - 1)).expect("in turn");
    assert_eq!(sequence.announce(w).err(), Some(HostError::OutOfTurn), "not advanced");
    sequence.advance(Millis(w.0 - 1)).expect("announced");
    sequence.announce(w).expect("in turn");
    sequence.advance(w).expect("announced");
    assert!(sequence.advance(w).expect("reached before").clicks.is_empty());
}

#[test]
fn records_read_again_are_passed_over() {
    let (world, w) = world();
    let (mut once, mut twice) = (sequence(&world), sequence(&world));
    let mut batch = Vec::new();
    for (offset, (time, payload)) in (0..).zip(&world.log[0]) {
        put_record(&mut batch, Offset(offset), Millis(*time), payload);
    }
    twice.apply(&batch).expect("whole records");
    for host in [&mut once, &mut twice] {
        host.announce(w).expect("in turn");
    }
    let (one, two) = (once.advance(w).expect("announced"), twice.advance(w).expect("announced"));
    assert_eq!(one.clicks, two.clicks);
    assert_eq!(once.snapshot(), twice.snapshot());
}

#[test]
fn offsets_without_a_record_read_as_empty_ones() {
    let (world, _) = world();
    let apply = |host: &mut SequenceHost, offset: u64, payload: &[u8]| {
        let mut batch = Vec::new();
        put_record(&mut batch, Offset(offset), Millis(1_000), payload);
        host.apply(&batch)
    };
    let open = || SequenceHost::open(&world.header, Partition(0), None).expect("a beginning");
    assert_eq!(apply(&mut open(), 1, b""), Err(HostError::NoBeginning));
    for (hole, allowed) in [(0, true), (1, true), (65_536, true), (65_537, false)] {
        let (mut with_hole, mut without) = (open(), open());
        for host in [&mut with_hole, &mut without] {
            apply(host, 0, &world.log[0][0].1).expect("the first record");
        }
        let passed = apply(&mut with_hole, 1 + hole, b"");
        assert_eq!(passed, if allowed { Ok(()) } else { Err(HostError::Hole) }, "{hole}");
        if allowed {
            // The same as if they were there, before time goes on.
            let mut batch = Vec::new();
            (1..=hole).for_each(|at| put_record(&mut batch, Offset(at), Millis(1), b""));
            without.apply(&batch).expect("empty records");
            apply(&mut without, 1 + hole, b"").expect("the last record");
            let w = with_hole.watermark();
            for host in [&mut with_hole, &mut without] {
                host.announce(w).expect("in turn");
            }
            let ends = [&mut with_hole, &mut without].map(|host| {
                let dead = host.advance(w).expect("announced").dead_letters;
                (decode_dead_letters(&dead).expect("our own"), host.snapshot())
            });
            assert_eq!(ends[0], ends[1], "{hole}");
        }
    }
}

#[test]
fn foreign_key_groups_and_the_past_are_refused() {
    let (world, w) = world();
    let [clicks, decided, counts] = batches(&world, w);
    let header = &world.header;
    let none = 0..0;
    let mut user = UserHost::open(header, none.clone(), None, &[]).expect("a beginning");
    let mut source = SourceHost::open(header, none.clone(), None, &[]).expect("a beginning");
    let mut window = WindowHost::open(header, none, None, &[]).expect("a beginning");
    assert_eq!(user.apply(&clicks[0]), Err(HostError::OtherGroup));
    assert_eq!(source.apply(&decided[0]), Err(HostError::OtherGroup));
    assert_eq!(window.apply(&counts[0]), Err(HostError::OtherGroup));
    assert_eq!(user.snapshot(0, true).err(), Some(HostError::OtherGroup));

    let (mut user, mut source) = (users(&world), sources(&world));
    let later = Millis(w.0 + 5_000);
    let mut window = WindowHost::open(header, 0..128, None, &[]).expect("a beginning");
    user.advance(later);
    source.advance(later);
    window.advance(later).expect("nothing to contradict");
    assert_eq!(user.apply(&clicks[0]), Err(HostError::TooLate));
    assert_eq!(source.apply(&decided[0]), Err(HostError::TooLate));
    assert_eq!(window.apply(&counts[0]), Err(HostError::TooLate));

    let (old, new) = (users(&world).snapshot(0, true), user.snapshot(1, true));
    let (old, new) = (old.expect("its group"), new.expect("its group"));
    let mixed = UserHost::open(header, 0..128, None, &[(0, &old), (1, &new)]);
    assert_eq!(mixed.err(), Some(HostError::OtherWatermark));
}

#[test]
fn damaged_bytes_are_refused_or_harmless() {
    let (world, w) = world();
    let [clicks, decided, counts] = batches(&world, w);
    let mut dice = Dice::new(3);
    let mut refused = [0; 4];
    for _ in 0..3_000 {
        let mut records = Vec::new();
        let (time, payload) = &world.log[0][0];
        put_record(&mut records, Offset(0), Millis(*time), payload);
        let [clicks, decided, counts] =
            [&clicks, &decided, &counts].map(|batches| &batches[dice.below(batches.len())]);
        let [records, click, facts, count] =
            [&records, clicks, decided, counts].map(|batch| damaged(&mut dice, batch));
        let mut sequence =
            SequenceHost::open(&world.header, Partition(0), None).expect("a beginning");
        let (mut user, mut source) = (users(&world), sources(&world));
        let mut window = WindowHost::open(&world.header, 0..128, None, &[]).expect("a beginning");
        let outcomes = [
            sequence.apply(&records),
            user.apply(&click).map(|()| drop(user.advance(w))),
            source.apply(&facts).map(|()| drop(source.advance(w))),
            window.apply(&count).and_then(|()| window.advance(w).map(drop)),
        ];
        for (refused, outcome) in refused.iter_mut().zip(outcomes) {
            *refused += u32::from(outcome.is_err());
        }
        let snapshot = damaged(&mut dice, &sequence.snapshot());
        let _ = SequenceHost::open(&world.header, Partition(0), Some(&snapshot));
    }
    assert!(refused.iter().all(|refused| *refused > 300), "{refused:?}");
}

fn damaged(dice: &mut Dice, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = dice.below(bytes.len());
    match dice.below(3) {
        0 => bytes.truncate(at.max(1)),
        1 => bytes[at] = dice.pick(&[0, 1, 0x7f, 0x80, 0xff]),
        _ => bytes[at] ^= 1 << dice.below(8),
    }
    bytes
}
