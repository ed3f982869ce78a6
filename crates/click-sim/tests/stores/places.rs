//! The stores: how each is opened, emptied, taken away and brought back.

use click_engine::store::{LedgerReader, LedgerStore, MemoryStore, SqliteReader, SqliteStore};
use click_engine::store::{StoreAddress, StoreError};
use std::path::Path;
use std::sync::Arc;

pub trait Place {
    fn name(&self) -> String;
    /// The store of this log and generation.
    fn open(&self, log_id: &str, generation: u16) -> Result<Box<dyn LedgerStore>, StoreError>;
    fn reader(&self) -> Arc<dyn LedgerReader>;
    /// Empty again, for any log.
    fn clear(&mut self);
    /// Whether a batch is written as a whole or not at all.
    fn is_atomic(&self) -> bool {
        true
    }
    /// Whether it knows logs and generations.
    fn has_owner(&self) -> bool {
        true
    }
    /// Whether rows of an older generation stay until the newer one has caught up.
    fn keeps_older(&self) -> bool {
        true
    }
    /// Makes it fail; false if it cannot be made to.
    fn take_away(&mut self, _turn: usize) -> bool {
        false
    }
    fn bring_back(&mut self, _turn: usize) {}

    fn store(&self) -> Box<dyn LedgerStore> {
        self.open("log", 1).unwrap()
    }
}

#[derive(Default)]
pub struct Memory(Option<MemoryStore>);

impl Place for Memory {
    fn name(&self) -> String {
        "memory".into()
    }

    fn open(&self, _: &str, _: u16) -> Result<Box<dyn LedgerStore>, StoreError> {
        Ok(Box::new(self.0.clone().unwrap()))
    }

    fn reader(&self) -> Arc<dyn LedgerReader> {
        Arc::new(self.0.clone().unwrap())
    }

    fn clear(&mut self) {
        self.0 = Some(MemoryStore::new(1));
    }

    fn has_owner(&self) -> bool {
        false
    }
}

pub struct Sqlite(tempfile::TempDir);

impl Sqlite {
    pub fn new() -> Sqlite {
        Sqlite(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("ledger.db")
    }
}

impl Place for Sqlite {
    fn name(&self) -> String {
        "sqlite".into()
    }

    fn open(&self, log_id: &str, generation: u16) -> Result<Box<dyn LedgerStore>, StoreError> {
        Ok(Box::new(SqliteStore::open(&self.path(), log_id, generation)?))
    }

    fn reader(&self) -> Arc<dyn LedgerReader> {
        Arc::new(SqliteReader::open(&self.path()).unwrap())
    }

    fn clear(&mut self) {
        *self = Sqlite::new();
    }

    fn keeps_older(&self) -> bool {
        false
    }
}

/// The store at a URL.
pub fn open_at(url: &str, log: &str, generation: u16) -> Result<Box<dyn LedgerStore>, StoreError> {
    url.parse::<StoreAddress>().unwrap().open(Path::new(""), log, generation)
}

pub fn reader_at(url: &str) -> Arc<dyn LedgerReader> {
    url.parse::<StoreAddress>().unwrap().reader(Path::new("")).unwrap()
}

#[cfg(feature = "redis")]
pub use redis::OnRedis;

#[cfg(feature = "redis")]
mod redis {
    use super::{LedgerReader, LedgerStore, Place, StoreError, open_at, reader_at};
    use click_sim::redis::Redis;
    use std::sync::Arc;

    pub struct OnRedis {
        pub servers: Redis,
        _dir: tempfile::TempDir,
    }

    impl OnRedis {
        pub fn single() -> Option<OnRedis> {
            let dir = tempfile::tempdir().unwrap();
            Some(OnRedis { servers: Redis::start(dir.path())?, _dir: dir })
        }

        pub fn cluster() -> Option<OnRedis> {
            let dir = tempfile::tempdir().unwrap();
            Some(OnRedis { servers: Redis::start_cluster(dir.path())?, _dir: dir })
        }
    }

    impl Place for OnRedis {
        fn name(&self) -> String {
            format!("redis of {}", self.servers.nodes())
        }

        fn open(&self, log_id: &str, generation: u16) -> Result<Box<dyn LedgerStore>, StoreError> {
            open_at(&self.servers.url(), log_id, generation)
        }

        fn reader(&self) -> Arc<dyn LedgerReader> {
            reader_at(&self.servers.url())
        }

        fn clear(&mut self) {
            for node in 0..self.servers.nodes() {
                self.servers.ask(node, "FLUSHALL");
            }
        }

        fn is_atomic(&self) -> bool {
            false
        }

        fn take_away(&mut self, turn: usize) -> bool {
            self.servers.kill(turn % self.servers.nodes());
            true
        }

        fn bring_back(&mut self, turn: usize) {
            self.servers.bring_back(turn % self.servers.nodes());
        }
    }
}

#[cfg(feature = "cassandra")]
pub use cassandra::OnCassandra;

#[cfg(feature = "cassandra")]
mod cassandra {
    use super::{LedgerReader, LedgerStore, Place, StoreError, open_at, reader_at};
    use click_engine::store::{CassandraStore, StoreAddress};
    use click_sim::cassandra::Cassandra;
    use std::sync::Arc;

    pub struct OnCassandra {
        pub node: Cassandra,
        keyspaces: u32,
        _dir: tempfile::TempDir,
    }

    impl OnCassandra {
        pub fn start() -> Option<OnCassandra> {
            let dir = tempfile::tempdir().unwrap();
            Some(OnCassandra { node: Cassandra::start(dir.path())?, keyspaces: 0, _dir: dir })
        }

        pub fn url(&self) -> String {
            self.node.url(&format!("ads{}", self.keyspaces))
        }
    }

    impl Place for OnCassandra {
        fn name(&self) -> String {
            "cassandra".into()
        }

        fn open(&self, log_id: &str, generation: u16) -> Result<Box<dyn LedgerStore>, StoreError> {
            open_at(&self.url(), log_id, generation)
        }

        fn reader(&self) -> Arc<dyn LedgerReader> {
            reader_at(&self.url())
        }

        fn clear(&mut self) {
            self.keyspaces += 1;
            let Ok(StoreAddress::Cassandra(address)) = self.url().parse() else { panic!() };
            CassandraStore::init(&address).unwrap();
        }

        fn is_atomic(&self) -> bool {
            false
        }

        fn take_away(&mut self, _: usize) -> bool {
            self.node.kill();
            true
        }

        fn bring_back(&mut self, _: usize) {
            self.node.bring_back();
        }
    }
}
