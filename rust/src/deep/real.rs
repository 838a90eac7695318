//! The two precisions that networks work in.

use std::fmt::Debug;
use std::ops::{AddAssign, MulAssign, Neg};

use crate::lanes;

/// `f32` or `f64`.
pub trait Real: lanes::Real + Debug + Neg<Output = Self> + AddAssign + MulAssign {
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;

    /// Hyperbolic tangent, by a library of our own so that every platform has the same bits.
    fn tanh(self) -> Self;

    /// The larger of two numbers.
    #[inline(always)]
    fn or_more(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
}

macro_rules! real {
    ($t:ty, $tanh:path) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;

            #[inline(always)]
            fn tanh(self) -> Self {
                $tanh(self)
            }
        }
    };
}

real!(f32, libm::tanhf);
real!(f64, libm::tanh);
