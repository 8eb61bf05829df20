// Complex numbers and the real numbers that they are made of, as views of one memory.
#include "forward.h"
#include "ops/rules.h"

namespace wootz::forward {

Tensor view_as_real(const Tensor& self) {
  WOOTZ_CHECK(is_complex(self.dtype()), ErrorKind::DType, "view_as_real: expected a complex tensor, got ", name_of(self.dtype()));
  Dims shape = self.shape(), strides = self.strides();
  for (int64_t& s : strides) s *= 2;
  shape.push(2);
  strides.push(1);
  return Tensor::make(self->storage, self->offset * 2, shape, strides, real_type(self.dtype()));
}

Tensor view_as_complex(const Tensor& self) {
  DType t = self.dtype();
  WOOTZ_CHECK(t == DType::Float32 || t == DType::Float64, ErrorKind::DType, "view_as_complex: expected a float32 or float64 tensor, got ",
              name_of(t));
  WOOTZ_CHECK(self.dim() > 0 && self.shape().back() == 2, ErrorKind::Shape, "view_as_complex: expected a last dimension of size 2, got shape ",
              text(self.shape()));
  WOOTZ_CHECK(self.strides().back() == 1, ErrorKind::Shape, "view_as_complex: the last dimension must have stride 1, got strides ",
              text(self.strides()));
  Dims shape = self.shape(), strides = self.strides();
  shape.pop();
  strides.pop();
  bool even = self->offset % 2 == 0;
  for (int64_t& s : strides) {
    even &= s % 2 == 0;
    s /= 2;
  }
  WOOTZ_CHECK(even, ErrorKind::Shape, "view_as_complex: the offset and all strides but the last must be even, got offset ", self->offset,
              " and strides ", text(self.strides()), "; use contiguous() first");
  return Tensor::make(self->storage, self->offset / 2, shape, strides, complex_type(t));
}

Tensor complex(const Tensor& real, const Tensor& imag) {
  DType t = real.dtype();
  WOOTZ_CHECK(t == imag.dtype() && (t == DType::Float32 || t == DType::Float64), ErrorKind::DType,
              "complex: expected two float32 or two float64 tensors, got ", name_of(t), " and ", name_of(imag.dtype()));
  Tensor out = empty(broadcast(real.shape(), imag.shape()), complex_type(t)), parts = view_as_real(out);
  assign(select(parts, -1, 0), real);
  assign(select(parts, -1, 1), imag);
  return out;
}

}  // namespace wootz::forward

namespace wootz::rules {

using namespace ops;

Tensor part(const Tensor& grad, int64_t which) { return select(view_as_real(contiguous(grad)), -1, which); }

// Of the gradient only what is across the number's direction moves the direction, by 1 / |z|.
Tensor complex_sgn(const Tensor& grad, const Tensor& self, const Tensor& result) {
  Tensor along = part(grad * conj(result), 0), size = abs(self);
  return where(eq(self, number(0)), number(0), (grad - result * along) / size);
}

Tensor complex_angle(const Tensor& grad, const Tensor& self) {
  Tensor turned = self * wrapped_scalar(Complex<double>(0, 1)), size = abs(self);
  return where(eq(self, number(0)), number(0), turned * (grad / (size * size)));
}

}  // namespace wootz::rules
