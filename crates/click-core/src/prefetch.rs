//! Hints to the processor that memory is wanted soon. The only unsafe code of the core: a hint
//! reads nothing and may point anywhere.
#![expect(unsafe_code, reason = "the prefetch instruction is an intrinsic; it cannot fault")]

/// Asks for the cache line of `place`.
#[inline]
pub fn read<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint; `place` is a valid reference besides.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(
            core::ptr::from_ref(place).cast(),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
