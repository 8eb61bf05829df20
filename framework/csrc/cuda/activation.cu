// Functions with parameters (activations, digamma's derivatives), the tanh form of GELU, the slope of the exact one, and
// tests for NaN.
#include "unary.cuh"

namespace wootz {

template <class F, class T>
__device__ __forceinline__ void shaped(const T* x, compute_t<T> p, compute_t<T> q, T* out, const Layout<2>& layout) {
  using C = compute_t<T>;
  const Source<T> source{x, C{}};
  walk<lanes<T>>(layout, [&](auto width, const i64(&at)[2]) {
    constexpr int W = decltype(width)::value;
    C a[W], result[W];
    source.template fetch<W>(at[1], layout.stride[1][0], a);
#pragma unroll
    for (int i = 0; i < W; ++i) result[i] = F{}(a[i], p, q);
    store<W>(out + at[0], result);
  });
}

template <class F, class T>
__device__ __forceinline__ void test(const T* x, boolean* out, const Layout<2>& layout) {
  using C = compute_t<T>;
  const Source<T> source{x, C{}};
  walk<lanes<T>>(layout, [&](auto width, const i64(&at)[2]) {
    constexpr int W = decltype(width)::value;
    C a[W];
    u8 result[W];
    source.template fetch<W>(at[1], layout.stride[1][0], a);
#pragma unroll
    for (int i = 0; i < W; ++i) result[i] = F{}(a[i]);
    store<W>(out + at[0], result);
  });
}

#define WOOTZ_SHAPED_KERNEL(name, in, out)                                                                 \
  WOOTZ_KERNEL(shaped, name, in, out, 256, const in* x, compute_t<in> p, compute_t<in> q, out* y,          \
               WOOTZ_PLAN Layout<2> layout) {                                                              \
    shaped<op::name>(x, p, q, y, layout);                                                                  \
  }
#define WOOTZ_SHAPED(name, expression)                             \
  namespace op {                                                   \
  struct name {                                                    \
    template <class C>                                             \
    __device__ __noinline__ C operator()(C x, C p, C q) const {    \
      return expression;                                           \
    }                                                              \
  };                                                               \
  }                                                                \
  WOOTZ_FLOATS(WOOTZ_SHAPED_KERNEL, name)

#define WOOTZ_TEST_KERNEL(name, in, out)                                                     \
  WOOTZ_KERNEL(test, name, in, out, 256, const in* x, out* y, WOOTZ_PLAN Layout<2> layout) { \
    test<op::name>(x, y, layout);                                                            \
  }
#define WOOTZ_TEST(name, expression)                      \
  namespace op {                                          \
  struct name {                                           \
    template <class C>                                    \
    __device__ __forceinline__ u8 operator()(C x) const { \
      return expression;                                  \
    }                                                     \
  };                                                      \
  }                                                       \
  WOOTZ_TEST_KERNEL(name, f32, boolean)                   \
  WOOTZ_TEST_KERNEL(name, f16, boolean)                   \
  WOOTZ_TEST_KERNEL(name, bf16, boolean)                  \
  WOOTZ_TEST_KERNEL(name, f64, boolean)

// The n-th derivative of digamma: Hurwitz' zeta function of n + 1 by Euler and Maclaurin's formula from 10 on, and by its
// terms below, times (-1)^(n + 1) n!.
__device__ __noinline__ f64 polygamma(f64 n, f64 x) {
  const f64 s = n + 1;
  f64 total = 0, scale = n - 2 * ::floor(n / 2) == 0 ? -1 : 1;
#pragma unroll 1
  for (f64 k = 2; k <= n; k += 1) scale *= k;
#pragma unroll 1
  for (int k = 0; x < 10 && k < 10000; ++k, x += 1) total += ::pow(x, -s);
  total += ::pow(x, -n) / n + 0.5 * ::pow(x, -s);
  // Bernoulli's numbers over (2 k)!
  const f64 c[] = {1.0 / 12, -1.0 / 720, 1.0 / 30240, -1.0 / 1209600, 1.0 / 47900160, -691.0 / 1307674368000.0,
                   1.0 / 74724249600.0, -3617.0 / 10670622842880000.0};
  f64 factor = s, power = ::pow(x, -s - 1);
#pragma unroll 1
  for (int k = 1; k <= 8; ++k) {
    total += c[k - 1] * factor * power;
    factor *= (s + 2 * k - 1) * (s + 2 * k);
    power /= x * x;
  }
  return scale * total;
}

WOOTZ_STRUCTURES(Layout<2>)

WOOTZ_UNARY(gelu_tanh, C(0.5) * x * (C(1) + math::tanh(C(0.79788456080286535588) * (x + C(0.044715) * x * x * x))))
WOOTZ_UNARY(gelu_slope, normal_cdf(x) + x * normal_pdf(x))

// p is beta and q the threshold; then the slope; then alpha; then the order.
WOOTZ_SHAPED(softplus, x* p > q ? x : math::log1p(math::exp(x * p)) / p)
WOOTZ_SHAPED(leaky_relu, x > C(0) ? x : x * p)
WOOTZ_SHAPED(elu, x > C(0) ? x : p * math::expm1(x))
WOOTZ_SHAPED(polygamma_of, static_cast<C>(polygamma(static_cast<f64>(p), static_cast<f64>(x))))

WOOTZ_TEST(isnan, x != x)
WOOTZ_TEST(isinf, x == infinity<C>() || x == -infinity<C>())
WOOTZ_TEST(isfinite, x - x == C(0))

}  // namespace wootz
