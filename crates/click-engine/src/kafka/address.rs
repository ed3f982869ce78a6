//! Which topic of which cluster, and how to speak to it.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

/// `kafka://HOST:PORT[,HOST:PORT...]/TOPIC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaAddress {
    /// Brokers to ask first, `HOST:PORT`, separated by commas.
    pub bootstrap: String,
    /// The topic of the clicks.
    pub topic: String,
}

/// Longest topic name, so that those beside it have room in Kafka's 249.
const MAX_TOPIC: usize = 200;

impl FromStr for KafkaAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shape = "write kafka://HOST:PORT,HOST:PORT/TOPIC";
        let rest = text.strip_prefix("kafka://").ok_or(shape)?;
        let (bootstrap, topic) = rest.split_once('/').ok_or(shape)?;
        for broker in bootstrap.split(',') {
            let port = broker.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none() {
                return Err(format!("'{broker}' is no HOST:PORT; {shape}"));
            }
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if topic.is_empty() || topic.len() > MAX_TOPIC || !topic.bytes().all(plain) {
            return Err(format!(
                "'{topic}' is no topic: 1 to {MAX_TOPIC} letters, digits, '.', '_' or '-'"
            ));
        }
        Ok(KafkaAddress { bootstrap: bootstrap.to_owned(), topic: topic.to_owned() })
    }
}

impl std::fmt::Display for KafkaAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "kafka://{}/{}", self.bootstrap, self.topic)
    }
}

#[cfg(feature = "kafka")]
impl KafkaAddress {
    /// The topic that says which log this is; it is kept for ever.
    pub(super) fn header_topic(&self) -> String {
        format!("{}.header", self.topic)
    }

    /// The topic of records that no click came of.
    pub(super) fn dead_topic(&self) -> String {
        format!("{}.dead", self.topic)
    }

    /// The topic of rows of a host that is not this program.
    pub(super) fn rows_topic(&self) -> String {
        format!("{}.rows", self.topic)
    }

    /// The topic of verdicts of such a host.
    pub(super) fn verdicts_topic(&self) -> String {
        format!("{}.verdicts", self.topic)
    }
}

/// How to speak to a cluster.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// Where it is.
    pub address: KafkaAddress,
    /// Properties of librdkafka, such as those of TLS and SASL.
    pub properties: BTreeMap<String, String>,
    /// Whether a topic may have one replica: its disk is then all there is.
    pub allow_single_replica: bool,
    /// Until a record counts as not delivered.
    pub delivery_timeout: Duration,
    /// How long the cluster has for an answer about itself.
    pub patience: Duration,
}

impl KafkaSettings {
    /// With the defaults.
    pub fn new(address: KafkaAddress) -> KafkaSettings {
        KafkaSettings {
            address,
            properties: BTreeMap::new(),
            allow_single_replica: false,
            delivery_timeout: Duration::from_secs(10),
            patience: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_brokers_and_a_topic() {
        let address: KafkaAddress = "kafka://a:9092,b.example:9093/clicks.v1".parse().unwrap();
        assert_eq!(address.bootstrap, "a:9092,b.example:9093");
        assert_eq!(address.topic, "clicks.v1");
        assert_eq!(address.to_string(), "kafka://a:9092,b.example:9093/clicks.v1");
        let long = format!("kafka://a:1/{}", "t".repeat(201));
        for bad in [
            "a:9092/clicks",
            "kafka://a:9092",
            "kafka:///clicks",
            "kafka://a/clicks",
            "kafka://a:x/clicks",
            "kafka://:1/clicks",
            "kafka://a:9092/",
            "kafka://a:9092/c/d",
            "kafka://a:9092,/clicks",
            "kafka://a:70000/clicks",
            &long,
        ] {
            assert!(bad.parse::<KafkaAddress>().is_err(), "{bad}");
        }
    }
}
