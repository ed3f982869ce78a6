//! A Chromium driven over its debugging pipe: commands out, answers and events in, JSON with a zero
//! byte behind each message. Needs no driver program and no package of another language.

use click_core::link::base64url;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
    "about:blank",
];

pub struct Browser {
    process: Child,
    commands: Option<ChildStdin>,
    messages: Receiver<Value>,
    events: VecDeque<Value>,
    last_id: u64,
    _profile: tempfile::TempDir,
}

/// A tab, by the session that drives it.
#[derive(Clone)]
pub struct Tab(String);

/// The first browser that is installed.
pub fn installed() -> Option<&'static str> {
    let answers = |program: &&&str| {
        let mut command = Command::new(program);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    PROGRAMS.iter().find(answers).copied()
}

impl Browser {
    pub fn start(program: &str) -> Browser {
        let profile = tempfile::tempdir().expect("a profile");
        // Chromium reads commands from descriptor 3 and writes to 4.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 >/dev/null 2>&1 </dev/null", program])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(FLAGS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let (sender, messages) = channel();
        let output = process.stdout.take().expect("a pipe");
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0) {
                let message = message.map(|bytes| serde_json::from_slice(&bytes));
                let Ok(Ok(message)) = message else { return };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let commands = process.stdin.take();
        let events = VecDeque::new();
        Browser { process, commands, messages, events, last_id: 0, _profile: profile }
    }

    /// Sends a command and waits for its answer; events that come meanwhile are kept.
    fn ask(&mut self, tab: Option<&Tab>, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": params });
        if let Some(tab) = tab {
            message["sessionId"] = json!(tab.0);
        }
        let bytes = format!("{message}\0");
        let commands = self.commands.as_mut().expect("an open pipe");
        commands.write_all(bytes.as_bytes()).expect("the browser listens");
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.receive(until).unwrap_or_else(|| panic!("no answer to {method}"));
            if answer["id"] == self.last_id {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.events.push_back(answer);
        }
    }

    fn receive(&mut self, until: Instant) -> Option<Value> {
        let left = until.saturating_duration_since(Instant::now());
        match self.messages.recv_timeout(left) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the browser has gone"),
        }
    }

    pub fn open_tab(&mut self) -> Tab {
        let target = self.ask(None, "Target.createTarget", &json!({ "url": "about:blank" }));
        let params = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.ask(None, "Target.attachToTarget", &params);
        let tab = Tab(session["sessionId"].as_str().expect("a session").to_string());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.ask(Some(&tab), &format!("{domain}.enable"), &json!({}));
        }
        tab
    }

    pub fn command(&mut self, tab: &Tab, method: &str, params: &Value) -> Value {
        self.ask(Some(tab), method, params)
    }

    pub fn go(&mut self, tab: &Tab, url: &str) {
        self.command(tab, "Page.navigate", &json!({ "url": url }));
    }

    /// The value of a JavaScript expression; promises are waited for.
    pub fn value(&mut self, tab: &Tab, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        self.command(tab, "Runtime.evaluate", &params)["result"]["value"].clone()
    }

    /// Waits until a JavaScript expression is true; returns how long that took.
    pub fn wait(&mut self, tab: &Tab, expression: &str) -> Duration {
        let began = Instant::now();
        while self.value(tab, &format!("Boolean({expression})")) != true {
            assert!(began.elapsed() < PATIENCE, "never: {expression}");
            std::thread::sleep(Duration::from_millis(10));
        }
        began.elapsed()
    }

    /// Events of a tab so far.
    pub fn events(&mut self, tab: &Tab) -> Vec<Value> {
        // An answer comes after all events before it.
        self.value(tab, "1");
        let of_tab = |event: &&Value| event["sessionId"] == *tab.0;
        self.events.iter().filter(of_tab).cloned().collect()
    }

    /// A picture of the whole page, or of what is visible at `width` x `height`.
    pub fn picture(&mut self, tab: &Tab, file: &Path, whole: bool) {
        let mut params = json!({ "format": "png", "captureBeyondViewport": whole });
        if whole {
            let size = &self.command(tab, "Page.getLayoutMetrics", &json!({}))["cssContentSize"];
            params["clip"] = json!({
                "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1
            });
        }
        let data = self.command(tab, "Page.captureScreenshot", &params)["data"].clone();
        let data = data.as_str().expect("a picture");
        let data = data.trim_end_matches('=').replace('+', "-").replace('/', "_");
        let bytes = base64url::decode(data.as_bytes()).expect("base64");
        std::fs::write(file, bytes).expect("a picture written");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Without its pipe the browser ends by itself; be sure all the same.
        drop(self.commands.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
