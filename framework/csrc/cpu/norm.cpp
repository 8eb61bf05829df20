// Normalisation of rows (layer and RMS norm) and of groups of runs (batch, group and instance norm), forward and backward.
#include <cmath>

#include "cpu/fill.h"
#include "cpu/rows.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace {

template <class T> struct Moments { T mean, inverse; };

// f(i, n) for each vector of a row of n, the last one partial.
template <class T, class F> WOOTZ_INLINE void each_part(int64_t n, F f) {
  constexpr int w = Vec<T>::size;
  int64_t i = 0;
  for (; i + w <= n; i += w) f(i, int64_t(w));
  if (i < n) f(i, n - i);
}

template <class T> WOOTZ_INLINE T total(Vec<T> v) {
  return fold(v, [](T a, T b) { return a + b; });
}

template <class T> WOOTZ_INLINE T row_sum(const T* x, int64_t n) {
  using V = Vec<T>;
  V acc[4] = {V(T(0)), V(T(0)), V(T(0)), V(T(0))};
  int64_t i = 0;
  for (; i + 4 * V::size <= n; i += 4 * V::size)
    for (int j = 0; j < 4; ++j) acc[j] += V::load(x + i + j * V::size);
  for (; i < n; i += V::size) acc[0] += part(x, i, std::min<int64_t>(n - i, V::size));
  return total((acc[0] + acc[1]) + (acc[2] + acc[3]));
}

// Sum of (x - shift)^2.
template <class T> WOOTZ_INLINE T row_squares(const T* x, int64_t n, T shift) {
  using V = Vec<T>;
  V acc[4] = {V(T(0)), V(T(0)), V(T(0)), V(T(0))}, s(shift);
  int64_t i = 0;
  for (; i + 4 * V::size <= n; i += 4 * V::size)
    for (int j = 0; j < 4; ++j) {
      V d = V::load(x + i + j * V::size) - s;
      acc[j] += d * d;
    }
  for (; i < n; i += V::size) {
    int64_t c = std::min<int64_t>(n - i, V::size);
    V d = (c == V::size ? V::load(x + i) : V::load(x + i, c, shift)) - s;
    acc[0] += d * d;
  }
  return total((acc[0] + acc[1]) + (acc[2] + acc[3]));
}

template <class T> WOOTZ_INLINE Moments<T> row_moments(const T* x, int64_t n, double eps, bool centred) {
  T mean = centred ? row_sum(x, n) / static_cast<T>(n) : T(0);
  T var = row_squares(x, n, mean) / static_cast<T>(n);
  return {mean, T(1) / std::sqrt(var + static_cast<T>(eps))};
}

template <class T>
void norm_rows(const T* x, const T* weight, const T* bias, T* y, int64_t rows, int64_t n, double eps, bool centred) {
  using V = Vec<T>;
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    Moments<T> m = row_moments(x, n, eps, centred);
    V mean(m.mean), inverse(m.inverse);
    map_row<T>(y, n, [&](int64_t i, int64_t c) WOOTZ_LAMBDA {
      V z = (part(x, i, c) - mean) * inverse;
      if (weight) z = z * part(weight, i, c);
      if (bias) z = z + part(bias, i, c);
      return z;
    });
  }
}

// With h = g weight and z the normalised row: dx = inverse (h - <h> - z <h z>), < > the mean over the row.
template <class T>
void norm_rows_backward(const T* g, const T* x, const T* weight, T* dx, T* dweight, T* dbias, int64_t rows, int64_t n,
                        double eps, bool centred) {
  using V = Vec<T>;
  for (int64_t r = 0; r < rows; ++r, g += n, x += n, dx += n) {
    Moments<T> m = row_moments(x, n, eps, centred);
    V mean(m.mean), inverse(m.inverse), sum(T(0)), product(T(0));
    each_part<T>(n, [&](int64_t i, int64_t c) WOOTZ_LAMBDA {
      V z = (part(x, i, c) - mean) * inverse, d = part(g, i, c), h = weight ? d * part(weight, i, c) : d;
      sum += h;
      product += h * z;
      if (dweight) (part(dweight, i, c) + d * z).store(dweight + i, c);
      if (dbias) (part(dbias, i, c) + d).store(dbias + i, c);
    });
    V a(centred ? total(sum) / static_cast<T>(n) : T(0)), b(total(product) / static_cast<T>(n));
    map_row<T>(dx, n, [&](int64_t i, int64_t c) WOOTZ_LAMBDA {
      V z = (part(x, i, c) - mean) * inverse, d = part(g, i, c), h = weight ? d * part(weight, i, c) : d;
      return inverse * (h - a - z * b);
    });
  }
}

// f(run's first element, index by [group, segment]) for the runs of one group.
template <class F> WOOTZ_INLINE void each_run(const NormGroups& s, int64_t group, F f) {
  for (int64_t q = 0; q < s.segments; ++q) f(group * s.group_stride + q * s.segment_stride, group * s.segments + q);
}

template <class T>
void group_moments(const T* x, const NormGroups& s, T* mean, T* var, int64_t first, int64_t last, bool centred) {
  double n = static_cast<double>(s.segments * s.length);
  for (int64_t g = first; g < last; ++g) {
    double sum = 0, squares = 0;
    if (centred) each_run(s, g, [&](int64_t at, int64_t) WOOTZ_LAMBDA { sum += row_sum(x + at, s.length); });
    mean[g] = static_cast<T>(sum / n);
    each_run(s, g, [&](int64_t at, int64_t) WOOTZ_LAMBDA { squares += row_squares(x + at, s.length, mean[g]); });
    var[g] = static_cast<T>(squares / n);
  }
}

template <class T>
void group_apply(const T* x, const NormGroups& s, const T* centre, const T* scale, const T* shift, T* y, int64_t first, int64_t last) {
  using V = Vec<T>;
  for (int64_t g = first; g < last; ++g)
    each_run(s, g, [&](int64_t at, int64_t k) WOOTZ_LAMBDA {
      V mean(centre[g]), a(scale[k]), b(shift[k]);
      map_row<T>(y + at, s.length, [&](int64_t i, int64_t c) WOOTZ_LAMBDA { return (part(x + at, i, c) - mean) * a + b; });
    });
}

template <class T>
void group_sums(const T* g, const T* x, const NormGroups& s, const T* centre, T* sum, T* product, int64_t first, int64_t last) {
  using V = Vec<T>;
  for (int64_t j = first; j < last; ++j)
    each_run(s, j, [&](int64_t at, int64_t k) WOOTZ_LAMBDA {
      V mean(centre[j]), a(T(0)), b(T(0));
      each_part<T>(s.length, [&](int64_t i, int64_t c) WOOTZ_LAMBDA {
        V d = part(g + at, i, c);
        a += d;
        b += d * (part(x + at, i, c) - mean);
      });
      sum[k] = total(a);
      product[k] = total(b);
    });
}

template <class T>
void group_combine(const T* g, const T* x, const NormGroups& s, const T* centre, const T* a, const T* b, const T* c, T* dx,
                   int64_t first, int64_t last) {
  using V = Vec<T>;
  for (int64_t j = first; j < last; ++j)
    each_run(s, j, [&](int64_t at, int64_t k) WOOTZ_LAMBDA {
      V mean(centre[j]), av(a[k]), bv(b[k]), cv(c[k]);
      map_row<T>(dx + at, s.length, [&](int64_t i, int64_t n) WOOTZ_LAMBDA {
        return av * part(g + at, i, n) + bv * (part(x + at, i, n) - mean) + cv;
      });
    });
}

template <class T> void put(FloatKernels<T>& k) {
  k.norm_rows = norm_rows<T>;
  k.norm_rows_backward = norm_rows_backward<T>;
  k.group_moments = group_moments<T>;
  k.group_apply = group_apply<T>;
  k.group_sums = group_sums<T>;
  k.group_combine = group_combine<T>;
}

}  // namespace

void fill_norm(Kernels& k) {
  put(k.f32);
  put(k.f64);
}

}  // namespace wootz::cpu::WOOTZ_ISA
