//! What a click costs the fold, part by part: parsing, sequencing, deciding.
//!
//! `cargo run --release -p click-core --example fold_cost -- [CLICKS] [RATE] [STEP] [PASSES]`, or
//! under `valgrind --tool=callgrind` for instructions. From the second pass on memory is there.
#![expect(clippy::print_stdout, reason = "a program for developers")]

use click_core::fold::{Effects, Fold, Serial};
use click_core::record::{Click, Header, Kind, Record, SourceCode, Transport};
use click_core::types::{Micros, Millis, Offset, Partition};
use std::time::{Duration, Instant};

/// As in the program.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CHUNK: usize = 4096;
const ADS: u64 = 100_000;
const PUBLISH_EVERY: u64 = 600_000;
const START: u64 = 1_780_000_000_000;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// The payload of click `number` at `time`; one in a hundred repeats an earlier link.
fn payload(number: u64, time: u64) -> Vec<u8> {
    let link = if number % 100 == 99 { number - 50 } else { number };
    let mut random = Random(link ^ 0x5eed);
    let click_id = format!("{:016x}{:06x}", random.next(), link & 0xff_ffff);
    // Few ads take most clicks: about what Zipf with 1.1 gives.
    let skewed = random.next() % ADS;
    let ad = skewed >> (random.next() % 17);
    let user = random.next() % 100_000_000;
    let [a, b, c, ..] = user.to_le_bytes();
    let texts = [
        format!("u{user:015}"),
        format!("ad-{ad}"),
        format!("c-{}", ad / 10),
        format!("adv-{}", ad / 100),
        format!("pub-{}", user % 5000),
    ];
    let [user_id, ad_id, campaign_id, advertiser_id, publisher_id] = &texts;
    let click = Click {
        click_id: &click_id,
        click_id_source: SourceCode::LINK,
        issuer: "main",
        user_id,
        user_id_source: SourceCode::LINK,
        ad_id,
        campaign_id,
        advertiser_id,
        publisher_id,
        placement_id: "top",
        price: Micros(250_000),
        payout: Micros(100_000),
        currency: "USD",
        price_source: SourceCode::LINK,
        received_at: Millis(time),
        method: "GET",
        ip: &[10, a, b, c],
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0 Safari/537.36"),
        expires_at: Some(Millis(time + 3_600_000)),
        ..Click::default()
    };
    let transport =
        Transport { tracker_id: "edge-1-5f1d8c2a9b3e4d7f8a6b5c4d3e2f1a0b", epoch: 0, seq: number };
    let kind = Kind::Click(click);
    Record { sent_at: Some(Millis(time)), transport: Some(transport), previous: None, kind }
        .to_bytes()
}

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>().expect("a number"));
    let clicks = args.next().unwrap_or(2_000_000);
    let rate = args.next().unwrap_or(50_000);
    let step = args.next().map_or(4096, |step| usize::try_from(step).expect("a size"));
    for _ in 0..args.next().unwrap_or(1) {
        run(clicks, rate, step);
    }
}

fn run(clicks: u64, rate: u64, step: usize) {
    let time = |number: u64| START + number * 1000 / rate;
    let mut fold = Fold::new(&Header { log_id: [7; 16], generation: 1, partitions: 1 }, 1);
    let mut effects = Effects::default();
    let (mut times, mut rows, mut published) = ([Duration::ZERO; 3], 0, 0);
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    for first in (0..clicks).step_by(step) {
        bytes.clear();
        places.clear();
        for number in first..clicks.min(first + step as u64) {
            let begin = bytes.len();
            bytes.extend_from_slice(&payload(number, time(number)));
            places.push(begin..bytes.len());
        }
        let mut chunks = Vec::new();
        let begun = Instant::now();
        for (from, part) in (0..).step_by(CHUNK).zip(places.chunks(CHUNK)) {
            let records = (first + from..).zip(part).map(|(number, place)| {
                (Offset(number), Millis(time(number)), &bytes[place.clone()])
            });
            let spare = fold.spare_chunk();
            chunks.push(fold.parse(Partition(0), spare, records));
        }
        times[0] += begun.elapsed();
        let begun = Instant::now();
        chunks.into_iter().for_each(|chunk| fold.push(Partition(0), chunk));
        times[1] += begun.elapsed();
        effects.clear();
        let begun = Instant::now();
        let w = fold.possible_watermark();
        let publish = first >= published + PUBLISH_EVERY;
        published = if publish { first } else { published };
        fold.advance(w, publish, &Serial, &mut effects);
        times[2] += begun.elapsed();
        rows += effects.rows.len();
    }
    let [parse, push, advance] = times.map(|time| time.as_nanos() / u128::from(clicks));
    println!("{clicks} clicks: parse {parse}, push {push}, advance {advance} ns a click");
    println!("{} ns in all; {rows} rows published", parse + push + advance);
    println!("{:?}; {} claims", fold.totals().by_class, fold.claims());
}
