//! Prints what parsing, verifying and resolving one full link costs:
//! `cargo run --release -p click-core --example link_cost`, on a quiet machine.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use click_core::link::{
    DestinationPolicy, KeyRights, LinkError, LinkSpec, Macros, ParsedLink, SigningKey, Target, mint,
};
use std::hint::black_box;
use std::time::Instant;

const LINKS: u32 = 10_000;
const ROUNDS: u32 = 20;

fn main() -> Result<(), LinkError> {
    let key = SigningKey::new("key-1", b"k3y-for-figures-0123456789abcdefghijklmno")?;
    let path = mint(&full(), &key)?;
    let query = path.as_bytes().get("/c?".len()..).unwrap_or_default();
    let policy = DestinationPolicy::default();
    let verify = best(|| {
        ParsedLink::parse(black_box(query))?.verify(&key, KeyRights::ALL)?;
        Ok(())
    })?;
    let resolve = best(|| {
        let link = ParsedLink::parse(black_box(query))?;
        black_box(link.destination(&policy, &Macros { click_id: "c" })?);
        Ok(())
    })?;
    let length = query.len();
    println!("{length} bytes: parse + verify {verify} ns, parse + destination {resolve} ns");
    Ok(())
}

/// Every signed parameter is there.
fn full() -> LinkSpec<'static> {
    LinkSpec {
        click_id: "c-1",
        user_id: "jürgen@example",
        ad_id: "ad.1",
        campaign_id: "~odd",
        advertiser_id: "v 1",
        publisher_id: "p1",
        placement_id: "top",
        price_micros: Some(1_250_000),
        payout_micros: Some(900_000),
        currency: "EUR",
        expires_s: Some(1_900_000_000),
        target: Target::Url("https://shop.example/buy?id={click_id}&a=b"),
    }
}

/// Nanoseconds of one call in the fastest round.
fn best(mut one: impl FnMut() -> Result<(), LinkError>) -> Result<u128, LinkError> {
    let mut best = u128::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..LINKS {
            one()?;
        }
        best = best.min(start.elapsed().as_nanos() / u128::from(LINKS));
    }
    Ok(best)
}
