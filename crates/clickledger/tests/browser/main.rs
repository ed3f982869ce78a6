//! The page in a real Chromium: it loads, it obeys its own content policy, and a click that is made
//! here appears on it at once and gets its verdict.
//!
//! Skips with a word where no Chromium is installed. `PICTURES=DIR` leaves pictures of the page.

mod cdp;

use cdp::{Browser, Tab};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_clickledger");
/// A browser that a person has.
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/140.0.0.0 Safari/537.36";

/// `clickledger serve` on a free port.
struct Server {
    process: Child,
    base: String,
    dir: tempfile::TempDir,
}

impl Server {
    fn start() -> Server {
        let dir = tempfile::tempdir().expect("a directory");
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = port.local_addr().expect("an address").port();
        let process = Command::new(PROGRAM)
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut server = Server { process, base: format!("http://127.0.0.1:{port}"), dir };
        server.wait(port);
        server
    }

    fn wait(&mut self, port: u16) {
        let errors = self.process.stderr.take().expect("a pipe");
        std::thread::spawn(move || BufReader::new(errors).lines().count());
        for _ in 0..600 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the server does not listen");
    }

    /// A signed link that leads to the server's own health page.
    fn link(&self, ad: &str, user: &str) -> String {
        let to = format!("{}/healthz", self.base);
        let output = Command::new(PROGRAM)
            .args(["link", "--base", &self.base, "--ad", ad, "--to", &to, "--user", user])
            .args(["--price-micros", "250000", "--currency", "EUR", "--data"])
            .arg(self.dir.path())
            .output()
            .expect("a link");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text").trim().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Puts a link on a page and clicks it with the mouse.
fn click(browser: &mut Browser, tab: &Tab, url: &str) {
    browser.go(tab, "about:blank");
    browser.wait(tab, "document.readyState === 'complete' && location.href === 'about:blank'");
    browser.command(tab, "Emulation.setUserAgentOverride", &json!({ "userAgent": AGENT }));
    let html = "document.body.innerHTML = '<a style=\"position:fixed;inset:0\">ad</a>'";
    browser.value(tab, html);
    browser.value(tab, &format!("document.querySelector('a').href = {}", json!(url)));
    for kind in ["mousePressed", "mouseReleased"] {
        let event = json!({ "type": kind, "x": 50, "y": 50, "button": "left", "clickCount": 1 });
        browser.command(tab, "Input.dispatchMouseEvent", &event);
    }
}

/// Nothing failed, nothing was forbidden, nothing was asked from elsewhere.
fn assert_clean(browser: &mut Browser, tab: &Tab, base: &str) {
    for event in browser.events(tab) {
        let params = &event["params"];
        match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => panic!("{params}"),
            Some("Log.entryAdded") => assert_ne!(params["entry"]["level"], "error", "{params}"),
            Some("Network.requestWillBeSent") => {
                let url = params["request"]["url"].as_str().expect("a URL");
                assert!(url.starts_with(base) || url == "about:blank", "{url}");
            }
            _ => {}
        }
    }
}

fn look(browser: &mut Browser, tab: &Tab, theme: &str, width: u32, height: u32) {
    let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
    browser.command(tab, "Emulation.setDeviceMetricsOverride", &size);
    let theme = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
    browser.command(tab, "Emulation.setEmulatedMedia", &theme);
    browser.wait(tab, "new Promise((done) => setTimeout(() => done(true), 200))");
}

/// No text is cut off by its box or runs out of it, names with an ellipsis apart.
fn assert_nothing_overlaps(browser: &mut Browser, tab: &Tab) {
    let wide = "[...document.querySelectorAll('main p, main td, main dd, main dt, main li, h2')] \
        .filter((box) => box.scrollWidth > box.clientWidth + 1 \
            && getComputedStyle(box).display !== 'inline') \
        .map((box) => `${box.className} ${box.textContent}`)";
    assert_eq!(browser.value(tab, wide), json!([]));
}

fn pictures(browser: &mut Browser, tab: &Tab, dir: &Path) {
    std::fs::create_dir_all(dir).expect("a directory");
    for (theme, width, name) in
        [("light", 1280, "light"), ("dark", 1280, "dark"), ("light", 390, "narrow")]
    {
        look(browser, tab, theme, width, 900);
        browser.picture(tab, &dir.join(format!("{name}.png")), true);
    }
}

#[test]
fn a_click_made_in_a_browser_appears_on_the_page_with_its_verdict() {
    let Some(program) = cdp::installed() else {
        assert!(std::env::var_os("CLICKTEST_CI").is_none(), "no Chromium is installed");
        println!("skipped: no Chromium is installed");
        return;
    };
    let server = Server::start();
    let mut browser = Browser::start(program);
    let page = browser.open_tab();
    browser.go(&page, &server.base);
    browser.wait(&page, "document.getElementById('connection')?.textContent === 'live'");
    browser.wait(&page, "document.getElementById('reasons').rows.length === 15");

    let link = server.link("ad-from-the-test", "a-person");
    let visitor = browser.open_tab();
    click(&mut browser, &visitor, &link);
    let item = "document.querySelector('#feed [data-ad=\"ad-from-the-test\"]')";
    let seen = browser.wait(&page, item);
    println!("the click was on the page {seen:?} after the mouse was released");
    assert!(seen < Duration::from_secs(1), "{seen:?}");
    browser.wait(&visitor, &format!("location.href === '{}/healthz'", server.base));
    let verdict = format!("{item}.textContent.includes('1valid')");
    browser.wait(&page, &verdict);
    assert_eq!(browser.value(&page, &format!("{item}.dataset.state")), "provisional");
    browser.wait(&page, "document.getElementById('valid').textContent === '1'");
    browser.wait(&page, "document.getElementById('spend').textContent === '0.25EUR'");

    // The same link again is a duplicate, whoever clicks.
    click(&mut browser, &visitor, &link);
    browser.wait(&page, &format!("{item}.textContent.includes('1D1')"));
    browser.wait(&page, "document.getElementById('invalid').textContent === '1'");
    let rows = "[...document.getElementById('ads').rows].map((row) => row.innerText)";
    let rows = browser.value(&page, rows);
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
    assert_clean(&mut browser, &page, &server.base);

    for width in [320, 390, 768, 1280, 1920] {
        look(&mut browser, &page, "dark", width, 800);
        assert_nothing_overlaps(&mut browser, &page);
        let wide = browser.value(&page, "document.documentElement.scrollWidth");
        assert!(wide.as_u64() <= Some(u64::from(width)), "{wide} at {width}");
    }
    if let Some(dir) = std::env::var_os("PICTURES") {
        pictures(&mut browser, &page, Path::new(&dir));
    }
}

#[test]
fn what_a_click_says_is_text_never_markup() {
    let Some(program) = cdp::installed() else { return };
    let server = Server::start();
    let mut browser = Browser::start(program);
    let page = browser.open_tab();
    browser.go(&page, &server.base);
    browser.wait(&page, "document.getElementById('connection')?.textContent === 'live'");
    let ad = "<img src=x onerror=alert(1)>";
    let visitor = browser.open_tab();
    click(&mut browser, &visitor, &server.link(ad, "a-person"));
    browser.wait(&page, "document.querySelector('#feed .name')");
    let shown = browser.value(&page, "document.querySelector('#feed .name').textContent");
    assert_eq!(shown, Value::from(ad));
    browser.wait(&page, "document.querySelector('#ads .name')");
    assert_eq!(browser.value(&page, "document.querySelectorAll('main img').length"), 0);
    assert_clean(&mut browser, &page, &server.base);
}

/// Takes the pictures of the documentation from a page that runs elsewhere, such as a demo's:
/// `PAGE=http://127.0.0.1:8080 PICTURES=dir cargo test ... --test browser -- --ignored`.
#[test]
#[ignore = "takes pictures of the page named by PAGE"]
fn pictures_of_a_running_page() {
    let program = cdp::installed().expect("a Chromium");
    let (Ok(url), Some(dir)) = (std::env::var("PAGE"), std::env::var_os("PICTURES")) else {
        panic!("set PAGE and PICTURES");
    };
    let mut browser = Browser::start(program);
    let page = browser.open_tab();
    look(&mut browser, &page, "light", 1280, 900);
    browser.go(&page, &url);
    browser.wait(&page, "document.querySelector('#feed li')");
    browser.wait(&page, "new Promise((done) => setTimeout(() => done(true), 2500))");
    pictures(&mut browser, &page, Path::new(&dir));
    assert_clean(&mut browser, &page, &url);
}
