// Functions of one operand that few programs call often: of 16-bit floats they are computed after a cast.
#include "unary.cuh"

namespace wootz {

// Called, not inlined for each element of a pack: that is most of the size of these kernels.
#define WOOTZ_MATH(name, single_precision, double_precision)           \
  __device__ __noinline__ f32 name(f32 x) { return single_precision; } \
  __device__ __noinline__ f64 name(f64 x) { return double_precision; }
namespace math {
WOOTZ_MATH(exp2, exp2f(x), ::exp2(x))
WOOTZ_MATH(log2, log2f(x), ::log2(x))
WOOTZ_MATH(log10, log10f(x), ::log10(x))
WOOTZ_MATH(tan, tanf(x), ::tan(x))
WOOTZ_MATH(asin, asinf(x), ::asin(x))
WOOTZ_MATH(acos, acosf(x), ::acos(x))
WOOTZ_MATH(atan, atanf(x), ::atan(x))
WOOTZ_MATH(sinh, sinhf(x), ::sinh(x))
WOOTZ_MATH(cosh, coshf(x), ::cosh(x))
WOOTZ_MATH(asinh, asinhf(x), ::asinh(x))
WOOTZ_MATH(acosh, acoshf(x), ::acosh(x))
WOOTZ_MATH(atanh, atanhf(x), ::atanh(x))
WOOTZ_MATH(trunc, truncf(x), ::trunc(x))
WOOTZ_MATH(lgamma, lgammaf(x), ::lgamma(x))
WOOTZ_MATH(erfc, erfcf(x), ::erfc(x))
WOOTZ_MATH(erfinv, erfinvf(x), ::erfinv(x))

// The derivative of lgamma: its asymptotic series from 10 on, the recurrence below, reflection on the left.
__device__ __noinline__ f64 digamma(f64 x) {
  if (x == 0) return ::copysign(infinity<f64>(), -x);
  if (x < 0 && x == ::floor(x)) return not_a_number<f64>();
  f64 sum = 0;
  if (x < 0.5) {
    const f64 angle = 3.14159265358979323846 * (x - ::rint(x));
    sum = -3.14159265358979323846 / ::tan(angle);
    x = 1 - x;
  }
#pragma unroll 1
  for (; x < 10; x += 1) sum -= 1 / x;
  const f64 z = 1 / (x * x);
  const f64 tail =
      z * (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760))))));
  return sum + ::log(x) - 0.5 / x - tail;
}
__device__ __noinline__ f32 digamma(f32 x) { return static_cast<f32>(digamma(static_cast<f64>(x))); }
}  // namespace math
#undef WOOTZ_MATH

WOOTZ_STRUCTURES(Layout<2>)

#define WOOTZ_FUNCTION(name)                             \
  namespace op {                                         \
  struct name {                                          \
    template <class C>                                   \
    __device__ __forceinline__ C operator()(C x) const { \
      return math::name(x);                              \
    }                                                    \
  };                                                     \
  }                                                      \
  WOOTZ_UNARY_KERNEL(name, f32, f32)                     \
  WOOTZ_UNARY_KERNEL(name, f64, f64)

WOOTZ_FUNCTION(exp2)
WOOTZ_FUNCTION(log2)
WOOTZ_FUNCTION(log10)
WOOTZ_FUNCTION(tan)
WOOTZ_FUNCTION(asin)
WOOTZ_FUNCTION(acos)
WOOTZ_FUNCTION(atan)
WOOTZ_FUNCTION(sinh)
WOOTZ_FUNCTION(cosh)
WOOTZ_FUNCTION(asinh)
WOOTZ_FUNCTION(acosh)
WOOTZ_FUNCTION(atanh)
WOOTZ_FUNCTION(trunc)
WOOTZ_FUNCTION(lgamma)
WOOTZ_FUNCTION(digamma)
WOOTZ_FUNCTION(erfc)
WOOTZ_FUNCTION(erfinv)

}  // namespace wootz
