//! Each way in which configuration can be wrong, and the file of documentation.

use super::*;
use std::path::Path;

fn check(file: &str, vars: &[(&str, &str)]) -> Result<Config> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("c.toml");
    std::fs::write(&path, file)?;
    let mut layers = Layers::defaults()?;
    layers.add_file(&path)?;
    let owned = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    layers.add_environment(owned)?;
    Config::from_layers(&layers)
}

#[test]
fn later_layers_win() {
    let file = "listen = \"127.0.0.1:1\"\n[engine]\nthreads = 3\n";
    let vars = [
        ("CLICKLEDGER_LISTEN", "127.0.0.1:2"),
        ("CLICKLEDGER_TRACKER__TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8"),
        ("OTHER", "x"),
    ];
    let config = check(file, &vars).unwrap();
    assert_eq!((config.listen.as_str(), config.engine.threads), ("127.0.0.1:2", 3));
    assert_eq!(config.trusted_proxies().unwrap().len(), 2);
    assert_eq!(config.engine.publish_mode, Mode::Live);
}

#[test]
fn errors_name_place_key_and_fix() {
    for (file, vars, expected) in [
        ("lisen = \"x\"", vec![], vec!["c.toml", "unknown key 'lisen'", "known are "]),
        ("[engine]\nthreads = \"two\"", vec![], vec!["c.toml", "'engine.threads' wants integer"]),
        ("[engine]\nthreads = -1", vec![], vec!["configuration", "-1"]),
        ("engine = 3", vec![], vec!["unknown key 'engine'"]),
        ("= 3", vec![], vec!["c.toml is no TOML"]),
        ("listen = \"here\"", vec![], vec!["c.toml: key 'listen'", "such as 127.0.0.1:8080"]),
        ("access_token = \"short\"", vec![], vec!["key 'access_token'", "at least 16"]),
        ("[tls]\ncertificates = \"/x\"", vec![], vec!["'tls.private_key' is missing"]),
        ("[tracker]\ntrusted_proxies = [\"a\"]", vec![], vec!["trusted_proxies", "10.0.0.0/8"]),
        ("[engine]\npublish_mode = \"never\"", vec![], vec!["never", "live"]),
        ("[log]\npartitions = 0", vec![], vec!["log.partitions", "use 1 to 256"]),
        (
            "[spool]\ncopy_to = \"http://b:1\"",
            vec![],
            vec!["key 'spool.copy_to'", "only a tracker with its log in Kafka", "log.url"],
        ),
        (
            "[log]\nurl = \"kafka://a:1/t\"\n[spool]\ncopy_to = \"http://b:1\"",
            vec![],
            vec!["key 'spool.copy_to'", "'spool.copy_token' is missing", "both sites"],
        ),
        (
            "[log]\nurl = \"kafka://a:1/t\"\n[spool]\ncopy_token = \"short\"",
            vec![],
            vec!["key 'spool.copy_token'", "at least 16"],
        ),
        (
            "[log]\nurl = \"kafka://a:1/t\"\n[spool]\ncopy_to = \"https://b:1\"\n\
             copy_token = \"0123456789abcdef\"",
            vec![],
            vec!["key 'spool.copy_to'", "'spool.copy_ca'"],
        ),
        (
            "[log]\nurl = \"kafka://a:1/t\"\n[spool]\ncopy_to = \"http://b:1\"\n\
             copy_token = \"0123456789abcdef\"\ncopy_after_ms = 700",
            vec![],
            vec!["key 'spool.copy_after_ms'", "1000 ms", "redirect_deadline_ms"],
        ),
        ("[spool]\ncopy_missing = \"wait\"", vec![], vec!["wait", "refuse", "accept"]),
        (
            "[archive]\ntruncate_after_hours = 96",
            vec![],
            vec!["c.toml: key 'archive.truncate_after_hours'", "0 for never", "than 97 hours"],
        ),
        (
            "",
            vec![("CLICKLEDGER_ENGINE__THREADS", "x")],
            vec!["variable CLICKLEDGER_ENGINE__THREADS"],
        ),
        ("", vec![("CLICKLEDGER_NOPE", "x")], vec!["CLICKLEDGER_NOPE: unknown key 'nope'"]),
    ] {
        let error = format!("{:#}", check(file, &vars).unwrap_err());
        for part in expected {
            assert!(error.contains(part), "{file}: {error}");
        }
    }
}

#[test]
fn printed_configuration_hides_secrets_and_is_readable() {
    let mut layers = Layers::defaults().unwrap();
    layers.set_text("access_token", "0123456789abcdef", "flag").unwrap();
    let stores = "sqlite:ledger.db redis://me:pass-1@h:1/0 cassandra://me:pass-2@h:1/ads";
    layers.set_text("store.url", stores, "flag").unwrap();
    layers.set_text("spool.copy_token", "fedcba9876543210", "flag").unwrap();
    let printed = layers.print();
    assert!(
        !["0123456789abcdef", "fedcba9876543210", "pass-1", "pass-2"]
            .iter()
            .any(|s| printed.contains(s)),
        "{printed}"
    );
    let shown = "url = \"sqlite:ledger.db redis://***@h:1/0 cassandra://***@h:1/ads\"  # flag";
    assert!(printed.contains(shown), "{printed}");
    assert!(printed.contains("access_token = \"(hidden)\"  # flag"), "{printed}");
    check(&printed.replace("(hidden)", ""), &[]).unwrap();
}

#[test]
fn secrets_among_properties_are_hidden() {
    for (property, is_shown) in [
        ("sasl.password=s3cret", false),
        ("ssl.key.password=s3cret", false),
        ("ssl.key.pem=s3cret", false),
        ("sasl.oauthbearer.client.secret=s3cret", false),
        ("ssl.ca.location=s3cret", true),
    ] {
        let mut layers = Layers::defaults().unwrap();
        layers.set_text("kafka.properties", property, "flag").unwrap();
        assert_eq!(layers.print().contains("s3cret"), is_shown, "{property}");
    }
}

#[test]
fn the_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, reference()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(found == reference(), "run the tests with UPDATE_DOCS=1 to write {}", path.display());
}
