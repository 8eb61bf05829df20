// Softmax and log-softmax over contiguous rows, forward and backward.
#include "kernel.cuh"
#include "exponentials.cuh"

namespace wootz {

namespace op {
struct softmax {
  template <class C>
  static __device__ __forceinline__ C forward(C x, Exponentials<C> e) {
    return math::exp(x - e.peak) / e.total;
  }
};
struct log_softmax {
  template <class C>
  static __device__ __forceinline__ C forward(C x, Exponentials<C> e) {
    return x - e.peak - math::log(e.total);
  }
};
struct softmax_backward {
  // dx = y (g - sum(g y))
  template <class C>
  static __device__ __forceinline__ C term(C g, C y) {
    return g * y;
  }
  template <class C>
  static __device__ __forceinline__ C finish(C g, C y, C total) {
    return y * (g - total);
  }
};
struct log_softmax_backward {
  // dx = g - exp(y) sum(g)
  template <class C>
  static __device__ __forceinline__ C term(C g, C) {
    return g;
  }
  template <class C>
  static __device__ __forceinline__ C finish(C g, C y, C total) {
    return g - math::exp(y) * total;
  }
};
}  // namespace op

template <class Op, class T>
__device__ __forceinline__ void softmax_rows(const T* x, T* out, const Rows& rows) {
  using C = compute_t<T>;
  each_row<lanes<T>>(rows, [&](auto width, i64 r) {
    constexpr int W = decltype(width)::value;
    const T* row = x + r * rows.stride;
    const Exponentials<C> e = exponentials<W>(row, rows.columns);
    sweep<W>(row, rows.columns, [&](i64 c, const C(&value)[W]) {
      C y[W];
#pragma unroll
      for (int i = 0; i < W; ++i) y[i] = Op::forward(value[i], e);
      store<W>(out + r * rows.columns + c, y);
    });
  });
}

template <class Op, class T>
__device__ __forceinline__ void softmax_backward_rows(const T* grad, const T* y, T* out, const Rows& rows) {
  using C = compute_t<T>;
  each_row<lanes<T>>(rows, [&](auto width, i64 r) {
    constexpr int W = decltype(width)::value;
    const T* saved = y + r * rows.columns;
    C total = C(0);
    sweep<W>(grad + r * rows.stride, rows.columns, [&](i64 c, const C(&g)[W]) {
      C value[W];
      load<W>(saved + c, value);
#pragma unroll
      for (int i = 0; i < W; ++i) total += Op::term(g[i], value[i]);
    });
    total = sum_row(total);
    sweep<W>(grad + r * rows.stride, rows.columns, [&](i64 c, const C(&g)[W]) {
      C value[W], dx[W];
      load<W>(saved + c, value);
#pragma unroll
      for (int i = 0; i < W; ++i) dx[i] = Op::finish(g[i], value[i], total);
      store<W>(out + r * rows.columns + c, dx);
    });
  });
}

#define WOOTZ_softmax(name, in, out)                                                     \
  WOOTZ_KERNEL(softmax, name, in, out, 512, const in* x, out* y, WOOTZ_PLAN Rows rows) { \
    softmax_rows<op::name>(x, y, rows);                                                  \
  }
#define WOOTZ_softmax_backward(name, in, out)                                                                      \
  WOOTZ_KERNEL(softmax_backward, name, in, out, 512, const in* grad, const in* y, out* dx, WOOTZ_PLAN Rows rows) { \
    softmax_backward_rows<op::name>(grad, y, dx, rows);                                                            \
  }

WOOTZ_STRUCTURES(Rows)

WOOTZ_FLOATS(WOOTZ_softmax, softmax)
WOOTZ_FLOATS(WOOTZ_softmax, log_softmax)
WOOTZ_FLOATS(WOOTZ_softmax_backward, softmax_backward)
WOOTZ_FLOATS(WOOTZ_softmax_backward, log_softmax_backward)

}  // namespace wootz
