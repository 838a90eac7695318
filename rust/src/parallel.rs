//! The only file that builds a thread pool.
//!
//! There is no global pool: threads do not survive `fork`, and a forked child that waits for them hangs for
//! ever. A pool is built per call and joined before the call returns; building one takes some 50
//! microseconds, and the calls that use it take milliseconds or more. One thread means no pool at all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many threads may work, and the flag that tells them to stop.
#[derive(Debug, Clone, Copy)]
pub struct Workers<'a> {
    /// Threads; 0 and 1 both mean the caller's own.
    pub threads: usize,
    /// Once set, no further chunk is begun. What has been computed by then is not to be used.
    pub stop: &'a AtomicBool,
}

impl Workers<'static> {
    /// Workers that nobody stops.
    pub fn new(threads: usize) -> Self {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Workers { threads, stop: &NEVER }
    }
}

impl Workers<'_> {
    /// Whether somebody wants the work to end.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Runs `work` inside a pool, for work that splits itself up; it is told how many threads it has, 1 meaning no pool.
pub fn pooled<R: Send>(workers: Workers<'_>, work: impl FnOnce(usize) -> R + Send) -> R {
    if workers.threads > 1
        && let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(workers.threads).build()
    {
        return pool.install(|| work(workers.threads));
    }
    work(1)
}

/// Runs `task` for each chunk of `out` (`chunk` items each, the last may be shorter) on the workers.
///
/// `scratch` makes the working memory that one thread reuses from chunk to chunk. Each chunk is written by one
/// task alone and no value crosses tasks, so the number of threads cannot change a bit of the result.
pub fn for_each_chunk<T: Send, S>(
    workers: Workers<'_>,
    out: &mut [T],
    chunk: usize,
    scratch: impl Fn() -> S + Sync,
    task: impl Fn(&mut S, usize, &mut [T]) + Sync,
) {
    let chunk = chunk.max(1);
    // More threads than chunks would only be started and ended.
    let threads = workers.threads.min(out.len().div_ceil(chunk));
    // Not a parallel iterator of rayon's, which makes new scratch wherever it splits the work.
    let chunks = Mutex::new(out.chunks_mut(chunk).enumerate());
    let work = || {
        let mut state = scratch();
        while !workers.stopped() {
            let next = chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((index, part)) = next else { return };
            task(&mut state, index, part);
        }
    };
    if threads > 1
        && let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(threads).build()
    {
        pool.broadcast(|_| work());
        return;
    }
    // Also where there are no threads to be had (a container's limit): the work is done all the same, by this one.
    work();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_flag_stops_the_work() {
        let stop = AtomicBool::new(false);
        for threads in [1, 2] {
            stop.store(false, Ordering::Relaxed);
            let mut out = vec![0; 1000];
            for_each_chunk(
                Workers { threads, stop: &stop },
                &mut out,
                1,
                || (),
                |(), _, part| {
                    part[0] = 1;
                    stop.store(true, Ordering::Relaxed);
                },
            );
            assert!(out.iter().sum::<i32>() <= threads as i32);
        }
    }

    #[test]
    fn every_chunk_is_visited_once_for_any_number_of_threads() {
        for threads in [1, 2, 5] {
            for len in [0usize, 1, 7, 64, 65] {
                let mut out = vec![0usize; len];
                for_each_chunk(
                    Workers::new(threads),
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
