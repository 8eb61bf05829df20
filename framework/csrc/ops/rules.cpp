#include "ops/rules.h"

#include "core/backend.h"
#include "forward.h"

namespace wootz::rules {

using namespace ops;

namespace {

// True on the diagonal of an n by n matrix.
Tensor identity_mask(int64_t n, Device device) {
  Tensor m = zeros({n, n}, DType::Bool);
  for (int64_t i = 0; i < n; ++i) m.data<bool>()[i * (n + 1)] = true;
  return on_device(m, device);
}

Tensor rows(const Tensor& t) {
  if (t.dim() == 2) return t;
  int64_t n = 1;
  for (int d = 0; d + 1 < t.dim(); ++d) n *= t.shape()[d];
  return reshape(t, {n, t.size(-1)});
}

// a^T b with everything before the last dimension taken together: (..., i), (..., j) to (i, j).
Tensor outer_sum(const Tensor& a, const Tensor& b) { return matmul(transpose(rows(a), 0, 1), rows(b)); }

}  // namespace

Tensor scaled(const Tensor& grad, double factor) { return factor == 1 ? grad : grad * factor; }
Tensor blank(const Tensor& grad, const Dims& shape) { return filled(grad, shape, grad.dtype(), 0); }

Tensor pow_self(const Tensor& grad, const Tensor& self, const Tensor& exponent) {
  if (exponent->wrapped && !is_complex(exponent.dtype())) {  // a Python scalar: in double, whatever the default type is
    double e = item(exponent);
    return e == 0 ? zero(grad) : grad * conj(pow(self, number(e - 1)) * e);
  }
  Tensor slope = grad * conj(exponent * pow(self, exponent - number(1)));
  return where(eq(exponent, number(0)), number(0), slope);
}

// 0 to a non-negative power does not change with the power.
Tensor pow_exponent(const Tensor& grad, const Tensor& self, const Tensor& exponent, const Tensor& result) {
  Tensor size = is_complex(exponent.dtype()) ? part(exponent, 0) : exponent;
  Tensor still = logical_and(eq(self, number(0)), ge(size, number(0)));
  Tensor base = where(still, number(1), is_complex(result.dtype()) ? cast(self, result.dtype()) : self);
  return where(still, number(0), grad * conj(result * log(base)));
}

Tensor share(const Tensor& grad, const Tensor& a, const Tensor& b, const Tensor& wins) {
  return where(wins, grad, where(eq(a, b), grad * 0.5, number(0)));
}

Tensor silu(const Tensor& grad, const Tensor& x) {
  Tensor s = sigmoid(x);
  return grad * s * (x * (1.0 - s) + 1.0);
}

Tensor gelu_tanh(const Tensor& grad, const Tensor& x) {
  constexpr double k = 0.79788456080286535588, c = 0.044715;
  Tensor square = x * x, t = tanh(x * (square * c + 1.0) * k);
  Tensor slope = (1.0 - t * t) * (square * (3 * c) + 1.0) * k;
  return grad * ((t + 1.0) * 0.5 + x * slope * 0.5);
}

Tensor clamp(const Tensor& grad, const Tensor& x, const Tensor& min, const Tensor& max) {
  Tensor g = grad;
  if (min.defined()) g = where(ge(x, min), g, number(0));
  if (max.defined()) g = where(le(x, max), g, number(0));
  return g;
}

Tensor clamp_min(const Tensor& grad, const Tensor& x, const Tensor& min, const Tensor& max) {
  Tensor held = lt(x, min);
  if (max.defined()) held = logical_and(held, lt(min, max));
  return where(held, grad, number(0));
}

Tensor clamp_max(const Tensor& grad, const Tensor& x, const Tensor& min, const Tensor& max) {
  Tensor held = gt(x, max);
  if (min.defined()) held = logical_or(held, ge(min, max));
  return where(held, grad, number(0));
}

namespace {

Dims all_or(const OptionalDims& dim, int n) { return wrap_dims(dim.value_or(Dims{}), n); }

Tensor with_dims(const Tensor& t, const Dims& shape, const OptionalDims& dim, bool keepdim) {
  if (keepdim || t.dim() == shape.size()) return t;
  Dims kept = shape;
  for (int64_t d : all_or(dim, shape.size())) kept[static_cast<int>(d)] = 1;
  return reshape(t, kept);
}

}  // namespace

Tensor spread(const Tensor& grad, const Dims& shape, const OptionalDims& dim, bool keepdim) {
  return expand(with_dims(grad, shape, dim, keepdim), shape);
}

double group(const Dims& shape, const OptionalDims& dim) {
  double n = 1;
  for (int64_t d : all_or(dim, shape.size())) n *= static_cast<double>(shape[static_cast<int>(d)]);
  return n;
}

Tensor var(const Tensor& grad, const Tensor& self, const OptionalDims& dim, double correction, bool keepdim) {
  double n = group(self.shape(), dim);
  Tensor centred = self - mean(self, dim, true, std::nullopt);
  return spread(grad, self.shape(), dim, keepdim) * centred * (2 / std::max(n - correction, 0.0));
}

// Each element's slope is the product of the others, without dividing by it (it may be 0).
Tensor prod(const Tensor& grad, const Tensor& self, std::optional<int64_t> dim, bool keepdim) {
  if (self.dim() == 0) return grad;
  Tensor x = dim ? transpose(self, *dim, -1) : reshape(self, {self.numel()});
  int64_t n = x.size(-1);
  Tensor others = where(identity_mask(n, self.device()), number(1), unsqueeze(x, -2));
  Tensor slope = conj(ops::prod(others, -1, false, std::nullopt));
  if (!dim) return grad * reshape(slope, self.shape());
  Tensor g = keepdim ? grad : unsqueeze(grad, *dim);
  return g * transpose(slope, *dim, -1);
}

Tensor extremum(const Tensor& grad, const Tensor& self, const Tensor& result, const OptionalDims& dim, bool keepdim) {
  Tensor best = with_dims(result, self.shape(), dim, keepdim), g = with_dims(grad, self.shape(), dim, keepdim);
  Tensor mask = cast(eq(self, best), grad.dtype());
  return g * mask / ops::sum(mask, dim, true, std::nullopt);
}

Tensor logsumexp(const Tensor& grad, const Tensor& self, const Tensor& result, const Dims& dim, bool keepdim) {
  Tensor r = with_dims(result, self.shape(), dim, keepdim);
  return with_dims(grad, self.shape(), dim, keepdim) * conj(exp(self - r));
}

Tensor window(const Tensor& grad, const Dims& shape, const Dims& strides, int64_t offset, const Dims& size,
              const Dims& stride, int64_t storage_offset) {
  if (is_contiguous(shape, strides)) {
    Tensor dense = wootz::contiguous(grad);
    return as_strided(dense, size, stride, dense->offset + storage_offset - offset);
  }
  WOOTZ_CHECK(!recording(grad), ErrorKind::Gradient,
        "as_strided: the second derivative exists only for views of contiguous tensors");
  Tensor buffer = filled(grad, {extent(shape, strides, offset)}, grad.dtype(), 0);
  forward::assign(raw_view(buffer, shape, strides, offset), grad);
  return raw_view(buffer, size, stride, storage_offset);
}

Tensor outside(Device device, const Dims& shape, const Dims& strides, int64_t offset, const Dims& size,
               const Dims& stride, int64_t storage_offset) {
  Tensor buffer = on_device(full({extent(shape, strides, offset)}, DType::Bool, 1), device);
  forward::assign(raw_view(buffer, size, stride, storage_offset), wrapped_scalar(false));
  return raw_view(buffer, shape, strides, offset);
}

Dims inverse(const Dims& permutation) {
  Dims out = permutation;
  for (int i = 0; i < permutation.size(); ++i) out[wrap_dim(permutation[i], permutation.size())] = i;
  return out;
}

int64_t wrapped_start(const Dims& shape, int64_t dim, int64_t start) {
  return start < 0 ? start + shape[wrap_dim(dim, shape.size())] : start;
}

TensorList cat(const Tensor& grad, const std::vector<Geometry>& parts, int64_t dim) {
  TensorList out;
  int d = wrap_dim(dim, grad.dim());
  int64_t start = 0;
  for (const Geometry& g : parts) {
    bool legacy = g.shape.size() == 1 && g.shape[0] == 0 && grad.dim() != 1;
    int64_t n = legacy ? 0 : g.shape[d];
    out.push_back(legacy ? Tensor() : narrow(grad, d, start, n));
    start += n;
  }
  return out;
}

TensorList unbind(const Tensor& grad, int64_t dim) {
  TensorList out;
  for (int64_t i = 0; i < grad.size(dim); ++i) out.push_back(select(grad, dim, i));
  return out;
}

Tensor matmul_self(const Tensor& grad, const Tensor& self, const Tensor& other) {
  Tensor factor = conj(other);
  if (self.dim() == 1 && other.dim() == 1) return grad * factor;
  if (other.dim() == 1) return unsqueeze(grad, -1) * factor;
  Tensor g = self.dim() == 1 ? unsqueeze(grad, -2) : grad;
  Tensor d = matmul(g, transpose(factor, -1, -2));
  return self.dim() == 1 ? select(d, -2, 0) : d;
}

Tensor matmul_other(const Tensor& grad, const Tensor& self, const Tensor& other) {
  Tensor factor = conj(self);
  if (self.dim() == 1 && other.dim() == 1) return grad * factor;
  if (other.dim() == 1) return matmul(reshape(grad, {grad.numel()}), rows(factor));
  if (self.dim() == 1) return unsqueeze(factor, -1) * unsqueeze(grad, -2);
  if (other.dim() == 2 && self.dim() > 2) return outer_sum(factor, grad);
  return matmul(transpose(factor, -1, -2), grad);
}

Tensor linear_weight(const Tensor& grad, const Tensor& input) { return outer_sum(grad, conj(input)); }

Tensor softmax_output(const Tensor& grad, const Tensor& grad_output, const Tensor& output, int64_t dim) {
  Dims d{dim};
  Tensor inner = ops::sum(grad_output * output, d, true, std::nullopt);
  return grad * (grad_output - inner) - grad_output * ops::sum(grad * output, d, true, std::nullopt);
}

Tensor log_softmax_grad(const Tensor& grad, const Tensor& output, int64_t dim) {
  return grad - ops::sum(grad * exp(output), Dims{dim}, true, std::nullopt);
}

// With p = softmax(x) and s the row's scale: d/dx of <grad, s (p - t)> = s p (grad - <grad, p>), 0 where ignored.
Tensor cross_entropy_logits(const Tensor& grad, const Tensor& self, const Tensor& target, const Tensor& scale,
                            int64_t ignore_index) {
  Tensor p = softmax(self, -1, std::nullopt);
  Tensor s = where(eq(target, wrapped_scalar(ignore_index)), number(0), scale);
  return unsqueeze(s, -1) * p * (grad - ops::sum(grad * p, Dims{-1}, true, std::nullopt));
}

Tensor cross_entropy_scale(const Tensor& grad, const Tensor& self, const Tensor& target, int64_t ignore_index,
                           double label_smoothing) {
  Tensor one = filled(self, {target.numel()}, self.dtype(), 1);
  Tensor slope = cross_entropy_backward(self, target, one, ignore_index, label_smoothing);
  return ops::sum(grad * slope, Dims{-1}, false, std::nullopt);
}

}  // namespace wootz::rules
