//! stub
use super::*;
/// stub
pub struct CassandraStore;
/// stub
pub struct CassandraReader;
impl CassandraStore {
    /// stub
    pub fn open(_: &CassandraAddress, _: &str, _: u16) -> Result<MemoryStore, StoreError> {
        Err(StoreError::Refused(String::new()))
    }
}
impl CassandraReader {
    /// stub
    pub fn open(_: &CassandraAddress) -> Result<MemoryStore, StoreError> {
        Err(StoreError::Refused(String::new()))
    }
}
