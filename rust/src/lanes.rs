//! Vectors for the register tiles of [`native::distance`](crate::native::distance) and
//! [`deep::product`](crate::deep::product).
//!
//! Plain loops over arrays vectorise well enough everywhere else, but a tile of two dozen accumulators does not: the
//! compiler leaves arrays that large in memory. Here a vector is a type, so that an accumulator is a register. Each
//! operation is one IEEE operation per lane, and multiplication and addition are fused where the source says so
//! ([`Vector::mul_add`]) and nowhere else, so that the width cannot change a bit.

// Indices are lanes and registers here, counted alike in several arrays.
#![allow(clippy::needless_range_loop)]

use std::ops::{Add, Div, Mul, Sub};

/// A floating-point type that kernels are generic over.
pub trait Real:
    Copy
    + Default
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    /// A quarter of a panel: the vector of the baseline.
    #[doc(hidden)]
    type Quarter: Vector<Self>;
    /// Half a panel: the vector of AVX2.
    #[doc(hidden)]
    type Half: Vector<Self>;
    /// A panel: the vector of AVX-512.
    #[doc(hidden)]
    type Full: Vector<Self>;
    /// Positive infinity.
    const INFINITY: Self;
    /// The nearest value of this type.
    fn from_f64(value: f64) -> Self;
    /// The same value in double precision.
    fn to_f64(self) -> f64;
    /// The square root.
    fn sqrt(self) -> Self;
    /// `self * factor + term`, rounded once.
    fn mul_add(self, factor: Self, term: Self) -> Self;
}

/// A vector of `T`. A type that needs an instruction set may only be used in functions compiled for that set.
pub trait Vector<T>: Copy {
    /// The same value in every lane.
    fn splat(value: T) -> Self;
    /// The lanes at `from`.
    ///
    /// # Safety
    /// All lanes must be readable at `from`, which need not be aligned.
    unsafe fn load(from: *const T) -> Self;
    /// Writes the lanes to `to`.
    ///
    /// # Safety
    /// All lanes must be writable at `to`, which need not be aligned.
    unsafe fn store(self, to: *mut T);
    /// Lane by lane.
    fn add(self, other: Self) -> Self;
    /// Lane by lane.
    fn sub(self, other: Self) -> Self;
    /// Lane by lane.
    fn mul(self, other: Self) -> Self;
    /// `self * factor + term`, lane by lane, rounded once.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    /// The smaller of two, lane by lane; `other` where they do not compare.
    fn min(self, other: Self) -> Self;
    /// The larger of two, lane by lane; `other` where they do not compare.
    fn max(self, other: Self) -> Self;
    /// The square root of each lane.
    fn sqrt(self) -> Self;
}

impl<T: Real, const N: usize> Vector<T> for [T; N] {
    #[inline(always)]
    fn splat(value: T) -> Self {
        [value; N]
    }
    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        // SAFETY: the caller promises N readable values.
        unsafe { from.cast::<[T; N]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut T) {
        // SAFETY: the caller promises N writable values.
        unsafe { to.cast::<[T; N]>().write_unaligned(self) }
    }
    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        for l in 0..N {
            self[l] = self[l] + other[l];
        }
        self
    }
    #[inline(always)]
    fn sub(mut self, other: Self) -> Self {
        for l in 0..N {
            self[l] = self[l] - other[l];
        }
        self
    }
    #[inline(always)]
    fn mul(mut self, other: Self) -> Self {
        for l in 0..N {
            self[l] = self[l] * other[l];
        }
        self
    }
    #[inline(always)]
    fn mul_add(mut self, factor: Self, term: Self) -> Self {
        for l in 0..N {
            self[l] = self[l].mul_add(factor[l], term[l]);
        }
        self
    }
    #[inline(always)]
    fn min(mut self, other: Self) -> Self {
        for l in 0..N {
            self[l] = if self[l] < other[l] { self[l] } else { other[l] };
        }
        self
    }
    #[inline(always)]
    fn max(mut self, other: Self) -> Self {
        for l in 0..N {
            self[l] = if self[l] > other[l] { self[l] } else { other[l] };
        }
        self
    }
    #[inline(always)]
    fn sqrt(mut self) -> Self {
        for l in 0..N {
            self[l] = self[l].sqrt();
        }
        self
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! x86_vector {
    ($vector:ident of $real:ident: $splat:ident $load:ident $store:ident $add:ident $sub:ident $mul:ident $mul_add:path, $min:ident $max:ident $sqrt:ident) => {
        impl Vector<$real> for std::arch::x86_64::$vector {
            #[inline(always)]
            fn splat(value: $real) -> Self {
                // SAFETY: used only where the instruction set is enabled, as the trait demands.
                unsafe { std::arch::x86_64::$splat(value) }
            }
            #[inline(always)]
            unsafe fn load(from: *const $real) -> Self {
                // SAFETY: as above, and the caller promises readable lanes.
                unsafe { std::arch::x86_64::$load(from) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $real) {
                // SAFETY: as above, and the caller promises writable lanes.
                unsafe { std::arch::x86_64::$store(to, self) }
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { std::arch::x86_64::$add(self, other) }
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { std::arch::x86_64::$sub(self, other) }
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { std::arch::x86_64::$mul(self, other) }
            }
            #[inline(always)]
            fn mul_add(self, factor: Self, term: Self) -> Self {
                // SAFETY: as above.
                unsafe { $mul_add(self, factor, term) }
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { std::arch::x86_64::$min(self, other) }
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { std::arch::x86_64::$max(self, other) }
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                // SAFETY: as above.
                unsafe { std::arch::x86_64::$sqrt(self) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m128, __m128d};

    use super::{Real, Vector};

    /// A fused operation where the instruction may be missing: lane by lane, and slow in that case.
    ///
    /// # Safety
    /// `V` must be a vector of the lanes of `A`.
    #[inline(always)]
    unsafe fn fused<V: Vector<T>, A: Vector<T>, T: Real>(a: V, factor: V, term: V) -> V {
        // SAFETY: as the caller promises.
        let lanes = |v: &V| unsafe { A::load((&raw const *v).cast()) };
        let out = lanes(&a).mul_add(lanes(&factor), lanes(&term));
        // SAFETY: as above.
        unsafe { V::load((&raw const out).cast()) }
    }

    x86_vector!(__m128d of f64: _mm_set1_pd _mm_loadu_pd _mm_storeu_pd _mm_add_pd _mm_sub_pd _mm_mul_pd fused::<__m128d, [f64; 2], f64>, _mm_min_pd _mm_max_pd _mm_sqrt_pd);
    x86_vector!(__m128 of f32: _mm_set1_ps _mm_loadu_ps _mm_storeu_ps _mm_add_ps _mm_sub_ps _mm_mul_ps fused::<__m128, [f32; 4], f32>, _mm_min_ps _mm_max_ps _mm_sqrt_ps);
    x86_vector!(__m256d of f64: _mm256_set1_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_add_pd _mm256_sub_pd _mm256_mul_pd std::arch::x86_64::_mm256_fmadd_pd, _mm256_min_pd _mm256_max_pd _mm256_sqrt_pd);
    x86_vector!(__m256 of f32: _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_add_ps _mm256_sub_ps _mm256_mul_ps std::arch::x86_64::_mm256_fmadd_ps, _mm256_min_ps _mm256_max_ps _mm256_sqrt_ps);
    x86_vector!(__m512d of f64: _mm512_set1_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_add_pd _mm512_sub_pd _mm512_mul_pd std::arch::x86_64::_mm512_fmadd_pd, _mm512_min_pd _mm512_max_pd _mm512_sqrt_pd);
    x86_vector!(__m512 of f32: _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_add_ps _mm512_sub_ps _mm512_mul_ps std::arch::x86_64::_mm512_fmadd_ps, _mm512_min_ps _mm512_max_ps _mm512_sqrt_ps);
}

macro_rules! real {
    ($real:ident, $quarter:literal, $half:literal, $full:literal, $m128:ident, $m256:ident, $m512:ident) => {
        impl Real for $real {
            #[cfg(target_arch = "x86_64")]
            type Quarter = std::arch::x86_64::$m128;
            #[cfg(target_arch = "x86_64")]
            type Half = std::arch::x86_64::$m256;
            #[cfg(target_arch = "x86_64")]
            type Full = std::arch::x86_64::$m512;
            #[cfg(not(target_arch = "x86_64"))]
            type Quarter = [$real; $quarter];
            #[cfg(not(target_arch = "x86_64"))]
            type Half = [$real; $half];
            #[cfg(not(target_arch = "x86_64"))]
            type Full = [$real; $full];
            const INFINITY: $real = $real::INFINITY;
            #[inline(always)]
            fn from_f64(value: f64) -> $real {
                value as $real
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn sqrt(self) -> $real {
                $real::sqrt(self)
            }
            #[inline(always)]
            fn mul_add(self, factor: $real, term: $real) -> $real {
                $real::mul_add(self, factor, term)
            }
        }
    };
}

real!(f32, 4, 8, 16, __m128, __m256, __m512);
real!(f64, 2, 4, 8, __m128d, __m256d, __m512d);
