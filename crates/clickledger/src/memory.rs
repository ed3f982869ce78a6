//! The program's memory. The tables of a ledger are read at random, and with pages of 4 KiB nearly
//! every such read waits for the address to be translated first: the allocator asks the system for
//! huge pages.
#![expect(unsafe_code, reason = "an option of the allocator is set by a function of C")]

use core::ffi::{c_int, c_long};

/// The allocator, for a program to name as its global one.
pub use mimalloc::MiMalloc as Memory;

/// `mi_option_allow_thp`, which the crate has no name for.
const HUGE_PAGES: c_int = 43;
/// Asks for huge pages, and gives back none in part.
const WHOLE: c_long = 2;

/// Keeps huge pages whole: what is free goes back to the system by the page. To be called before
/// there is much to give back. What the environment says of the option (`MIMALLOC_ALLOW_THP`)
/// stands.
pub fn keep_pages_whole() {
    // SAFETY: may be called at any time from any thread; an option is one number.
    unsafe { libmimalloc_sys::mi_option_set_default(HUGE_PAGES, WHOLE) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_has_this_number() {
        let value = || {
            // SAFETY: as above.
            unsafe { libmimalloc_sys::mi_option_get(HUGE_PAGES) }
        };
        assert_eq!(value(), 1, "huge pages are asked for by default, on Linux");
        keep_pages_whole();
        assert_eq!(value(), WHOLE);
    }
}
