// How often numbers occur, and where each belongs among classes.
#include <algorithm>
#include <limits>

#include "core/parallel.h"
#include "forward.h"
#include "ops/rules.h"

namespace wootz::forward {
namespace {

Tensor whole(const Tensor& t) { return t.dtype() == DType::Int64 ? contiguous(t) : cast(t, DType::Int64); }

}  // namespace

Tensor bincount(const Tensor& self, const Tensor& weights, int64_t minlength) {
  Tensor x = whole(self);
  const int64_t *p = x.data<int64_t>(), count = x.numel();
  int64_t most = -1, signs = minlength;
  for (int64_t i = 0; i < count; ++i) most = std::max(most, p[i]), signs |= p[i];
  WOOTZ_CHECK(signs >= 0, ErrorKind::Value, "bincount only supports 1-d non-negative integral inputs, and minlength >= 0.");
  WOOTZ_CHECK(most < std::numeric_limits<int64_t>::max(), ErrorKind::Value, "bincount: ", most, " has no counter");
  int64_t size = std::max(most + 1, minlength);
  if (!weights.defined()) {
    Tensor out = full({size}, DType::Int64, 0);
    int64_t* counts = out.data<int64_t>();
    for (int64_t i = 0; i < count; ++i) ++counts[p[i]];
    return out;
  }
  WOOTZ_CHECK(weights.numel() == count, ErrorKind::Shape, "bincount: expected a weight for each of ", count, " numbers, got ",
              weights.numel());
  Tensor w = contiguous(cast(weights, DType::Float64)), out = full({size}, DType::Float64, 0);
  double* sums = out.data<double>();
  for (int64_t i = 0; i < count; ++i) sums[p[i]] += w.data<double>()[i];
  return weights.dtype() == DType::Float32 ? cast(out, DType::Float32) : out;
}

Tensor histc(const Tensor& self, int64_t bins, double min, double max) {
  WOOTZ_CHECK(bins > 0, ErrorKind::Value, "histc: bins must be > 0, got ", bins);
  Tensor x = contiguous(self), counts = full({bins}, DType::Int64, 0);
  int64_t* to = counts.data<int64_t>();
  visit_float(x.dtype(), "histc", [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T *from = x.data<T>(), low = static_cast<T>(min), high = static_cast<T>(max), width = high - low;
    for (int64_t i = 0; i < x.numel(); ++i) {
      if (!(from[i] >= low && from[i] <= high)) continue;
      T place = (from[i] - low) * static_cast<T>(bins) / width;
      ++to[place < static_cast<T>(bins) ? std::min(static_cast<int64_t>(place), bins - 1) : bins - 1];
    }
  });
  return cast(counts, x.dtype());
}

Tensor one_hot(const Tensor& self, int64_t classes) {
  Tensor index = whole(self);
  const int64_t *p = index.data<int64_t>(), count = index.numel();
  for (int64_t i = 0; i < count; ++i)
    WOOTZ_CHECK(p[i] >= 0 && p[i] < classes, ErrorKind::Value, "class values lie in [0, ", std::max<int64_t>(classes, 1),
                "), found ", p[i]);
  WOOTZ_CHECK(classes > 0, ErrorKind::Value, "num_classes must be given and positive for an empty tensor, got ", classes);
  Dims shape = self.shape();
  shape.push(classes);
  Tensor out = empty(shape, DType::Int64);
  int64_t* to = out.data<int64_t>();
  parallel_for(count, std::max<int64_t>(1, 32768 / classes), [&](int64_t begin, int64_t end) {
    std::fill(to + begin * classes, to + end * classes, 0);
    for (int64_t i = begin; i < end; ++i) to[i * classes + p[i]] = 1;
  });
  return out;
}

}  // namespace wootz::forward
