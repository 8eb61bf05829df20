// Reductions: any set of dimensions is brought to [outer, n, inner] and given to a kernel in fixed pieces.
#include <cmath>
#include <limits>

#include "core/parallel.h"
#include "forward.h"
#include "ops/rules.h"

namespace wootz::forward {
namespace {

constexpr int64_t kGrain = 32768;

using cpu::Reduction;

struct Layout {
  Tensor x;  // contiguous
  int64_t outer = 1, n = 1, inner = 1;
  Dims result;  // with keepdim applied
};

// The reduced dimensions must be neighbours in memory: kept ones before and after, otherwise a copy brings them last.
Layout arrange(const Tensor& self, const std::optional<Dims>& dim, bool keepdim) {
  Dims dims = wrap_dims(dim.value_or(Dims{}), self.dim());
  Layout l;
  Dims order;
  for (int d = 0; d < self.dim(); ++d) {
    bool reduced = dims.contains(d);
    if (!reduced) order.push(d);
    if (!reduced || keepdim) l.result.push(reduced ? 1 : self.shape()[d]);
  }
  int kept = order.size(), first = self.dim(), last = -1;
  for (int64_t d : dims) {
    first = std::min<int>(first, static_cast<int>(d));
    last = std::max<int>(last, static_cast<int>(d));
  }
  bool together = last - first + 1 == dims.size();
  if (together || dims.empty()) {
    l.x = contiguous(self);
    for (int d = 0; d < self.dim(); ++d) (d < first ? l.outer : d <= last ? l.n : l.inner) *= self.shape()[d];
    return l;
  }
  for (int d = 0; d < self.dim(); ++d)
    if (dims.contains(d)) order.push(d);
  Dims shape, strides;
  for (int64_t d : order) {
    shape.push(self.shape()[static_cast<int>(d)]);
    strides.push(self.strides()[static_cast<int>(d)]);
  }
  l.x = contiguous(raw_view(self, shape, strides, self->offset));
  for (int i = 0; i < shape.size(); ++i) (i < kept ? l.outer : l.n) *= shape[i];
  return l;
}

// Cuts n into pieces when there are too few results to share out; the pieces' results are reduced again.
void run(Reduction r, DType dtype, const char* x, char* out, int64_t outer, int64_t n, int64_t inner) {
  if (r == Reduction::sum && is_complex(dtype)) return run(r, real_type(dtype), x, out, outer, n, 2 * inner);
  cpu::Reduce kernel = cpu::kernels().reduce[static_cast<int>(r)][static_cast<int>(dtype)];
  auto size = static_cast<int64_t>(size_of(dtype));
  int64_t piece = std::max<int64_t>(4, kGrain / inner);  // at least, so that every round shrinks what is left
  int64_t pieces = (n + piece - 1) / piece;
  if (outer >= 16 || pieces < 4) {
    int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, n * inner));
    parallel_for(outer, grain, [&](int64_t a, int64_t b) { kernel(x, out, a, b, n * inner, n, inner); });
    return;
  }
  Tensor partial = empty({outer, pieces, inner}, dtype);
  parallel_for(outer * pieces, 1, [&](int64_t a, int64_t b) {
    for (int64_t i = a; i < b; ++i) {
      int64_t o = i / pieces, p = i % pieces;
      const char* from = x + (o * n + p * piece) * inner * size;
      kernel(from, partial.bytes() + i * inner * size, 0, 1, 0, std::min(piece, n - p * piece), inner);
    }
  });
  run(r, dtype, partial.bytes(), out, outer, pieces, inner);
}

Tensor reduce(Reduction r, const Tensor& self, const std::optional<Dims>& dim, bool keepdim) {
  Layout l = arrange(self, dim, keepdim);
  Tensor out = empty(l.result, self.dtype());
  if (out.numel() > 0) run(r, self.dtype(), l.x.bytes(), out.bytes(), l.outer, l.n, l.inner);
  return out;
}

std::optional<Dims> as_dims(std::optional<int64_t> dim) {
  return dim ? std::optional<Dims>(Dims{*dim}) : std::nullopt;
}

Tensor as_type(const Tensor& t, DType dtype) { return t.dtype() == dtype ? t : cast(t, dtype); }

DType sum_type(const Tensor& self, std::optional<DType> dtype) {
  return dtype.value_or(is_integral(self.dtype()) ? DType::Int64 : self.dtype());
}

// sum and prod have kernels for int64 and the floating point types; a narrower result is cast at the end.
Tensor accumulate(Reduction r, const Tensor& self, const std::optional<Dims>& dim, bool keepdim,
                  std::optional<DType> dtype) {
  DType result = sum_type(self, dtype);
  DType wide = is_integral(result) ? DType::Int64 : result;
  return as_type(reduce(r, as_type(self, wide), dim, keepdim), result);
}

void need_values(const char* op, const Tensor& self, const std::optional<Dims>& dim) {
  for (int64_t d : wrap_dims(dim.value_or(Dims{}), self.dim()))
    WOOTZ_CHECK(self.shape()[static_cast<int>(d)] > 0, ErrorKind::Index, op,
          ": cannot reduce over a dimension of size 0, shape ", text(self.shape()));
}

void need_order(const char* op, const Tensor& self) {
  WOOTZ_CHECK(!is_complex(self.dtype()), ErrorKind::DType, "\"", op, "\" not implemented for '", name_of(self.dtype()), "': complex ",
        "numbers have no order");
}

}  // namespace

Tensor sum(const Tensor& self, const std::optional<Dims>& dim, bool keepdim, std::optional<DType> dtype) {
  return accumulate(Reduction::sum, self, dim, keepdim, dtype);
}

Tensor prod(const Tensor& self, std::optional<int64_t> dim, bool keepdim, std::optional<DType> dtype) {
  return accumulate(Reduction::prod, self, as_dims(dim), keepdim, dtype);
}

Tensor mean(const Tensor& self, const std::optional<Dims>& dim, bool keepdim, std::optional<DType> dtype) {
  DType type = dtype.value_or(self.dtype());
  WOOTZ_CHECK(is_differentiable(type), ErrorKind::DType, "mean(): could not infer output dtype. Input dtype must be either a ",
        "floating point or complex dtype. Got: ", name_of(type));
  Tensor total = accumulate(Reduction::sum, self, dim, keepdim, type);
  return div(total, wrapped_scalar(rules::group(self.shape(), dim)), total);
}

Tensor var(const Tensor& self, const std::optional<Dims>& dim, double correction, bool keepdim) {
  WOOTZ_CHECK(is_differentiable(self.dtype()), ErrorKind::DType, "std and var only support floating point and complex dtypes, got ",
        name_of(self.dtype()));
  Tensor centred = sub(self, mean(self, dim, true, std::nullopt), 1);
  if (is_complex(self.dtype())) centred = abs(centred);
  Tensor squares = reduce(Reduction::sum, square(centred, centred), dim, keepdim);
  double n = rules::group(self.shape(), dim) - correction;
  return div(squares, wrapped_scalar(std::max(n, 0.0)), squares);
}

Tensor amax(const Tensor& self, const std::optional<Dims>& dim, bool keepdim) {
  need_order("amax", self);
  need_values("amax", self, dim);
  return reduce(Reduction::amax, self, dim, keepdim);
}

Tensor amin(const Tensor& self, const std::optional<Dims>& dim, bool keepdim) {
  need_order("amin", self);
  need_values("amin", self, dim);
  return reduce(Reduction::amin, self, dim, keepdim);
}

Tensor any(const Tensor& self, const std::optional<Dims>& dim, bool keepdim) {
  return reduce(Reduction::any, as_type(self, DType::Bool), dim, keepdim);
}

Tensor all(const Tensor& self, const std::optional<Dims>& dim, bool keepdim) {
  return reduce(Reduction::all, as_type(self, DType::Bool), dim, keepdim);
}

namespace {

Tensor arg(const char* op, const cpu::ArgReduce* kernels, const Tensor& self, std::optional<int64_t> dim, bool keepdim) {
  std::optional<Dims> dims = as_dims(dim);
  need_order(op, self);
  need_values(op, self, dims);
  Layout l = arrange(self, dims, keepdim);
  if (l.inner > 1) {  // rows must be contiguous
    Tensor x = raw_view(l.x, {l.outer, l.inner, l.n}, {l.n * l.inner, 1, l.inner}, l.x->offset);
    l.x = clone(x);
    l.outer *= l.inner;
  }
  Tensor out = empty(l.result, DType::Int64);
  auto size = static_cast<int64_t>(size_of(self.dtype()));
  int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, l.n));
  parallel_for(l.outer, grain, [&](int64_t a, int64_t b) {
    kernels[static_cast<int>(self.dtype())](l.x.bytes() + a * l.n * size, out.data<int64_t>() + a, b - a, l.n);
  });
  return out;
}

}  // namespace

Tensor argmax(const Tensor& self, std::optional<int64_t> dim, bool keepdim) {
  return arg("argmax", cpu::kernels().argmax, self, dim, keepdim);
}

Tensor argmin(const Tensor& self, std::optional<int64_t> dim, bool keepdim) {
  return arg("argmin", cpu::kernels().argmin, self, dim, keepdim);
}

namespace {

// Shifted by the greatest real part, which alone decides how large an exponential is.
Tensor complex_logsumexp(const Tensor& x, const Dims& dim, bool keepdim) {
  Dims dims = wrap_dims(dim, x.dim());
  Tensor top = amax(select(view_as_real(x), -1, 0), dims, true);
  top = where(isfinite(top), top, wrapped_scalar(0.0));
  Tensor total = sum(exp(sub(x, top, 1)), dims, true, std::nullopt);
  Tensor out = add(log(total), top, 1);
  return keepdim ? out : squeeze(out, dims);
}

}  // namespace

Tensor logsumexp(const Tensor& self, const Dims& dim, bool keepdim) {
  if (is_complex(self.dtype()) && self.numel() > 0) return complex_logsumexp(self, dim, keepdim);
  Tensor x = is_integral(self.dtype()) ? cast(self, default_dtype()) : self;
  Layout l = arrange(x, dim, keepdim);
  if (l.inner > 1) {
    l.x = clone(raw_view(l.x, {l.outer, l.inner, l.n}, {l.n * l.inner, 1, l.inner}, l.x->offset));
    l.outer *= l.inner;
  }
  Tensor out = empty(l.result, x.dtype());
  if (l.n == 0) return full(l.result, x.dtype(), -std::numeric_limits<double>::infinity());
  visit_float(x.dtype(), "logsumexp", [&](auto tag) {
    using T = typename decltype(tag)::type;
    int64_t grain = std::max<int64_t>(1, kGrain / 4 / l.n);
    parallel_for(l.outer, grain, [&](int64_t a, int64_t b) {
      cpu::kernels().real<T>().logsumexp(l.x.template data<T>() + a * l.n, out.data<T>() + a, b - a, l.n);
    });
  });
  return out;
}

Tensor sum_to_size(const Tensor& self, const Dims& size) {
  WOOTZ_CHECK(expandable(size, self.shape()), ErrorKind::Shape, "size ", text(size), " is not expandable to size ",
        text(self.shape()));
  Dims dims;
  int skip = self.dim() - size.size();
  for (int d = 0; d < self.dim(); ++d)
    if (d < skip || (size[d - skip] == 1 && self.shape()[d] != 1)) dims.push(d);
  if (dims.empty()) return clone(self);
  Tensor out = accumulate(Reduction::sum, self, dims, true, self.dtype());
  return raw_view(out, size, contiguous_strides(size), out->offset);
}

}  // namespace wootz::forward
