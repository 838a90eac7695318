//! The two precisions that networks work in.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub};

/// `f32` or `f64`.
pub trait Real:
    Copy
    + Default
    + Debug
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + MulAssign
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;

    /// The nearest number of this precision.
    fn of(value: f64) -> Self;
    /// The same number in double precision.
    fn wide(self) -> f64;
    /// Square root.
    fn root(self) -> Self;
    /// Hyperbolic tangent, by a library of our own so that every platform has the same bits.
    fn tanh(self) -> Self;

    /// The larger of two numbers.
    #[inline(always)]
    fn or_more(self, other: Self) -> Self {
        if self > other { self } else { other }
    }

    /// `c = a b + beta c` for an `m x k` and a `k x n` matrix, each element at its row and column strides.
    ///
    /// # Safety
    /// Every element must lie in the allocation that its pointer belongs to, and `c` must not overlap the others.
    #[allow(clippy::too_many_arguments)]
    unsafe fn gemm(
        m: usize,
        k: usize,
        n: usize,
        a: *const Self,
        a_strides: [isize; 2],
        b: *const Self,
        b_strides: [isize; 2],
        beta: Self,
        c: *mut Self,
        c_stride: isize,
    );
}

macro_rules! real {
    ($t:ty, $gemm:path, $tanh:path) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;

            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $t
            }

            #[inline(always)]
            fn wide(self) -> f64 {
                self as f64
            }

            #[inline(always)]
            fn root(self) -> Self {
                self.sqrt()
            }

            #[inline(always)]
            fn tanh(self) -> Self {
                $tanh(self)
            }

            unsafe fn gemm(
                m: usize,
                k: usize,
                n: usize,
                a: *const Self,
                [ra, ca]: [isize; 2],
                b: *const Self,
                [rb, cb]: [isize; 2],
                beta: Self,
                c: *mut Self,
                rc: isize,
            ) {
                // SAFETY: what the caller promises is what the crate asks for.
                unsafe { $gemm(m, k, n, 1.0, a, ra, ca, b, rb, cb, beta, c, rc, 1) }
            }
        }
    };
}

real!(f32, matrixmultiply::sgemm, libm::tanhf);
real!(f64, matrixmultiply::dgemm, libm::tanh);
