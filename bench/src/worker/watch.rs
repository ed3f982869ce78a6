//! Follows `GET /v1/stream` and notes when each ad is first on it. Knows of events no more than
//! where they end and how an ad is written in them.

use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the names of ads begin with; a number follows.
pub const AD: &str = "n-";
/// Time without a new ad after which the rest is lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest event that is waited for, bytes.
const MAX_EVENT: usize = 64 << 20;

/// Sees ads from the moment that this exists.
pub struct Watcher(JoinHandle<Result<Vec<Option<Instant>>>>);

impl Watcher {
    /// Follows the stream until ads 0 to `ads - 1` have been on it.
    pub fn start(port: u16, ads: usize) -> Result<Watcher> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // HTTP/1.0 sends the events as they are, without chunks around them.
        stream.write_all(b"GET /v1/stream?view=ad HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
        let mut following = Following { stream, buffer: Vec::new() };
        let (head, _) = following.piece(b"\r\n\r\n")?;
        ensure!(head.contains(" 200 "), "the stream answered {head:?}");
        let thread = std::thread::Builder::new().name("watcher".into());
        Ok(Watcher(thread.spawn(move || following.watch(ads))?))
    }

    /// When each ad was first seen; `None` if it was not within the patience.
    pub fn seen(self) -> Result<Vec<Option<Instant>>> {
        self.0.join().map_err(|_| anyhow::anyhow!("the watcher panicked"))?
    }
}

struct Following {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Following {
    fn watch(mut self, ads: usize) -> Result<Vec<Option<Instant>>> {
        let (mut seen, mut left) = (vec![None; ads], ads);
        let mut news = Instant::now();
        while left > 0 && news.elapsed() < PATIENCE {
            let (event, at) = self.piece(b"\n\n")?;
            if event.contains("event: reset") {
                bail!("the stream left events out: {event}");
            }
            for number in numbers(&event).filter(|number| *number < ads) {
                if seen[number].is_none() {
                    seen[number] = Some(at);
                    (left, news) = (left - 1, at);
                }
            }
        }
        Ok(seen)
    }

    /// What comes before the next `end`, and when its last byte had come.
    fn piece(&mut self, end: &[u8]) -> Result<(String, Instant)> {
        let mut searched = 0;
        loop {
            let rest = &self.buffer[searched..];
            if let Some(at) = rest.windows(end.len()).position(|part| part == end) {
                let now = Instant::now();
                let piece = self.buffer.drain(..searched + at + end.len()).collect();
                return Ok((String::from_utf8(piece)?, now));
            }
            searched = self.buffer.len().saturating_sub(end.len());
            ensure!(searched < MAX_EVENT, "an event without end");
            let mut bytes = [0; 64 << 10];
            let read = self.stream.read(&mut bytes).context("the stream")?;
            ensure!(read > 0, "the stream ended");
            self.buffer.extend_from_slice(&bytes[..read]);
        }
    }
}

/// Numbers of the ads in an event.
fn numbers(event: &str) -> impl Iterator<Item = usize> {
    let names = event.split("\"ad_id\":\"").skip(1);
    names.filter_map(|rest| rest.split('"').next()?.strip_prefix(AD)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn ads_are_found_in_events() {
        let event =
            "event: rows\ndata: {\"rows\":[{\"ad_id\":\"n-7\",\"x\":1},{\"ad_id\":\"n-12\"}]}";
        assert_eq!(numbers(event).collect::<Vec<_>>(), [7, 12]);
        assert_eq!(numbers("event: time\ndata: {}").count(), 0);
    }
}
