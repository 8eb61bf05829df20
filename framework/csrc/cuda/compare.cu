// Comparisons.
#include "binary.cuh"

namespace wootz {

WOOTZ_STRUCTURES(Layout<3>)

#define WOOTZ_COMPARE(name, expression)    \
  WOOTZ_BINARY_OP(name, u8, expression)    \
  WOOTZ_BINARY_KERNEL(name, f32, boolean)  \
  WOOTZ_BINARY_KERNEL(name, f16, boolean)  \
  WOOTZ_BINARY_KERNEL(name, bf16, boolean) \
  WOOTZ_BINARY_KERNEL(name, f64, boolean)  \
  WOOTZ_BINARY_KERNEL(name, i64, boolean)

WOOTZ_COMPARE(eq, x == y)
WOOTZ_COMPARE(ne, x != y)
WOOTZ_COMPARE(lt, x < y)
WOOTZ_COMPARE(le, x <= y)
WOOTZ_COMPARE(gt, x > y)
WOOTZ_COMPARE(ge, x >= y)

}  // namespace wootz
