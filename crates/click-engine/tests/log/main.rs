//! The embedded log: what it promises, and that damage, crashes and failing disks do not break it.

mod basics;
mod support;
