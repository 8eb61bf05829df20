// Point-wise kernels of complex numbers. They are compiled once, for every processor: their time goes into elementary
// functions of the C library.
#include <cmath>
#include <complex>
#include <utility>

#include "cpu/kernels.h"

namespace wootz::cpu {
namespace {

template <class T> std::complex<T> library(Complex<T> z) { return {z.re, z.im}; }
template <class T> Complex<T> ours(std::complex<T> z) { return {z.real(), z.imag()}; }
template <class T> T size(Complex<T> z) { return std::hypot(z.re, z.im); }
template <class T> Complex<T> scaled(Complex<T> z, T by) { return {z.re * by, z.im * by}; }
template <class T> bool zero(Complex<T> z) { return z.re == 0 && z.im == 0; }
template <class T> Complex<T> root(Complex<T> z) { return ours(std::sqrt(library(z))); }

// Kahan's formulas (Branch Cuts for Complex Elementary Functions, 1987), since C++ libraries differ in the tenth digit. The
// sign of a zero says on which side of a cut z lies: 1 - z is made part by part to keep it.
template <class T> Complex<T> arcsine(Complex<T> z) {
  Complex<T> less = root(Complex<T>(1 - z.re, -z.im)), more = root(Complex<T>(1 + z.re, z.im));
  return {std::atan2(z.re, less.re * more.re - less.im * more.im), std::asinh(less.re * more.im - less.im * more.re)};
}
template <class T> Complex<T> arccosine(Complex<T> z) {
  Complex<T> less = root(Complex<T>(1 - z.re, -z.im)), more = root(Complex<T>(1 + z.re, z.im));
  return {2 * std::atan2(less.re, more.re), std::asinh(more.re * less.im - more.im * less.re)};
}

namespace fn {

#define WOOTZ_UNARY(name, expression) \
  struct name { template <class T> static auto one(const double*, Complex<T> a) { return expression; } };
#define WOOTZ_BINARY(name, expression) \
  struct name { template <class T> static auto one(const double*, Complex<T> a, Complex<T> b) { return expression; } };
#define WOOTZ_LIBRARY(name) WOOTZ_UNARY(name, ours(std::name(library(a))))

struct add {
  template <class T> static auto one(const double* p, Complex<T> a, Complex<T> b) { return a + scaled(b, static_cast<T>(*p)); }
};
struct sub {
  template <class T> static auto one(const double* p, Complex<T> a, Complex<T> b) { return a - scaled(b, static_cast<T>(*p)); }
};
struct lerp {
  template <class T> static auto one(const double*, Complex<T> a, Complex<T> b, Complex<T> w) { return a + w * (b - a); }
};
// Small whole powers are products: exact where they can be, and 0 has them.
struct pow {
  template <class T> static Complex<T> one(const double*, Complex<T> a, Complex<T> b) {
    if (b.im == 0 && b.re == std::trunc(b.re) && std::abs(b.re) <= 4) {
      Complex<T> r(1);
      for (int i = 0; i < static_cast<int>(std::abs(b.re)); ++i) r = r * a;
      return b.re < 0 ? Complex<T>(1) / r : r;
    }
    if (zero(a)) return b.re > 0 ? Complex<T>(0) : Complex<T>(std::numeric_limits<T>::quiet_NaN());
    return ours(std::pow(library(a), library(b)));
  }
};
// exp(z) - 1 without cancellation: the real part is expm1(x) cos(y) - 2 sin(y/2)^2.
struct expm1 {
  template <class T> static Complex<T> one(const double*, Complex<T> a) {
    T half = std::sin(a.im / 2), less = std::expm1(a.re);
    return {less * std::cos(a.im) - 2 * half * half, (less + 1) * std::sin(a.im)};
  }
};
struct log1p {
  template <class T> static Complex<T> one(const double*, Complex<T> a) {
    T angle = std::atan2(a.im, 1 + a.re), near = a.re * (2 + a.re) + a.im * a.im;
    return {std::abs(near) < T(0.5) ? std::log1p(near) / 2 : std::log(std::hypot(1 + a.re, a.im)), angle};
  }
};

WOOTZ_BINARY(mul, a * b)
WOOTZ_BINARY(div, a / b)
WOOTZ_BINARY(eq, a == b)
WOOTZ_BINARY(ne, a != b)
WOOTZ_BINARY(logical_and, !zero(a) && !zero(b))
WOOTZ_BINARY(logical_or, !zero(a) || !zero(b))
WOOTZ_BINARY(logical_xor, zero(a) != zero(b))
WOOTZ_UNARY(logical_not, zero(a))
WOOTZ_UNARY(isnan, std::isnan(a.re) || std::isnan(a.im))
WOOTZ_UNARY(isinf, std::isinf(a.re) || std::isinf(a.im))
WOOTZ_UNARY(isfinite, std::isfinite(a.re) && std::isfinite(a.im))
WOOTZ_UNARY(neg, -a)
WOOTZ_UNARY(abs, size(a))
WOOTZ_UNARY(complex_angle, std::atan2(a.im, a.re))
WOOTZ_UNARY(complex_sgn, zero(a) ? a : scaled(a, 1 / size(a)))
WOOTZ_UNARY(conj_physical, (Complex<T>{a.re, -a.im}))
WOOTZ_UNARY(square, a * a)
WOOTZ_UNARY(reciprocal, Complex<T>(1) / a)
WOOTZ_UNARY(rsqrt, Complex<T>(1) / root(a))
WOOTZ_UNARY(sigmoid, Complex<T>(1) / (Complex<T>(1) + ours(std::exp(library(-a)))))
WOOTZ_UNARY(log2, scaled(ours(std::log(library(a))), T(1.44269504088896340736)))
WOOTZ_UNARY(log10, scaled(ours(std::log(library(a))), T(0.43429448190325182765)))
WOOTZ_UNARY(sqrt, root(a))
WOOTZ_LIBRARY(exp)
WOOTZ_LIBRARY(log)
WOOTZ_LIBRARY(sin)
WOOTZ_LIBRARY(cos)
WOOTZ_LIBRARY(tan)
WOOTZ_UNARY(asin, arcsine(a))
WOOTZ_UNARY(acos, arccosine(a))
WOOTZ_LIBRARY(atan)
WOOTZ_LIBRARY(sinh)
WOOTZ_LIBRARY(cosh)
WOOTZ_LIBRARY(tanh)

}  // namespace fn

template <class F, class T, class R, size_t... I>
void run(char* out, const char* const* in, const uint8_t* step, int64_t n, const double* params, std::index_sequence<I...>) {
  auto* to = reinterpret_cast<R*>(out);
  for (int64_t i = 0; i < n; ++i)
    to[i] = static_cast<R>(F::one(params, reinterpret_cast<const Complex<T>*>(in[I])[step[I] ? i : 0]...));
}

template <class F, int N, class T, class R>
void kernel(char* out, const char* const* in, const uint8_t* step, int64_t n, const double* params) {
  run<F, T, R>(out, in, step, n, params, std::make_index_sequence<N>());
}

enum class Result { value, predicate, part };

template <class F, int N, Result K, class T> void put(Kernels& k, Op op) {
  using R = std::conditional_t<K == Result::predicate, bool, std::conditional_t<K == Result::part, T, Complex<T>>>;
  k.pointwise[static_cast<int>(op)][static_cast<int>(dtype_of<Complex<T>>())] = kernel<F, N, T, R>;
}

template <class A, class B> void convert(const char* from, char* to, int64_t n) {
  auto* a = reinterpret_cast<const A*>(from);
  auto* b = reinterpret_cast<B*>(to);
  for (int64_t i = 0; i < n; ++i) b[i] = static_cast<B>(a[i]);
}

template <class T> void to_bool(const char* from, char* to, int64_t n) {
  auto* a = reinterpret_cast<const Complex<T>*>(from);
  for (int64_t i = 0; i < n; ++i) to[i] = !zero(a[i]);
}

template <class A, class B> void put_convert(Kernels& k) {
  k.convert[static_cast<int>(dtype_of<A>())][static_cast<int>(dtype_of<B>())] = convert<A, B>;
}

template <class T>
void prod(const char* x, char* out, int64_t first, int64_t last, int64_t stride, int64_t n, int64_t inner) {
  auto* from = reinterpret_cast<const Complex<T>*>(x);
  auto* to = reinterpret_cast<Complex<T>*>(out);
  for (int64_t o = first; o < last; ++o)
    for (int64_t i = 0; i < inner; ++i) {
      Complex<T> r(1);
      for (int64_t k = 0; k < n; ++k) r = r * from[o * stride + k * inner + i];
      to[o * inner + i] = r;
    }
}

template <class T> void put_type(Kernels& k) {
  constexpr int type = static_cast<int>(dtype_of<Complex<T>>());
  put_convert<Complex<T>, T>(k);
  put_convert<T, Complex<T>>(k);
  k.convert[type][static_cast<int>(DType::Bool)] = to_bool<T>;
  k.reduce[static_cast<int>(Reduction::prod)][type] = prod<T>;
}

}  // namespace

void fill_complex(Kernels& k) {
#define WOOTZ_PUT(name, arity, result)                     \
  put<fn::name, arity, Result::result, float>(k, Op::name); \
  put<fn::name, arity, Result::result, double>(k, Op::name);
  WOOTZ_COMPLEX_KERNELS(WOOTZ_PUT)
  put_type<float>(k);
  put_type<double>(k);
  put_convert<Complex<float>, Complex<double>>(k);
  put_convert<Complex<double>, Complex<float>>(k);
}

}  // namespace wootz::cpu
