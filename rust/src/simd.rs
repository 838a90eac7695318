//! Run-time choice of the instruction set.
//!
//! A kernel is written once, as plain loops over fixed-width lanes, and compiled three times: for AVX-512, for
//! AVX2 and for the baseline of the target. The order of every operation is in the source, and nothing is fused unless
//! the source says `mul_add` (`a * b + c` is two roundings everywhere), so the three give the same bits.

use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};

/// The instruction sets that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Whatever the target promises (SSE2 on x86-64, NEON on aarch64).
    Baseline,
    /// 256-bit vectors and fused multiplication and addition, which nearly every such machine has.
    // Not to be had outside the crate but from `level` and `supported`: kernels trust that the machine runs it.
    #[non_exhaustive]
    Avx2,
    /// 512-bit vectors with byte, word and mask operations.
    #[non_exhaustive]
    Avx512,
}

impl Level {
    /// Every level, lowest first.
    pub(crate) const ALL: [Level; 3] = [Level::Baseline, Level::Avx2, Level::Avx512];

    /// The name that `CLUSTERWHY_SIMD` takes.
    pub fn name(self) -> &'static str {
        match self {
            Level::Baseline => "baseline",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }

    /// The highest level that this machine runs.
    pub fn supported() -> Level {
        #[cfg(target_arch = "x86_64")]
        {
            // All that `dispatch` compiles for: a virtual machine may hide any of them.
            let avx2 = std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("fma")
                && std::arch::is_x86_feature_detected!("bmi1")
                && std::arch::is_x86_feature_detected!("bmi2")
                && std::arch::is_x86_feature_detected!("popcnt")
                && std::arch::is_x86_feature_detected!("lzcnt");
            let avx512 = std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512dq")
                && std::arch::is_x86_feature_detected!("avx512vl");
            if avx2 {
                return if avx512 { Level::Avx512 } else { Level::Avx2 };
            }
        }
        Level::Baseline
    }
}

/// The environment variable that names a level below what the machine runs.
const VARIABLE: &str = "CLUSTERWHY_SIMD";

/// The position in [`Level::ALL`] of the level that [`read`] found; beyond it before.
static FOUND: AtomicUsize = AtomicUsize::new(usize::MAX);

/// The level that kernels use: the highest that the machine runs, or a lower one named by the environment
/// variable `CLUSTERWHY_SIMD` (`baseline`, `avx2`, `avx512`) when it was last [`read`], which the first call does.
pub fn level() -> Level {
    let supported = Level::supported();
    if FOUND.load(Ordering::Relaxed) == usize::MAX {
        // A wrong name is for those to refuse who can.
        let _ = read();
    }
    Level::ALL.get(FOUND.load(Ordering::Relaxed)).map_or(supported, |&level| level.min(supported))
}

/// Reads the environment variable, which tests change to compare levels, and refuses a name that is none: who sets it
/// means to be heeded.
///
/// Not for threads at work: another thread of the process may be writing to the environment. Python's do so with the
/// GIL held, and so this must be called with it.
pub fn read() -> Result<()> {
    let level = named()?.unwrap_or(Level::supported());
    FOUND.store(level as usize, Ordering::Relaxed);
    Ok(())
}

/// The level that the environment names; none where the variable is not set, or empty.
fn named() -> Result<Option<Level>> {
    let Some(value) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) else { return Ok(None) };
    let found = Level::ALL.into_iter().find(|level| value == level.name());
    found.map(Some).ok_or_else(|| {
        let names = "baseline, avx2 or avx512 (the machine's highest is used where it is lower), or unset";
        Error::value("the environment variable CLUSTERWHY_SIMD", format!("{value:?}"), names)
    })
}

/// A value that begins with a cache line: a vector load that straddles two lines costs two loads.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct Aligned<T>(pub T);

impl<T, const N: usize> AsRef<[T]> for Aligned<[T; N]> {
    #[inline(always)]
    fn as_ref(&self) -> &[T] {
        &self.0
    }
}

/// Asks for the memory of `values` ahead of its use. Rows far apart are read at the speed of memory only if many are
/// asked for at once.
#[inline(always)]
pub fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        const LINE: usize = 64;
        let start = values.as_ptr().cast::<i8>();
        let bytes = size_of_val(values);
        let mut at = 0;
        while at < bytes {
            // SAFETY: `at` is within `values`, and a prefetch never faults anyway.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(at)) };
            // The last line is touched at its end: `values` need not begin with a line.
            at = if at + LINE < bytes || at + 1 == bytes { at + LINE } else { bytes - 1 };
        }
    }
    let _ = values;
}

/// Defines `fn name(args) -> R` that runs `body` (an `#[inline(always)]` function of the same signature) as
/// compiled for the given [`Level`]; the level is the first argument.
///
/// Everything that `body` calls in its hot loops must be `#[inline(always)]` too, or it is compiled for the
/// baseline.
#[macro_export]
macro_rules! dispatch {
    ($(#[$doc:meta])* $vis:vis fn $name:ident $(<$($g:ident : $bound:path),*>)? ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:path) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name $(<$($g: $bound),*>)? (level: $crate::simd::Level, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi1,bmi2,popcnt,lzcnt")]
                #[allow(clippy::too_many_arguments)]
                fn avx512 $(<$($g: $bound),*>)? ($($arg: $ty),*) $(-> $ret)? {
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx2,fma,bmi1,bmi2,popcnt,lzcnt")]
                #[allow(clippy::too_many_arguments)]
                fn avx2 $(<$($g: $bound),*>)? ($($arg: $ty),*) $(-> $ret)? {
                    $body($($arg),*)
                }
                match level {
                    // SAFETY: `level` comes from `simd::level`, which never exceeds what the machine was
                    // detected to support.
                    $crate::simd::Level::Avx512 { .. } => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::simd::Level::Avx2 { .. } => return unsafe { avx2($($arg),*) },
                    $crate::simd::Level::Baseline => {}
                }
            }
            let _ = level;
            $body($($arg),*)
        }
    };
}
