//! What one core and all cores of this machine do in a second: `cargo bench --bench machine`.
//!
//! Loads of 64-byte vectors from the first-level cache, additions of single and double precision, and products
//! followed by additions, not fused, as in every kernel here. Printed beside the benchmarks so that their
//! figures can be read as shares of it.

use std::hint::black_box;
use std::time::Instant;

use clusterwhy::parallel::{Workers, for_each_chunk};
use clusterwhy::simd::{self, Level};

/// Chains of sums: enough to hide the latency of an addition.
const CHAINS: usize = 8;
const ROUNDS: usize = 4_000;

macro_rules! kernels {
    ($add:ident, $add_body:ident, $multiply:ident, $multiply_body:ident, $float:ty, $lanes:expr) => {
        clusterwhy::dispatch! {
            fn $add(values: &[[$float; $lanes]], sums: &mut [[$float; $lanes]; CHAINS]) = $add_body
        }

        #[inline(always)]
        fn $add_body(values: &[[$float; $lanes]], sums: &mut [[$float; $lanes]; CHAINS]) {
            let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *sums;
            for _ in 0..ROUNDS {
                for v in black_box(values).as_chunks::<CHAINS>().0 {
                    for l in 0..$lanes {
                        a[l] += v[0][l];
                    }
                    for l in 0..$lanes {
                        b[l] += v[1][l];
                    }
                    for l in 0..$lanes {
                        c[l] += v[2][l];
                    }
                    for l in 0..$lanes {
                        d[l] += v[3][l];
                    }
                    for l in 0..$lanes {
                        e[l] += v[4][l];
                    }
                    for l in 0..$lanes {
                        f[l] += v[5][l];
                    }
                    for l in 0..$lanes {
                        g[l] += v[6][l];
                    }
                    for l in 0..$lanes {
                        h[l] += v[7][l];
                    }
                }
            }
            *sums = [a, b, c, d, e, f, g, h];
        }

        clusterwhy::dispatch! {
            fn $multiply(values: &[[$float; $lanes]], sums: &mut [[$float; $lanes]; CHAINS]) = $multiply_body
        }

        #[inline(always)]
        fn $multiply_body(values: &[[$float; $lanes]], sums: &mut [[$float; $lanes]; CHAINS]) {
            let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *sums;
            let factor = black_box([1.0 as $float; $lanes]);
            for _ in 0..ROUNDS {
                for v in black_box(values).as_chunks::<CHAINS>().0 {
                    for l in 0..$lanes {
                        a[l] += v[0][l] * factor[l];
                    }
                    for l in 0..$lanes {
                        b[l] += v[1][l] * factor[l];
                    }
                    for l in 0..$lanes {
                        c[l] += v[2][l] * factor[l];
                    }
                    for l in 0..$lanes {
                        d[l] += v[3][l] * factor[l];
                    }
                    for l in 0..$lanes {
                        e[l] += v[4][l] * factor[l];
                    }
                    for l in 0..$lanes {
                        f[l] += v[5][l] * factor[l];
                    }
                    for l in 0..$lanes {
                        g[l] += v[6][l] * factor[l];
                    }
                    for l in 0..$lanes {
                        h[l] += v[7][l] * factor[l];
                    }
                }
            }
            *sums = [a, b, c, d, e, f, g, h];
        }
    };
}

kernels!(add_single, add_single_body, multiply_single, multiply_single_body, f32, 16);
kernels!(add_double, add_double_body, multiply_double, multiply_double_body, f64, 8);

/// Lane operations a second on all threads, for a kernel over vectors that stay in the first-level cache.
fn rate<V: Copy + Sync + Default + Send, const L: usize>(
    threads: usize,
    one: V,
    kernel: impl Fn(&[[V; L]], &mut [[V; L]; CHAINS]) + Sync,
) -> f64 {
    let values = vec![[one; L]; 128];
    let mut sums = vec![[[V::default(); L]; CHAINS]; threads];
    let mut best = f64::INFINITY;
    for _ in 0..9 {
        let start = Instant::now();
        for_each_chunk(
            Workers::new(threads),
            &mut sums,
            1,
            || (),
            |(), _, sums| kernel(&values, &mut sums[0]),
        );
        best = best.min(start.elapsed().as_secs_f64());
        black_box(&mut sums);
    }
    (threads * ROUNDS * values.len() * L) as f64 / best
}

fn main() {
    let level: Level = simd::level();
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    for threads in [1, cores] {
        let single = rate(threads, 1e-30f32, |v, s| add_single(level, v, s));
        let double = rate(threads, 1e-300f64, |v, s| add_double(level, v, s));
        let multiply_single = rate(threads, 1e-30f32, |v, s| multiply_single(level, v, s));
        let multiply_double = rate(threads, 1e-300f64, |v, s| multiply_double(level, v, s));
        println!(
            "{threads} thread(s), {}: {:.1} GB/s loaded and added; G additions/s f32 {:.1}, f64 {:.1}; G products and \
             sums/s f32 {:.1}, f64 {:.1}",
            level.name(),
            4e-9 * single,
            1e-9 * single,
            1e-9 * double,
            1e-9 * multiply_single,
            1e-9 * multiply_double,
        );
    }
}
