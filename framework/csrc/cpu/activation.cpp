#include "cpu/loops.h"
#include "cpu/math.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace fn {

struct relu : Plain {
  using Plain::Plain;
  template <class T> WOOTZ_INLINE T operator()(T a) const { return a > 0 ? a : T(0); }
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a) const { return select<T>(a < Vec<T>(0), Vec<T>(0), a); }
};
struct relu_backward : Plain {
  using Plain::Plain;
  template <class T> WOOTZ_INLINE T operator()(T g, T y) const { return y > 0 ? g : T(0); }
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> g, Vec<T> y) const {
    return select<T>(y > Vec<T>(0), g, Vec<T>(0));
  }
};
struct silu : Plain {
  using Plain::Plain;
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a) const { return a * sigmoid(a); }
};
struct gelu_erf : Plain {
  using Plain::Plain;
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a) const {
    return a * Vec<T>(0.5) * (Vec<T>(1) + erf(a * Vec<T>(0.70710678118654752440)));
  }
};
struct gelu_slope : Plain {
  using Plain::Plain;
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a) const {
    Vec<T> cdf = Vec<T>(0.5) * (Vec<T>(1) + erf(a * Vec<T>(0.70710678118654752440)));
    return cdf + a * exp(a * a * Vec<T>(-0.5)) * Vec<T>(0.39894228040143267794);
  }
};
struct gelu_tanh : Plain {
  using Plain::Plain;
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a) const {
    Vec<T> inner = Vec<T>(0.79788456080286535588) * (a + Vec<T>(0.044715) * a * a * a);
    return Vec<T>(0.5) * a * (Vec<T>(1) + tanh(inner));
  }
};
struct softplus {
  double beta, threshold;
  explicit WOOTZ_INLINE softplus(const double* p) : beta(p[0]), threshold(p[1]) {}
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a) const {
    Vec<T> x = a * Vec<T>(beta);
    Vec<T> y = log1p(exp(x)) / Vec<T>(beta);
    return select<T>(x > Vec<T>(threshold), a, y);
  }
};
struct leaky_relu {
  double slope;
  explicit WOOTZ_INLINE leaky_relu(const double* p) : slope(p[0]) {}
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a) const {
    return select<T>(a > Vec<T>(0), a, a * Vec<T>(slope));
  }
};
struct elu {
  double alpha;
  explicit WOOTZ_INLINE elu(const double* p) : alpha(p[0]) {}
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a) const {
    return select<T>(a > Vec<T>(0), a, Vec<T>(alpha) * expm1(a));
  }
};

}  // namespace fn

void fill_activation(Kernels& k) { WOOTZ_KERNELS_activation(WOOTZ_PUT) }

}  // namespace wootz::cpu::WOOTZ_ISA
