//! The demo that kills its own server. The server is a child process, killed by SIGKILL every few
//! seconds and started again; this process sends clicks, sends again whatever was not acknowledged,
//! and compares. At the end the log is folded once more and every single id is looked for.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use click_core::link::{LinkSpec, SigningKey, Target, mint};
use click_core::verdict::Class;
use tokio::signal::unix::{SignalKind, signal};

use super::check::Ledger;
use super::{DemoArgs, settings};
use crate::cli::data::{DataDir, threads};
use crate::cli::link::{now_s, random_id};
use crate::cli::verdicts::Refolded;
use crate::keys::KeyStore;
use crate::load::client::Client;
use crate::out;

const CONNECTIONS: usize = 8;
const BEAT: Duration = Duration::from_millis(20);
const RETRY: Duration = Duration::from_millis(100);
const READ_EVERY: Duration = Duration::from_millis(500);
/// Time that the last clicks have to be acknowledged once the killing has ended.
const LAST: Duration = Duration::from_secs(20);

/// A click that is not acknowledged yet.
struct Open {
    id: String,
    target: String,
}

/// What the tasks share; all on one thread.
struct Shared {
    address: SocketAddr,
    waiting: RefCell<VecDeque<Open>>,
    acknowledged: RefCell<Vec<String>>,
    ledger: RefCell<Ledger>,
}

/// Runs the demo.
pub fn run(args: &DemoArgs, data: &Path) -> Result<ExitCode> {
    let dir = DataDir::new(data);
    dir.create()?;
    if dir.log().exists() {
        bail!("{} holds a ledger; the check needs an empty directory", data.display());
    }
    let (store, _) = KeyStore::open(data)?;
    let (key, _) = store.minting_key()?.context("no signing key is in force")?;
    let numbers = data.join("check.json");
    let mut server = Server::start(args, data, &numbers)?;
    out::line(format_args!("open      http://{}/", args.listen));
    out::line(format_args!(
        "look at   acknowledged = measured, lost 0, double 0, while the server is killed every \
         {} s",
        args.kill_every
    ));
    out::line("end with  Ctrl-C; then every single click is looked for in the log");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let shared = Rc::new(Shared {
        address: args.listen,
        waiting: RefCell::default(),
        acknowledged: RefCell::default(),
        ledger: RefCell::default(),
    });
    let driven = local.block_on(&runtime, drive(args, &key, &numbers, &mut server, &shared));
    drop(local);
    let stopped = server.stop();
    driven?;
    stopped?;
    judge(&dir, &shared)
}

async fn drive(
    args: &DemoArgs,
    key: &SigningKey,
    numbers: &Path,
    server: &mut Server,
    shared: &Rc<Shared>,
) -> Result<()> {
    for _ in 0..CONNECTIONS {
        tokio::task::spawn_local(click_on(Rc::clone(shared)));
    }
    tokio::task::spawn_local(watch(Rc::clone(shared)));
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let begun = Instant::now();
    let limit = args.seconds.map(Duration::from_secs_f64);
    let mut clicks = Clicks { key, prefix: random_id()?, made: 0 };
    let (mut next_kill, mut told) = (Duration::from_secs_f64(args.kill_every), Duration::ZERO);
    while limit.is_none_or(|limit| begun.elapsed() < limit) {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = tokio::time::sleep(BEAT) => {}
        }
        let now = begun.elapsed();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
        let wanted = (now.as_secs_f64() * args.rate) as u64;
        while clicks.made < wanted {
            let open = clicks.next()?;
            shared.ledger.borrow_mut().sent();
            shared.waiting.borrow_mut().push_back(open);
        }
        if now >= next_kill {
            server.kill_and_restart()?;
            shared.ledger.borrow_mut().numbers.kills += 1;
            next_kill = begun.elapsed() + Duration::from_secs_f64(args.kill_every);
        }
        if now.saturating_sub(told) >= Duration::from_secs(1) {
            told = now;
            shared.ledger.borrow().publish(numbers)?;
            tell(shared);
        }
    }
    settle(shared, clicks.made).await
}

/// Waits until every click is acknowledged.
async fn settle(shared: &Shared, made: u64) -> Result<()> {
    out::note("waiting for the last acknowledgements");
    let begun = Instant::now();
    while shared.ledger.borrow().numbers.acknowledged < made {
        if begun.elapsed() > LAST {
            bail!("some clicks are not acknowledged: the server does not answer");
        }
        tokio::time::sleep(BEAT).await;
    }
    Ok(())
}

fn tell(shared: &Shared) {
    let numbers = shared.ledger.borrow().numbers;
    out::line(format_args!(
        "acknowledged {:>7}  measured {:>7}  lost {}  double {}  kills {}",
        numbers.acknowledged, numbers.measured, numbers.lost, numbers.double, numbers.kills
    ));
}

/// Mints clicks, each with an id and a user of its own.
struct Clicks<'a> {
    key: &'a SigningKey,
    prefix: String,
    made: u64,
}

impl Clicks<'_> {
    fn next(&mut self) -> Result<Open> {
        self.made += 1;
        let id = format!("{}-{}", self.prefix, self.made);
        let spec = LinkSpec {
            click_id: &id,
            user_id: &id,
            ad_id: &format!("ad-{}", self.made % 20),
            price_micros: Some(100_000),
            currency: "USD",
            expires_s: Some(now_s()? + 3600),
            target: Target::Url("https://example.com/landing"),
            ..LinkSpec::default()
        };
        let target = mint(&spec, self.key)?;
        Ok(Open { id, target })
    }
}

/// Sends what waits; what is not acknowledged waits again.
async fn click_on(shared: Rc<Shared>) {
    let mut client = Client::new(shared.address);
    loop {
        let next = shared.waiting.borrow_mut().pop_front();
        let Some(open) = next else {
            tokio::time::sleep(BEAT).await;
            continue;
        };
        let number = open
            .id
            .bytes()
            .fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let [_, b, c, d] = number.to_be_bytes();
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:127.0) \
             Gecko/20100101 Firefox/127.0\r\nX-Forwarded-For: 81.{b}.{c}.{d}\r\n\r\n",
            open.target, shared.address
        );
        let answer = client.ask(&[request.as_bytes()]).await;
        if answer.is_ok_and(|answer| answer.status == 302 && !answer.unlogged) {
            shared.ledger.borrow_mut().acknowledged(now_ms());
            shared.acknowledged.borrow_mut().push(open.id);
        } else {
            shared.waiting.borrow_mut().push_back(open);
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Reads the ledger's numbers whenever the server answers.
async fn watch(shared: Rc<Shared>) {
    let mut client = Client::new(shared.address);
    let request = format!("GET /v1/status HTTP/1.1\r\nHost: {}\r\n\r\n", shared.address);
    loop {
        tokio::time::sleep(READ_EVERY).await;
        let Ok(answer) = client.ask(&[request.as_bytes()]).await else { continue };
        if let Ok(status) = serde_json::from_slice(client.body(answer)) {
            shared.ledger.borrow_mut().read(&status);
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Folds the log again: every acknowledged id is there, and billed once.
fn judge(data: &DataDir, shared: &Shared) -> Result<ExitCode> {
    data.settle()?;
    let log = data.log_for_refold()?;
    let mut found: HashMap<String, (u64, u64)> = HashMap::new();
    let refolded = Refolded::fold(&*log, threads(0), false)?;
    refolded.for_each(&*log, &mut |_, _, id, reasons| {
        let entry = found.entry(id.to_owned()).or_default();
        entry.0 += u64::from(reasons.class() != Class::D1);
        entry.1 += u64::from(reasons.class() == Class::V);
        Ok(())
    })?;
    let ids = shared.acknowledged.borrow();
    let lost = ids.iter().filter(|id| !found.contains_key(*id)).count();
    let double = found.values().filter(|(first, valid)| *first > 1 || *valid > 1).count();
    let (kills, counted) = (shared.ledger.borrow().numbers.kills, found.len());
    out::line(format_args!(
        "acknowledged {} = measured {counted}, lost {lost}, double {double}, after {kills} kills",
        ids.len()
    ));
    let good = lost == 0 && double == 0 && counted == ids.len();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The server as a child process.
struct Server {
    command: Command,
    child: Child,
}

impl Server {
    fn start(args: &DemoArgs, data: &Path, numbers: &Path) -> Result<Server> {
        let settings = settings(args, data.to_path_buf());
        let mut command = Command::new(std::env::current_exe().context("own program")?);
        command.arg("serve").arg("--data").arg(data);
        command.arg("--listen").arg(args.listen.to_string());
        command.arg("--self-check").arg(numbers);
        for (key, value) in &settings.set {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command.args(["--set", "engine.checkpoint_interval_ms=1000"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.env("RUST_LOG", "error");
        // Ctrl-C is for this process, which then stops the server in its own order.
        command.process_group(0);
        let child = command.spawn().context("cannot start the server")?;
        Ok(Server { command, child })
    }

    fn kill_and_restart(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server ended by itself with {status}");
        }
        self.child.kill()?;
        self.child.wait()?;
        self.child = self.command.spawn().context("cannot start the server")?;
        Ok(())
    }

    fn stop(mut self) -> Result<()> {
        use rustix::process::{Pid, Signal, kill_process};
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }
}
