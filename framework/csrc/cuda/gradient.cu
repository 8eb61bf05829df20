// Derivatives: x is the gradient of the output, y the saved input or, for tanh and sigmoid, the saved output.
#include "binary.cuh"

namespace wootz {

WOOTZ_STRUCTURES(Layout<3>)

WOOTZ_BINARY(tanh_backward, x * (C(1) - y * y))
WOOTZ_BINARY(sigmoid_backward, x * y * (C(1) - y))
WOOTZ_BINARY(relu_backward, y > C(0) ? x : C(0))
WOOTZ_BINARY(gelu_backward, x * (normal_cdf(y) + y * normal_pdf(y)))
WOOTZ_BINARY(silu_backward, x * logistic(y) * (C(1) + y * (C(1) - logistic(y))))

}  // namespace wootz
