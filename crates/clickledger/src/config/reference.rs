//! The reference of all keys, made from the comments of `default.toml`, so that it cannot differ.

use super::DEFAULTS;

const HEAD: &str = "# Configuration\n\n\
    Every key with its default, made from `crates/clickledger/src/config/default.toml`; \
    do not edit.\n\n\
    `clickledger serve` takes, each over the one before: these defaults; the file named by \
    `--config`,\n\
    else `clickledger.toml` in the data directory if there is one; environment variables; flags.\n\
    Unknown keys and values of another type are refused before anything starts.\n\
    `clickledger serve --print-config` shows what is in force and who set it.\n";

/// `docs/configuration.md`.
pub fn reference() -> String {
    let mut out = String::from(HEAD);
    let (mut section, mut comment) = (String::new(), Vec::new());
    for line in DEFAULTS.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.trim());
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
            out.push_str(&format!("\n## [{name}]\n"));
        } else if let Some((name, value)) = line.split_once(" = ") {
            let key =
                if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
            let variable = key.replace('.', "__").to_uppercase();
            out.push_str(&format!("\n### `{key}`\n\n{}\n\n", comment.join("\n")));
            out.push_str(&format!("Default `{value}`, variable `CLICKLEDGER_{variable}`.\n"));
            comment.clear();
        }
    }
    out
}
