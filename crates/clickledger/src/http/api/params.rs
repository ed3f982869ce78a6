//! Query parameters: each one is known, given once, and of the right form, or the answer says which
//! is not and what to write instead.

use super::error::ApiError;
use click_core::limits::MAX_TIME_MS;
use click_core::types::Millis;
use std::collections::BTreeMap;

/// A query's parameters.
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// Parameters whose names are all in `known`.
    pub fn new(pairs: Vec<(String, String)>, known: &[&str]) -> Result<Params, ApiError> {
        let mut params = BTreeMap::new();
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                let message = format!("there is no such parameter; known: {}", known.join(", "));
                return Err(ApiError::parameter(&name, message));
            }
            if params.insert(name.clone(), value).is_some() {
                return Err(ApiError::parameter(&name, "give it once".into()));
            }
        }
        Ok(Params(params))
    }

    /// The text of a parameter.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A time: RFC 3339 or milliseconds since 1970.
    pub fn time(&self, name: &str) -> Result<Option<Millis>, ApiError> {
        let bad = || {
            let message = "write a time as 2026-11-23T21:00:00Z or in milliseconds since 1970";
            ApiError::parameter(name, message.into())
        };
        let parse = |text: &str| {
            let ms = text.parse().ok().or_else(|| {
                let at: jiff::Timestamp = text.parse().ok()?;
                u64::try_from(at.as_millisecond()).ok()
            });
            ms.filter(|ms| *ms <= MAX_TIME_MS).map(Millis).ok_or_else(bad)
        };
        self.text(name).map(parse).transpose()
    }

    /// A whole number from 1 to `max`, or `default`.
    pub fn number(&self, name: &str, default: usize, max: usize) -> Result<usize, ApiError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (1..=max).contains(number));
        let message = || format!("write a whole number from 1 to {max}");
        number.ok_or_else(|| ApiError::parameter(name, message()))
    }

    /// One of the named choices; the first one is the default.
    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<T, ApiError> {
        let Some(text) = self.text(name) else { return Ok(choices[0].1) };
        let found = choices.iter().find(|(word, _)| *word == text);
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            ApiError::parameter(name, format!("write one of: {}", words.join(", ")))
        })
    }
}
