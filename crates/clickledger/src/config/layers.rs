//! The layers of configuration merged key by key, each key remembering who set it: defaults, then a
//! file, then `CLICKLEDGER_*` of the environment, then flags.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use click_engine::store::without_logins;
use toml::{Table, Value};

use super::DEFAULTS;

const PREFIX: &str = "CLICKLEDGER_";
/// Variables of that prefix which other commands and the tests read.
const NOT_A_KEY: &str = "CLICKLEDGER_EDGE_KEY";

/// The merged table.
#[derive(Clone, Debug)]
pub struct Layers {
    table: Table,
    origins: BTreeMap<String, String>,
}

impl Layers {
    /// The shipped defaults alone.
    ///
    /// # Errors
    /// None, unless the program was built from a broken file.
    pub fn defaults() -> Result<Layers> {
        let table = DEFAULTS.parse().context("default.toml")?;
        Ok(Layers { table, origins: BTreeMap::new() })
    }

    /// The merged values.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Who set a key.
    pub fn origin(&self, key: &str) -> &str {
        self.origins.get(key).map_or("default.toml", String::as_str)
    }

    /// Puts a file over what is there.
    ///
    /// # Errors
    /// If it cannot be read, is no TOML, or has a key or type that is not known.
    pub fn add_file(&mut self, path: &Path) -> Result<()> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        let table: Table = text.parse().with_context(|| format!("{name} is no TOML"))?;
        for (key, value) in flat(&table) {
            self.set(&key, value, &name)?;
        }
        Ok(())
    }

    /// Puts variables over what is there: `CLICKLEDGER_LISTEN`, `CLICKLEDGER_ENGINE__THREADS`.
    ///
    /// # Errors
    /// As [`add_file`](Self::add_file).
    pub fn add_environment(&mut self, vars: impl Iterator<Item = (String, String)>) -> Result<()> {
        for (name, text) in vars.filter(|(name, _)| name != NOT_A_KEY) {
            let Some(key) = name.strip_prefix(PREFIX) else { continue };
            let key = key.to_ascii_lowercase().replace("__", ".");
            self.set_text(&key, &text, &format!("environment variable {name}"))?;
        }
        Ok(())
    }

    /// Puts one value, given as text, over what is there.
    ///
    /// # Errors
    /// As [`add_file`](Self::add_file).
    pub fn set_text(&mut self, key: &str, text: &str, origin: &str) -> Result<()> {
        let value = match self.get(key) {
            Some(Value::Integer(_)) => text.parse().map(Value::Integer).ok(),
            Some(Value::Boolean(_)) => text.parse().map(Value::Boolean).ok(),
            Some(Value::Array(_)) => Some(Value::Array(list(text))),
            _ => Some(Value::String(text.to_owned())),
        };
        let value = value.unwrap_or_else(|| Value::String(text.to_owned()));
        self.set(key, value, origin)
    }

    fn set(&mut self, key: &str, value: Value, origin: &str) -> Result<()> {
        let known: Vec<_> = flat(&self.table).into_iter().map(|(key, _)| key).collect();
        let Some(slot) = self.get_mut(key) else {
            bail!("{origin}: unknown key '{key}'; known are {}", known.join(", "));
        };
        if slot.type_str() != value.type_str() {
            let (wanted, found) = (slot.type_str(), value.type_str());
            bail!("{origin}: key '{key}' wants {wanted}, found {found} {value}");
        }
        *slot = value;
        self.origins.insert(key.to_owned(), origin.to_owned());
        Ok(())
    }

    fn get(&self, key: &str) -> Option<&Value> {
        match key.split_once('.') {
            None => self.table.get(key),
            Some((section, name)) => self.table.get(section)?.get(name),
        }
        .filter(|value| !value.is_table())
    }

    fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        match key.split_once('.') {
            None => self.table.get_mut(key),
            Some((section, name)) => self.table.get_mut(section)?.get_mut(name),
        }
        .filter(|value| !value.is_table())
    }

    /// The effective configuration as a file, secrets hidden, each value with who set it.
    pub fn print(&self) -> String {
        let mut out = String::new();
        let mut section = "";
        let all = flat(&self.table);
        let (top, nested): (Vec<_>, Vec<_>) = all.iter().partition(|(key, _)| !key.contains('.'));
        for (key, value) in top.into_iter().chain(nested) {
            let (found, name) = key.split_once('.').unwrap_or(("", key));
            if found != section {
                section = found;
                out.push_str(&format!("\n[{section}]\n"));
            }
            out.push_str(&format!("{name} = {}  # {}\n", shown(key, value), self.origin(key)));
        }
        out
    }
}

/// Of these names are properties of librdkafka that hold one.
const SECRETS: [&str; 5] = ["password", "secret", "key.pem", "jaas", "oauthbearer"];

/// A value as it may be shown to anyone.
fn shown(key: &str, value: &Value) -> String {
    let hidden = "\"(hidden)\"".to_owned();
    let is_secret = |properties: &str| SECRETS.iter().any(|name| properties.contains(name));
    match (key, value) {
        ("access_token" | "spool.copy_token", Value::String(token)) if !token.is_empty() => hidden,
        ("kafka.properties", value) if is_secret(&value.to_string()) => hidden,
        ("store.url", Value::String(list)) => Value::String(without_logins(list)).to_string(),
        _ => value.to_string(),
    }
}

fn list(text: &str) -> Vec<Value> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(|item| Value::String(item.to_owned())).collect()
}

/// Every value with its dotted key, in order.
fn flat(table: &Table) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(section) => {
                let inner = section.iter();
                all.extend(inner.map(|(name, value)| (format!("{key}.{name}"), value.clone())));
            }
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_) => all.push((key.clone(), value.clone())),
        }
    }
    all
}
