//! API, stream and page over real sockets, with a real engine behind them.

mod access;
mod contract;
mod reports;
mod stream;
mod world;
