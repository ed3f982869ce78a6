//! Everything that speaks HTTP. The tracker is built directly on hyper; the rest is a fallback
//! handler that is given to [`track::serve`].

pub mod track;
