//! Everything that speaks HTTP: the tracker, the JSON API, live views and the page. The tracker is
//! built directly on hyper; the rest is a router that is given to [`track::serve`] as fallback.

pub mod api;
pub mod copies;
pub mod live;
pub mod metrics;
pub mod page;
pub mod track;
