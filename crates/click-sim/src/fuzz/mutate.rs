//! Damage: flipped bits, telling bytes, cuts, repetitions, and pieces of another input.

use crate::check::Dice;

/// No input grows beyond this.
const LONGEST: usize = 64 << 10;
const TELLING: [u8; 12] = [0, 1, 0x0a, 0x20, 0x22, 0x25, 0x26, 0x2c, 0x7f, 0x80, 0xfe, 0xff];

/// Damages `bytes` in one to six places; pieces come from `other`.
pub(super) fn damage(dice: &mut Dice, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..dice.between(1, 6) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, dice.pick(&TELLING)),
            2 => repeat(dice, bytes, at),
            3 => splice(dice, bytes, at, other),
            4 => drop(bytes.drain(at..(at + dice.below(9)).min(bytes.len()))),
            _ if at >= bytes.len() => bytes.push(dice.number().to_le_bytes()[0]),
            5 => bytes[at] = dice.pick(&TELLING),
            6 => bytes[at] = dice.number().to_le_bytes()[0],
            _ => bytes[at] ^= 1 << dice.below(8),
        }
    }
    bytes.truncate(LONGEST);
}

fn repeat(dice: &mut Dice, bytes: &mut Vec<u8>, at: usize) {
    let end = (at + dice.below(40)).min(bytes.len());
    let piece = bytes[at..end].to_vec();
    for _ in 0..dice.between(1, 4) {
        bytes.splice(at..at, piece.iter().copied());
    }
}

fn splice(dice: &mut Dice, bytes: &mut Vec<u8>, at: usize, other: &[u8]) {
    let from = dice.below(other.len() + 1);
    let to = (from + dice.below(80)).min(other.len());
    let end = (at + dice.below(80)).min(bytes.len());
    bytes.splice(at..end, other[from..to].iter().copied());
}
