//! Unsigned extras: what stands behind `s`. Stored, some forwarded to the destination, never
//! believed: nothing here can change a signed value.

use super::{LinkError, limits};
use alloc::string::String;

/// The names that travel on to the destination (SPEC §12); `utm_*` and `s1`-`s5` beside them.
const FORWARDED: [&str; 7] = ["gclid", "gbraid", "wbraid", "dclid", "fbclid", "msclkid", "ttclid"];

/// Whether an extra of this name is handed on to the destination.
#[must_use]
pub fn is_forwarded(name: &str) -> bool {
    let utm_tail = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    match name.as_bytes() {
        [b's', b'1'..=b'5'] => true,
        [b'u', b't', b'm', b'_', tail @ ..] => {
            (1..=32).contains(&tail.len()) && tail.iter().all(|&b| utm_tail(b))
        }
        _ => FORWARDED.contains(&name),
    }
}

/// Name and value of one piece; a piece without `=` has an empty value.
fn split(piece: &str) -> (&str, &str) {
    piece.split_once('=').unwrap_or((piece, ""))
}

/// Name and value of each non-empty piece, raw as they came.
pub(super) fn iter(extras: &str) -> impl Iterator<Item = (&str, &str)> {
    extras.split('&').filter(|piece| !piece.is_empty()).map(split)
}

/// Cuts the extras into (ordinary extras, destination in `r=`).
///
/// With signed hosts, everything behind the first `r=` is the destination, `&` included: another
/// server may have appended it unencoded. Without, `r` is an extra like any other.
pub(super) fn cut_destination(extras: &str, hosts_signed: bool) -> (&str, Option<&str>) {
    if !hosts_signed {
        return (extras, None);
    }
    if let Some(rest) = extras.strip_prefix("r=") {
        return ("", Some(rest));
    }
    match extras.split_once("&r=") {
        Some((before, rest)) => (before, Some(rest)),
        None => (extras, None),
    }
}

/// Refuses a repeated name, also one that repeats a signed name (`is_signed`), and too many.
pub(super) fn check(extras: &str, is_signed: impl Fn(&str) -> bool) -> Result<(), LinkError> {
    let mut seen = [""; limits::MAX_EXTRAS];
    for (count, (name, _)) in iter(extras).enumerate() {
        if is_signed(name) || seen[..count.min(seen.len())].contains(&name) {
            return Err(LinkError::RepeatedName);
        }
        *seen.get_mut(count).ok_or(LinkError::TooManyExtras)? = name;
    }
    Ok(())
}

/// The leading whole parameters that fit into [`limits::MAX_STORED_EXTRAS`].
pub(super) fn stored(extras: &str) -> &str {
    if extras.len() <= limits::MAX_STORED_EXTRAS {
        return extras;
    }
    let head = &extras.as_bytes()[..=limits::MAX_STORED_EXTRAS];
    let border = head.iter().rposition(|&b| b == b'&').unwrap_or(0);
    &extras[..border]
}

/// Puts the forwarded extras into the query of `url`, before its fragment.
///
/// A name the destination already has in its query stays as the destination has it.
pub(super) fn forward(extras: &str, url: &mut String) {
    if !iter(extras).any(|(name, _)| is_forwarded(name)) {
        return;
    }
    let fragment = url.find('#').map(|at| url.split_off(at));
    let query_at = url.find('?').map_or(url.len(), |at| at + 1);
    let mut separator = if query_at == url.len() && !url.ends_with('?') {
        "?"
    } else if url.ends_with('?') || url.ends_with('&') {
        ""
    } else {
        "&"
    };
    let own = String::from(url.get(query_at..).unwrap_or(""));
    for (name, value) in iter(extras) {
        if is_forwarded(name) && !iter(&own).any(|(had, _)| had == name) {
            url.push_str(separator);
            url.push_str(name);
            url.push('=');
            push_query_value(value, url);
            separator = "&";
        }
    }
    url.push_str(fragment.as_deref().unwrap_or(""));
}

/// Appends a raw query value; bytes that could end or bend the query are percent-encoded.
fn push_query_value(value: &str, out: &mut String) {
    for byte in value.bytes() {
        let safe = byte.is_ascii_alphanumeric() || b"-._~%+*!:@,;/()'=$".contains(&byte);
        if safe { out.push(char::from(byte)) } else { push_percent(byte, out) }
    }
}

/// `%XX` of one byte.
pub(super) fn push_percent(byte: u8, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(HEX[usize::from(byte >> 4)]));
    out.push(char::from(HEX[usize::from(byte & 15)]));
}
