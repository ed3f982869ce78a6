//! The tracker's spools, one for each part of the log, the thread that learns of new parts, and the
//! copies that are kept for other trackers.
//!
//! A record stays in the spool of the part it was made for; new clicks go to the newest part that
//! the tracker knows of. Must never forget a part that it has sent clicks to: the layout is on disk
//! before the spool of a part is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use axum::Router;
use click_core::record::{Header, Layout};
use click_engine::forward::{Copies, ForwardStatus};
use click_engine::kafka::KafkaSettings;
use click_engine::log::EventLog;

use super::copies;
use super::spool::{Spool, SpoolPlace};
use crate::cli::data::DataDir;
use crate::cli::layout;
use crate::cluster;
use crate::config::Config;
use crate::http::api::SpoolFacts;
use crate::http::track::Tracker;

/// Time between two attempts to ask a cluster that does not answer.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// How often a waiting thread looks whether it is to stop.
const NAP: Duration = Duration::from_millis(50);

/// Running spools.
pub(super) struct Spools {
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    watch: Option<JoinHandle<()>>,
    routes: Router,
}

struct Shared {
    config: Config,
    data: DataDir,
    settings: KafkaSettings,
    header: Header,
    spools: Mutex<Vec<Spool>>,
    copies: Option<Arc<Copies>>,
}

impl Spools {
    /// Opens those of all parts that are known.
    ///
    /// # Errors
    /// If one cannot be opened, or is another log's.
    pub(super) fn start(
        config: &Config,
        data: &DataDir,
        settings: &KafkaSettings,
        header: Header,
        layout: Option<&Layout>,
    ) -> Result<Spools> {
        if let Some(layout) = layout {
            // Copies of all its parts may be here.
            layout::write(data, layout)?;
        }
        let (copies, routes) = copies::keep(config, data, settings, header)?.unzip();
        let (config, data, settings) = (config.clone(), data.clone(), settings.clone());
        let shared = Shared { config, data, settings, header, spools: Mutex::default(), copies };
        shared.open(SpoolPlace::beginning(&shared.settings, header))?;
        if let Some(layout) = layout {
            shared.open_parts(layout)?;
        }
        let (shared, stop) = (Arc::new(shared), Arc::default());
        Ok(Spools { shared, stop, watch: None, routes: routes.unwrap_or_default() })
    }

    /// The logs that the tracker appends to, by part.
    pub(super) fn logs(&self) -> Vec<Arc<dyn EventLog>> {
        self.shared.lock().iter().map(Spool::log).collect()
    }

    /// Says how they are doing together, whenever asked.
    pub(super) fn facts(&self) -> SpoolFacts {
        let shared = Arc::clone(&self.shared);
        Arc::new(move || {
            let own = together(shared.lock().iter().map(Spool::status));
            (own, shared.copies.as_ref().map(|copies| copies.status()))
        })
    }

    /// Where other trackers hand copies over; nothing if none are taken.
    pub(super) fn routes(&self) -> Router {
        self.routes.clone()
    }

    /// Has the tracker send new clicks to each part that comes, from when it is known here.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(super) fn watch(&mut self, tracker: Arc<Tracker>) -> Result<()> {
        let (shared, stop) = (Arc::clone(&self.shared), Arc::clone(&self.stop));
        let thread = std::thread::Builder::new().name("layouts".into());
        self.watch = Some(thread.spawn(move || shared.watch(&tracker, &stop))?);
        Ok(())
    }

    /// Hands on what it can soon. To be called when nothing is appended any more.
    ///
    /// # Errors
    /// Why a spool had failed, if one had.
    pub(super) fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(watch) = self.watch {
            watch.join().map_err(|_| anyhow!("the thread that watches layouts panicked"))?;
        }
        let spools = std::mem::take(&mut *self.shared.lock());
        spools.iter().for_each(Spool::begin_stop);
        let handed_on = spools.into_iter().map(Spool::stop).fold(Ok(()), Result::and);
        let copies = self.shared.copies.as_ref().map_or(Ok(()), |copies| copies.stop());
        handed_on.and(copies.map_err(Into::into))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Spool>> {
        self.spools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, place: SpoolPlace) -> Result<Arc<dyn EventLog>> {
        let Shared { config, data, settings, header, .. } = self;
        let spool = Spool::start(config, data, settings, *header, place, self.copies.as_deref())?;
        let log = spool.log();
        self.lock().push(spool);
        Ok(log)
    }

    /// Remembers the parts that are new here and opens their spools; returns their logs.
    fn open_new(&self, layout: &Layout) -> Result<Vec<Arc<dyn EventLog>>> {
        if layout.parts.len() <= self.lock().len() {
            return Ok(Vec::new());
        }
        layout::write(&self.data, layout)?;
        self.open_parts(layout)
    }

    /// Opens the spools of parts that have none; the layout is on disk. Returns their logs.
    fn open_parts(&self, layout: &Layout) -> Result<Vec<Arc<dyn EventLog>>> {
        let known = self.lock().len();
        let places = (known..).map_while(|number| SpoolPlace::of(layout, number));
        places.map(|place| self.open(place)).collect()
    }

    fn watch(&self, tracker: &Tracker, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let mut problem = None;
            let followed = cluster::follow_layouts(&self.settings, &mut |layout| {
                match layout.map_or(Ok(Vec::new()), |layout| self.open_new(layout)) {
                    Ok(logs) => logs.into_iter().for_each(|log| tracker.add_part(log)),
                    Err(error) => problem = Some(error.context("a new part of the log")),
                }
                problem.is_none() && !stop.load(Ordering::Relaxed)
            });
            match followed.context("layouts of the log") {
                Ok(()) => {}
                Err(error) => tracing::debug!("{error:#}"),
            }
            if let Some(error) = problem {
                tracing::error!("new clicks go on to the part before: {error:#}");
            }
            nap(ASK_AGAIN, stop);
        }
    }
}

fn nap(time: Duration, stop: &AtomicBool) {
    let until = Instant::now() + time;
    while Instant::now() < until && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(NAP);
    }
}

/// All of them as one.
fn together(all: impl Iterator<Item = ForwardStatus>) -> ForwardStatus {
    all.reduce(|sum, one| ForwardStatus {
        at_risk: sum.at_risk + one.at_risk,
        spooled: sum.spooled + one.spooled,
        restarts: sum.restarts + one.restarts,
        // The newest part is the one that is written to.
        clock_difference_ms: one.clock_difference_ms,
        problem: sum.problem.or(one.problem),
        behind: sum.behind + one.behind,
        copy_problem: sum.copy_problem.or(one.copy_problem),
    })
    .unwrap_or_default()
}
