// Integers, which all compute as int64, and bools. Sums and products wrap around, as two's complement does.
#include "binary.cuh"
#include "unary.cuh"

namespace wootz {

// By squaring; a negative exponent leaves only 1 and -1 different from 0.
__device__ __forceinline__ i64 power(i64 x, i64 y) {
  if (y < 0) return x == 1 ? 1 : x == -1 ? (y % 2 ? -1 : 1) : 0;
  u64 result = 1, factor = static_cast<u64>(x);
#pragma unroll 1
  for (; y; y >>= 1, factor *= factor)
    if (y & 1) result *= factor;
  return static_cast<i64>(result);
}

// A shift by the whole width or more moves every bit out.
__device__ __forceinline__ i64 left(i64 x, i64 y) {
  return y < 0 || y > 63 ? 0 : static_cast<i64>(static_cast<u64>(x) << y);
}
__device__ __forceinline__ i64 right(i64 x, i64 y) { return x >> (y < 0 || y > 63 ? 63 : y); }

#define WOOTZ_INTEGER_UNARY(name, expression)            \
  namespace op {                                         \
  struct name {                                          \
    template <class C>                                   \
    __device__ __forceinline__ C operator()(C x) const { \
      return expression;                                 \
    }                                                    \
  };                                                     \
  }                                                      \
  WOOTZ_UNARY_KERNEL(name, i64, i64)
#define WOOTZ_INTEGER(name, expression) \
  WOOTZ_BINARY_OP(name, C, expression)  \
  WOOTZ_BINARY_KERNEL(name, i64, i64)
#define WOOTZ_LOGICAL(name, expression) \
  WOOTZ_BINARY_OP(name, u8, expression) \
  WOOTZ_BINARY_KERNEL(name, boolean, boolean)

WOOTZ_STRUCTURES(Layout<2>, Layout<3>)

WOOTZ_INTEGER_UNARY(neg, static_cast<C>(0 - static_cast<u64>(x)))
WOOTZ_INTEGER_UNARY(abs, x < 0 ? static_cast<C>(0 - static_cast<u64>(x)) : x)
WOOTZ_INTEGER_UNARY(sign, C((x > 0) - (x < 0)))
WOOTZ_INTEGER_UNARY(square, static_cast<C>(static_cast<u64>(x) * static_cast<u64>(x)))
WOOTZ_INTEGER_UNARY(bitwise_not, ~x)
WOOTZ_INTEGER(maximum, x > y ? x : y)
WOOTZ_INTEGER(minimum, x < y ? x : y)
WOOTZ_INTEGER(pow, power(x, y))
WOOTZ_INTEGER(bitwise_and, x& y)
WOOTZ_INTEGER(bitwise_or, x | y)
WOOTZ_INTEGER(bitwise_xor, x ^ y)
WOOTZ_INTEGER(left_shift, left(x, y))
WOOTZ_INTEGER(right_shift, right(x, y))
WOOTZ_LOGICAL(logical_and, x& y)
WOOTZ_LOGICAL(logical_or, x | y)
WOOTZ_LOGICAL(logical_xor, x ^ y)

}  // namespace wootz
