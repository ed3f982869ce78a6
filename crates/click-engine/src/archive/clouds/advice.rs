//! What a store's refusal means, and what a person can do about it.

use std::error::Error as _;

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};

use crate::archive::location::Cloud;

/// How the cloud's variables of the environment begin.
pub(super) fn variables(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::S3 => "AWS_",
        Cloud::Google => "GOOGLE_",
        Cloud::Azure => "AZURE_",
    }
}

/// The variables that most need.
pub(super) fn settings(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::S3 => {
            "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and, for a server of your \
             own, AWS_ENDPOINT"
        }
        Cloud::Google => "check GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS",
        Cloud::Azure => "check AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    }
}

pub(super) fn no_answer(cloud: Cloud) -> String {
    let endpoint = match cloud {
        Cloud::S3 => " and AWS_ENDPOINT",
        Cloud::Google => "",
        Cloud::Azure => " and AZURE_STORAGE_ENDPOINT",
    };
    format!("check that the store runs, the network{endpoint}")
}

/// There is a bucket, but no object of this name in it.
pub(super) fn is_no_object(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. }) && !is_no_bucket(&error.to_string())
}

fn is_no_bucket(said: &str) -> bool {
    ["NoSuchBucket", "ContainerNotFound", "bucket does not exist"].iter().any(|s| said.contains(s))
}

/// What the store said, and what to do.
pub(super) fn told(cloud: Cloud, error: &Error) -> String {
    let said = chain(error);
    let metadata = ["169.254.169.254", "metadata.google.internal", "/metadata/identity"];
    let advice = if metadata.iter().any(|place| said.contains(place)) {
        format!("there are no credentials; {}", settings(cloud))
    } else if is_refused(error, &said) {
        let rights = "which must be allowed to read, write, list and delete there";
        format!("access was refused; {}, {rights}", settings(cloud))
    } else if matches!(error, Error::NotFound { .. }) || is_no_bucket(&said) {
        "there is no such bucket; create it, or correct the URL".to_owned()
    } else if said.contains("URL scheme is not allowed") {
        format!("plain HTTP is refused unless {}ALLOW_HTTP is true", variables(cloud))
    } else if is_unanswered(error) {
        no_answer(cloud)
    } else {
        return said;
    };
    format!("{advice} ({said})")
}

/// The error with its deepest cause, which the outer ones often leave out, on one line.
fn chain(error: &Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        cause = inner.source();
        let text = inner.to_string();
        if cause.is_none() && !said.contains(&text) {
            said = format!("{said}: {text}");
        }
    }
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    without_xml(&said).unwrap_or(said)
}

/// Of an answer in XML only its code and message.
fn without_xml(said: &str) -> Option<String> {
    let (before, xml) = said.split_once("<?xml")?;
    let (_, code) = xml.split_once("<Code>")?;
    let (code, rest) = code.split_once("</Code>")?;
    let message = rest.split_once("<Message>").and_then(|(_, text)| text.split_once("</Message>"));
    Some(format!("{before}{code}, {}", message.map_or("", |(text, _)| text)))
}

/// Lists do not come with a kind of error for it.
fn is_refused(error: &Error, said: &str) -> bool {
    matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. })
        || said.contains("403 Forbidden")
        || said.contains("401 Unauthorized")
}

fn is_unanswered(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(http) = inner.downcast_ref::<HttpError>() {
            return !matches!(http.kind(), HttpErrorKind::Decode | HttpErrorKind::Unknown);
        }
        cause = inner.source();
    }
    false
}
