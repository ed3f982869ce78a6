//! Spools that are copied to another site: the cluster is away, and then a site burns down. What it
//! acknowledged is in the ledger all the same, once.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use click_engine::forward::Message;
use click_engine::log::{DiskLog, EventLog, LogOptions};
use click_sim::kafka::Kafka;

use super::alone;
use super::ledger::{Ledger, count, metric, start, wait_drained, wait_until};
use crate::server::Server;
use crate::visitors::{Visitors, begin_trial};

const TRIAL: &str = "kafka-spool-copied";
const TOKEN: &str = "a-token-of-both-sites";
const KEPT: &str = "clickledger_spool_copies_kept_records";
const UNLOGGED: &str = "clickledger_clicks_unlogged_total{reason=\"not_copied\"}";

#[test]
fn a_site_that_burns_down_while_the_cluster_is_away_loses_nothing() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let Some(mut kafka) = Kafka::start(dir.path(), 1) else { return };
    begin_trial(TRIAL);
    let ledger = Ledger::new(dir.path(), &kafka, "clicks");
    let Sites { keeper, other, burning, living, strange, lonely } = Sites::new(&ledger);
    let engine = ledger.engine();
    let counting = start(&engine);
    let [taking, alive] = [&burning, &living].map(|data| start(data));
    let [stranger, alone] = [&strange, &lonely].map(|data| start(data));
    let there = start_at(&other, keeper);
    let mut visitors = Visitors::new();
    visitors.rate = 500;
    click(&mut visitors, &taking, &burning, 0.5, || {});
    wait_drained(&taking);

    kafka.kill(0);
    let there = copied(&mut visitors, (&taking, &burning), there, || start_at(&other, keeper));
    not_copied(&mut visitors, (&stranger, &strange), (&alone, &lonely));
    // One that comes to the cluster from both sites. On a slow machine the first copies may take
    // longer than clicks wait; those are refused, and what follows is not.
    wait_until("copies are in time, and no click is refused", || {
        let before = unlogged(&alive);
        let acknowledged = click(&mut visitors, &alive, &living, 0.7, || {});
        let after = unlogged(&alive);
        println!("{acknowledged} acknowledged by the living site, {before} to {after} refused");
        acknowledged > 0 && (after == before || after.is_nan())
    });

    taking.kill();
    refusals(&there, &burning);
    std::fs::remove_dir_all(&burning).unwrap();
    kafka.bring_back(0);
    wait_until("the copies are handed on", || metric(&there, KEPT) == 0.0);
    for server in [&alive, &stranger, &alone] {
        wait_drained(server);
    }
    assert_eq!(count(&counting, "clickledger_records_missing"), "0");
    println!("{} repeated", metric(&counting, "clickledger_records_repeated_total"));
    [alive, stranger, alone, there].into_iter().for_each(Server::kill);
    counting.stop();
    visitors.verify_trial(TRIAL, &engine);
}

/// Data directories: of one that keeps copies at a port of its own, and of those that copy to it,
/// two with its token and one with another, and to nobody.
struct Sites {
    keeper: u16,
    other: PathBuf,
    burning: PathBuf,
    living: PathBuf,
    strange: PathBuf,
    lonely: PathBuf,
}

impl Sites {
    fn new(ledger: &Ledger) -> Sites {
        let (keeper, nowhere) = (free_port(), free_port());
        let copying = |name: &str, port: u16, token: &str, missing: &str| {
            let more = format!(
                "[spool]\ncopy_to = \"http://127.0.0.1:{port}\"\ncopy_token = \"{token}\"\n\
                 copy_missing = \"{missing}\"\n"
            );
            ledger.data(name, &["tracker"], &more)
        };
        let keeping = format!("[spool]\ncopy_token = \"{TOKEN}\"\n");
        let other = ledger.data("other", &["tracker"], &keeping);
        prepend(&other, &format!("admin_listen = \"127.0.0.1:{keeper}\"\n"));
        Sites {
            keeper,
            other,
            burning: copying("burning", keeper, TOKEN, "refuse"),
            living: copying("living", keeper, TOKEN, "refuse"),
            strange: copying("strange", keeper, "a-token-of-nobody", "refuse"),
            lonely: copying("lonely", nowhere, TOKEN, "accept"),
        }
    }
}

/// Clicks are acknowledged by their copies; the other site dies in the midst, and comes back.
fn copied(
    visitors: &mut Visitors,
    (taking, burning): (&Server, &Path),
    there: Server,
    bring_back: impl FnOnce() -> Server,
) -> Server {
    let mut back = None;
    let copied = click(visitors, taking, burning, 4.0, || {
        std::thread::sleep(Duration::from_millis(1000));
        there.kill();
        std::thread::sleep(Duration::from_millis(300));
        back = Some(bring_back());
    });
    wait_until("all is copied", || metric(taking, "clickledger_spool_at_risk_records") == 0.0);
    let behind = metric(taking, "clickledger_spool_behind_records");
    assert_eq!(metric(taking, "clickledger_spool_copied_records"), behind);
    let (refused, there) = (unlogged(taking), back.unwrap());
    assert!(copied > 300 && refused > 0.0, "{copied} acknowledged, {refused} not");
    println!("{copied} acknowledged by their copies, {refused} not while the other site was dead");
    let kept = metric(&there, KEPT);
    // Heartbeats since then, too.
    assert!(kept >= behind, "the other site has {kept} of {behind}");
    there
}

/// A wrong token with `refuse`, and nobody there with `accept`.
fn not_copied(
    visitors: &mut Visitors,
    (stranger, strange): (&Server, &Path),
    (alone, lonely): (&Server, &Path),
) {
    assert_eq!(click(visitors, stranger, strange, 1.0, || {}), 0);
    assert!(unlogged(stranger) > 0.0);
    assert_eq!(metric(stranger, "clickledger_spool_copy_failing"), 1.0);
    assert!(click(visitors, alone, lonely, 1.0, || {}) > 0);
    assert!(metric(alone, "clickledger_spool_at_risk_records") > 0.0);
    assert_eq!(metric(alone, "clickledger_spool_copied_records"), 0.0);
}

/// A load at a tracker, and what happens meanwhile; how many clicks were acknowledged.
fn click(
    visitors: &mut Visitors,
    server: &Server,
    data: &Path,
    seconds: f64,
    meanwhile: impl FnOnce(),
) -> usize {
    visitors.mint(data, seconds);
    let loading = visitors.begin(server, seconds);
    meanwhile();
    visitors.end(loading)
}

/// What is no copy is refused with a reason.
fn refusals(there: &Server, burning: &Path) {
    let own = DiskLog::open_readonly(&burning.join("spool"), &LogOptions::default()).unwrap();
    let (log, partitions) = (own.log_id().0, own.partitions());
    let message = |from: Option<u64>| {
        let mut message = Message::new(log, [7; 16], [8; 16], 0, partitions);
        if let Some(from) = from {
            message.section(1, 0, from);
            message.record(b"no record");
        }
        message.finish()
    };
    let post = |token: &str, body: &[u8]| {
        let bearer = format!("Authorization: Bearer {token}\r\n");
        there.ask_with("POST", "/v1/spool-copies", &bearer, body)
    };
    let told = |body: &[u8], status: u16, expected: &str| {
        let answer = post(TOKEN, body);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains(expected), "{answer}");
    };
    assert!(post("a-token-of-nobody", &message(None)).contains("spool.copy_token"));
    told(&message(Some(0)), 409, "ask_first");
    told(&message(None), 200, "\"ends\":[0,0,0,0]");
    told(&message(Some(1)), 409, "partition 1: 0 comes next here, and 1 was given");
    let mut damaged = message(Some(0));
    *damaged.last_mut().unwrap() ^= 1;
    told(&damaged, 400, "checksum");
    told(&vec![0; click_engine::forward::MAX_MESSAGE + 1], 400, "at most");
}

fn unlogged(server: &Server) -> f64 {
    metric(server, UNLOGGED)
}

/// A tracker that is asked at its own address for everything but clicks.
fn start_at(data: &Path, port: u16) -> Server {
    let mut server = start(data);
    server.url = format!("http://127.0.0.1:{port}");
    server
}

/// Keys of the whole stand before all sections.
fn prepend(data: &Path, text: &str) {
    let file: PathBuf = data.join("clickledger.toml");
    let rest = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}{rest}")).unwrap();
}

/// Below those that the system gives to connections: nobody else gets it meanwhile.
fn free_port() -> u16 {
    let random = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = |at: u16| 10_000 + (random + at) % 22_000;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (0..100).map(port).find(free).unwrap()
}
