// Row-wise kernels that would otherwise take several passes over memory: softmax and its relatives.
#include <cmath>

#include "cpu/fill.h"
#include "cpu/rows.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace {

template <class T> T row_max(const T* x, int64_t n) {
  return fold_row<T>(x, n, T(-INFINITY), [](Vec<T> a, Vec<T> b) WOOTZ_LAMBDA { return maximum(a, b); });
}

// Sum of exp(x - shift); `keep` receives the terms when given.
template <class T> T sum_exp(const T* x, int64_t n, T shift, T* keep) {
  using V = Vec<T>;
  V sum(T(0)), s(shift);
  int64_t i = 0;
  for (; i + V::size <= n; i += V::size) {
    V e = exp(V::load(x + i) - s);
    if (keep) e.store(keep + i);
    sum += e;
  }
  if (i < n) {
    V e = exp(V::load(x + i, n - i, T(-INFINITY)) - s);
    if (keep) e.store(keep + i, n - i);
    sum += e;
  }
  return fold(sum, [](T a, T b) { return a + b; });
}

template <class T> void softmax(const T* x, T* y, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    Vec<T> scale(T(1) / sum_exp(x, n, row_max(x, n), y));
    map_row<T>(y, n, [&](int64_t i, int64_t c) WOOTZ_LAMBDA { return part(y, i, c) * scale; });
  }
}

template <class T> void log_softmax(const T* x, T* y, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    T m = row_max(x, n);
    Vec<T> shift(m), log_sum(static_cast<T>(std::log(sum_exp<T>(x, n, m, nullptr))));
    map_row<T>(y, n, [&](int64_t i, int64_t c) WOOTZ_LAMBDA { return part(x, i, c) - shift - log_sum; });
  }
}

template <class T> void softmax_backward(const T* g, const T* y, T* out, int64_t rows, int64_t n) {
  using V = Vec<T>;
  for (int64_t r = 0; r < rows; ++r, g += n, y += n, out += n) {
    V sum(T(0));
    for (int64_t i = 0; i < n; i += V::size) {
      int64_t c = n - i < V::size ? n - i : V::size;
      sum += part(g, i, c) * part(y, i, c);
    }
    V dot(fold(sum, [](T a, T b) { return a + b; }));
    map_row<T>(out, n, [&](int64_t i, int64_t c) WOOTZ_LAMBDA { return (part(g, i, c) - dot) * part(y, i, c); });
  }
}

template <class T> void log_softmax_backward(const T* g, const T* y, T* out, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r, g += n, y += n, out += n) {
    Vec<T> sum(fold_row<T>(g, n, T(0), [](Vec<T> a, Vec<T> b) WOOTZ_LAMBDA { return a + b; }));
    map_row<T>(out, n, [&](int64_t i, int64_t c) WOOTZ_LAMBDA { return part(g, i, c) - exp(part(y, i, c)) * sum; });
  }
}

template <class T> void logsumexp(const T* x, T* out, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r, x += n) {
    T m = row_max(x, n);
    out[r] = std::isinf(m) ? m : m + static_cast<T>(std::log(sum_exp<T>(x, n, m, nullptr)));
  }
}

// loss = logsumexp(x) - (1 - s) x[target] - s mean(x); gradient = softmax(x) - (1 - s) onehot - s / classes.
template <class T> void cross_entropy(const CrossEntropy& c, int64_t first, int64_t last) {
  int64_t n = c.classes;
  T s = static_cast<T>(c.smoothing);
  for (int64_t r = first; r < last; ++r) {
    const T* x = static_cast<const T*>(c.logits) + r * n;
    T* loss = c.loss ? static_cast<T*>(c.loss) + r : nullptr;
    T* grad = c.gradient ? static_cast<T*>(c.gradient) + r * n : nullptr;
    int64_t t = c.target[r];
    if (t == c.ignore) {
      if (loss) *loss = T(0);
      if (grad) std::memset(grad, 0, static_cast<size_t>(n) * sizeof(T));
      continue;
    }
    T m = row_max(x, n);
    T sum = sum_exp(x, n, m, grad);
    if (loss) {
      T log_sum = m + static_cast<T>(std::log(sum));
      *loss = log_sum - (T(1) - s) * x[t];
      if (s != 0) *loss -= s / static_cast<T>(n) * fold_row<T>(x, n, T(0), [](Vec<T> a, Vec<T> b) WOOTZ_LAMBDA { return a + b; });
    }
    if (!grad) continue;
    T scale = static_cast<const T*>(c.scale)[r];
    Vec<T> by(scale / sum), less(scale * s / static_cast<T>(n));
    map_row<T>(grad, n, [&](int64_t i, int64_t k) WOOTZ_LAMBDA { return part(grad, i, k) * by - less; });
    grad[t] -= scale * (T(1) - s);
  }
}

template <class T> void put(FloatKernels<T>& k) {
  k.softmax = softmax<T>;
  k.log_softmax = log_softmax<T>;
  k.softmax_backward = softmax_backward<T>;
  k.log_softmax_backward = log_softmax_backward<T>;
  k.logsumexp = logsumexp<T>;
  k.cross_entropy = cross_entropy<T>;
}

}  // namespace

void fill_softmax(Kernels& k) {
  put(k.f32);
  put(k.f64);
}

}  // namespace wootz::cpu::WOOTZ_ISA
