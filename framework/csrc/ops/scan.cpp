// Running sums along a dimension.
#include "core/parallel.h"
#include "forward.h"
#include "ops/rules.h"

namespace wootz::forward {
namespace {

// What sums are kept in: as in PyTorch, float64 for float32; integers wrap around.
template <class T> struct Wide { using type = T; };
template <> struct Wide<float> { using type = double; };
template <class T> requires(std::is_integral_v<T>) struct Wide<T> { using type = uint64_t; };

// Four at a time where sums are wider than the elements: one addition in four waits for another.
template <class T> void scan_row(const T* x, T* out, int64_t n, int64_t step) {
  using W = typename Wide<T>::type;
  W sum = 0;
  int64_t i = 0;
  if constexpr (std::is_same_v<T, float>) {
    for (; i + 4 <= n; i += 4, x += 4 * step, out += 4 * step) {
      W a = x[0], b = a + x[step], c = x[2 * step], d = b + c, e = b + (c + x[3 * step]);
      out[0] = static_cast<T>(sum + a);
      out[step] = static_cast<T>(sum + b);
      out[2 * step] = static_cast<T>(sum + d);
      out[3 * step] = static_cast<T>(sum += e);
    }
  }
  for (; i < n; ++i, x += step, out += step) *out = static_cast<T>(sum += static_cast<W>(*x));
}

constexpr int64_t kColumns = 256;

template <class T> void scan_columns(const T* x, T* out, int64_t n, int64_t step, int64_t columns) {
  typename Wide<T>::type sums[kColumns] = {};
  for (int64_t i = 0; i < n; ++i, x += step, out += step)
    for (int64_t c = 0; c < columns; ++c) out[c] = static_cast<T>(sums[c] += static_cast<typename Wide<T>::type>(x[c]));
}

}  // namespace

Tensor running_sum(const Tensor& self, int64_t dim, bool reverse) {
  int d = wrap_dim(dim, self.dim());
  if (self.dim() == 0) return clone(self);
  if (is_complex(self.dtype())) return view_as_complex(running_sum(view_as_real(self), d, reverse));
  Tensor x = contiguous(self), out = empty(x.shape(), x.dtype());
  if (x.numel() == 0) return out;
  int64_t n = x.shape()[d], inner = contiguous_strides(x.shape())[d], outer = x.numel() / n / inner;
  int64_t tiles = (inner + kColumns - 1) / kColumns, step = reverse ? -inner : inner, start = reverse ? (n - 1) * inner : 0;
  visit(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_arithmetic_v<T>) {
      parallel_for(outer * tiles, std::max<int64_t>(1, 32768 / (n * std::min(inner, kColumns))), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          int64_t column = i % tiles * kColumns, at = i / tiles * n * inner + column + start;
          if (inner == 1) scan_row(x.data<T>() + at, out.data<T>() + at, n, step);
          else scan_columns(x.data<T>() + at, out.data<T>() + at, n, step, std::min(kColumns, inner - column));
        }
      });
    }
  });
  return out;
}

}  // namespace wootz::forward
