//! G8: HEAD, or another method that is no click. GET and POST are; an unknown method is not held
//! against a click.

/// Whether `method` is known and is neither GET nor POST, in any case.
pub fn is_no_click(method: &[u8]) -> bool {
    // The first comparison nearly always settles it.
    method != b"GET"
        && !method.is_empty()
        && !method.eq_ignore_ascii_case(b"GET")
        && !method.eq_ignore_ascii_case(b"POST")
}
