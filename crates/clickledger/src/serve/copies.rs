//! The copies of other trackers' spools that are kept here, and the route that they come by.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use click_core::record::Header;
use click_engine::forward::{Copies, CopiesConfig, Remote};
use click_engine::kafka::KafkaSettings;
use click_engine::log::LogError;

use super::spool::SpoolPlace;
use crate::cli::data::DataDir;
use crate::cli::layout;
use crate::cluster;
use crate::config::Config;
use crate::http::copies;

/// How long another tracker is silent until a copy that the cluster has goes.
const SILENCE: Duration = Duration::from_secs(600);

/// Those of other trackers, if they may bring any. What is there is handed on in any case.
///
/// # Errors
/// If one cannot be opened, with its directory.
pub(super) fn keep(
    config: &Config,
    data: &DataDir,
    settings: &KafkaSettings,
    header: Header,
) -> Result<Option<(Arc<Copies>, Router)>> {
    let (token, dir) = (config.spool.copy_token.as_str(), data.spool_copies());
    if token.is_empty() && !dir.is_dir() {
        return Ok(None);
    }
    let segment_bytes = config.log.segment_bytes;
    let kept = CopiesConfig { dir, header, segment_bytes, silence: SILENCE };
    let (data, settings) = (data.clone(), settings.clone());
    let ways = move |part| way(&data, &settings, header, part);
    let copies = Copies::open(kept, Box::new(ways))?;
    let routes = match token {
        "" => Router::new(),
        token => copies::router(Arc::clone(&copies), token),
    };
    Ok(Some((copies, routes)))
}

/// To a part of the log that is known here, and how many partitions it has.
fn way(
    data: &DataDir,
    settings: &KafkaSettings,
    header: Header,
    part: u32,
) -> Result<(u32, Box<dyn Remote>), LogError> {
    let unknown =
        || LogError::copy(format!("this tracker has not heard of part {part} of the log yet"));
    let place = match part {
        0 => Some(SpoolPlace::beginning(settings, header)),
        part => {
            let known = layout::read(data).map_err(|error| LogError::copy(format!("{error:#}")))?;
            known.and_then(|layout| SpoolPlace::of(&layout, usize::try_from(part).ok()?))
        }
    };
    let SpoolPlace { topic, first, partitions, .. } = place.ok_or_else(unknown)?;
    Ok((partitions, cluster::remote(settings.clone(), header, topic, first)?))
}
