// Exponentials, logarithms, and what is made of them.
#include "unary.cuh"

namespace wootz {

WOOTZ_STRUCTURES(Layout<2>)

WOOTZ_UNARY(exp, math::exp(x))
WOOTZ_UNARY(expm1, math::expm1(x))
WOOTZ_UNARY(log, math::log(x))
WOOTZ_UNARY(log1p, math::log1p(x))
WOOTZ_UNARY(tanh, math::tanh(x))
WOOTZ_UNARY(sigmoid, logistic(x))
WOOTZ_UNARY(silu, x * logistic(x))

}  // namespace wootz
