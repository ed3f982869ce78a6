//! One connection to a Redis or to a cluster, and many commands at once over it.

use super::super::StoreError;
use redis::cluster::{ClusterClient, ClusterConnection};
use redis::{Client, Cmd, Connection, RedisError, Value};
use std::time::Duration;

/// Until a server counts as not there.
const CONNECT: Duration = Duration::from_secs(2);
/// Until an answer counts as not coming: the outcome is unknown then.
const ANSWER: Duration = Duration::from_secs(10);
/// Times that the client looks for a slot's new master by itself before it gives an error.
const RETRIES: u32 = 3;
/// Commands that are sent before their answers are read.
const AT_ONCE: usize = 512;

/// Where to connect to.
#[derive(Clone)]
pub(super) enum Place {
    Single(Client),
    Cluster(ClusterClient),
}

/// Not to be used after an error: an answer may still be under way.
pub(super) enum Link {
    Single(Box<Connection>),
    Cluster(Box<ClusterConnection>),
}

impl Place {
    pub(super) fn single(url: &str) -> Result<Place, StoreError> {
        Ok(Place::Single(Client::open(url)?))
    }

    pub(super) fn cluster(nodes: &[String]) -> Result<Place, StoreError> {
        let builder = ClusterClient::builder(nodes.iter().map(String::as_str))
            .connection_timeout(CONNECT)
            .response_timeout(ANSWER)
            .retries(RETRIES)
            .min_retry_wait(20)
            .max_retry_wait(500);
        Ok(Place::Cluster(builder.build()?))
    }

    pub(super) fn connect(&self) -> Result<Link, StoreError> {
        match self {
            Place::Single(client) => {
                let link = client.get_connection_with_timeout(CONNECT)?;
                link.set_read_timeout(Some(ANSWER))?;
                link.set_write_timeout(Some(ANSWER))?;
                Ok(Link::Single(Box::new(link)))
            }
            Place::Cluster(client) => Ok(Link::Cluster(Box::new(client.get_connection()?))),
        }
    }
}

impl Link {
    /// The answers to commands, in their order.
    pub(super) fn ask(&mut self, commands: Vec<Cmd>) -> Result<Vec<Value>, StoreError> {
        let mut answers = Vec::with_capacity(commands.len());
        let mut commands = commands.into_iter().peekable();
        while commands.peek().is_some() {
            let some = commands.by_ref().take(AT_ONCE);
            answers.append(&mut match self {
                Link::Single(link) => {
                    let mut pipe = redis::pipe();
                    some.for_each(|command| {
                        pipe.add_command(command);
                    });
                    pipe.query::<Vec<Value>>(link)?
                }
                Link::Cluster(link) => {
                    let mut pipe = redis::cluster::cluster_pipe();
                    some.for_each(|command| {
                        pipe.add_command(command);
                    });
                    pipe.query::<Vec<Value>>(link)?
                }
            });
        }
        Ok(answers)
    }

    /// The answer to one command.
    pub(super) fn ask_one<T: redis::FromRedisValue>(
        &mut self,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        Ok(match self {
            Link::Single(link) => command.query(link)?,
            Link::Cluster(link) => command.query(link)?,
        })
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> StoreError {
        StoreError::Unavailable(format!("redis: {error}"))
    }
}

/// What was answered, as the type that it has to be.
pub(super) fn read<T: redis::FromRedisValue>(value: Value) -> Result<T, StoreError> {
    redis::from_redis_value(value)
        .map_err(|error| StoreError::Refused(format!("redis answered something else: {error}")))
}
