// Matrix products over the packed kernel.
#include "core/parallel.h"
#include "forward.h"
#include "ops/rules.h"

namespace wootz::forward {
namespace {

template <class T> cpu::Gemm product(const Tensor& a, const Tensor& b, const Tensor& c) {
  cpu::Gemm g{};
  int ad = a.dim(), bd = b.dim(), cd = c.dim();
  g.m = a.shape()[ad - 2];
  g.k = a.shape()[ad - 1];
  g.n = b.shape()[bd - 1];
  g.a = a.data<T>();
  g.a_row = a.strides()[ad - 2];
  g.a_col = a.strides()[ad - 1];
  g.b = b.data<T>();
  g.b_row = b.strides()[bd - 2];
  g.b_col = b.strides()[bd - 1];
  g.c = c.data<T>();
  g.c_row = c.strides()[cd - 2];
  return g;
}

template <class T> void multiply(const Tensor& a, const Tensor& b, const Tensor& c, const Tensor& bias) {
  cpu::Gemm g = product<T>(a, b, c);
  if (bias.defined()) g.bias = bias.data<T>();
  cpu::kernels().real<T>().gemm(g);
}

// Matrices of a broadcast stack, one after another; the offsets are in elements.
template <class T> void multiply_stack(const Tensor& a, const Tensor& b, const Tensor& c) {
  int batch = c.dim() - 2;
  int64_t n = 1;
  for (int d = 0; d < batch; ++d) n *= c.shape()[d];
  cpu::Gemm one = product<T>(a, b, c);
  auto at = [&](const Tensor& t, int64_t i) {
    int64_t offset = 0;
    for (int d = batch - 1; d >= 0; --d) {
      int64_t k = i % c.shape()[d];
      i /= c.shape()[d];
      offset += k * t.strides()[d];
    }
    return offset;
  };
  int64_t work = std::max<int64_t>(1, one.m * one.n * one.k);
  parallel_for(n, std::max<int64_t>(1, 65536 / work), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      cpu::Gemm g = one;
      g.a = static_cast<const T*>(g.a) + at(a, i);
      g.b = static_cast<const T*>(g.b) + at(b, i);
      g.c = static_cast<T*>(g.c) + at(c, i);
      cpu::kernels().real<T>().gemm(g);
    }
  });
}

Tensor dispatch(const char* op, const Tensor& a, const Tensor& b, const Dims& shape, const Tensor& bias) {
  Tensor c = empty(shape, a.dtype());
  if (c.numel() == 0) return c;
  visit_float(a.dtype(), op, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (c.dim() == 2) multiply<T>(a, b, c, bias);
    else multiply_stack<T>(a, b, c);
  });
  return c;
}

void check_product(const char* op, const Tensor& a, const Tensor& b) {
  WOOTZ_CHECK(a.dim() > 0 && b.dim() > 0, ErrorKind::Shape, op, ": both arguments need to be at least 1D, but they are ",
        a.dim(), "D and ", b.dim(), "D");
  WOOTZ_CHECK(a.dtype() == b.dtype(), ErrorKind::DType, op, ": expected m1 and m2 to have the same dtype, but got: ",
        name_of(a.dtype()), " != ", name_of(b.dtype()));
}

Tensor expanded(const Tensor& t, const Dims& batch) {
  Dims shape = batch;
  shape.push(t.size(-2));
  shape.push(t.size(-1));
  return expand(t, shape);
}

Dims batch_of(const Tensor& t) {
  Dims d = t.shape();
  d.pop();
  d.pop();
  return d;
}

// Integers have no packed kernel: a product over a broadcast copy is enough for what index arithmetic needs.
Tensor integer_product(const Tensor& a, const Tensor& b) {
  Tensor x = unsqueeze(a, -1), y = unsqueeze(b, -3);
  return sum(mul(x, y), Dims{-2}, false, a.dtype());
}

// Four products of the parts, which are strided views of the operands.
Tensor complex_product(const Tensor& a, const Tensor& b) {
  auto part = [](const Tensor& t, int64_t which) { return select(view_as_real(t), -1, which); };
  Tensor ar = part(a, 0), ai = part(a, 1), br = part(b, 0), bi = part(b, 1);
  return complex(sub(matmul(ar, br), matmul(ai, bi), 1), add(matmul(ar, bi), matmul(ai, br), 1));
}

}  // namespace

Tensor matmul(const Tensor& self, const Tensor& other) {
  check_product("matmul", self, other);
  if (is_complex(self.dtype())) return complex_product(self, other);
  Tensor a = self.dim() == 1 ? unsqueeze(self, 0) : self, b = other.dim() == 1 ? unsqueeze(other, 1) : other;
  WOOTZ_CHECK(a.size(-1) == b.size(-2), ErrorKind::Shape, "mat1 and mat2 shapes cannot be multiplied (", text(self.shape()),
        " and ", text(other.shape()), ")");
  Tensor out;
  if (is_integral(a.dtype())) {
    out = integer_product(a, b);
  } else if (b.dim() == 2 && a.dim() > 2) {  // a stack times one matrix is one tall product
    int64_t rows = 1;
    for (int d = 0; d + 1 < a.dim(); ++d) rows *= a.shape()[d];
    Dims shape = a.shape();
    shape[shape.size() - 1] = b.size(-1);
    Tensor tall = dispatch("matmul", reshape(a, {rows, a.size(-1)}), b, {rows, b.size(-1)}, Tensor());
    out = raw_view(tall, shape, contiguous_strides(shape), 0);
  } else {
    Dims batch = broadcast(batch_of(a), batch_of(b)), shape = batch;
    shape.push(a.size(-2));
    shape.push(b.size(-1));
    bool stack = !batch.empty();
    out = dispatch("matmul", stack ? expanded(a, batch) : a, stack ? expanded(b, batch) : b, shape, Tensor());
  }
  if (other.dim() == 1) out = select(out, -1, 0);
  if (self.dim() == 1) out = select(out, other.dim() == 1 ? -1 : -2, 0);
  return out;
}

Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias) {
  check_product("linear", input, weight);
  WOOTZ_CHECK(weight.dim() == 2, ErrorKind::Shape, "linear: weight must be 2-D (out, in), got shape ", text(weight.shape()));
  WOOTZ_CHECK(input.size(-1) == weight.size(1), ErrorKind::Shape, "mat1 and mat2 shapes cannot be multiplied: input ",
        text(input.shape()), " and weight ", text(weight.shape()), " transposed");
  Tensor b;
  if (bias.defined()) {
    WOOTZ_CHECK(bias.dim() == 1 && bias.size(0) == weight.size(0), ErrorKind::Shape, "linear: bias must have shape [",
          weight.size(0), "], got ", text(bias.shape()));
    WOOTZ_CHECK(bias.dtype() == weight.dtype(), ErrorKind::DType, "linear: bias has dtype ", name_of(bias.dtype()),
          ", weight ", name_of(weight.dtype()));
    b = contiguous(bias);
  }
  if (is_complex(input.dtype())) {
    Tensor product = matmul(input, transpose(weight, 0, 1));
    return b.defined() ? add(product, b, 1) : product;
  }
  int64_t rows = 1;
  for (int d = 0; d + 1 < input.dim(); ++d) rows *= input.shape()[d];
  Dims shape = input.shape();
  shape[shape.size() - 1] = weight.size(0);
  Tensor x = reshape(input, {rows, input.size(-1)});
  Tensor out = dispatch("linear", x, transpose(weight, 0, 1), {rows, weight.size(0)}, b);
  return raw_view(out, shape, contiguous_strides(shape), 0);
}

}  // namespace wootz::forward
