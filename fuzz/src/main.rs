//! One binary for all targets: `CLICKTEST_TARGET` names the one that libFuzzer's inputs go to.
#![no_main]

use std::sync::OnceLock;

use click_sim::fuzz::{TARGETS, Target};

static TARGET: OnceLock<&Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    (TARGET.get_or_init(target).check)(bytes);
});

/// The fuzzer's own hook ends the process at every panic, also one that the program catches, as it
/// does those of the parquet crate. What is not caught ends it still.
fn target() -> &'static Target {
    std::panic::set_hook(Box::new(|_| {}));
    let name = std::env::var("CLICKTEST_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|target| target.name == name);
    found.unwrap_or_else(|| {
        eprintln!("CLICKTEST_TARGET={name:?} names no target");
        std::process::exit(2)
    })
}
