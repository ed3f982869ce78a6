//! A line of a table's index: where entries are, on one cache line, with eight bits of each
//! identity, so that an absent one is nearly always seen to be absent without looking elsewhere.
//!
//! Layout: count and flag, eighteen tags, eighteen times the low 16 bits of a position, eighteen
//! times the next 4 bits.

/// Positions that a line holds.
pub(super) const PLACES: usize = 18;
/// Positions are below this.
pub(super) const POSITIONS: usize = 1 << 20;

const COUNT: u8 = 0x1f;
const WENT_ON: u8 = 0x80;
const TAGS: usize = 1;
const LOW: usize = TAGS + PLACES;
const HIGH: usize = LOW + 2 * PLACES;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// One cache line.
#[derive(Clone)]
#[repr(align(64))]
pub(super) struct Line([u8; 64]);

impl Line {
    pub(super) const EMPTY: Line = Line([0; 64]);

    /// Positions that it holds.
    #[inline]
    pub(super) const fn count(&self) -> u8 {
        self.0[0] & COUNT
    }

    pub(super) const fn is_full(&self) -> bool {
        self.count() as usize == PLACES
    }

    /// Whether entries at home here went on to the next line.
    pub(super) const fn went_on(&self) -> bool {
        self.0[0] & WENT_ON != 0
    }

    pub(super) const fn set_went_on(&mut self) {
        self.0[0] |= WENT_ON;
    }

    /// Appends a position; the line must have room.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "split into 16 and 4 bits")]
    pub(super) fn push(&mut self, tag: u8, position: usize) {
        let place = self.count() as usize;
        self.0[TAGS + place] = tag;
        let low = (position as u16).to_le_bytes();
        self.0[LOW + 2 * place..LOW + 2 * place + 2].copy_from_slice(&low);
        self.0[HIGH + place / 2] |= ((position >> 16) as u8) << (4 * (place % 2));
        self.0[0] += 1;
    }

    #[inline]
    fn position(&self, place: usize) -> usize {
        let low = u16::from_le_bytes([self.0[LOW + 2 * place], self.0[LOW + 2 * place + 1]]);
        let high = self.0[HIGH + place / 2] >> (4 * (place % 2)) & 0xf;
        usize::from(low) | usize::from(high) << 16
    }

    /// Marks, in the high bit of each byte, of the eight tags from `from` on that equal `tag`;
    /// above a true mark there may be a false one.
    #[inline]
    fn marks(&self, from: usize, tag: u8) -> u64 {
        let tags = self.0[TAGS + from..].first_chunk::<8>().map_or(0, |t| u64::from_le_bytes(*t));
        let differ = tags ^ (ONES * u64::from(tag));
        differ.wrapping_sub(ONES) & !differ & HIGH_BITS
    }

    /// The positions of the entries that may have this tag.
    #[inline]
    pub(super) fn candidates(&self, tag: u8) -> Candidates<'_> {
        let (front, back) = (self.marks(0, tag), self.marks(8, tag));
        let last = self.marks(10, tag) >> 48;
        // A byte of a mark has one bit: three marks fit beside each other, a bit apart.
        Candidates { line: self, marks: front >> 7 | back >> 6 | last >> 5 }
    }
}

/// Entries of a line that may be what is looked for: bit `8 * i + word` for byte `i` of a word.
pub(super) struct Candidates<'l> {
    line: &'l Line,
    marks: u64,
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.marks != 0 {
            let bit = self.marks.trailing_zeros() as usize;
            self.marks &= self.marks - 1;
            let place = bit / 8 + 8 * (bit % 8);
            if place < usize::from(self.line.count()) {
                return Some(self.line.position(place));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn gives_back_what_was_put_in() {
        let tags = [7, 0, 255, 7, 128, 127, 1, 7, 7, 9, 0, 7, 255, 6, 8, 7, 0, 7];
        for count in 0..=PLACES {
            let mut line = Line::EMPTY;
            let position = |place: usize| (place * 58_111 + 3) % POSITIONS;
            for (place, tag) in tags.iter().enumerate().take(count) {
                line.push(*tag, position(place));
            }
            for tag in 0..=255 {
                let with_tag = |place: &usize| tags[*place] == tag;
                let places = line.candidates(tag).map(|found| {
                    (0..count).find(|place| position(*place) == found).expect("a position put in")
                });
                let mut found: Vec<usize> = places.filter(with_tag).collect();
                found.sort_unstable();
                let expected: Vec<usize> = (0..count).filter(with_tag).collect();
                assert_eq!(found, expected, "{tag} {count}");
            }
            assert_eq!(line.is_full(), count == PLACES);
            assert!(!line.went_on());
            line.set_went_on();
            assert!(line.went_on() && usize::from(line.count()) == count);
        }
    }
}
