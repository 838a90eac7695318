//! Large arrays of zeros.

/// As many zeros as asked for, in huge pages where the system has them for the asking (Linux): the kernels write results
/// row by row from several threads, and one page fault for each 4 KiB would take a tenth of their time. NumPy asks
/// for the same for its own arrays.
pub fn zeros(len: usize) -> Vec<f64> {
    let mut zeros = vec![0.0; len];
    ask_for_huge_pages(&mut zeros);
    zeros
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
