//! Redis: what a key with an expiry costs, told by its own `used_memory`.

use crate::clicks::Clicks;
use crate::process::{Running, find, free_port, wait_for_port};
use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

/// Commands sent before their answers are read.
const PIPELINE: u64 = 10_000;

/// Bytes of memory per key `click:user` with an expiry, once there are `keys` of them.
pub fn bytes_per_key(dir: &Path, keys: u64) -> Result<f64> {
    let server = find("redis-server").context("no redis-server on this machine")?;
    let port = free_port()?;
    let mut command = Command::new(server);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    command.args(["--appendonly", "no", "--dir"]).arg(dir).stdout(Stdio::null());
    let _running = Running::start(&mut command)?;
    wait_for_port(port)?;
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let before = used_memory(&mut stream, &mut reader)?;
    let mut clicks = Clicks::new(1, 50_000, 0);
    let mut done = 0;
    while done < keys {
        let count = PIPELINE.min(keys - done);
        set_keys(&mut stream, &mut reader, &mut clicks, count)?;
        done += count;
    }
    let after = used_memory(&mut stream, &mut reader)?;
    #[expect(clippy::cast_precision_loss, reason = "bytes per key, for people")]
    Ok((after.saturating_sub(before)) as f64 / keys as f64)
}

fn set_keys(
    stream: &mut TcpStream,
    reader: &mut BufReader<TcpStream>,
    clicks: &mut Clicks,
    count: u64,
) -> Result<()> {
    let mut commands = Vec::new();
    for _ in 0..count {
        clicks.advance();
        let text = clicks.text();
        let key = format!("{}:{}", text.click, text.user);
        let (length, seconds) = (key.len(), "345900");
        write!(
            commands,
            "*5\r\n$3\r\nSET\r\n${length}\r\n{key}\r\n$1\r\n1\r\n$2\r\nEX\r\n$6\r\n{seconds}\r\n"
        )?;
    }
    stream.write_all(&commands)?;
    let mut line = String::new();
    for _ in 0..count {
        line.clear();
        reader.read_line(&mut line)?;
        ensure!(line.starts_with("+OK"), "redis answered {:?}", line.trim());
    }
    Ok(())
}

fn used_memory(stream: &mut TcpStream, reader: &mut BufReader<TcpStream>) -> Result<u64> {
    stream.write_all(b"*2\r\n$4\r\nINFO\r\n$6\r\nmemory\r\n")?;
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let length = line.trim().strip_prefix('$').context("no bulk answer")?.parse::<usize>()?;
    let mut text = vec![0; length + 2];
    reader.read_exact(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let used = text.lines().find_map(|line| line.strip_prefix("used_memory:"));
    Ok(used.context("no used_memory")?.trim().parse()?)
}
