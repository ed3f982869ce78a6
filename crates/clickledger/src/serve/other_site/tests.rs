//! A real site behind real sockets, with and without TLS; its cluster is away.

#![cfg(feature = "kafka")]

use std::process::Command;

use click_core::record::Header;
use click_engine::forward::{Copies, CopiesConfig, Message};
use click_engine::kafka::KafkaSettings;

use super::*;
use crate::cluster;
use crate::config::CopyMissing;
use crate::http::copies::router;
use crate::http::track::{ServeConfig, Server, TlsFiles, no_fallback, router_fallback, serve};

const TOKEN: &str = "a-token-of-both-sites";
const HEADER: Header = Header { log_id: [9; 16], generation: 1, partitions: 2 };

fn copies(dir: &Path) -> Arc<Copies> {
    let silence = Duration::from_secs(600);
    let config =
        CopiesConfig { dir: dir.join("copies"), header: HEADER, segment_bytes: 1 << 20, silence };
    let settings = KafkaSettings::new("kafka://127.0.0.1:1/clicks".parse().unwrap());
    let to = move |_| Ok((2, cluster::remote(settings.clone(), HEADER, "clicks".into(), 0)?));
    Copies::open(config, Box::new(to)).unwrap()
}

fn site(copies: &Arc<Copies>, tls: Option<TlsFiles>) -> Server {
    let mut listen = ServeConfig::new(([127, 0, 0, 1], 0).into());
    (listen.threads, listen.tls) = (1, tls);
    serve(&listen, None, router_fallback(router(Arc::clone(copies), TOKEN))).unwrap()
}

fn config(copy_to: String, token: &str, authority: &Path) -> Spool {
    Spool {
        after_ms: 300,
        keep_hours: 24,
        copy_to,
        copy_token: token.into(),
        copy_ca: authority.display().to_string(),
        copy_after_ms: 400,
        copy_missing: CopyMissing::Refuse,
    }
}

/// What a question is answered with.
fn asked(config: &Spool) -> Result<Held, String> {
    let mut site = HttpSite::of(config).unwrap().unwrap();
    let question = || Message::new(HEADER.log_id, [1; 16], [2; 16], 0, 2).finish();
    let first = site.hand(&question()).map_err(|error| error.to_string());
    let again = site.hand(&question()).map_err(|error| error.to_string());
    assert_eq!(first, again);
    first
}

/// Certificates of an authority, of a stranger, and of a site; the site's is the authority's.
fn certificates(dir: &Path) -> Option<TlsFiles> {
    let made = |name: &str, more: &[&str]| {
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ])
            .args(["-days", "2", "-subj", &format!("/CN={name}")])
            .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
            .args(more)
            .current_dir(dir)
            .output();
        made.is_ok_and(|out| out.status.success())
    };
    let signed = [
        "-CA",
        "authority.pem",
        "-CAkey",
        "authority.key",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ];
    let all = made("authority", &[]) && made("stranger", &[]) && made("site", &signed);
    let files = TlsFiles { certificates: dir.join("site.pem"), private_key: dir.join("site.key") };
    all.then_some(files)
}

#[test]
fn a_site_is_reached_with_the_token_alone_and_what_is_wrong_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let copies = copies(dir.path());
    let server = site(&copies, None);
    let url = format!("http://{}", server.address());
    let none = Path::new("");
    let held = Held { ends: vec![0, 0], last: vec![String::new(), String::new()] };
    assert_eq!(asked(&config(url.clone(), TOKEN, none)), Ok(held));
    let refused = asked(&config(url.clone(), "another-token-of-nobody", none)).unwrap_err();
    assert!(refused.contains("401") && refused.contains("spool.copy_token"), "{refused}");
    server.shutdown();
    let refused = asked(&config(url, TOKEN, none)).unwrap_err();
    assert!(refused.contains("refused"), "{refused}");
    let mut listen = ServeConfig::new(([127, 0, 0, 1], 0).into());
    listen.threads = 1;
    let other = serve(&listen, None, no_fallback()).unwrap();
    let refused = asked(&config(format!("http://{}", other.address()), TOKEN, none)).unwrap_err();
    assert!(refused.contains("set spool.copy_token there"), "{refused}");
    other.shutdown();
    copies.stop().unwrap();
}

#[test]
fn over_tls_a_site_is_believed_by_its_authority_and_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let Some(files) = certificates(dir.path()) else {
        let ci = std::env::var_os("CLICKTEST_CI").is_some();
        assert!(!ci, "openssl is not installed");
        return;
    };
    let copies = copies(dir.path());
    let server = site(&copies, Some(files));
    let url = |name: &str| format!("https://{name}:{}", server.address().port());
    let [ours, stranger] = ["authority.pem", "stranger.pem"].map(|name| dir.path().join(name));
    assert!(asked(&config(url("localhost"), TOKEN, &ours)).is_ok());
    for (name, authority) in [("localhost", &stranger), ("127.0.0.1", &ours)] {
        let refused = asked(&config(url(name), TOKEN, authority)).unwrap_err();
        assert!(refused.contains("certificate"), "{refused}");
    }
    let plain = format!("http://{}", server.address());
    assert!(asked(&config(plain, TOKEN, &ours)).is_err(), "it speaks TLS alone");
    let key = dir.path().join("site.key");
    let refused = HttpSite::of(&config(url("localhost"), TOKEN, &key)).err().unwrap();
    assert!(refused.to_string().contains("no certificate"), "{refused}");
    server.shutdown();
    copies.stop().unwrap();
}
