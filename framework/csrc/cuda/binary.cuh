// Element-wise functions of two operands.
#pragma once
#include "kernel.cuh"
#include "layout.cuh"
#include "math.cuh"

namespace wootz {

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

#define WOOTZ_BINARY_KERNEL(name, in, out)                                                                         \
  WOOTZ_KERNEL(binary, name, in, out, 256, const in* x, compute_t<in> x_value, const in* y, compute_t<in> y_value, \
               out* z, WOOTZ_PLAN Layout<3> layout) {                                                              \
    using S = Source<in>;                                                                                          \
    binary<op::name>(S{x, x_value}, S{y, y_value}, z, layout);                                                     \
  }

#define WOOTZ_BINARY_OP(name, result, expression)                  \
  namespace op {                                                   \
  struct name {                                                    \
    template <class C>                                             \
    __device__ __forceinline__ result operator()(C x, C y) const { \
      return expression;                                           \
    }                                                              \
  };                                                               \
  }

// A kernel for each float type from an expression of x and y, which are of the compute type C.
#define WOOTZ_BINARY(name, expression) \
  WOOTZ_BINARY_OP(name, C, expression) \
  WOOTZ_FLOATS(WOOTZ_BINARY_KERNEL, name)

}  // namespace wootz
