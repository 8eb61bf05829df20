// Pooling by windows, and resampling: weighted sums of neighbours along one dimension, of which average pooling and
// interpolation are made.
#include <limits>

#include "core/parallel.h"
#include "forward.h"
#include "ops/rules.h"

namespace wootz::forward {
namespace {

constexpr int64_t kGrain = 16384;

// Along one dimension, window i looks at first[i], first[i] + step, ... below last[i].
struct Windows {
  std::vector<int64_t> first, last;
  int64_t step = 1, size = 1;
  int64_t count() const { return static_cast<int64_t>(first.size()); }
};

Windows pooled(const char* op, int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation, bool ceil_mode) {
  WOOTZ_CHECK(kernel > 0, ErrorKind::Value, op, ": kernel size should be greater than zero, got ", kernel);
  WOOTZ_CHECK(stride > 0, ErrorKind::Value, op, ": stride should be greater than zero, got ", stride);
  WOOTZ_CHECK(dilation > 0, ErrorKind::Value, op, ": dilation should be greater than zero, got ", dilation);
  int64_t reach = dilation * (kernel - 1) + 1;
  WOOTZ_CHECK(padding >= 0 && padding <= reach / 2, ErrorKind::Value, op, ": pad should be at most half of the effective kernel size, got pad=",
        padding, ", kernel_size=", kernel, " and dilation=", dilation);
  int64_t room = size + 2 * padding - reach;
  int64_t n = room < 0 ? 0 : (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
  if (ceil_mode && n > 0 && (n - 1) * stride >= size + padding) --n;  // a window that begins in the right padding
  WOOTZ_CHECK(n > 0, ErrorKind::Shape, op, ": a kernel that reaches over ", reach, " leaves no output of an input of ", size, " with padding ", padding);
  Windows w{{}, {}, dilation, size};
  for (int64_t i = 0; i < n; ++i) {
    int64_t from = i * stride - padding, to = std::min(from + reach, size);
    if (from < 0) from += (-from + dilation - 1) / dilation * dilation;
    w.first.push_back(from);
    w.last.push_back(to);
  }
  return w;
}

Windows shared_out(const char* op, int64_t size, int64_t n) {
  WOOTZ_CHECK(n > 0 && size > 0, ErrorKind::Shape, op, ": cannot share ", size, " elements out over ", n, " windows");
  Windows w{{}, {}, 1, size};
  for (int64_t i = 0; i < n; ++i) {
    w.first.push_back(i * size / n);
    w.last.push_back(((i + 1) * size + n - 1) / n);
  }
  return w;
}

// Leading extents, then one a dimension of windows.
Dims pooled_shape(const Tensor& x, const std::array<Windows, 3>& w, int n) {
  Dims shape;
  for (int d = 0; d + n < x.dim(); ++d) shape.push(x.shape()[d]);
  for (int i = 3 - n; i < 3; ++i) shape.push(w[static_cast<size_t>(i)].count());
  return shape;
}

template <class T> void max_plane(const T* x, const std::array<Windows, 3>& w, T* out, int64_t* at) {
  int64_t width = w[2].size, area = w[1].size * width;
  for (int64_t z = 0; z < w[0].count(); ++z)
    for (int64_t y = 0; y < w[1].count(); ++y)
      for (int64_t c = 0; c < w[2].count(); ++c) {
        auto zi = static_cast<size_t>(z), yi = static_cast<size_t>(y), xi = static_cast<size_t>(c);
        int64_t best = w[0].first[zi] * area + w[1].first[yi] * width + w[2].first[xi];
        T most = -std::numeric_limits<T>::infinity();
        for (int64_t k = w[0].first[zi]; k < w[0].last[zi]; k += w[0].step)
          for (int64_t j = w[1].first[yi]; j < w[1].last[yi]; j += w[1].step)
            for (int64_t i = w[2].first[xi]; i < w[2].last[xi]; i += w[2].step) {
              T v = x[k * area + j * width + i];
              if (!(v > most || v != v)) continue;
              most = v;
              best = k * area + j * width + i;
            }
        *out++ = most;
        *at++ = best;
      }
}

std::array<Tensor, 2> max_windows(const char* op, const Tensor& input, const std::array<Windows, 3>& w, int n) {
  Tensor x = contiguous(input), out = empty(pooled_shape(x, w, n), x.dtype()), at = empty(out.shape(), DType::Int64);
  if (out.numel() == 0) return {out, at};
  int64_t plane = w[0].size * w[1].size * w[2].size, result = w[0].count() * w[1].count() * w[2].count();
  visit_float(x.dtype(), op, [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel_for(out.numel() / result, std::max<int64_t>(1, kGrain / plane), [&](int64_t a, int64_t b) {
      for (int64_t i = a; i < b; ++i) max_plane(x.data<T>() + i * plane, w, out.data<T>() + i * result, at.data<int64_t>() + i * result);
    });
  });
  return {out, at};
}

int spatial_count(const char* op, const Tensor& x, const Dims& d) {
  int n = d.size();
  WOOTZ_CHECK(n >= 1 && n <= 3 && x.dim() > n, ErrorKind::Shape, op, ": expected 1 to 3 windowed dimensions of an input of more, got ", n,
        " of shape ", text(x.shape()));
  return n;
}

// Planes of the last n dimensions and what their indices say, as rows.
void check_planes(const char* op, const Tensor& t, const Tensor& indices, int n) {
  WOOTZ_CHECK(n >= 1 && t.dim() >= n && t.dim() == indices.dim(), ErrorKind::Shape, op, ": shapes ", text(t.shape()), " and ", text(indices.shape()),
        " do not hold planes of ", n, " dimensions");
  for (int d = 0; d + n < t.dim(); ++d)
    WOOTZ_CHECK(t.shape()[d] == indices.shape()[d], ErrorKind::Shape, op, ": shapes ", text(t.shape()), " and ", text(indices.shape()),
          " differ before the planes");
  WOOTZ_CHECK(indices.dtype() == DType::Int64, ErrorKind::DType, op, ": expected int64 indices, got ", name_of(indices.dtype()));
}

int64_t volume(const Dims& shape, int from) {
  int64_t n = 1;
  for (int d = from; d < shape.size(); ++d) n *= shape[d];
  return n;
}

void check_indices(const char* op, const Tensor& indices, int64_t plane) {
  const int64_t* p = indices.data<int64_t>();
  for (int64_t i = 0; i < indices.numel(); ++i)
    WOOTZ_CHECK(p[i] >= 0 && p[i] < plane, ErrorKind::Index, op, ": index ", p[i], " is out of bounds for planes of ", plane, " elements");
}

}  // namespace

std::array<Tensor, 2> max_pool(const Tensor& input, const Dims& kernel, const Dims& stride, const Dims& padding, const Dims& dilation,
                               bool ceil_mode) {
  int n = spatial_count("max_pool", input, kernel);
  for (const Dims* d : {&stride, &padding, &dilation})
    WOOTZ_CHECK(d->size() == n, ErrorKind::Shape, "max_pool: stride, padding and dilation take ", n, " numbers here, got ", text(*d));
  std::array<Windows, 3> w;
  for (int i = 0; i < 3; ++i) {
    int k = i - (3 - n);
    w[static_cast<size_t>(i)] = k < 0 ? Windows{{0}, {1}, 1, 1}
        : pooled("max_pool", input.size(input.dim() - n + k), kernel[k], stride[k], padding[k], dilation[k], ceil_mode);
  }
  return max_windows("max_pool", input, w, n);
}

std::array<Tensor, 2> adaptive_max_pool(const Tensor& input, const Dims& output_size) {
  int n = spatial_count("adaptive_max_pool", input, output_size);
  std::array<Windows, 3> w;
  for (int i = 0; i < 3; ++i) {
    int k = i - (3 - n);
    w[static_cast<size_t>(i)] = k < 0 ? Windows{{0}, {1}, 1, 1} : shared_out("adaptive_max_pool", input.size(input.dim() - n + k), output_size[k]);
  }
  return max_windows("adaptive_max_pool", input, w, n);
}

Tensor scatter_windows(const Tensor& values, const Tensor& indices, const Dims& size) {
  WOOTZ_CHECK(values.shape() == indices.shape(), ErrorKind::Shape, "scatter_windows: values ", text(values.shape()), " and indices ",
        text(indices.shape()), " differ in shape");
  check_planes("scatter_windows", values, indices, size.size());
  Dims shape;
  int lead = values.dim() - size.size();
  for (int d = 0; d < lead; ++d) shape.push(values.shape()[d]);
  for (int64_t s : size) shape.push(s);
  Tensor out = zeros(shape, values.dtype()), v = contiguous(values), at = contiguous(indices);
  if (v.numel() == 0) return out;
  int64_t plane = count(size), n = volume(v.shape(), lead);
  check_indices("scatter_windows", at, plane);
  visit_float(v.dtype(), "scatter_windows", [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel_for(v.numel() / n, std::max<int64_t>(1, kGrain / n), [&](int64_t a, int64_t b) {
      for (int64_t i = a; i < b; ++i) {
        T* to = out.data<T>() + i * plane;
        for (int64_t k = i * n; k < (i + 1) * n; ++k) to[at.data<int64_t>()[k]] += v.data<T>()[k];
      }
    });
  });
  return out;
}

Tensor gather_windows(const Tensor& self, const Tensor& indices, int64_t dims) {
  auto n = static_cast<int>(dims);
  check_planes("gather_windows", self, indices, n);
  Tensor x = contiguous(self), at = contiguous(indices), out = empty(indices.shape(), self.dtype());
  if (out.numel() == 0) return out;
  int64_t plane = volume(x.shape(), x.dim() - n), count = volume(at.shape(), at.dim() - n);
  check_indices("gather_windows", at, plane);
  visit_float(x.dtype(), "gather_windows", [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel_for(out.numel() / count, std::max<int64_t>(1, kGrain / count), [&](int64_t a, int64_t b) {
      for (int64_t i = a; i < b; ++i)
        for (int64_t k = i * count; k < (i + 1) * count; ++k) out.data<T>()[k] = x.data<T>()[i * plane + at.data<int64_t>()[k]];
    });
  });
  return out;
}

namespace {

// self seen as [outer, size, inner] around a dimension, with the table of sums checked against it.
struct Resampling {
  int d;
  int64_t outer = 1, inner = 1, size, rows, taps;
  Tensor start, weight;

  Resampling(const char* op, const Dims& shape, int64_t dim, int64_t extent, const Tensor& starts, const Tensor& weights)
      : d(wrap_dim(dim, shape.size())), size(extent), start(contiguous(starts)), weight(contiguous(weights)) {
    WOOTZ_CHECK(shape.size() > 0, ErrorKind::Shape, op, ": expected at least one dimension");
    WOOTZ_CHECK(start.dtype() == DType::Int64 && weight.dtype() == DType::Float64, ErrorKind::DType, op,
          ": expected start of int64 and weight of float64, got ", name_of(start.dtype()), " and ", name_of(weight.dtype()));
    WOOTZ_CHECK(start.dim() == 1 && weight.dim() == 2 && weight.size(0) == start.size(0) && weight.size(1) > 0, ErrorKind::Shape, op,
          ": expected start (rows) and weight (rows, taps), got ", text(start.shape()), " and ", text(weight.shape()));
    rows = start.size(0);
    taps = weight.size(1);
    for (int k = 0; k < shape.size(); ++k) (k < d ? outer : inner) *= k == d ? 1 : shape[k];
    for (int64_t i = 0; i < rows; ++i)
      WOOTZ_CHECK(start.data<int64_t>()[i] >= 0 && start.data<int64_t>()[i] + taps <= size, ErrorKind::Index, op, ": row ", i,
            " sums from ", start.data<int64_t>()[i], " on ", taps, " elements of ", size);
  }
};

template <class T> std::vector<T> weights_of(const Resampling& r) {
  const double* w = r.weight.data<double>();
  return std::vector<T>(w, w + r.rows * r.taps);
}

// Along the rows themselves; `taps` known to the compiler, or 0.
template <class T, int taps> void resample_row(const Resampling& r, const T* w, const T* x, T* y) {
  const int64_t* start = r.start.data<int64_t>();
  int64_t n = taps ? taps : r.taps;
  for (int64_t i = 0; i < r.rows; ++i, w += n) {
    const T* from = x + start[i];
    T sum = w[0] * from[0];
    for (int64_t t = 1; t < n; ++t) sum += w[t] * from[t];
    y[i] = sum;
  }
}

template <class T> void resample_slice(const Resampling& r, const T* w, const T* x, T* y) {
  if (r.inner == 1) {
    auto row = r.taps == 2 ? resample_row<T, 2> : r.taps == 4 ? resample_row<T, 4> : resample_row<T, 0>;
    return row(r, w, x, y);
  }
  for (int64_t i = 0; i < r.rows; ++i, y += r.inner, w += r.taps) {
    const T* from = x + r.start.data<int64_t>()[i] * r.inner;
    T by = w[0];
    for (int64_t k = 0; k < r.inner; ++k) y[k] = by * from[k];
    for (int64_t t = 1; t < r.taps; ++t) {
      from += r.inner;
      by = w[t];
      for (int64_t k = 0; k < r.inner; ++k) y[k] += by * from[k];
    }
  }
}

template <class T> void resample_back_slice(const Resampling& r, const T* w, const T* y, T* x) {
  std::fill_n(x, r.size * r.inner, T(0));
  for (int64_t i = 0; i < r.rows; ++i, y += r.inner, w += r.taps) {
    T* to = x + r.start.data<int64_t>()[i] * r.inner;
    for (int64_t t = 0; t < r.taps; ++t, to += r.inner) {
      T by = w[t];
      for (int64_t k = 0; k < r.inner; ++k) to[k] += by * y[k];
    }
  }
}

}  // namespace

Tensor resample(const Tensor& self, int64_t dim, const Tensor& start, const Tensor& weight) {
  Resampling r("resample", self.shape(), dim, self.size(dim), start, weight);
  Dims shape = self.shape();
  shape[r.d] = r.rows;
  Tensor x = contiguous(self), out = empty(shape, self.dtype());
  if (out.numel() == 0) return out;
  visit_float(x.dtype(), "resample", [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::vector<T> w = weights_of<T>(r);
    parallel_for(r.outer, std::max<int64_t>(1, kGrain / (r.rows * r.inner)), [&](int64_t a, int64_t b) {
      for (int64_t i = a; i < b; ++i) resample_slice(r, w.data(), x.data<T>() + i * r.size * r.inner, out.data<T>() + i * r.rows * r.inner);
    });
  });
  return out;
}

Tensor resample_back(const Tensor& self, int64_t dim, const Tensor& start, const Tensor& weight, int64_t size) {
  Resampling r("resample_back", self.shape(), dim, size, start, weight);
  WOOTZ_CHECK(self.shape()[r.d] == r.rows, ErrorKind::Shape, "resample_back: expected ", r.rows, " elements along dimension ", r.d, ", got shape ",
        text(self.shape()));
  Dims shape = self.shape();
  shape[r.d] = size;
  Tensor y = contiguous(self), out = empty(shape, self.dtype());
  if (out.numel() == 0) return out;
  visit_float(y.dtype(), "resample_back", [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::vector<T> w = weights_of<T>(r);
    parallel_for(r.outer, std::max<int64_t>(1, kGrain / (size * r.inner)), [&](int64_t a, int64_t b) {
      for (int64_t i = a; i < b; ++i) resample_back_slice(r, w.data(), y.data<T>() + i * r.rows * r.inner, out.data<T>() + i * size * r.inner);
    });
  });
  return out;
}

}  // namespace wootz::forward

namespace wootz::rules {

Dims tail(const Dims& shape, int64_t n) {
  Dims d;
  for (auto i = shape.size() - static_cast<int>(n); i < shape.size(); ++i) d.push(shape[i]);
  return d;
}

}  // namespace wootz::rules
