#include "ops/random.h"

#include <cmath>
#include <mutex>
#include <type_traits>

#include "core/parallel.h"
#include "core/philox.h"
#include "forward.h"
#include "ops/rules.h"

namespace wootz::random {
namespace {

State current;
std::mutex mutex;

// Own elementary functions: the C library's differ from machine to machine in the last place.
double natural_log(double x) {
  int e;
  double m = std::frexp(x, &e);
  if (m < 0.70710678118654752440) {
    m *= 2;
    --e;
  }
  double s = (m - 1) / (m + 1), z = s * s, sum = 0;
  for (int k = 23; k >= 1; k -= 2) sum = sum * z + 1.0 / k;
  return 2 * s * sum + e * 0.69314718055994530942;
}

// cos and sin of 2 pi t for t in [0, 1): folded to an eighth turn, then the Taylor series.
void turn(double t, double& c, double& s) {
  double eighths = t * 8;
  int octant = static_cast<int>(eighths);
  double r = eighths - octant;
  bool mirrored = octant & 1;
  double x = (mirrored ? 1 - r : r) * 0.78539816339744830962, z = x * x;
  double sine = 0, cosine = 0;
  for (int k = 17; k >= 3; k -= 2) sine = (sine - 1) * z / (k * (k - 1));
  sine = x * (1 + sine);
  for (int k = 16; k >= 2; k -= 2) cosine = (cosine - 1) * z / (k * (k - 1));
  cosine = 1 + cosine;
  switch (octant) {
    case 0: c = cosine; s = sine; break;
    case 1: c = sine; s = cosine; break;
    case 2: c = -sine; s = cosine; break;
    case 3: c = -cosine; s = sine; break;
    case 4: c = -cosine; s = -sine; break;
    case 5: c = -sine; s = -cosine; break;
    case 6: c = sine; s = -cosine; break;
    default: c = cosine; s = -sine; break;
  }
}

// Two numbers a block: f(block, first index, how many of the two exist).
template <class F> void pairs(int64_t n, State s, F f) {
  parallel_for((n + 1) / 2, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(philox(s.seed, s.draws, static_cast<uint64_t>(i)), 2 * i, n - 2 * i > 1 ? 2 : 1);
  });
}

Tensor real(const Dims& shape, DType dtype, const char* op) {
  WOOTZ_CHECK(is_float(dtype), ErrorKind::DType, op, ": expected a floating point dtype, got ", name_of(dtype));
  return empty(shape, dtype);
}

}  // namespace

State state() {
  std::lock_guard guard(mutex);
  return current;
}

void set_state(State s) {
  std::lock_guard guard(mutex);
  current = s;
}

State next() {
  std::lock_guard guard(mutex);
  State s = current;
  ++current.draws;
  return s;
}

Tensor uniform(const Dims& shape, DType dtype, double low, double high, State at) {
  WOOTZ_CHECK(low <= high, ErrorKind::Value, "uniform: expected low <= high");
  Tensor out = real(shape, dtype, "rand");
  visit_stored(dtype, "rand", [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* p = out.data<T>();
    // Rounding must not reach `high`: take only as many bits as the type holds.
    constexpr DType t = dtype_of<T>();
    constexpr int keep = t == DType::Float64 ? 53 : t == DType::Float32 ? 24 : t == DType::Float16 ? 11 : 8;
    pairs(out.numel(), at, [&](const Block& b, int64_t i, int n) {
      for (int k = 0; k < n; ++k) {
        double u = static_cast<double>(wide(b, k) >> (64 - keep)) / static_cast<double>(uint64_t(1) << keep);
        p[i + k] = static_cast<T>(low + (high - low) * u);
      }
    });
  });
  return out;
}

// Box and Muller's transform.
Tensor normal(const Dims& shape, DType dtype, double mean, double deviation, State at) {
  WOOTZ_CHECK(deviation >= 0, ErrorKind::Value, "normal expects std >= 0.0");
  Tensor out = real(shape, dtype, "randn");
  visit_stored(dtype, "randn", [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* p = out.data<T>();
    pairs(out.numel(), at, [&](const Block& b, int64_t i, int n) {
      double radius = std::sqrt(-2 * natural_log(1 - unit(wide(b, 0)))), v[2];
      turn(unit(wide(b, 1)), v[0], v[1]);
      for (int k = 0; k < n; ++k) p[i + k] = static_cast<T>(mean + deviation * radius * v[k]);
    });
  });
  return out;
}

Tensor integers(const Dims& shape, DType dtype, int64_t low, int64_t high, State at) {
  WOOTZ_CHECK(low < high, ErrorKind::Value, "random_ expects 'from' to be less than 'to', but got from=", low, " >= to=", high);
  Tensor out = empty(shape, dtype);
  uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  visit(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* p = out.data<T>();
    // The high word of a 64 by 64 bit product: the bias is below range / 2^64.
    pairs(out.numel(), at, [&](const Block& b, int64_t i, int n) {
      for (int k = 0; k < n; ++k) {
        auto scaled = static_cast<uint64_t>((static_cast<unsigned __int128>(wide(b, k)) * range) >> 64);
        p[i + k] = static_cast<T>(low + static_cast<int64_t>(scaled));
      }
    });
  });
  return out;
}

Tensor mask(const Dims& shape, double p, State at) {
  WOOTZ_CHECK(p >= 0 && p <= 1, ErrorKind::Value, "probability has to be between 0 and 1");
  Tensor out = empty(shape, DType::Bool);
  bool* to = out.data<bool>();
  pairs(out.numel(), at, [&](const Block& b, int64_t i, int n) {
    for (int k = 0; k < n; ++k) to[i + k] = unit(wide(b, k)) < p;
  });
  return out;
}

Tensor permutation(int64_t n, State at) {
  WOOTZ_CHECK(n >= 0, ErrorKind::Value, "n must be non-negative, got ", n);
  Tensor out = empty({n}, DType::Int64);
  int64_t* p = out.data<int64_t>();
  for (int64_t i = 0; i < n; ++i) p[i] = i;
  for (int64_t i = n - 1; i > 0; --i) {
    Block b = philox(at.seed, at.draws, static_cast<uint64_t>(i));
    auto j = static_cast<int64_t>((static_cast<unsigned __int128>(wide(b, 0)) * static_cast<uint64_t>(i + 1)) >> 64);
    std::swap(p[i], p[j]);
  }
  return out;
}

}  // namespace wootz::random

namespace wootz::forward {

Tensor dropout(const Tensor& self, double p, int64_t seed, int64_t draw) {
  WOOTZ_CHECK(p >= 0 && p <= 1, ErrorKind::Value, "dropout: p is a probability, between 0 and 1");
  Tensor x = wootz::contiguous(self), out = empty(self.shape(), self.dtype());
  const double scale = p < 1 ? 1 / (1 - p) : 0;
  visit_stored(self.dtype(), "dropout", [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = std::conditional_t<std::is_same_v<T, double>, double, float>;
    const T* from = x.data<T>();
    T* to = out.data<T>();
    random::pairs(x.numel(), {static_cast<uint64_t>(seed), static_cast<uint64_t>(draw)}, [&](const random::Block& b, int64_t i, int n) {
      for (int k = 0; k < n; ++k)
        to[i + k] = static_cast<T>(random::unit(random::wide(b, k)) < 1 - p ? static_cast<C>(from[i + k]) * static_cast<C>(scale) : C(0));
    });
  });
  return out;
}

}  // namespace wootz::forward
