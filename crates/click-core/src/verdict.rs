//! Verdict classes and the set of reasons kept with each click (SPEC §4).

/// Primary classes in the order of the verdict table; the first that hits is the click's class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Link expired when received, or lives too long.
    T2 = 0,
    /// Ad paused, ended or withdrawn when received.
    T3,
    /// Stale: waited longer than the spool limit.
    T4,
    /// A method that is no click.
    G8,
    /// Prefetch, prerender, preview.
    G5,
    /// Test or internal traffic.
    G9,
    /// Declared bot.
    G2,
    /// Data centre.
    G1,
    /// Empty or non-browser user agent.
    G4,
    /// Duplicate of an earlier claim.
    D1,
    /// Double click.
    D2,
    /// Too many clicks from one source.
    G3,
    /// Model score.
    S1,
    /// Valid: billable.
    V,
}

/// How many classes there are.
pub const CLASSES: usize = 14;

impl Class {
    /// All classes in table order.
    pub const ALL: [Class; CLASSES] = [
        Class::T2,
        Class::T3,
        Class::T4,
        Class::G8,
        Class::G5,
        Class::G9,
        Class::G2,
        Class::G1,
        Class::G4,
        Class::D1,
        Class::D2,
        Class::G3,
        Class::S1,
        Class::V,
    ];

    /// The code that is printed and stored, such as `T2`.
    pub const fn code(self) -> &'static str {
        match self {
            Class::T2 => "T2",
            Class::T3 => "T3",
            Class::T4 => "T4",
            Class::G8 => "G8",
            Class::G5 => "G5",
            Class::G9 => "G9",
            Class::G2 => "G2",
            Class::G1 => "G1",
            Class::G4 => "G4",
            Class::D1 => "D1",
            Class::D2 => "D2",
            Class::G3 => "G3",
            Class::S1 => "S1",
            Class::V => "V",
        }
    }

    /// A short name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Class::T2 => "expired link",
            Class::T3 => "ad not active",
            Class::T4 => "stale",
            Class::G8 => "not a click method",
            Class::G5 => "prefetch or preview",
            Class::G9 => "internal",
            Class::G2 => "declared bot",
            Class::G1 => "data centre",
            Class::G4 => "no browser",
            Class::D1 => "duplicate",
            Class::D2 => "double click",
            Class::G3 => "burst from one source",
            Class::S1 => "model",
            Class::V => "valid",
        }
    }
}

/// The codes in table order, joined by `+`; nothing for a valid click.
impl core::fmt::Display for Reasons {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (number, class) in self.iter().enumerate() {
            let between = if number == 0 { "" } else { "+" };
            write!(f, "{between}{}", class.code())?;
        }
        Ok(())
    }
}

/// All reasons that hit, a bit per class in table order; empty means valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reasons(pub u16);

impl Reasons {
    /// No reason at all.
    pub const NONE: Reasons = Reasons(0);
    const STATELESS: u16 = (1 << Class::D1 as u16) - 1;

    /// The set with these bits, unless one of them is no reason.
    pub const fn from_bits(bits: u16) -> Option<Reasons> {
        if bits < 1 << Class::V as u16 { Some(Reasons(bits)) } else { None }
    }

    /// This set with `class` added; `V` is the absence of reasons and adds nothing.
    #[must_use]
    pub const fn with(self, class: Class) -> Reasons {
        if matches!(class, Class::V) { self } else { Reasons(self.0 | 1 << class as u16) }
    }

    /// Adds `class` if `hit`.
    #[must_use]
    pub const fn with_if(self, class: Class, hit: bool) -> Reasons {
        if hit { self.with(class) } else { self }
    }

    /// Whether `class` is among the reasons.
    pub const fn has(self, class: Class) -> bool {
        self.0 & (1 << class as u16) != 0
    }

    /// Whether a reason that the record alone decides is among them.
    pub const fn any_stateless(self) -> bool {
        self.0 & Self::STATELESS != 0
    }

    /// Those that the record alone decides.
    #[must_use]
    pub const fn stateless(self) -> Reasons {
        Reasons(self.0 & Self::STATELESS)
    }

    /// The primary class: the first reason in table order, `V` without reasons.
    pub const fn class(self) -> Class {
        if self.0 == 0 {
            return Class::V;
        }
        Class::ALL[self.0.trailing_zeros() as usize]
    }

    /// The reasons in table order.
    pub fn iter(self) -> impl Iterator<Item = Class> {
        Class::ALL.into_iter().filter(move |class| self.has(*class))
    }
}
