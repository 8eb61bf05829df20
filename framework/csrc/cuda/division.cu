// Division with a remainder, and other functions of two operands that few programs call often.
#include "binary.cuh"

namespace wootz {

// Called, not inlined for each element of a pack: that is most of the size of these kernels.
namespace math {
__device__ __noinline__ f32 fmod(f32 x, f32 y) { return fmodf(x, y); }
__device__ __noinline__ f64 fmod(f64 x, f64 y) { return ::fmod(x, y); }
__device__ __noinline__ f32 copysign(f32 x, f32 y) { return copysignf(x, y); }
__device__ __noinline__ f64 copysign(f64 x, f64 y) { return ::copysign(x, y); }
__device__ __noinline__ f32 atan2(f32 x, f32 y) { return atan2f(x, y); }
__device__ __noinline__ f64 atan2(f64 x, f64 y) { return ::atan2(x, y); }
__device__ __noinline__ f32 hypot(f32 x, f32 y) { return hypotf(x, y); }
__device__ __noinline__ f64 hypot(f64 x, f64 y) { return ::hypot(x, y); }

// Towards minus infinity, as Python's operators; of integers zero where the divisor is.
template <class C>
__device__ __noinline__ C floor_divide(C x, C y) {
  if (y == C(0)) return x / y;
  const C rest = fmod(x, y);
  C quotient = (x - rest) / y;
  if (rest != C(0) && (y < C(0)) != (rest < C(0))) quotient -= C(1);
  if (quotient == C(0)) return copysign(C(0), x / y);
  const C down = floor(quotient);
  return quotient - down > C(0.5) ? down + C(1) : down;
}
template <class C>
__device__ __noinline__ C remainder(C x, C y) {
  const C rest = fmod(x, y);
  if (rest == C(0)) return copysign(C(0), y);
  return (y < C(0)) != (rest < C(0)) ? rest + y : rest;
}
__device__ __forceinline__ i64 negative(i64 x) { return static_cast<i64>(0 - static_cast<u64>(x)); }
__device__ __noinline__ i64 fmod(i64 x, i64 y) { return y == 0 || y == -1 ? 0 : x % y; }
__device__ __noinline__ i64 floor_divide(i64 x, i64 y) {
  if (y == 0) return 0;
  if (y == -1) return negative(x);
  return x / y - (x % y != 0 && (x < 0) != (y < 0));
}
__device__ __noinline__ i64 remainder(i64 x, i64 y) {
  const i64 rest = fmod(x, y);
  return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
}
}  // namespace math

WOOTZ_STRUCTURES(Layout<3>)

#define WOOTZ_DIVISION(name)               \
  WOOTZ_BINARY_OP(name, C, math::name(x, y)) \
  WOOTZ_BINARY_KERNEL(name, f32, f32)      \
  WOOTZ_BINARY_KERNEL(name, f64, f64)

WOOTZ_DIVISION(floor_divide)
WOOTZ_DIVISION(remainder)
WOOTZ_DIVISION(fmod)
WOOTZ_DIVISION(copysign)
WOOTZ_DIVISION(atan2)
WOOTZ_DIVISION(hypot)
WOOTZ_BINARY_KERNEL(floor_divide, i64, i64)
WOOTZ_BINARY_KERNEL(remainder, i64, i64)
WOOTZ_BINARY_KERNEL(fmod, i64, i64)

}  // namespace wootz
