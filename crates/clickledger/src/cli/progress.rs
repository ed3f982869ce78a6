//! Progress bars on standard error, drawn only for a person and only after a second.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const BYTES: &str = "{msg:10} {bar:40} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}";
const ITEMS: &str = "{msg:10} {bar:40} {human_pos}/{human_len} {per_sec} eta {eta}";

/// A bar of bytes or of items.
pub fn bar(message: &str, total: u64, bytes: bool) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
    let template = if bytes { BYTES } else { ITEMS };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(message.to_owned());
    bar
}

/// Something that takes an unknown time.
pub fn spinner(message: &str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    spinner.set_message(message.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(200));
    spinner
}
