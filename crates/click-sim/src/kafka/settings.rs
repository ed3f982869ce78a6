//! Where brokers listen and what they are told: an operator's choices for short pauses, and small
//! sizes, since all of them share one machine with the tests.

use std::path::Path;

use super::secure::Secure;
use crate::servers::free_port;

/// The addresses of one broker, which is a controller as well.
#[derive(Clone)]
pub(super) struct Site {
    host: String,
    broker_port: u16,
    controller_port: u16,
    /// Where it speaks TLS as well, if it does.
    pub(super) secure: Option<Secure>,
    /// The network namespace that it is in, if not that of the test.
    pub(super) network: Option<String>,
}

impl Site {
    pub(super) fn broker(&self) -> String {
        format!("{}:{}", self.host, self.broker_port)
    }

    pub(super) fn controller(&self) -> String {
        format!("{}:{}", self.host, self.controller_port)
    }
}

/// Two free ports on each host, no two the same.
pub(super) fn sites(hosts: &[&str]) -> Vec<Site> {
    let mut taken = Vec::new();
    let mut port = |host: &str| {
        let listener = free_port(host);
        let port = listener.local_addr().expect("a bound port").port();
        // Held until all are found.
        taken.push(listener);
        port
    };
    let mut site = |host: &&str| Site {
        host: (*host).to_owned(),
        broker_port: port(host),
        controller_port: port(host),
        secure: None,
        network: None,
    };
    hosts.iter().map(&mut site).collect()
}

/// One broker that lets a user in over TLS, too; certificates are made in `dir`.
pub(super) fn secure_site(dir: &Path, user: &str, password: &str) -> Site {
    // The second one's port is free as well.
    let mut found = sites(&["127.0.0.1"; 2]);
    let port = found.remove(1).broker_port;
    Site { secure: Some(Secure::new(dir, port, user, password)), ..found.remove(0) }
}

/// One in each network namespace, at its address there; all ports of those are free.
pub(super) fn sites_in(networks: &[(String, String)]) -> Vec<Site> {
    let site = |(network, host): &(String, String)| Site {
        host: host.clone(),
        broker_port: 9092,
        controller_port: 9093,
        secure: None,
        network: Some(network.clone()),
    };
    networks.iter().map(site).collect()
}

/// A small heap; one thread collects, and code is compiled quickly rather than well: a start takes
/// 1.8 s of a processor where Java's defaults take 3.1, and 1.0 with the classes that the set-up
/// has saved.
pub(super) const JVM: [&str; 5] =
    ["-Xms64m", "-Xmx384m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// All to standard output, which is the broker's log.
pub(super) const LOGGING: &str = "\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.target = SYSTEM_OUT
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c{1} %m%n
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
";

/// The settings file of the broker `index`.
pub(super) fn properties(sites: &[Site], index: usize, data: &Path) -> String {
    let voters: Vec<String> =
        (1..).zip(sites).map(|(id, site)| format!("{id}@{}", site.controller())).collect();
    let (copies, least) = if sites.len() == 1 { (1, 1) } else { (3, 2) };
    let (id, voters, data) = (index + 1, voters.join(","), data.display());
    let (broker, controller) = (sites[index].broker(), sites[index].controller());
    format!(
        "process.roles=broker,controller
node.id={id}
broker.rack=dc{id}
controller.quorum.voters={voters}
listeners=PLAINTEXT://{broker},CONTROLLER://{controller}
advertised.listeners=PLAINTEXT://{broker}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
default.replication.factor={copies}
min.insync.replicas={least}
offsets.topic.replication.factor={copies}
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={least}
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={least}
{SHORT_PAUSES}{SMALL}{SAFE}{}",
        sites[index]
            .secure
            .as_ref()
            .map(|secure| secure.properties(&sites[index]))
            .unwrap_or_default()
    )
}

/// A dead or frozen leader is replaced in 2 to 3 s where Kafka's own values take 10: brokers tell
/// every 0.3 s that they live, and one that has not for 1.5 s loses what it leads. If it was the
/// active controller too, the others miss it after 1 s (their requests to it may last half of
/// that), vote, and the new one allows each broker another 1.5 s. Shorter, and the pauses of a
/// busy machine of two processors would look like deaths. A follower that lives and lags leaves
/// the in-sync replicas after 2 s, and holds up writers that wait for all of them no longer.
const SHORT_PAUSES: &str = "\
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=1500
controller.quorum.fetch.timeout.ms=1000
controller.quorum.election.timeout.ms=500
controller.quorum.election.backoff.max.ms=300
controller.quorum.request.timeout.ms=1000
replica.lag.time.max.ms=2000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
";

/// The cleaner alone would take 128 MiB of heap.
const SMALL: &str = "\
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=4
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=4
";

/// What two have is never given up for what one has, and a misspelt topic is an error.
const SAFE: &str = "\
unclean.leader.election.enable=false
auto.create.topics.enable=false
replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector
";
