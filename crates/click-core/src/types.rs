//! Newtypes for the quantities that cross a border: times, positions, money, versions.

use crate::limits::{GRID_MS, MINUTE_MS};

/// UTC milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

/// Whole minutes since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minute(pub u32);

/// Integer micro-units of a currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

/// Number of a partition of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u32);

/// Position of a record in its partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

/// Version of a ledger row: `generation << 48 | ms`, `ms` a multiple of the publishing grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Millis {
    /// The minute that this instant lies in.
    #[expect(clippy::cast_possible_truncation, reason = "times are bounded by MAX_TIME_MS")]
    pub const fn minute(self) -> Minute {
        Minute((self.0 / MINUTE_MS) as u32)
    }

    /// The smallest instant of the publishing grid at or after this one.
    pub const fn grid_ceil(self) -> Millis {
        Millis(self.0.div_ceil(GRID_MS) * GRID_MS)
    }

    /// The greatest instant of the publishing grid at or before this one.
    pub const fn grid_floor(self) -> Millis {
        Millis(self.0 / GRID_MS * GRID_MS)
    }

    /// This instant moved forward, stopping at the end of time.
    pub const fn plus(self, ms: u64) -> Millis {
        Millis(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`, 0 if it is not earlier.
    pub const fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Minute {
    /// First instant of the minute.
    pub const fn start(self) -> Millis {
        Millis(self.0 as u64 * MINUTE_MS)
    }

    /// First instant after the minute.
    pub const fn end(self) -> Millis {
        Millis((self.0 as u64 + 1) * MINUTE_MS)
    }
}

impl Version {
    /// Packs a generation and a grid instant.
    pub const fn new(generation: u16, at: Millis) -> Version {
        Version((generation as u64) << 48 | at.0)
    }

    /// The generation of the log that the row belongs to.
    pub const fn generation(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// The grid instant that the row is true as of.
    pub const fn at(self) -> Millis {
        Millis(self.0 & ((1 << 48) - 1))
    }
}
