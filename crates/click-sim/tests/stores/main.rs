//! What every store must do, and goes on doing when answers get lost, on each store there is: in
//! memory, SQLite, and real Redis and Cassandra servers that the test starts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]
#![expect(clippy::print_stdout, reason = "a test says what it saw")]

mod checks;
mod faults;
mod places;
mod rows;

use places::Place;

/// Each check begins with an empty store.
fn run_all(mut place: impl Place) {
    let checks = checks::ALL.iter().chain(faults::ALL);
    for (name, check) in checks {
        place.clear();
        let begun = std::time::Instant::now();
        check(&mut place);
        println!("{}: {name} ({:?})", place.name(), begun.elapsed());
    }
}

#[test]
fn memory() {
    run_all(places::Memory::default());
}

#[test]
fn sqlite() {
    run_all(places::Sqlite::new());
}

#[cfg(feature = "redis")]
#[test]
fn redis() {
    let Some(place) = places::OnRedis::single() else { return };
    run_all(place);
}

#[cfg(feature = "redis")]
#[test]
fn redis_cluster() {
    let Some(place) = places::OnRedis::cluster() else { return };
    run_all(place);
}

#[cfg(feature = "redis")]
#[test]
fn redis_that_fell_back_is_noticed() {
    let Some(place) = places::OnRedis::single() else { return };
    faults::fell_back(place);
}

#[cfg(feature = "cassandra")]
#[test]
fn cassandra() {
    let Some(place) = places::OnCassandra::start() else { return };
    run_all(place);
}
