//! The embedded log: what it promises, and that damage, crashes and failing disks do not break it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod basics;
mod crash;
mod damage;
mod speed;
mod support;
mod twin;
