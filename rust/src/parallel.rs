//! The only file that builds a thread pool.
//!
//! There is no global pool: threads do not survive `fork`, and a forked child that waits for them hangs for
//! ever. A pool is built per call and joined before the call returns; building one takes some 50
//! microseconds, and the calls that use it take milliseconds or more. One thread means no pool at all.

use rayon::prelude::*;

/// Runs `task` for each chunk of `out` (`chunk` items each, the last may be shorter) on `threads` threads.
///
/// `scratch` makes the working memory that one thread reuses from chunk to chunk. Each chunk is written by one
/// task alone and no value crosses tasks, so the number of threads cannot change a bit of the result.
pub fn for_each_chunk<T: Send, S>(
    threads: usize,
    out: &mut [T],
    chunk: usize,
    scratch: impl Fn() -> S + Sync,
    task: impl Fn(&mut S, usize, &mut [T]) + Sync,
) {
    let chunk = chunk.max(1);
    if threads <= 1 || out.len() <= chunk {
        let mut state = scratch();
        out.chunks_mut(chunk).enumerate().for_each(|(index, part)| task(&mut state, index, part));
        return;
    }
    let run = |out: &mut [T]| {
        out.par_chunks_mut(chunk)
            .enumerate()
            .with_max_len(1)
            .for_each_init(&scratch, |state, (index, part)| task(state, index, part));
    };
    match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
        Ok(pool) => pool.install(|| run(out)),
        // No threads to be had (a container's limit): the work is done all the same, by this one.
        Err(_) => {
            let mut state = scratch();
            out.chunks_mut(chunk).enumerate().for_each(|(index, part)| task(&mut state, index, part));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_visited_once_for_any_number_of_threads() {
        for threads in [1, 2, 5] {
            for len in [0usize, 1, 7, 64, 65] {
                let mut out = vec![0usize; len];
                for_each_chunk(
                    threads,
                    &mut out,
                    7,
                    || 0usize,
                    |_, index, part| {
                        for (offset, item) in part.iter_mut().enumerate() {
                            *item += index * 7 + offset + 1;
                        }
                    },
                );
                assert!(out.iter().enumerate().all(|(i, &v)| v == i + 1));
            }
        }
    }
}
