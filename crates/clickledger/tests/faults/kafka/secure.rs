//! A cluster that is spoken to over TLS, and that lets in whom it knows.

use std::path::Path;
use std::process::Command;

use click_sim::kafka::Kafka;

use super::alone;
use super::ledger::{run, start, wait_drained};
use crate::server::said;
use crate::visitors::Visitors;

const USER: &str = "clickledger";
const PASSWORD: &str = "not-the-real-one";

/// What is wrong, and what is said of it: a name, mechanism, password, file of the authority.
type Wrong<'a> = (&'a str, &'a str, &'a str, &'a String, [&'a str; 2]);

#[test]
fn clicks_are_counted_over_tls_and_who_is_not_let_in_is_told_why() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let Some(kafka) = Kafka::start_secure(dir.path(), USER, PASSWORD) else { return };
    let url = format!("kafka://{}/clicks", kafka.secure_bootstrap());
    let authority = kafka.authority(true).unwrap().display().to_string();
    let stranger = kafka.authority(false).unwrap().display().to_string();
    let data = |name: &str, role: &str, mechanism: &str, password: &str, authority: &str| {
        let data = dir.path().join(name);
        std::fs::create_dir_all(&data).unwrap();
        let properties = [
            "security.protocol=SASL_SSL".to_owned(),
            format!("ssl.ca.location={authority}"),
            format!("sasl.mechanism={mechanism}"),
            format!("sasl.username={USER}"),
            format!("sasl.password={password}"),
        ];
        let text = format!(
            "roles = [\"{role}\"]\n[log]\nurl = \"{url}\"\n[kafka]\nallow_single_replica = true\n\
             properties = {properties:?}\n"
        );
        std::fs::write(data.join("clickledger.toml"), text).unwrap();
        data
    };
    let topics = |action: &str, data: &Path, more: &[&str]| {
        let data = data.display().to_string();
        run(&[&["topics", action, "--single-replica", "--data", &data][..], more].concat())
    };
    let tracker = data("tracker", "tracker", "SCRAM-SHA-512", PASSWORD, &authority);
    let counts = ["--partitions", "2", "--replication", "1", "--min-insync", "1"];
    let made = topics("create", &tracker, &counts);
    assert!(made.status.success(), "{}", said(&made));

    // The other mechanism, and everything that can be wrong.
    let plain = data("plain", "engine", "PLAIN", PASSWORD, &authority);
    assert!(topics("check", &plain, &[]).status.success());
    let wrong = [
        ("scram", "SCRAM-SHA-512", "wrong", &authority, ["sasl.password", "kafka.properties"]),
        ("plain", "PLAIN", "wrong", &authority, ["sasl.password", "kafka.properties"]),
        ("untrusted", "PLAIN", PASSWORD, &stranger, ["ssl.ca.location", "verif"]),
        ("unknown", "SCRAM-SHA-1", PASSWORD, &authority, ["sasl.mechanism", "SCRAM-SHA-512"]),
        ("none", "NONE", PASSWORD, &authority, ["NONE", "known are PLAIN"]),
    ];
    let refused = |(name, mechanism, password, authority, expected): Wrong<'_>| {
        let data = data(&format!("wrong-{name}"), "engine", mechanism, password, authority);
        let begun = std::time::Instant::now();
        // Whoever comes first asks in its own way.
        let action = if name == "untrusted" { "create" } else { "check" };
        let refused = topics(action, &data, &[]);
        let told = said(&refused);
        assert!(!refused.status.success(), "{name}: {told}");
        assert!(expected.iter().all(|part| told.contains(part)), "{name}: {told}");
        assert!(!told.contains(PASSWORD), "{name}: {told}");
        println!("{name}, {:.1?}: {}", begun.elapsed(), told.trim());
    };
    // Mostly they wait for the broker, which is in no hurry to refuse.
    std::thread::scope(|all| {
        for case in wrong {
            all.spawn(move || refused(case));
        }
    });
    let mut shown = Command::new(crate::server::BIN);
    let shown = shown.args(["serve", "--print-config", "--data"]).arg(&tracker).output().unwrap();
    assert!(said(&shown).contains("(hidden)") && !said(&shown).contains(PASSWORD));

    let engine = data("engine", "engine", "PLAIN", PASSWORD, &authority);
    counted(&tracker, &engine);
}

/// All that is acknowledged is in the ledger.
fn counted(tracker: &Path, engine: &Path) {
    let (taking, counting) = (start(tracker), start(engine));
    let mut visitors = Visitors::new();
    visitors.mint(tracker, 0.5);
    let loading = visitors.begin(&taking, 0.5);
    visitors.end(loading);
    wait_drained(&taking);
    assert_eq!(visitors.acknowledged, Visitors::all_of(0.5));
    taking.stop();
    counting.stop();
    println!("{}", visitors.verify(engine));
}
