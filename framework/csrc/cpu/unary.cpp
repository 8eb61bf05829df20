#include "cpu/loops.h"
#include "cpu/special.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace fn {

// A function of a vector, and where integers have it too, of a scalar.
#define WOOTZ_VECTOR(name, expression)                                                       \
  struct name : Plain {                                                                      \
    using Plain::Plain;                                                                      \
    template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a) const { return expression; } \
  };
#define WOOTZ_NUMBER(name, vector, scalar)                                              \
  struct name : Plain {                                                                 \
    using Plain::Plain;                                                                 \
    template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a) const { return vector; } \
    template <class T> WOOTZ_INLINE T operator()(T a) const { return static_cast<T>(scalar); } \
  };

// Exact at powers of ten: float32 through float64, float64 by the library, which takes care of it.
WOOTZ_INLINE Vec<float> logarithm10(Vec<float> a) {
  return in_double(a, [](Doubles x) WOOTZ_LAMBDA { return log(x) * Doubles(0.43429448190325182765); });
}
WOOTZ_INLINE Vec<double> logarithm10(Vec<double> a) { return each(a, [](double x) { return std::log10(x); }); }

WOOTZ_NUMBER(neg, -a, -a)
WOOTZ_NUMBER(abs, WOOTZ_ISA::abs(a), (a < 0 ? -a : a))
WOOTZ_NUMBER(sign, (select<T>(a > Vec<T>(0), Vec<T>(1), select<T>(a < Vec<T>(0), Vec<T>(-1), a))), ((a > 0) - (a < 0)))
WOOTZ_NUMBER(square, a * a, a * a)
WOOTZ_NUMBER(floor, each(a, [](T x) { return std::floor(x); }), a)
WOOTZ_NUMBER(ceil, each(a, [](T x) { return std::ceil(x); }), a)
WOOTZ_NUMBER(trunc, each(a, [](T x) { return std::trunc(x); }), a)
WOOTZ_NUMBER(round, each(a, [](T x) { return std::nearbyint(x); }), a)
WOOTZ_VECTOR(reciprocal, Vec<T>(1) / a)
WOOTZ_VECTOR(sqrt, WOOTZ_ISA::sqrt(a))
WOOTZ_VECTOR(rsqrt, Vec<T>(1) / WOOTZ_ISA::sqrt(a))
WOOTZ_VECTOR(exp, WOOTZ_ISA::exp(a))
WOOTZ_VECTOR(log, WOOTZ_ISA::log(a))
WOOTZ_VECTOR(tanh, WOOTZ_ISA::tanh(a))
WOOTZ_VECTOR(erf, WOOTZ_ISA::erf(a))
WOOTZ_VECTOR(sigmoid, WOOTZ_ISA::sigmoid(a))
WOOTZ_VECTOR(sin, sine(a, 0))
WOOTZ_VECTOR(cos, sine(a, 1))
WOOTZ_VECTOR(expm1, WOOTZ_ISA::expm1(a))
WOOTZ_VECTOR(log2, WOOTZ_ISA::log2(a))
WOOTZ_VECTOR(log1p, WOOTZ_ISA::log1p(a))
WOOTZ_VECTOR(tan, WOOTZ_ISA::tan(a))
WOOTZ_VECTOR(asin, WOOTZ_ISA::asin(a))
WOOTZ_VECTOR(acos, WOOTZ_ISA::acos(a))
WOOTZ_VECTOR(atan, WOOTZ_ISA::atan(a))
WOOTZ_VECTOR(sinh, WOOTZ_ISA::sinh(a))
WOOTZ_VECTOR(cosh, WOOTZ_ISA::cosh(a))
WOOTZ_VECTOR(log10, logarithm10(a))

}  // namespace fn

void fill_unary(Kernels& k) { WOOTZ_KERNELS_unary(WOOTZ_PUT) }

}  // namespace wootz::cpu::WOOTZ_ISA
