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
const UNLOGGED: &str = "clickledger_clicks_unlogged_total{reason=\"not_copied\"}";

#[test]
fn a_site_that_burns_down_while_the_cluster_is_away_loses_nothing() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let Some(mut kafka) = Kafka::start(dir.path(), 1) else { return };
    begin_trial(TRIAL);
    let ledger = Ledger::new(dir.path(), &kafka, "clicks");
    let (keeper, nowhere) = (free_port(), free_port());
    let keeping = format!("admin_listen = \"127.0.0.1:{keeper}\"\n");
    let copying = |port: u16, token: &str, missing: &str| {
        format!(
            "[spool]\ncopy_to = \"http://127.0.0.1:{port}\"\ncopy_token = \"{token}\"\n\
             copy_missing = \"{missing}\"\n"
        )
    };
    let tracker = |name: &str, more: &str| ledger.data(name, &["tracker"], more);
    let burning = tracker("burning", &copying(keeper, TOKEN, "refuse"));
    let strange = tracker("strange", &copying(keeper, "a-token-of-nobody", "refuse"));
    let living = tracker("living", &copying(keeper, TOKEN, "refuse"));
    let lonely = tracker("lonely", &copying(nowhere, TOKEN, "accept"));
    let other = tracker("other", &format!("[spool]\ncopy_token = \"{TOKEN}\"\n"));
    prepend(&other, &keeping);
    let engine = ledger.engine();

    let counting = start(&engine);
    let [taking, alive] = [&burning, &living].map(|data| start(data));
    let [stranger, alone] = [&strange, &lonely].map(|data| start(data));
    let mut there = start_at(&other, keeper);
    let mut visitors = Visitors::new();
    visitors.rate = 500;
    begin(&mut visitors, &taking, &burning, 0.5, |_| {});
    wait_drained(&taking);

    kafka.kill(0);
    // The other site dies in the midst of it, and comes back.
    let before = visitors.acknowledged;
    let mut harm = Some(there);
    let mut back = None;
    begin(&mut visitors, &taking, &burning, 4.5, |_| {
        std::thread::sleep(Duration::from_millis(1000));
        harm.take().unwrap().kill();
        std::thread::sleep(Duration::from_millis(300));
        back = Some(start_at(&other, keeper));
    });
    there = back.unwrap();
    let copied = visitors.acknowledged - before;
    wait_until("all is copied", || metric(&taking, "clickledger_spool_at_risk_records") == 0.0);
    let (behind, refused) =
        (metric(&taking, "clickledger_spool_behind_records"), unlogged(&taking));
    assert_eq!(metric(&taking, "clickledger_spool_copied_records"), behind);
    assert!(copied > 300 && refused > 0.0, "{copied} acknowledged, {refused} not");
    println!("{copied} acknowledged by their copies, {refused} not while the other site was dead");

    let acknowledged = begin(&mut visitors, &stranger, &strange, 1.0, |_| {});
    assert_eq!(acknowledged, 0, "a wrong token, and `refuse`");
    assert!(unlogged(&stranger) > 0.0);
    assert_eq!(metric(&stranger, "clickledger_spool_copy_failing"), 1.0);
    let acknowledged = begin(&mut visitors, &alone, &lonely, 1.0, |_| {});
    assert!(acknowledged > 0, "nobody there, and `accept`");
    assert!(metric(&alone, "clickledger_spool_at_risk_records") > 0.0);
    assert_eq!(metric(&alone, "clickledger_spool_copied_records"), 0.0);

    // One that comes to the cluster from both sites.
    let acknowledged = begin(&mut visitors, &alive, &living, 0.7, |_| {});
    assert!(acknowledged > 0 && unlogged(&alive).is_nan(), "{acknowledged}");

    let kept = metric(&there, "clickledger_spool_copies_kept_records");
    // Heartbeats since then, too.
    assert!(kept >= behind, "the other site has {kept} of {behind}");
    taking.kill();
    refusals(&there, &burning);
    std::fs::remove_dir_all(&burning).unwrap();
    kafka.bring_back(0);
    wait_until("the copies are handed on", || {
        metric(&there, "clickledger_spool_copies_kept_records") == 0.0
    });
    [&alive, &stranger, &alone].into_iter().for_each(|server| {
        wait_drained(server);
    });
    assert_eq!(count(&counting, "clickledger_records_missing"), "0");
    println!("{} repeated", metric(&counting, "clickledger_records_repeated_total"));
    [alive, stranger, alone, there].into_iter().for_each(Server::kill);
    counting.stop();
    visitors.verify_trial(TRIAL, &engine);
}

/// A load at a tracker, and what happens meanwhile; how many clicks were acknowledged.
fn begin(
    visitors: &mut Visitors,
    server: &Server,
    data: &Path,
    seconds: f64,
    meanwhile: impl FnOnce(&Server),
) -> usize {
    visitors.mint(data, seconds);
    let loading = visitors.begin(server, seconds);
    meanwhile(server);
    visitors.end(loading)
}

/// What is no copy is refused with a reason.
fn refusals(there: &Server, burning: &Path) {
    let own = DiskLog::open_readonly(&burning.join("spool"), &LogOptions::default()).unwrap();
    let (log, partitions) = (own.log_id().0, own.partitions());
    let message = |from: Option<u64>| {
        let mut message = Message::new(log, [7; 16], [8; 16], partitions);
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
