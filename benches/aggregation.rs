//! Whole kernel times of the aggregation, next to what the machine allows: `cargo bench --bench aggregation`.
//!
//! Soft votes: leave-one-out sums, every pointwise loss for every (observation, feature), means, standard errors'
//! moments for all and for each cluster. Hard votes: the same for the zero-one loss. Inputs are ready. The
//! machine's limit is measured in the same run, on the same number of threads: vectors of votes loaded and
//! added from the first-level cache (soft), and words loaded and combined there (hard).

use std::hint::black_box;
use std::time::Instant;

use clusterwhy::aggregate::sample_scores;
use clusterwhy::loss::Loss;
use clusterwhy::parallel::{Workers, for_each_chunk};
use clusterwhy::rng::{Purpose, Stream};
use clusterwhy::sampling::Minipatches;
use clusterwhy::simd::{self, Level};
use clusterwhy::summary::moments;
use clusterwhy::votes::{Ensemble, Votes, leave_one_out};

fn best<T>(repeats: usize, mut work: impl FnMut() -> T) -> f64 {
    let mut seconds = f64::INFINITY;
    for _ in 0..repeats {
        let start = Instant::now();
        black_box(work());
        seconds = seconds.min(start.elapsed().as_secs_f64());
    }
    seconds
}

clusterwhy::dispatch! {
    fn add_floats(values: &[f32; 4096], rounds: usize, out: &mut [f32; 16]) = add_floats_body
}

/// 256 vectors of 16 floats, loaded and added into eight chains, `rounds` times over.
#[inline(always)]
fn add_floats_body(values: &[f32; 4096], rounds: usize, out: &mut [f32; 16]) {
    let mut s0 = [0.0f32; 16];
    let (mut s1, mut s2, mut s3, mut s4, mut s5, mut s6, mut s7) = (s0, s0, s0, s0, s0, s0, s0);
    for _ in 0..rounds {
        for chunk in black_box(values).as_chunks::<128>().0 {
            let add = |sums: &mut [f32; 16], at: usize| {
                for lane in 0..16 {
                    sums[lane] += chunk[at + lane];
                }
            };
            add(&mut s0, 0);
            add(&mut s1, 16);
            add(&mut s2, 32);
            add(&mut s3, 48);
            add(&mut s4, 64);
            add(&mut s5, 80);
            add(&mut s6, 96);
            add(&mut s7, 112);
        }
    }
    for lane in 0..16 {
        out[lane] = s0[lane] + s1[lane] + s2[lane] + s3[lane] + s4[lane] + s5[lane] + s6[lane] + s7[lane];
    }
}

clusterwhy::dispatch! {
    fn mix_words(values: &[u64; 2048], rounds: usize, out: &mut [u64; 4]) = mix_words_body
}

/// 512 vectors of 4 words, loaded and put through the five operations of a carry-save adder of three inputs.
#[inline(always)]
fn mix_words_body(values: &[u64; 2048], rounds: usize, out: &mut [u64; 4]) {
    let (mut sum, mut carry) = ([0u64; 4], [0u64; 4]);
    for _ in 0..rounds {
        for chunk in black_box(values).as_chunks::<8>().0 {
            for w in 0..4 {
                let (a, b) = (chunk[w], chunk[w + 4]);
                carry[w] ^= (a & b) | (sum[w] & (a ^ b));
                sum[w] ^= a ^ b;
            }
        }
    }
    for w in 0..4 {
        out[w] = sum[w] ^ carry[w];
    }
}

/// Additions of one float a second, on all threads.
fn float_limit(level: Level, threads: usize) -> f64 {
    let values = Box::new([1e-30f32; 4096]);
    let rounds = 20_000;
    let mut out = vec![[0.0f32; 16]; threads];
    let seconds = best(5, || {
        for_each_chunk(
            Workers::new(threads),
            &mut out,
            1,
            || (),
            |(), _, out| {
                add_floats(level, &values, rounds, &mut out[0]);
            },
        );
    });
    (threads * rounds * 4096) as f64 / seconds
}

/// Words that a carry-save adder takes in a second, on all threads.
fn word_limit(level: Level, threads: usize) -> f64 {
    let values = Box::new([0x5555_3333_0f0f_00ffu64; 2048]);
    let rounds = 20_000;
    let mut out = vec![[0u64; 4]; threads];
    let seconds = best(5, || {
        for_each_chunk(
            Workers::new(threads),
            &mut out,
            1,
            || (),
            |(), _, out| {
                mix_words(level, &values, rounds, &mut out[0]);
            },
        );
    });
    (threads * rounds * 2048) as f64 / seconds
}

struct Case {
    n: usize,
    m: usize,
    k: usize,
    patches: usize,
    rows: usize,
    columns: usize,
}

fn run(case: &Case, threads: usize) {
    let Case { n, m, k, patches, rows, columns } = *case;
    let level = simd::level();
    let workers = Workers::new(threads);
    let design = Minipatches::new(n, m, rows, columns, 0).expect("sizes fit");
    let (voters, holds) = (design.left_out(0..patches, workers), design.held(0..patches, workers));
    let mut rng = Stream::new(0, Purpose::Standalone, 0);
    let labels: Vec<i32> = (0..n).map(|_| rng.below(k) as i32).collect();
    let hard: Vec<u16> = (0..patches * n).map(|_| rng.below(k) as u16).collect();
    let soft: Vec<f32> = (0..patches * n)
        .flat_map(|_| {
            let row: Vec<f64> = (0..k).map(|_| rng.unit()).collect();
            let sum: f64 = row.iter().sum();
            row.into_iter().map(move |p| (p / sum) as f32).collect::<Vec<f32>>()
        })
        .collect();
    let whole = |votes: Votes<'_>, losses: &[Loss]| {
        let ensemble = Ensemble { votes, voters: &voters, holds: &holds, n_classes: k };
        let loo = leave_one_out(&ensemble, workers);
        let scores = sample_scores(&ensemble, &loo, &labels, losses, workers).expect("room");
        // The scores of every loss side by side: N rows of L x M columns.
        black_box(moments(&scores, &labels, k, workers));
    };
    let soft_seconds = best(5, || whole(Votes::Single(&soft), &Loss::ALL));
    let hard_seconds = best(9, || whole(Votes::Hard(&hard), &[Loss::ZeroOne]));
    // What cannot be avoided: a vote's addition for every feature held; a mask word for every vote.
    let additions = (patches * n * k * columns) as f64;
    let words = (patches * (n - rows) * holds.stride()) as f64;
    let (floats, bits) = (float_limit(level, threads), word_limit(level, threads));
    println!(
        "N={n} M={m} K={k} B={patches} m={columns} threads={threads} ({})\n  \
         soft, 5 losses: {soft_seconds:.3} s, {:.0}% of the {:.1} G additions/s that the machine allows\n  \
         hard, zero-one: {:.1} ms, {:.0}% of the {:.1} G words/s that the machine allows",
        level.name(),
        100.0 * additions / floats / soft_seconds,
        floats / 1e9,
        1e3 * hard_seconds,
        100.0 * words / bits / hard_seconds,
        bits / 1e9,
    );
}

fn main() {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let cells = Case { n: 700, m: 765, k: 10, patches: 5000, rows: 294, columns: 199 };
    let simulated = Case { n: 3500, m: 1000, k: 7, patches: 5000, rows: 700, columns: 200 };
    for case in [cells, simulated] {
        for threads in [1, cores] {
            run(&case, threads);
        }
    }
}
