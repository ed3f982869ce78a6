//! The two requests of Kafka's protocol that a test needs of its own: who leads a partition, in a
//! millisecond where Kafka's tool takes a second, and a new topic. Nothing here reads records.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::PATIENCE;

/// Most time that an answer may take.
const ANSWER: Duration = Duration::from_secs(2);
/// Most bytes of one.
const MAX_ANSWER: usize = 1 << 20;
/// How long a broker may take for a new topic, in milliseconds.
const TO_CREATE_MS: i32 = 30_000;
/// Numbers of requests, and versions of them that Kafka 4 takes: the newest of the plain form.
const METADATA: (i16, i16) = (3, 7);
const CREATE_TOPICS: (i16, i16) = (19, 4);
const CREATE_PARTITIONS: (i16, i16) = (37, 0);

/// A partition, as a broker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The broker that leads it, if one does.
    pub leader: Option<usize>,
    /// Counts its leaders.
    pub epoch: i32,
    /// Brokers that have all of it.
    pub in_sync: Vec<usize>,
}

/// What one broker knows of a partition; `None` if nothing.
pub(super) fn partition(
    broker: &str,
    topic: &str,
    partition: i32,
) -> io::Result<Option<Partition>> {
    let mut request = Request::new(METADATA);
    request.i32(1);
    request.text(topic);
    // Not to be made by being asked for.
    request.bytes(&[0]);
    let answer = request.ask(broker, ANSWER)?;
    let mut answer = Answer(&answer);
    answer.i32()?;
    for _ in 0..answer.i32()? {
        answer.broker()?;
    }
    answer.text()?;
    answer.i32()?;
    let mut found = None;
    for _ in 0..answer.i32()? {
        answer.i16()?;
        answer.text()?;
        answer.take(1)?;
        for _ in 0..answer.i32()? {
            let (number, view) = answer.partition()?;
            if number == partition {
                found = Some(view);
            }
        }
    }
    Ok(found)
}

/// Makes a topic.
pub(super) fn create_topic(
    broker: &str,
    topic: &str,
    partitions: i32,
    copies: i16,
    settings: &[(&str, &str)],
) -> io::Result<()> {
    let mut request = Request::new(CREATE_TOPICS);
    request.i32(1);
    request.text(topic);
    request.i32(partitions);
    request.i16(copies);
    // No assignments: Kafka spreads the copies.
    request.i32(0);
    request.i32(i32::try_from(settings.len()).map_err(io::Error::other)?);
    for (name, value) in settings {
        request.text(name);
        request.text(value);
    }
    in_earnest(request, broker)
}

/// Lets a topic grow to so many partitions.
pub(super) fn grow_topic(broker: &str, topic: &str, partitions: i32) -> io::Result<()> {
    let mut request = Request::new(CREATE_PARTITIONS);
    request.i32(1);
    request.text(topic);
    request.i32(partitions);
    // No assignments: Kafka spreads the copies.
    request.i32(-1);
    in_earnest(request, broker)
}

/// Ends a request that changes one topic, and asks it.
fn in_earnest(mut request: Request, broker: &str) -> io::Result<()> {
    request.i32(TO_CREATE_MS);
    // Not only to see whether it could be done.
    request.bytes(&[0]);
    let answer = request.ask(broker, PATIENCE)?;
    let mut answer = Answer(&answer);
    answer.i32()?;
    answer.i32()?;
    answer.text()?;
    match (answer.i16()?, answer.text()?) {
        (0, _) => Ok(()),
        (code, said) => Err(io::Error::other(format!("error {code}: {said}"))),
    }
}

/// A request in the making, behind room for its length.
struct Request(Vec<u8>);

impl Request {
    fn new((number, version): (i16, i16)) -> Request {
        let mut request = Request(vec![0; 4]);
        request.i16(number);
        request.i16(version);
        // The only one on its connection.
        request.i32(0);
        request.text("click-sim");
        request
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn i16(&mut self, number: i16) {
        self.bytes(&number.to_be_bytes());
    }

    fn i32(&mut self, number: i32) {
        self.bytes(&number.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.i16(i16::try_from(text.len()).expect("a short text"));
        self.bytes(text.as_bytes());
    }

    /// Sends it; what comes back, behind its number.
    fn ask(mut self, broker: &str, patience: Duration) -> io::Result<Vec<u8>> {
        let length = u32::try_from(self.0.len() - 4).map_err(io::Error::other)?;
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        let address = broker.parse().map_err(io::Error::other)?;
        let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(&self.0)?;
        let mut head = [0; 8];
        stream.read_exact(&mut head)?;
        let [a, b, c, d, ..] = head;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if !(4..=MAX_ANSWER).contains(&length) {
            return Err(io::Error::other(format!("an answer of {length} bytes")));
        }
        let mut answer = vec![0; length - 4];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }
}

/// What is left of an answer.
struct Answer<'a>(&'a [u8]);

impl<'a> Answer<'a> {
    fn take(&mut self, length: usize) -> io::Result<&'a [u8]> {
        let cut = self.0.split_at_checked(length);
        let (taken, rest) = cut.ok_or_else(|| io::Error::other("the answer is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn i16(&mut self) -> io::Result<i16> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into().map_err(io::Error::other)?))
    }

    fn i32(&mut self) -> io::Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into().map_err(io::Error::other)?))
    }

    /// Empty if it is null.
    fn text(&mut self) -> io::Result<String> {
        let length = usize::try_from(self.i16()?).unwrap_or(0);
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    /// Its id, host, port and rack.
    fn broker(&mut self) -> io::Result<()> {
        self.i32()?;
        self.text()?;
        self.i32()?;
        self.text()?;
        Ok(())
    }

    fn brokers(&mut self) -> io::Result<Vec<usize>> {
        let mut brokers = Vec::new();
        for _ in 0..self.i32()? {
            brokers.extend(index(self.i32()?));
        }
        Ok(brokers)
    }

    fn partition(&mut self) -> io::Result<(i32, Partition)> {
        self.i16()?;
        let number = self.i32()?;
        let (leader, epoch) = (index(self.i32()?), self.i32()?);
        self.brokers()?;
        let in_sync = self.brokers()?;
        self.brokers()?;
        Ok((number, Partition { leader, epoch, in_sync }))
    }
}

/// Kafka's ids count from 1; no broker is -1.
fn index(id: i32) -> Option<usize> {
    usize::try_from(id).ok()?.checked_sub(1)
}
