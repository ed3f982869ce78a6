//! A request or batch item that is no click: status, stable code, and what to fix.

use click_core::link::LinkError;
use serde::Serialize;
use std::borrow::Cow;

/// The answer to something that cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    #[serde(skip)]
    pub status: u16,
    #[serde(rename = "error")]
    pub code: &'static str,
    pub message: Cow<'static, str>,
}

impl Refusal {
    pub fn new(status: u16, code: &'static str, message: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { status, code, message: message.into() }
    }

    /// As JSON. The fields are plain text, so that this cannot fail.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl From<LinkError> for Refusal {
    fn from(error: LinkError) -> Refusal {
        Refusal::new(error.http_status(), error.code(), error.to_string())
    }
}
