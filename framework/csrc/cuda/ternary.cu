// Element-wise functions of three operands.
#include "kernel.cuh"
#include "layout.cuh"

namespace wootz {

template <class F, class T>
__device__ __forceinline__ void ternary(Source<T> x, Source<T> y, Source<T> z, T* out, const Layout<4>& layout) {
  using C = compute_t<T>;
  walk<lanes<T>>(layout, [&](auto width, const i64(&at)[4]) {
    constexpr int W = decltype(width)::value;
    C a[W], b[W], c[W], result[W];
    x.template fetch<W>(at[1], layout.stride[1][0], a);
    y.template fetch<W>(at[2], layout.stride[2][0], b);
    z.template fetch<W>(at[3], layout.stride[3][0], c);
#pragma unroll
    for (int i = 0; i < W; ++i) result[i] = F{}(a[i], b[i], c[i]);
    store<W>(out + at[0], result);
  });
}

#define WOOTZ_TERNARY_KERNEL(name, in, out)                                                                       \
  WOOTZ_KERNEL(ternary, name, in, out, 256, const in* x, compute_t<in> x_value, const in* y, compute_t<in> y_value, \
               const in* z, compute_t<in> z_value, out* w, WOOTZ_PLAN Layout<4> layout) {                         \
    using S = Source<in>;                                                                                         \
    ternary<op::name>(S{x, x_value}, S{y, y_value}, S{z, z_value}, w, layout);                                    \
  }
#define WOOTZ_TERNARY(name, expression)                            \
  namespace op {                                                   \
  struct name {                                                    \
    template <class C>                                             \
    __device__ __forceinline__ C operator()(C x, C y, C z) const { \
      return expression;                                           \
    }                                                              \
  };                                                               \
  }                                                                \
  WOOTZ_FLOATS(WOOTZ_TERNARY_KERNEL, name)

WOOTZ_STRUCTURES(Layout<4>)

WOOTZ_TERNARY(lerp, x + z * (y - x))
WOOTZ_TERNARY(add_scaled, x + z * y)

}  // namespace wootz
