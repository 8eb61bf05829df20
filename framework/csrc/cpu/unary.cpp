#include "cpu/loops.h"
#include "cpu/math.h"

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
#define WOOTZ_LIBM(name, function) WOOTZ_VECTOR(name, each(a, [](T x) { return static_cast<T>(function(x)); }))

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
WOOTZ_LIBM(expm1, std::expm1)
WOOTZ_LIBM(log2, std::log2)
WOOTZ_LIBM(log10, std::log10)
WOOTZ_LIBM(log1p, std::log1p)
WOOTZ_LIBM(tan, std::tan)
WOOTZ_LIBM(asin, std::asin)
WOOTZ_LIBM(acos, std::acos)
WOOTZ_LIBM(atan, std::atan)
WOOTZ_LIBM(sinh, std::sinh)
WOOTZ_LIBM(cosh, std::cosh)

}  // namespace fn

void fill_unary(Kernels& k) { WOOTZ_KERNELS_unary(WOOTZ_PUT) }

}  // namespace wootz::cpu::WOOTZ_ISA
