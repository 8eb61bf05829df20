// Element-wise choices: of two values by a condition, and within bounds.
#include "kernel.cuh"
#include "layout.cuh"
#include "math.cuh"

namespace wootz {

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
  walk<lanes<T>>(layout, [&](auto width, const i64(&at)[2]) {
    constexpr int W = decltype(width)::value;
    C a[W];
    load<W>(x + at[1], a);
#pragma unroll
    for (int i = 0; i < W; ++i) a[i] = is_nan(a[i]) ? a[i] : a[i] < low ? low : a[i];
#pragma unroll
    for (int i = 0; i < W; ++i) a[i] = a[i] > high ? high : a[i];
    store<W>(out + at[0], a);
  });
}

#define WOOTZ_where(name, in, out)                                                                                   \
  WOOTZ_KERNEL(where, name, in, out, 256, const boolean* condition, const in* x, compute_t<in> x_value, const in* y, \
               compute_t<in> y_value, out* z, WOOTZ_PLAN Layout<4> layout) {                                         \
    using S = Source<in>;                                                                                            \
    select(condition, S{x, x_value}, S{y, y_value}, z, layout);                                                      \
  }
#define WOOTZ_clamp(name, in, out)                                                                    \
  WOOTZ_KERNEL(clamp, name, in, out, 256, const in* x, compute_t<in> low, compute_t<in> high, out* y, \
               WOOTZ_PLAN Layout<2> layout) {                                                         \
    clamp(x, low, high, y, layout);                                                                   \
  }

WOOTZ_STRUCTURES(Layout<2>, Layout<4>)

WOOTZ_FLOATS(WOOTZ_where, where)
WOOTZ_where(where, i64, i64)
WOOTZ_FLOATS(WOOTZ_clamp, clamp)

}  // namespace wootz
