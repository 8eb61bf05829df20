// Element-wise functions of one operand.
#pragma once
#include "kernel.cuh"
#include "layout.cuh"
#include "math.cuh"

namespace wootz {

template <class F, class T>
__device__ __forceinline__ void unary(const T* x, T* out, const Layout<2>& layout) {
  using C = compute_t<T>;
  walk<lanes<T>>(layout, [&](auto width, const i64(&at)[2]) {
    constexpr int W = decltype(width)::value;
    C a[W], result[W];
    load<W>(x + at[1], a);
#pragma unroll
    for (int i = 0; i < W; ++i) result[i] = F{}(a[i]);
    store<W>(out + at[0], result);
  });
}

#define WOOTZ_UNARY_KERNEL(name, in, out)                                                     \
  WOOTZ_KERNEL(unary, name, in, out, 256, const in* x, out* y, WOOTZ_PLAN Layout<2> layout) { \
    unary<op::name>(x, y, layout);                                                            \
  }

// A kernel for each float type from an expression of x, which is of the compute type C.
#define WOOTZ_UNARY(name, expression)                    \
  namespace op {                                         \
  struct name {                                          \
    template <class C>                                   \
    __device__ __forceinline__ C operator()(C x) const { \
      return expression;                                 \
    }                                                    \
  };                                                     \
  }                                                      \
  WOOTZ_FLOATS(WOOTZ_UNARY_KERNEL, name)

}  // namespace wootz
