#[path = "../src/clicks.rs"]
mod clicks;
use click_core::hash::Identity;
use click_core::record::Record;
use click_core::stage::parse::parse;
use click_core::types::*;
fn main() {
    let mut c = clicks::Clicks::new(1, 50_000, 10);
    let mut v = Vec::new();
    for i in 0..4096u64 {
        let mut p = Vec::new();
        let t = c.next_into(&mut p);
        v.push((i, t, p));
    }
    let id = Identity::new(&[7; 16]);
    for round in 0..3 {
        let t = std::time::Instant::now();
        let mut n = 0;
        for _ in 0..100 {
            for (_, _, p) in &v {
                if Record::decode(p).is_ok() {
                    n += 1;
                }
            }
        }
        let d = t.elapsed();
        println!("decode {:.1} ns", d.as_nanos() as f64 / (n as f64));
        let t = std::time::Instant::now();
        let mut n = 0;
        for _ in 0..100 {
            for (_, _, p) in &v {
                let r = Record::decode(p);
                if let Ok(Record { kind: click_core::record::Kind::Click(k), .. }) = &r {
                    n += (id.of([k.issuer, k.click_id, k.user_id]) & 1) as u64;
                    n += (id.of([k.user_id, k.ad_id]) & 1) as u64;
                }
            }
        }
        let d = t.elapsed();
        println!("decode+2 sip {:.1} ns {n}", d.as_nanos() as f64 / (409600 as f64));
        let t = std::time::Instant::now();
        let mut n = 0;
        for _ in 0..100 {
            let ch = parse(
                &id,
                Partition(0),
                4096,
                v.iter().map(|(o, t, p)| (Offset(*o), Millis(*t), &p[..])),
            );
            n += ch.len();
        }
        let d = t.elapsed();
        println!("parse {round} {:.1} ns", d.as_nanos() as f64 / (n as f64));
    }
}
