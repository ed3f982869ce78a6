//! A session with a cluster, and the small runtime that it needs: async ends here.

use super::super::{CassandraAddress, Consistency, StoreError};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::Statement;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlValue, Row};
use std::future::Future;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Until a node counts as not there.
const CONNECT: Duration = Duration::from_secs(5);
/// Until an answer counts as not coming: the outcome is unknown then.
const ANSWER: Duration = Duration::from_secs(10);
/// The same of a change of the schema.
const SCHEMA: Duration = Duration::from_secs(60);

pub(super) struct Link {
    /// `None` only while it is being dropped.
    runtime: Option<Runtime>,
    session: Session,
    pub(super) address: CassandraAddress,
}

impl Link {
    pub(super) fn connect(address: &CassandraAddress) -> Result<Link, StoreError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .thread_name("cassandra")
            .build()
            .map_err(|error| StoreError::Unavailable(format!("threads: {error}")))?;
        let profile = ExecutionProfile::builder()
            .request_timeout(Some(ANSWER))
            .consistency(consistency(address.consistency))
            .build();
        let mut builder = SessionBuilder::new()
            .known_nodes(&address.nodes)
            .connection_timeout(CONNECT)
            .default_execution_profile_handle(profile.into_handle())
            .fetch_schema_metadata(false);
        if let Some((user, password)) = &address.login {
            builder = builder.user(user, password);
        }
        if let Some(dc) = &address.local_dc {
            builder = builder.prefer_datacenter(dc.clone());
        }
        let session = runtime.block_on(builder.build()).map_err(|error| unavailable(&error))?;
        Ok(Link { runtime: Some(runtime), session, address: address.clone() })
    }

    /// Waits for what is asked, on the caller's thread.
    pub(super) fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(work),
            None => Err(StoreError::Unavailable("closed".into())),
        }
    }

    pub(super) async fn prepare(&self, cql: &str) -> Result<PreparedStatement, StoreError> {
        let statement = Statement::new(cql);
        let mut prepared =
            self.session.prepare(statement).await.map_err(|error| unavailable(&error))?;
        // Versions make all of them so.
        prepared.set_is_idempotent(true);
        Ok(prepared)
    }

    pub(super) async fn run(
        &self,
        statement: &PreparedStatement,
        values: &[CqlValue],
    ) -> Result<(), StoreError> {
        let done = self.session.execute_unpaged(statement, values).await;
        done.map(drop).map_err(|error| unavailable(&error))
    }

    pub(super) async fn rows(
        &self,
        statement: &PreparedStatement,
        values: &[CqlValue],
    ) -> Result<Vec<Row>, StoreError> {
        let done = self.session.execute_unpaged(statement, values).await;
        let done = done.map_err(|error| unavailable(&error))?;
        let rows = done.into_rows_result().map_err(|error| strange(&error))?;
        let rows = rows.rows::<Row>().map_err(|error| strange(&error))?;
        rows.collect::<Result<_, _>>().map_err(|error| strange(&error))
    }

    /// One statement that is not worth preparing.
    pub(super) async fn say(&self, cql: &str, values: &[CqlValue]) -> Result<(), StoreError> {
        let done = self.session.query_unpaged(cql, values).await;
        done.map(drop).map_err(|error| unavailable(&error))
    }

    /// A change of the schema, on which all nodes have to agree.
    pub(super) async fn change(&self, cql: &str) -> Result<(), StoreError> {
        let mut statement = Statement::new(cql);
        statement.set_request_timeout(Some(SCHEMA));
        let done = self.session.query_unpaged(statement, &[]).await;
        done.map(drop).map_err(|error| unavailable(&error))
    }

    /// The answer to one statement that is not worth preparing.
    pub(super) async fn ask(&self, cql: &str, values: &[CqlValue]) -> Result<Vec<Row>, StoreError> {
        let done = self.session.query_unpaged(cql, values).await;
        let done = done.map_err(|error| unavailable(&error))?;
        let rows = done.into_rows_result().map_err(|error| strange(&error))?;
        let rows = rows.rows::<Row>().map_err(|error| strange(&error))?;
        rows.collect::<Result<_, _>>().map_err(|error| strange(&error))
    }
}

/// A runtime must not be dropped where one runs; this one may be.
impl Drop for Link {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn consistency(of: Consistency) -> scylla::statement::Consistency {
    match of {
        Consistency::One => scylla::statement::Consistency::One,
        Consistency::LocalQuorum => scylla::statement::Consistency::LocalQuorum,
        Consistency::Quorum => scylla::statement::Consistency::Quorum,
    }
}

fn unavailable(error: &dyn std::error::Error) -> StoreError {
    StoreError::Unavailable(format!("cassandra: {error}"))
}

fn strange(error: &dyn std::error::Error) -> StoreError {
    StoreError::Refused(format!("cassandra answered something else: {error}"))
}
