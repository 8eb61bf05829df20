// Element-wise operators, their derivatives' element-wise parts, and the kernels that map them.
#pragma once
#include "layout.cuh"

namespace wootz {

// One rounding-correct function for each compute type: float and double.
#define WOOTZ_MATH(name, single_precision, double_precision)                             \
  __device__ __forceinline__ f32 name(f32 x) { return single_precision; } \
  __device__ __forceinline__ f64 name(f64 x) { return double_precision; }
namespace math {
WOOTZ_MATH(exp, expf(x), ::exp(x))
WOOTZ_MATH(expm1, expm1f(x), ::expm1(x))
WOOTZ_MATH(log, logf(x), ::log(x))
WOOTZ_MATH(log1p, log1pf(x), ::log1p(x))
WOOTZ_MATH(sqrt, sqrtf(x), ::sqrt(x))
WOOTZ_MATH(tanh, tanhf(x), ::tanh(x))
WOOTZ_MATH(erf, erff(x), ::erf(x))
WOOTZ_MATH(sin, sinf(x), ::sin(x))
WOOTZ_MATH(cos, cosf(x), ::cos(x))
WOOTZ_MATH(fabs, fabsf(x), ::fabs(x))
WOOTZ_MATH(floor, floorf(x), ::floor(x))
WOOTZ_MATH(ceil, ceilf(x), ::ceil(x))
WOOTZ_MATH(round, rintf(x), ::rint(x))
__device__ __forceinline__ f32 pow(f32 x, f32 y) { return powf(x, y); }
__device__ __forceinline__ f64 pow(f64 x, f64 y) { return ::pow(x, y); }
}  // namespace math
#undef WOOTZ_MATH

template <class C>
__device__ __forceinline__ bool is_nan(C x) {
  return x != x;
}

// gelu(x) = x Phi(x); Phi is the normal distribution's cumulative, phi its density (Hendrycks & Gimpel 2016).
template <class C>
__device__ __forceinline__ C normal_cdf(C x) {
  return C(0.5) * (C(1) + math::erf(x * C(0.70710678118654752440)));
}
template <class C>
__device__ __forceinline__ C normal_pdf(C x) {
  return C(0.39894228040143267794) * math::exp(C(-0.5) * x * x);
}
template <class C>
__device__ __forceinline__ C logistic(C x) {
  return C(1) / (C(1) + math::exp(-x));
}

namespace op {
#define WOOTZ_UNARY_OP(name, expression)           \
  struct name {                                    \
    template <class C>                             \
    __device__ __forceinline__ C operator()(C x) const { \
      return expression;                           \
    }                                              \
  };
#define WOOTZ_BINARY_OP(name, expression)               \
  struct name {                                         \
    template <class C>                                  \
    __device__ __forceinline__ C operator()(C x, C y) const { \
      return expression;                                \
    }                                                   \
  };
#define WOOTZ_COMPARE_OP(name, expression)                 \
  struct name {                                            \
    template <class C>                                     \
    __device__ __forceinline__ u8 operator()(C x, C y) const { \
      return expression;                                   \
    }                                                      \
  };
WOOTZ_UNARY_OP(neg, -x)
WOOTZ_UNARY_OP(abs, math::fabs(x))
WOOTZ_UNARY_OP(sign, is_nan(x) ? x : C((x > C(0)) - (x < C(0))))
WOOTZ_UNARY_OP(reciprocal, C(1) / x)
WOOTZ_UNARY_OP(square, x* x)
WOOTZ_UNARY_OP(exp, math::exp(x))
WOOTZ_UNARY_OP(expm1, math::expm1(x))
WOOTZ_UNARY_OP(log, math::log(x))
WOOTZ_UNARY_OP(log1p, math::log1p(x))
WOOTZ_UNARY_OP(sqrt, math::sqrt(x))
WOOTZ_UNARY_OP(rsqrt, C(1) / math::sqrt(x))
WOOTZ_UNARY_OP(tanh, math::tanh(x))
WOOTZ_UNARY_OP(sigmoid, logistic(x))
WOOTZ_UNARY_OP(relu, x < C(0) ? C(0) : x)
WOOTZ_UNARY_OP(gelu, x* normal_cdf(x))
WOOTZ_UNARY_OP(silu, x* logistic(x))
WOOTZ_UNARY_OP(erf, math::erf(x))
WOOTZ_UNARY_OP(sin, math::sin(x))
WOOTZ_UNARY_OP(cos, math::cos(x))
WOOTZ_UNARY_OP(floor, math::floor(x))
WOOTZ_UNARY_OP(ceil, math::ceil(x))
WOOTZ_UNARY_OP(round, math::round(x))

WOOTZ_BINARY_OP(add, x + y)
WOOTZ_BINARY_OP(sub, x - y)
WOOTZ_BINARY_OP(mul, x* y)
WOOTZ_BINARY_OP(div, x / y)
WOOTZ_BINARY_OP(pow, math::pow(x, y))
WOOTZ_BINARY_OP(maximum, is_nan(x) || x > y ? x : y)
WOOTZ_BINARY_OP(minimum, is_nan(x) || x < y ? x : y)
// Derivatives: x is the gradient of the output, y the saved input or, for tanh and sigmoid, the saved output.
WOOTZ_BINARY_OP(tanh_backward, x*(C(1) - y * y))
WOOTZ_BINARY_OP(sigmoid_backward, x* y*(C(1) - y))
WOOTZ_BINARY_OP(relu_backward, y > C(0) ? x : C(0))
WOOTZ_BINARY_OP(gelu_backward, x*(normal_cdf(y) + y * normal_pdf(y)))

struct silu_backward {
  template <class C>
  __device__ __forceinline__ C operator()(C x, C y) const {
    const C s = logistic(y);
    return x * s * (C(1) + y * (C(1) - s));
  }
};

WOOTZ_COMPARE_OP(eq, x == y)
WOOTZ_COMPARE_OP(ne, x != y)
WOOTZ_COMPARE_OP(lt, x < y)
WOOTZ_COMPARE_OP(le, x <= y)
WOOTZ_COMPARE_OP(gt, x > y)
WOOTZ_COMPARE_OP(ge, x >= y)
#undef WOOTZ_UNARY_OP
#undef WOOTZ_BINARY_OP
#undef WOOTZ_COMPARE_OP
}  // namespace op

template <class F, class T>
__device__ __forceinline__ void unary(const T* x, T* out, const Layout<2>& layout) {
  using C = compute_t<T>;
  const Source<T> source{x, C{}};
  walk<lanes<T>>(layout, [&](auto width, const i64(&at)[2]) {
    constexpr int W = decltype(width)::value;
    C a[W], result[W];
    source.template fetch<W>(at[1], layout.stride[1][0], a);
#pragma unroll
    for (int i = 0; i < W; ++i) result[i] = F{}(a[i]);
    store<W>(out + at[0], result);
  });
}

template <class F, class In, class Out>
__device__ __forceinline__ void binary(Source<In> x, Source<In> y, Out* out, const Layout<3>& layout) {
  using C = compute_t<In>;
  using R = compute_t<Out>;
  walk<lanes<In>>(layout, [&](auto width, const i64(&at)[3]) {
    constexpr int W = decltype(width)::value;
    C a[W], b[W];
    R result[W];
    x.template fetch<W>(at[1], layout.stride[1][0], a);
    y.template fetch<W>(at[2], layout.stride[2][0], b);
#pragma unroll
    for (int i = 0; i < W; ++i) result[i] = F{}(a[i], b[i]);
    store<W>(out + at[0], result);
  });
}

template <class T>
__device__ __forceinline__ void select(const boolean* condition, Source<T> x, Source<T> y, T* out,
                                       const Layout<4>& layout) {
  using C = compute_t<T>;
  const Source<boolean> chooser{condition, 0};
  walk<lanes<T>>(layout, [&](auto width, const i64(&at)[4]) {
    constexpr int W = decltype(width)::value;
    u8 c[W];
    C a[W], b[W], result[W];
    chooser.template fetch<W>(at[1], layout.stride[1][0], c);
    x.template fetch<W>(at[2], layout.stride[2][0], a);
    y.template fetch<W>(at[3], layout.stride[3][0], b);
#pragma unroll
    for (int i = 0; i < W; ++i) result[i] = c[i] ? a[i] : b[i];
    store<W>(out + at[0], result);
  });
}

template <class T>
__device__ __forceinline__ void clamp(const T* x, compute_t<T> low, compute_t<T> high, T* out,
                                      const Layout<2>& layout) {
  using C = compute_t<T>;
  const Source<T> source{x, C{}};
  walk<lanes<T>>(layout, [&](auto width, const i64(&at)[2]) {
    constexpr int W = decltype(width)::value;
    C a[W];
    source.template fetch<W>(at[1], layout.stride[1][0], a);
#pragma unroll
    for (int i = 0; i < W; ++i) a[i] = is_nan(a[i]) ? a[i] : a[i] < low ? low : a[i];
#pragma unroll
    for (int i = 0; i < W; ++i) a[i] = a[i] > high ? high : a[i];
    store<W>(out + at[0], a);
  });
}

}  // namespace wootz

#define WOOTZ_unary(name, in, out)                                                                      \
  extern "C" __global__ void __launch_bounds__(256, 1)                                                     \
      name##_##in##_##out(const wootz::in* x, wootz::out* y, WOOTZ_PLAN wootz::Layout<2> layout) {           \
    wootz::unary<wootz::op::name>(x, y, layout);                                                        \
  }
#define WOOTZ_binary(name, in, out)                                                                     \
  extern "C" __global__ void __launch_bounds__(256, 1)                                                     \
      name##_##in##_##out(const wootz::in* x, wootz::compute_t<wootz::in> x_value, const wootz::in* y,  \
                          wootz::compute_t<wootz::in> y_value, wootz::out* z,                           \
                          WOOTZ_PLAN wootz::Layout<3> layout) {                                              \
    using S = wootz::Source<wootz::in>;                                                                 \
    wootz::binary<wootz::op::name>(S{x, x_value}, S{y, y_value}, z, layout);                            \
  }
#define WOOTZ_where(name, in, out)                                                                      \
  extern "C" __global__ void __launch_bounds__(256, 1)                                                     \
      name##_##in##_##out(const wootz::boolean* condition, const wootz::in* x,                          \
                          wootz::compute_t<wootz::in> x_value, const wootz::in* y,                      \
                          wootz::compute_t<wootz::in> y_value, wootz::out* z,                           \
                          WOOTZ_PLAN wootz::Layout<4> layout) {                                              \
    using S = wootz::Source<wootz::in>;                                                                 \
    wootz::select(condition, S{x, x_value}, S{y, y_value}, z, layout);                                  \
  }
#define WOOTZ_clamp(name, in, out)                                                                      \
  extern "C" __global__ void __launch_bounds__(256, 1)                                                     \
      name##_##in##_##out(const wootz::in* x, wootz::compute_t<wootz::in> low,                          \
                          wootz::compute_t<wootz::in> high, wootz::out* y,                              \
                          WOOTZ_PLAN wootz::Layout<2> layout) {                                              \
    wootz::clamp(x, low, high, y, layout);                                                              \
  }
