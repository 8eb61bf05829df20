// Arithmetic of two operands.
#include "binary.cuh"

namespace wootz {

WOOTZ_STRUCTURES(Layout<3>)

WOOTZ_BINARY(add, x + y)
WOOTZ_BINARY(sub, x - y)
WOOTZ_BINARY(mul, x * y)
WOOTZ_BINARY(div, x / y)
WOOTZ_BINARY(pow, math::pow(x, y))
WOOTZ_BINARY(maximum, math::maximum(x, y))
WOOTZ_BINARY(minimum, math::minimum(x, y))

WOOTZ_BINARY_KERNEL(add, i64, i64)
WOOTZ_BINARY_KERNEL(sub, i64, i64)
WOOTZ_BINARY_KERNEL(mul, i64, i64)

}  // namespace wootz
