//! Large arrays. Those whose size grows with the square of the data, or with all of it, are asked for here: an allocation
//! that fails elsewhere ends the process.

use crate::error::{Error, Result};

/// Whether the system gives memory for `len` values at all. Pages that nobody touches cost nothing.
pub fn check_room<T>(len: usize, what: &'static str) -> Result<()> {
    let too_much = |_| Error::Memory { what, bytes: len.saturating_mul(size_of::<T>()) };
    Vec::<T>::new().try_reserve_exact(len).map_err(too_much)
}

/// Makes `out` as long as asked for; what is new holds `value`.
pub fn resize<T: Copy>(out: &mut Vec<T>, len: usize, value: T, what: &'static str) -> Result<()> {
    if len > out.capacity() {
        // Freed first: what it holds is not worth room for both.
        *out = Vec::new();
        check_room::<T>(len, what)?;
    }
    out.resize(len, value);
    Ok(())
}

/// As many zeros as asked for, in huge pages where the system has them for the asking (Linux): the kernels write results
/// row by row from several threads, and one page fault for each 4 KiB would take a tenth of their time. NumPy asks
/// for the same for its own arrays.
pub fn zeros(len: usize, what: &'static str) -> Result<Vec<f64>> {
    check_room::<f64>(len, what)?;
    let mut zeros = vec![0.0; len];
    ask_for_huge_pages(&mut zeros);
    Ok(zeros)
}

#[cfg(target_os = "linux")]
fn ask_for_huge_pages(values: &mut [f64]) {
    /// Below this the pages do not matter.
    const LARGE: usize = 1 << 22;
    const PAGE: usize = 1 << 12;
    let bytes = values.as_mut_ptr_range();
    let (start, end) = (bytes.start.addr().next_multiple_of(PAGE), bytes.end.addr() & !(PAGE - 1));
    if end.saturating_sub(start) >= LARGE {
        // SAFETY: the range lies within `values`, and the advice changes no content. An error means no huge pages.
        unsafe { libc::madvise(bytes.start.with_addr(start).cast(), end - start, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_: &mut [f64]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_system_has_is_refused_with_its_size() {
        let error = zeros(1 << 57, "a table").unwrap_err();
        assert!(error.is_memory());
        assert!(error.to_string().starts_with("a table would take 1152921504.6 GB of memory"), "{error}");
        assert!(resize(&mut vec![1.0], usize::MAX, 0.0, "a table").is_err());
        let mut kept = vec![1.0; 3];
        resize(&mut kept, 2, 0.0, "a table").unwrap();
        assert_eq!(kept, [1.0; 2]);
        assert_eq!(zeros(3, "a table").unwrap(), [0.0; 3]);
    }
}
