//! The rules that decide verdicts, a file each (SPEC §4). Pure functions of facts and thresholds.

pub mod double_click;
pub mod duplicate;
pub mod method;
pub mod purpose;
pub mod validity;
