// The error function and the circular ones.
#include "unary.cuh"

namespace wootz {

WOOTZ_STRUCTURES(Layout<2>)

WOOTZ_UNARY(gelu, x * normal_cdf(x))
WOOTZ_UNARY(erf, math::erf(x))
WOOTZ_UNARY(sin, math::sin(x))
WOOTZ_UNARY(cos, math::cos(x))

}  // namespace wootz
