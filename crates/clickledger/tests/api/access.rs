//! Who may read, and what a browser is told to forbid.

use crate::world::World;
use clickledger::http::api::access::AccessRule;
use clickledger::http::api::{Level, Notice};
use std::sync::Arc;

const PATHS: [&str; 5] = ["/", "/v1/totals", "/v1/stream", "/v1/status", "/metrics"];

#[test]
fn without_a_token_only_this_machine_is_answered() {
    let world = World::new(AccessRule::Loopback);
    assert_eq!(world.get("/v1/status").status, 200);
    for path in PATHS {
        for header in [
            "X-Forwarded-For: 8.8.8.8",
            "Forwarded: for=8.8.8.8",
            "Host: evil.example",
            "Host: localhost.evil.example",
            "Host: 127.0.0.1.evil.example:80",
        ] {
            let answer = world.get_with(path, &[header]);
            assert_eq!(answer.status, 403, "{path} {header}");
            assert_eq!(answer.json()["error"]["code"], "loopback_only");
        }
    }
    for host in ["Host: 127.0.0.1:8080", "Host: LOCALHOST", "Host: [::1]:8080"] {
        assert_eq!(world.get_with("/v1/status", &[host]).status, 200, "{host}");
    }
}

#[test]
fn with_a_token_everybody_must_show_it() {
    let world = World::new(AccessRule::token("s3cret"));
    for path in PATHS.iter().filter(|path| **path != "/") {
        let answer = world.get(path);
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.head.contains("www-authenticate: bearer"));
        assert_eq!(world.get_with(path, &["Authorization: Bearer wrong"]).status, 401);
    }
    assert!(world.get("/").head.contains("location: /login"));
    let headers = ["Authorization: Bearer s3cret", "Host: ledger.example", "Via: 1.1 proxy"];
    assert_eq!(world.get_with("/v1/status", &headers).status, 200);
    assert_eq!(world.get("/healthz").status, 200);
    assert_eq!(world.get("/readyz").status, 200);
}

#[test]
fn the_login_form_sets_a_cookie_that_opens_the_page_and_does_not_hold_the_token() {
    let world = World::new(AccessRule::token("s3cret"));
    assert!(world.get("/login").body.contains("<form"));
    let form = "Content-Type: application/x-www-form-urlencoded";
    let wrong = world.send("POST /login", &[form], "token=guess");
    assert!(wrong.head.contains("location: /login?wrong=1") && !wrong.head.contains("set-cookie"));
    let right = world.send("POST /login", &[form], "token=s3cret");
    let cookie = right.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookie.expect("a cookie").to_string();
    assert!(cookie.contains("httponly") && cookie.contains("samesite=strict"), "{cookie}");
    assert!(!cookie.contains("s3cret"));
    let pair = cookie.split(';').next().expect("a pair");
    assert_eq!(world.get_with("/v1/status", &[&format!("Cookie: a=b; {pair}")]).status, 200);
    let forged = format!("Cookie: {}0", &pair[..pair.len() - 1]);
    let forged = if forged.ends_with(pair) { forged.replace('0', "1") } else { forged };
    assert_eq!(world.get_with("/v1/status", &[&forged]).status, 401);
}

#[test]
fn every_answer_has_the_security_headers() {
    let world = World::new(AccessRule::Loopback);
    for path in ["/", "/v1/totals?nope=1", "/assets/page.js", "/healthz", "/nowhere", "/metrics"] {
        let head = world.get(path).head;
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-",
        ] {
            assert!(head.contains(header), "{path}: {header} in {head}");
        }
    }
}

#[test]
fn the_page_is_whole_without_a_network() {
    let world = World::new(AccessRule::Loopback);
    let page = world.get("/").body;
    assert!(!page.contains("=\"http") && !page.contains("=\"//"), "nothing is elsewhere");
    assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("onclick"));
    let assets = page.split('"').filter(|word| word.starts_with("/assets/"));
    assert!(assets.map(|asset| assert_eq!(world.get(asset).status, 200, "{asset}")).count() >= 3);
    assert_eq!(world.get("/assets/chart.js").status, 200);
    assert_eq!(world.get("/assets/none.js").status, 404);
}

#[test]
fn readiness_and_notices_say_why() {
    let world = World::with(AccessRule::Loopback, |state| {
        state.hooks.not_ready = Arc::new(|| vec!["the disk is full".into()]);
        let message = "trusted_proxies is probably missing".to_string();
        let notice = Notice { level: Level::Warning, code: "proxies".into(), message };
        state.hooks.notices = Arc::new(move || vec![notice.clone()]);
    });
    let answer = world.get("/readyz");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["reasons"][0], "the disk is full");
    let status = world.get("/v1/status").json();
    assert_eq!(status["notices"][0]["level"], "warning");
    assert_eq!(status["notices"][0]["code"], "proxies");
    assert_eq!(status["not_ready"][0], "the disk is full");
}
