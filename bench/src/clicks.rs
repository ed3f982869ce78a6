//! Made-up clicks with the shape of real traffic: Zipf ads, many users, some duplicates and double
//! clicks. The same seed gives the same clicks.

use click_core::record::{Capture, Click, Kind, Record, SourceCode, Transport, partition_of};
use click_core::types::{Micros, Millis};
use std::fmt::Write as _;

/// How many ads there are.
pub const ADS: usize = 100_000;
const ZIPF: f64 = 1.1;
/// First instant of the made-up log.
pub const START: u64 = 1_780_000_000_000;
/// Placement of every click.
pub const PLACEMENT: &str = "top";
/// Price of every click, micro-units.
pub const PRICE: u64 = 250_000;
/// Payout of every click, micro-units.
pub const PAYOUT: u64 = 100_000;
/// Browser of every click.
pub const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0 Safari/537.36";
/// How long a link lives, ms.
pub const LIFETIME_MS: u64 = 3_600_000;

/// A small, fast generator of pseudo-random numbers (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Makes clicks one after the other.
pub struct Clicks {
    random: Random,
    cumulated: Vec<f64>,
    made: u64,
    /// Numbers that the sender gives next, one a partition.
    sequences: Vec<u64>,
    partition: u32,
    start: u64,
    first: u64,
    per_second: u64,
    duplicates_per_mille: u64,
    time: u64,
    ip: [u8; 4],
    text: Text,
    scratch: Vec<u8>,
}

/// The texts of one click.
#[derive(Default)]
pub struct Text {
    pub click: String,
    pub user: String,
    pub ad: String,
    pub campaign: String,
    pub advertiser: String,
    pub publisher: String,
}

impl Clicks {
    /// Clicks at a rate of `per_second` in log time, some of them repeats of recent ones.
    pub fn new(seed: u64, per_second: u64, duplicates_per_mille: u64) -> Clicks {
        Clicks {
            random: Random(seed),
            cumulated: Vec::new(),
            made: 0,
            sequences: vec![0],
            partition: 0,
            start: START,
            first: 0,
            per_second,
            duplicates_per_mille,
            time: START,
            ip: [0; 4],
            text: Text::default(),
            scratch: Vec::new(),
        }
        .over(ADS, ZIPF)
    }

    /// The same over so many ads, whose shares fall by rank to the power of `exponent`; 0: equal.
    pub fn over(self, ads: usize, exponent: f64) -> Clicks {
        let mut sum = 0.0;
        let weight = |rank: usize| {
            #[expect(clippy::cast_precision_loss, reason = "a rank")]
            let rank = (rank + 1) as f64;
            sum += rank.powf(-exponent);
            sum
        };
        Clicks { cumulated: (0..ads).map(weight).collect(), ..self }
    }

    /// The same with another first instant, ms.
    pub fn starting_at(self, start: u64) -> Clicks {
        Clicks { start, ..self }
    }

    /// The same for a log of so many partitions, in each of which the sender counts by itself.
    pub fn in_partitions(self, count: u32) -> Clicks {
        Clicks { sequences: vec![0; count as usize], ..self }
    }

    /// The same with other ids: the first click has this number.
    pub fn numbered(self, first: u64) -> Clicks {
        Clicks { first, ..self }
    }

    /// Appends the payload of the next click; returns its append time.
    pub fn next_into(&mut self, out: &mut Vec<u8>) -> u64 {
        self.advance();
        let transport = Transport {
            tracker_id: "edge-1-5f1d8c2a9b3e4d7f8a6b5c4d3e2f1a0b",
            epoch: 0,
            seq: self.next_seq(),
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        let sent_at = Some(Millis(self.time));
        let kind = Kind::Click(Click { received_at: Millis(self.time), ..self.click() });
        let record = Record { sent_at, transport: Some(transport), previous: None, kind };
        record.encode(out, &mut scratch);
        self.scratch = scratch;
        self.time
    }

    /// In the partition of the current click.
    fn next_seq(&mut self) -> u64 {
        let partitions = u32::try_from(self.sequences.len()).unwrap_or(u32::MAX);
        self.partition = partition_of(&self.text.user, partitions).0;
        let next = &mut self.sequences[self.partition as usize];
        *next += 1;
        *next - 1
    }

    /// The partition of the last click that was appended.
    pub const fn partition(&self) -> u32 {
        self.partition
    }

    /// Appends the current click as a server sends it: without identity and times.
    pub fn encode_bare(&mut self, out: &mut Vec<u8>) {
        // Taken out, since the record borrows the texts beside it.
        let mut scratch = std::mem::take(&mut self.scratch);
        let kind = Kind::Click(Click {
            click_id_source: SourceCode::default(),
            issuer: "",
            user_id_source: SourceCode::default(),
            price_source: SourceCode::default(),
            capture: Capture::Unknown,
            ..self.click()
        });
        let record = Record { sent_at: None, transport: None, previous: None, kind };
        record.encode(out, &mut scratch);
        self.scratch = scratch;
    }

    /// Makes the next click the current one; returns its time, ms.
    pub fn advance(&mut self) -> u64 {
        self.time = self.start + self.made * 1000 / self.per_second;
        let repeat = self.made > 1000 && self.random.below(1000) < self.duplicates_per_mille;
        let number = if repeat { self.made - 1 - self.random.below(1000) } else { self.made };
        self.made += 1;
        self.ip = self.fill(self.first + number);
        self.time
    }

    /// The texts of the current click.
    pub const fn text(&self) -> &Text {
        &self.text
    }

    /// The visitor's address of the current click.
    pub const fn ip(&self) -> [u8; 4] {
        self.ip
    }

    fn click(&self) -> Click<'_> {
        let text = &self.text;
        Click {
            click_id: &text.click,
            click_id_source: SourceCode::LINK,
            issuer: "main",
            user_id: &text.user,
            user_id_source: SourceCode::LINK,
            ad_id: &text.ad,
            campaign_id: &text.campaign,
            advertiser_id: &text.advertiser,
            publisher_id: &text.publisher,
            placement_id: PLACEMENT,
            price: Micros(PRICE),
            payout: Micros(PAYOUT),
            currency: "USD",
            price_source: SourceCode::LINK,
            capture: Capture::Redirect,
            method: "GET",
            ip: &self.ip,
            user_agent: Some(USER_AGENT),
            expires_at: Some(Millis(self.time + LIFETIME_MS)),
            ..Click::default()
        }
    }

    /// Writes the texts of click `number`, a pure function of it, and returns its address.
    fn fill(&mut self, number: u64) -> [u8; 4] {
        let mut own = Random(number ^ 0x5eed);
        #[expect(clippy::cast_precision_loss, reason = "a fraction")]
        let fraction = own.next() as f64 / u64::MAX as f64;
        let total = self.cumulated.last().copied().unwrap_or_default();
        let ad = self
            .cumulated
            .partition_point(|sum| *sum < fraction * total)
            .min(self.cumulated.len() - 1);
        let user = own.below(100_000_000);
        let text = &mut self.text;
        for part in [
            &mut text.click,
            &mut text.user,
            &mut text.ad,
            &mut text.campaign,
            &mut text.advertiser,
            &mut text.publisher,
        ] {
            part.clear();
        }
        // Writing to a string cannot fail.
        let _ = write!(text.click, "{:016x}{:06x}", own.next(), number & 0xff_ffff);
        let _ = write!(text.user, "u{user:015}");
        let _ = write!(text.ad, "ad-{ad}");
        let _ = write!(text.campaign, "c-{}", ad / 10);
        let _ = write!(text.advertiser, "adv-{}", ad / 100);
        let _ = write!(text.publisher, "pub-{}", user % 5000);
        let [a, b, c, _, ..] = user.to_le_bytes();
        [10, a, b, c]
    }
}
