// Functions of one operand that a few instructions give.
#include "unary.cuh"

namespace wootz {

WOOTZ_STRUCTURES(Layout<2>)

WOOTZ_UNARY(neg, -x)
WOOTZ_UNARY(abs, math::fabs(x))
WOOTZ_UNARY(sign, is_nan(x) ? x : C((x > C(0)) - (x < C(0))))
WOOTZ_UNARY(reciprocal, C(1) / x)
WOOTZ_UNARY(square, x * x)
WOOTZ_UNARY(sqrt, math::sqrt(x))
WOOTZ_UNARY(rsqrt, C(1) / math::sqrt(x))
WOOTZ_UNARY(relu, x < C(0) ? C(0) : x)
WOOTZ_UNARY(floor, math::floor(x))
WOOTZ_UNARY(ceil, math::ceil(x))
WOOTZ_UNARY(round, math::round(x))

}  // namespace wootz
