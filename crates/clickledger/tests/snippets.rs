//! Runs the minting snippets of `docs/snippets` and compares them byte for byte with the library.
//!
//! A language that is not installed is named and skipped, but for `CLICKTEST_CI`, under which
//! nothing is skipped; a snippet that fails is a failure.

use click_core::link::{KeyRights, LinkSpec, ParsedLink, SigningKey, Target, mint};
use std::path::{Path, PathBuf};
use std::process::Command;

const BASE: &str = "https://t.example";
const SECRET: &str = "pJ0Zk3-test-secret_5x8vQ2n7Lr4Wc9Yb1Tf6Hd";
const DESTINATION: &str = "https://shop.example/grün?id={click_id}&a=b";

/// Command, its arguments before the file, file name, and the question that shows it is installed.
const LANGUAGES: [(&str, &[&str], &str, &str); 4] = [
    ("python3", &[], "mint.py", "--version"),
    ("node", &[], "mint.js", "--version"),
    ("go", &["run"], "mint.go", "version"),
    ("java", &[], "Mint.java", "-version"),
];

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn key() -> SigningKey {
    SigningKey::new("key-1", SECRET.as_bytes()).expect("a good key")
}

/// The same link as arguments for a snippet and as a specification for the library.
fn cases() -> Vec<(Vec<String>, LinkSpec<'static>)> {
    let plain = LinkSpec {
        click_id: "c-1.2_3~4",
        ad_id: "ad1",
        expires_s: Some(1_900_000_000),
        target: Target::Url("https://shop.example/"),
        ..LinkSpec::default()
    };
    let full = LinkSpec {
        user_id: "jürgen@example",
        campaign_id: "~tilde",
        advertiser_id: "a b&c=d",
        publisher_id: "パブ",
        placement_id: "top/1",
        price_micros: Some(1_250_000),
        payout_micros: Some(0),
        currency: "EUR",
        target: Target::Url(DESTINATION),
        ..plain
    };
    let placement = LinkSpec {
        ad_id: "ad1",
        target: Target::Hosts(&["shop.example", "www.shop.example_8443"]),
        ..LinkSpec::default()
    };
    [plain, full, placement].into_iter().map(|spec| (arguments(&spec), spec)).collect()
}

fn arguments(spec: &LinkSpec<'_>) -> Vec<String> {
    let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    let (url, hosts) = match spec.target {
        Target::Nowhere => (String::new(), String::new()),
        Target::Url(url) => (url.to_owned(), String::new()),
        Target::Hosts(hosts) => (String::new(), hosts.join("~")),
    };
    let pairs = [
        ("k", "key-1".to_owned()),
        ("c", spec.click_id.to_owned()),
        ("u", spec.user_id.to_owned()),
        ("a", spec.ad_id.to_owned()),
        ("m", spec.campaign_id.to_owned()),
        ("v", spec.advertiser_id.to_owned()),
        ("p", spec.publisher_id.to_owned()),
        ("l", spec.placement_id.to_owned()),
        ("q", number(spec.price_micros)),
        ("o", number(spec.payout_micros)),
        ("y", spec.currency.to_owned()),
        ("e", number(spec.expires_s)),
        ("d", url),
        ("h", hosts),
    ];
    let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    given.map(|(name, value)| format!("{name}={value}")).collect()
}

fn installed(command: &str, question: &str) -> bool {
    Command::new(command).arg(question).output().is_ok_and(|out| out.status.success())
}

fn run(command: &str, before: &[&str], file: &Path, arguments: &[String]) -> String {
    let out = Command::new(command)
        .args(before)
        .arg(file)
        .args([BASE, SECRET])
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("the snippet starts");
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command} {}: {errors}", file.display());
    String::from_utf8(out.stdout).expect("a link").trim_end().to_owned()
}

#[test]
fn every_language_mints_the_same_links() {
    for (command, before, file, question) in LANGUAGES {
        if !installed(command, question) {
            assert!(std::env::var_os("CLICKTEST_CI").is_none(), "{command} is not installed");
            println!("skipped {file}: {command} is not installed");
            continue;
        }
        for (arguments, spec) in cases() {
            let path = docs().join("snippets").join(file);
            let url = run(command, before, &path, &arguments);
            assert_eq!(url, format!("{BASE}{}", mint(&spec, &key()).unwrap()), "{file}");
            let query = url.split_once("/c?").unwrap().1;
            let link = ParsedLink::parse(query.as_bytes()).unwrap();
            link.verify(&key(), KeyRights::ALL).unwrap();
        }
        println!("{file}: same links as the library");
    }
}

/// The documentation shows the snippets as they are run.
#[test]
fn the_documentation_shows_the_files() {
    let page = std::fs::read_to_string(docs().join("links.md")).unwrap();
    for (_, _, file, _) in LANGUAGES {
        let text = std::fs::read_to_string(docs().join("snippets").join(file)).unwrap();
        let start = text.find("--- snippet\n").unwrap() + "--- snippet\n".len();
        let end = start + text[start..].find("--- end").unwrap();
        let body = &text[start..text[..end].rfind('\n').unwrap()];
        let shown: Vec<&str> = page.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        let wanted: Vec<&str> = body.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        let found = shown.windows(wanted.len()).any(|part| part == wanted);
        assert!(found, "docs/links.md does not show {file} as it is");
    }
}
