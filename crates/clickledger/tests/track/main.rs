//! The tracker over real sockets and a real log in a temporary directory: every test ends by
//! reading the log, because an answer alone proves nothing.

mod batches;
mod clicks;
mod life;
mod requests;
mod short;
mod world;
