#pragma once
// What derivative rules are written in: tensor arithmetic that records itself, and the longer rules.
#include "core/autograd.h"
#include "ops.h"

namespace wootz {

inline Tensor number(double v) { return wrapped_scalar(v); }
inline Tensor operator+(const Tensor& a, const Tensor& b) { return ops::add(a, b, 1); }
inline Tensor operator+(const Tensor& a, double b) { return ops::add(a, number(b), 1); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return ops::sub(a, b, 1); }
inline Tensor operator-(double a, const Tensor& b) { return ops::sub(number(a), b, 1); }
inline Tensor operator-(const Tensor& a) { return ops::neg(a); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return ops::mul(a, b); }
inline Tensor operator*(const Tensor& a, double b) { return ops::mul(a, number(b)); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return ops::div(a, b); }

// The complex conjugate, and the number of size 1 in the same direction; a real number's are itself and its sign.
inline Tensor conj(const Tensor& t) { return is_complex(t.dtype()) ? ops::conj_physical(t) : t; }
inline Tensor direction(const Tensor& t) { return is_complex(t.dtype()) ? ops::complex_sgn(t) : ops::sign(t); }

// The tensor itself when it is contiguous, else a copy that is.
inline Tensor contiguous(const Tensor& t) { return t.is_contiguous() ? t : ops::clone(t); }

namespace rules {

using OptionalDims = std::optional<Dims>;

Tensor scaled(const Tensor& grad, double factor);
// Zeros beside the gradient and of its type, in its or another shape.
Tensor blank(const Tensor& grad, const Dims& shape);
inline Tensor zero(const Tensor& grad) { return blank(grad, grad.shape()); }
// The real (0) or imaginary (1) part of complex numbers.
Tensor part(const Tensor& grad, int64_t which);
Tensor complex_sgn(const Tensor& grad, const Tensor& self, const Tensor& result);
Tensor complex_angle(const Tensor& grad, const Tensor& self);
Tensor pow_self(const Tensor& grad, const Tensor& self, const Tensor& exponent);
Tensor pow_exponent(const Tensor& grad, const Tensor& self, const Tensor& exponent, const Tensor& result);
// grad where `wins`, half of it where both are equal.
Tensor share(const Tensor& grad, const Tensor& a, const Tensor& b, const Tensor& wins);
Tensor silu(const Tensor& grad, const Tensor& x);
Tensor gelu_tanh(const Tensor& grad, const Tensor& x);
Tensor clamp(const Tensor& grad, const Tensor& x, const Tensor& min, const Tensor& max);
Tensor clamp_min(const Tensor& grad, const Tensor& x, const Tensor& min, const Tensor& max);
Tensor clamp_max(const Tensor& grad, const Tensor& x, const Tensor& min, const Tensor& max);

// The gradient of a reduction in the reduced shape with its dimensions put back, broadcast to `shape`.
Tensor spread(const Tensor& grad, const Dims& shape, const OptionalDims& dim, bool keepdim);
// How many elements go into one result.
double group(const Dims& shape, const OptionalDims& dim);
Tensor var(const Tensor& grad, const Tensor& self, const OptionalDims& dim, double correction, bool keepdim);
Tensor prod(const Tensor& grad, const Tensor& self, std::optional<int64_t> dim, bool keepdim);
Tensor extremum(const Tensor& grad, const Tensor& self, const Tensor& result, const OptionalDims& dim, bool keepdim);
Tensor logsumexp(const Tensor& grad, const Tensor& self, const Tensor& result, const Dims& dim, bool keepdim);

// What a strided view of a tensor of the given geometry would see, if the tensor held `grad`.
Tensor window(const Tensor& grad, const Dims& shape, const Dims& strides, int64_t offset, const Dims& size,
              const Dims& stride, int64_t storage_offset);
// A mask over the geometry: false where the strided view looks.
Tensor outside(Device device, const Dims& shape, const Dims& strides, int64_t offset, const Dims& size,
               const Dims& stride, int64_t storage_offset);
Dims inverse(const Dims& permutation);
int64_t wrapped_start(const Dims& shape, int64_t dim, int64_t start);
TensorList cat(const Tensor& grad, const std::vector<Geometry>& parts, int64_t dim);
TensorList unbind(const Tensor& grad, int64_t dim);

Tensor matmul_self(const Tensor& grad, const Tensor& self, const Tensor& other);
Tensor matmul_other(const Tensor& grad, const Tensor& self, const Tensor& other);
Tensor linear_weight(const Tensor& grad, const Tensor& input);

Tensor softmax_output(const Tensor& grad, const Tensor& grad_output, const Tensor& output, int64_t dim);
Tensor log_softmax_grad(const Tensor& grad, const Tensor& output, int64_t dim);
Tensor cross_entropy_logits(const Tensor& grad, const Tensor& self, const Tensor& target, const Tensor& scale,
                            int64_t ignore_index);
Tensor cross_entropy_scale(const Tensor& grad, const Tensor& self, const Tensor& target, int64_t ignore_index,
                           double label_smoothing);

// The spatial part of (batch, channels, ...), and the sum over all but the channels.
Dims spatial(const Dims& shape);
Tensor channel_sum(const Tensor& grad);
// The last n extents.
Dims tail(const Dims& shape, int64_t n);
std::array<Tensor, 3> normalise(const Tensor& grad, const Tensor& input, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                                const Tensor& var, const Dims& dims, double eps, bool centred);
// The gradients of query, key and value; `grads` are those of the output and of the logarithm of the sums.
std::array<Tensor, 3> attention(const Tensor* grads, const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& mask,
                                const Tensor& result, const Tensor& lse, double scale, bool causal, double p, int64_t seed, int64_t draw);

}  // namespace rules
}  // namespace wootz
