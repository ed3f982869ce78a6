//! What left the cluster, and whether the native fold says the same.

use std::collections::{BTreeMap, BTreeSet};

use click_core::fold::{Effects, Fold, Serial};
use click_core::hosted::{decode_dead_letters, decode_published, decode_verdicts};
use click_core::row::{Row, RowId};
use click_core::types::{Millis, Offset, Partition};
use click_sim::bridge::plain_row;
use click_sim::check::World;

type Position = (u32, u64);
/// A verdict's fold time, reasons and policy.
type Content = (Millis, u16, u32);

/// A topic and those who read it: restores hand things out again.
#[derive(Default)]
pub struct Sink {
    /// All rows ever handed out, by key bytes and version.
    pub rows: BTreeMap<(Vec<u8>, u64), Row>,
    verdicts: BTreeMap<Position, Content>,
    dead_letters: BTreeMap<Position, String>,
}

impl Sink {
    pub fn take_row(&mut self, payload: &[u8]) {
        let (length, item) = payload.split_first_chunk::<4>().expect("the length of the key");
        let key = item[..u32::from_le_bytes(*length) as usize].to_vec();
        let row = decode_published(item).expect("a row").remove(0).row;
        let known = self.rows.insert((key, row.version.0), row.clone());
        assert!(known.is_none_or(|known| known == row), "one version, two contents: {row:?}");
    }

    pub fn take_verdicts(&mut self, payload: &[u8]) {
        for verdict in decode_verdicts(payload).expect("verdicts") {
            let content = (verdict.fold_time, verdict.reasons.0, verdict.policy);
            let known = self.verdicts.insert((verdict.partition.0, verdict.offset.0), content);
            assert!(known.is_none_or(|known| known == content), "two verdicts: {verdict:?}");
        }
    }

    pub fn take_dead_letters(&mut self, payload: &[u8]) {
        for letter in decode_dead_letters(payload).expect("dead letters") {
            self.dead_letters.insert((letter.partition.0, letter.offset.0), letter.reason);
        }
    }

    /// Every row is the log's, as of its version.
    pub fn compare(&self, world: &World) {
        let mut ids = BTreeMap::new();
        for ((bytes, _), row) in &self.rows {
            assert_eq!(row.version.generation(), world.header.generation);
            let (key, plain) = plain_row(row);
            let known = world.history.row_at(&key, plain.version_ms);
            assert_eq!(known, Some(&plain), "{key:?}");
            assert_eq!(ids.entry(row.id()).or_insert(bytes), &bytes, "one key, other bytes");
        }
        let keys: BTreeSet<_> = self.rows.keys().map(|(bytes, _)| bytes).collect();
        assert_eq!(keys.len(), ids.len(), "as many keys as rows");
    }

    /// The newest rows, all verdicts and dead letters are those of the native fold.
    pub fn compare_end(&self, world: &World, gaps: Option<u64>) {
        let (mut fold, mut effects) = (Fold::new(&world.header, 1), Effects::default());
        for (number, log) in (0..).zip(&world.log) {
            let records = (0..).zip(log).map(|(o, (t, bytes))| (Offset(o), Millis(*t), &bytes[..]));
            let spare = fold.spare_chunk();
            let chunk = fold.parse(Partition(number), spare, records);
            fold.push(Partition(number), chunk);
        }
        fold.advance(fold.possible_watermark(), true, &Serial, &mut effects);
        let newest = |rows: &mut dyn Iterator<Item = Row>| -> BTreeMap<RowId, Row> {
            rows.map(|row| (row.id(), row)).collect()
        };
        // In the order of their versions.
        let mine = newest(&mut self.rows.values().cloned());
        let native = newest(&mut effects.rows.iter().map(|published| published.row.clone()));
        assert_eq!(mine, native, "rows at the end");
        let verdicts: BTreeMap<Position, Content> = effects
            .verdicts
            .iter()
            .map(|v| ((v.partition.0, v.offset.0), (v.fold_time, v.reasons.0, v.policy)))
            .collect();
        assert_eq!(self.verdicts, verdicts, "verdicts");
        let dead = effects.dead_letters.iter();
        let dead: BTreeMap<Position, String> =
            dead.map(|d| ((d.partition.0, d.offset.0), d.reason.to_string())).collect();
        assert_eq!(self.dead_letters, dead, "dead letters");
        assert!(gaps.is_none_or(|gaps| gaps == fold.gaps()), "{gaps:?} gaps, not {}", fold.gaps());
    }
}
