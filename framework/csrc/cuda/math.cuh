// Functions of the compute types, the same for every family.
#pragma once
#include "dtypes.cuh"

namespace wootz {

template <class C>
__device__ __forceinline__ bool is_nan(C x) {
  return x != x;
}

// One rounding-correct function for each compute type: float and double.
#define WOOTZ_MATH(name, single_precision, double_precision)              \
  __device__ __forceinline__ f32 name(f32 x) { return single_precision; } \
  __device__ __forceinline__ f64 name(f64 x) { return double_precision; }
namespace math {
WOOTZ_MATH(exp, expf(x), ::exp(x))
WOOTZ_MATH(expm1, expm1f(x), ::expm1(x))
WOOTZ_MATH(log, logf(x), ::log(x))
WOOTZ_MATH(log1p, log1pf(x), ::log1p(x))
WOOTZ_MATH(sqrt, sqrtf(x), ::sqrt(x))
WOOTZ_MATH(tanh, tanhf(x), ::tanh(x))
WOOTZ_MATH(erf, erff(x), ::erf(x))
WOOTZ_MATH(sin, sinf(x), ::sin(x))
WOOTZ_MATH(cos, cosf(x), ::cos(x))
WOOTZ_MATH(fabs, fabsf(x), ::fabs(x))
WOOTZ_MATH(floor, floorf(x), ::floor(x))
WOOTZ_MATH(ceil, ceilf(x), ::ceil(x))
WOOTZ_MATH(round, rintf(x), ::rint(x))
__device__ __forceinline__ f32 pow(f32 x, f32 y) { return powf(x, y); }
__device__ __forceinline__ f64 pow(f64 x, f64 y) { return ::pow(x, y); }
// A NaN on either side is the result.
template <class C>
__device__ __forceinline__ C maximum(C x, C y) {
  return is_nan(x) || x > y ? x : y;
}
template <class C>
__device__ __forceinline__ C minimum(C x, C y) {
  return is_nan(x) || x < y ? x : y;
}
}  // namespace math
#undef WOOTZ_MATH

// gelu(x) = x Phi(x); Phi is the normal distribution's cumulative, phi its density (Hendrycks & Gimpel 2016).
template <class C>
__device__ __forceinline__ C normal_cdf(C x) {
  return C(0.5) * (C(1) + math::erf(x * C(0.70710678118654752440)));
}
template <class C>
__device__ __forceinline__ C normal_pdf(C x) {
  return C(0.39894228040143267794) * math::exp(C(-0.5) * x * x);
}
template <class C>
__device__ __forceinline__ C logistic(C x) {
  return C(1) / (C(1) + math::exp(-x));
}

}  // namespace wootz
