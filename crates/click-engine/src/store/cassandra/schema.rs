//! Tables and what they say of themselves. Rows of each generation are in tables of their own: an
//! older one is dropped as a whole, so that nothing is ever deleted row by row.
//!
//! | table | key | what |
//! |---|---|---|
//! | `ledger` | name | `schema`, `log_id`, `newest` and `serving` generation |
//! | `marks` | generation | all rows changed before this are here |
//! | `ad_minutes_G` | (ad, day), minute, ... | rows by ad |
//! | `publisher_minutes_G` | (publisher, day), minute, ... | rows by publisher |
//! | `hours_G` | kind, hour | hours that have rows |
//! | `ads_by_hour_G`, `publishers_by_hour_G` | (hour, bucket), owner | whose rows an hour has |

use super::super::{CassandraAddress, StoreError, View};
use super::columns;
use super::link::Link;
use click_core::types::Millis;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlValue;

const SCHEMA: i64 = 1;

/// What is asked again and again, of one generation.
pub(super) struct Statements {
    views: [OfView; 2],
    pub(super) put_hour: PreparedStatement,
    pub(super) hours: PreparedStatement,
}

pub(super) struct OfView {
    pub(super) put: PreparedStatement,
    pub(super) get: PreparedStatement,
    pub(super) range: PreparedStatement,
    pub(super) list: PreparedStatement,
    pub(super) owners: PreparedStatement,
}

impl Statements {
    pub(super) async fn prepare(link: &Link, generation: u16) -> Result<Statements, StoreError> {
        let (k, g) = (&link.address.keyspace, generation);
        Ok(Statements {
            views: [
                OfView::prepare(link, generation, View::Ad).await?,
                OfView::prepare(link, generation, View::Publisher).await?,
            ],
            put_hour: link
                .prepare(&format!("INSERT INTO {k}.hours_{g} (kind, hour) VALUES (?, ?)"))
                .await?,
            hours: link
                .prepare(&format!(
                    "SELECT hour FROM {k}.hours_{g} WHERE kind=? AND hour>=? AND hour<?"
                ))
                .await?,
        })
    }

    pub(super) const fn of(&self, view: View) -> &OfView {
        &self.views[view as usize]
    }
}

impl OfView {
    async fn prepare(link: &Link, generation: u16, view: View) -> Result<OfView, StoreError> {
        let (k, names, g) = (&link.address.keyspace, columns::Names::of(view), generation);
        let (table, owner, owners) = (names.table, names.keys[0], names.owners);
        let keys: Vec<String> = names.keys.iter().map(|key| format!("{key}=?")).collect();
        let all = columns::all(view);
        let marks = vec!["?"; all.len()].join(",");
        let (all, keys) = (all.join(","), keys.join(" AND "));
        let list = format!("INSERT INTO {k}.{owners}_{g} (hour, bucket, {owner}) VALUES (?,?,?)");
        let owners = format!("SELECT {owner} FROM {k}.{owners}_{g} WHERE hour=? AND bucket=?");
        let range = format!(
            "SELECT {all} FROM {k}.{table}_{g} WHERE {owner}=? AND day=? AND minute>=? AND minute<?"
        );
        let put = format!("INSERT INTO {k}.{table}_{g} ({all}) VALUES ({marks}) USING TIMESTAMP ?");
        let get = format!("SELECT {all} FROM {k}.{table}_{g} WHERE {keys}");
        Ok(OfView {
            put: link.prepare(&put).await?,
            get: link.prepare(&get).await?,
            range: link.prepare(&range).await?,
            list: link.prepare(&list).await?,
            owners: link.prepare(&owners).await?,
        })
    }
}

/// Makes keyspace and tables; what was done, a line each.
pub(super) fn init(address: &CassandraAddress) -> Result<Vec<String>, StoreError> {
    let link = Link::connect(address)?;
    let keyspace = &address.keyspace;
    link.wait(async {
        let known = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name=?";
        let found = link.ask(known, &[CqlValue::Text(keyspace.clone())]).await?;
        let mut done = Vec::new();
        if found.is_empty() {
            let replication = replication(address)?;
            let make = format!("CREATE KEYSPACE {keyspace} WITH replication = {replication}");
            link.change(&make).await?;
            done.push(format!("keyspace {keyspace} made with {replication}"));
        } else {
            done.push(format!("keyspace {keyspace} is there; its replication is left as it is"));
        }
        let ledger = format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.ledger (name text PRIMARY KEY, value text)"
        );
        link.change(&ledger).await?;
        let marks = format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.marks (generation int PRIMARY KEY, mark bigint)"
        );
        link.change(&marks).await?;
        let found = number(&link, "schema").await?.unwrap_or(0);
        if found > SCHEMA {
            return Err(newer_schema(found));
        }
        put_number(&link, "schema", SCHEMA).await?;
        done.push(format!("schema {SCHEMA}"));
        Ok(done)
    })
}

fn replication(address: &CassandraAddress) -> Result<String, StoreError> {
    if address.replication.is_empty() {
        return Err(StoreError::Refused(
            "a new keyspace needs copies per data centre: add ?replication=DATACENTRE:3 to the URL"
                .into(),
        ));
    }
    let parts: Vec<String> =
        address.replication.iter().map(|(dc, copies)| format!("'{dc}': {copies}")).collect();
    Ok(format!("{{'class': 'NetworkTopologyStrategy', {}}}", parts.join(", ")))
}

/// Makes the keyspace this log's, or refuses; older generations that are there.
pub(super) async fn adopt(
    link: &Link,
    log_id: &str,
    generation: u16,
) -> Result<Vec<u16>, StoreError> {
    let keyspace = &link.address.keyspace;
    let schema = number(link, "schema").await.map_err(|error| no_keyspace(keyspace, error))?;
    match schema {
        Some(SCHEMA) => {}
        Some(found) if found > SCHEMA => return Err(newer_schema(found)),
        Some(_) | None => {
            return Err(StoreError::Refused(format!(
                "keyspace {keyspace} has no tables yet: run `clickledger store init`"
            )));
        }
    }
    if text(link, "log_id").await?.is_none() {
        // Decided among all that try at the same time.
        let claim =
            format!("INSERT INTO {keyspace}.ledger (name, value) VALUES (?, ?) IF NOT EXISTS");
        link.say(&claim, &[word("log_id"), word(log_id)]).await?;
    }
    let found = text(link, "log_id").await?.unwrap_or_default();
    if found != log_id {
        return Err(StoreError::OtherLog { found, expected: log_id.into() });
    }
    let newest = number(link, "newest").await?;
    if newest > Some(i64::from(generation)) {
        return Err(newer(newest.unwrap_or_default(), generation));
    }
    if newest != Some(i64::from(generation)) {
        make_tables(link, generation).await?;
        put_mark(link, generation, Millis(0)).await?;
        put_number(link, "newest", i64::from(generation)).await?;
    }
    let older: Vec<u16> = generations(link).await?;
    let older: Vec<u16> = older.into_iter().filter(|found| *found < generation).collect();
    if number(link, "serving").await?.is_none() {
        serve(link, generation).await?;
    }
    Ok(older)
}

fn no_keyspace(keyspace: &str, error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(why)
            if why.contains("does not exist") || why.contains("unconfigured table") =>
        {
            StoreError::Refused(format!(
                "keyspace {keyspace} has no tables yet: run `clickledger store init` ({why})"
            ))
        }
        other @ (StoreError::Unavailable(_)
        | StoreError::Conflict { .. }
        | StoreError::OtherLog { .. }
        | StoreError::Lost { .. }
        | StoreError::Refused(_)) => other,
    }
}

fn newer_schema(found: i64) -> StoreError {
    StoreError::Refused(format!(
        "the store has schema {found}, this program knows {SCHEMA}: upgrade it"
    ))
}

pub(super) fn newer(found: i64, generation: u16) -> StoreError {
    StoreError::Refused(format!(
        "the store serves generation {found}, this log is generation {generation}"
    ))
}

async fn make_tables(link: &Link, generation: u16) -> Result<(), StoreError> {
    let (k, g) = (&link.address.keyspace, generation);
    let ttl = u64::from(link.address.ttl_days) * 86_400;
    // Versions are milliseconds: what was changed in a day is compacted together.
    let options = format!(
        "default_time_to_live = {ttl} AND compaction = {{'class': 'TimeWindowCompactionStrategy', \
         'timestamp_resolution': 'MILLISECONDS', 'compaction_window_unit': 'DAYS', \
         'compaction_window_size': 1}}"
    );
    for view in [View::Ad, View::Publisher] {
        let names = columns::Names::of(view);
        let (table, owners, owner) = (names.table, names.owners, names.keys[0]);
        let (definitions, clustering) = (columns::definitions(view), names.clustering());
        let rows = format!(
            "CREATE TABLE IF NOT EXISTS {k}.{table}_{g} ({definitions}, \
             PRIMARY KEY (({owner}, day), {clustering})) WITH {options}"
        );
        link.change(&rows).await?;
        let list = format!(
            "CREATE TABLE IF NOT EXISTS {k}.{owners}_{g} (hour bigint, bucket int, {owner} text, \
             PRIMARY KEY ((hour, bucket), {owner})) WITH default_time_to_live = {ttl}"
        );
        link.change(&list).await?;
    }
    let hours = format!(
        "CREATE TABLE IF NOT EXISTS {k}.hours_{g} (kind text, hour bigint, \
         PRIMARY KEY (kind, hour)) WITH default_time_to_live = {ttl}"
    );
    link.change(&hours).await
}

pub(super) async fn drop_tables(link: &Link, generation: u16) -> Result<(), StoreError> {
    let (k, g) = (&link.address.keyspace, generation);
    for view in [View::Ad, View::Publisher] {
        let names = columns::Names::of(view);
        for table in [names.table, names.owners] {
            link.change(&format!("DROP TABLE IF EXISTS {k}.{table}_{g}")).await?;
        }
    }
    link.change(&format!("DROP TABLE IF EXISTS {k}.hours_{g}")).await?;
    link.say(&format!("DELETE FROM {k}.marks WHERE generation = {g}"), &[]).await
}

async fn generations(link: &Link) -> Result<Vec<u16>, StoreError> {
    let all = format!("SELECT generation FROM {}.marks", link.address.keyspace);
    let rows = link.ask(&all, &[]).await?;
    let of = |row: scylla::value::Row| match row.columns.first() {
        Some(Some(CqlValue::Int(generation))) => u16::try_from(*generation).ok(),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(of).collect())
}

fn word(text: &str) -> CqlValue {
    CqlValue::Text(text.to_owned())
}

async fn text(link: &Link, name: &str) -> Result<Option<String>, StoreError> {
    let get = format!("SELECT value FROM {}.ledger WHERE name=?", link.address.keyspace);
    let rows = link.ask(&get, &[word(name)]).await?;
    Ok(match rows.into_iter().next().and_then(|row| row.columns.into_iter().next()) {
        Some(Some(CqlValue::Text(found))) => Some(found),
        _ => None,
    })
}

/// A number that the store keeps of itself.
pub(super) async fn number(link: &Link, name: &str) -> Result<Option<i64>, StoreError> {
    Ok(text(link, name).await?.and_then(|text| text.parse().ok()))
}

/// Never lowers one.
async fn put_number(link: &Link, name: &str, value: i64) -> Result<(), StoreError> {
    let keyspace = &link.address.keyspace;
    let put = format!(
        "INSERT INTO {keyspace}.ledger (name, value) VALUES (?, ?) USING TIMESTAMP {value}"
    );
    link.say(&put, &[word(name), word(&value.to_string())]).await
}

/// Readers read this generation from now on.
pub(super) async fn serve(link: &Link, generation: u16) -> Result<(), StoreError> {
    put_number(link, "serving", i64::from(generation)).await
}

/// The mark is its own timestamp: a lower one changes nothing.
pub(super) async fn put_mark(link: &Link, generation: u16, mark: Millis) -> Result<(), StoreError> {
    let at = i64::try_from(mark.0)
        .map_err(|_| StoreError::Refused(format!("mark {} is beyond time", mark.0)))?;
    let put = format!(
        "INSERT INTO {}.marks (generation, mark) VALUES ({generation}, {at}) USING TIMESTAMP {at}",
        link.address.keyspace
    );
    link.say(&put, &[]).await
}

pub(super) async fn mark(link: &Link, generation: u16) -> Result<Millis, StoreError> {
    let keyspace = &link.address.keyspace;
    let get = format!("SELECT mark FROM {keyspace}.marks WHERE generation = {generation}");
    let rows = link.ask(&get, &[]).await?;
    Ok(match rows.into_iter().next().and_then(|row| row.columns.into_iter().next()) {
        Some(Some(CqlValue::BigInt(mark))) => Millis(u64::try_from(mark).unwrap_or(0)),
        _ => Millis(0),
    })
}
