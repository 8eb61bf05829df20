// Softmax and log-softmax over contiguous rows, forward and backward.
#pragma once
#include "rows.cuh"

namespace wootz {

// The running maximum and the sum of exponentials relative to it (Milakov & Gimelshein 2018).
template <class C>
struct Exponentials {
  C peak;
  C total;
};

template <class C>
__device__ __forceinline__ Exponentials<C> shuffle(Exponentials<C> x, int mask) {
  return {shuffle(x.peak, mask), shuffle(x.total, mask)};
}

template <class C>
__device__ __forceinline__ Exponentials<C> join(Exponentials<C> a, Exponentials<C> b) {
  const C peak = a.peak > b.peak ? a.peak : b.peak;
  if (peak == -infinity<C>()) return {peak, a.total + b.total};
  return {peak, a.total * math::exp(a.peak - peak) + b.total * math::exp(b.peak - peak)};
}

template <int W, class T>
__device__ __forceinline__ Exponentials<compute_t<T>> exponentials(const T* row, i64 columns) {
  using C = compute_t<T>;
  Exponentials<C> mine{-infinity<C>(), C(0)};
  sweep<W>(row, columns, [&](i64, const C(&x)[W]) {
    C peak = mine.peak;
#pragma unroll
    for (int i = 0; i < W; ++i) peak = x[i] > peak ? x[i] : peak;
    // With nothing but -inf so far there is nothing to rescale, but a NaN has to reach the total.
    const C origin = peak == -infinity<C>() ? C(0) : peak;
    mine.total *= math::exp(mine.peak - origin);
#pragma unroll
    for (int i = 0; i < W; ++i) mine.total += math::exp(x[i] - origin);
    mine.peak = peak;
  });
  return join_row(mine, [](Exponentials<C> a, Exponentials<C> b) { return join(a, b); });
}

template <class C>
__device__ __forceinline__ C logsumexp(Exponentials<C> e) {
  return e.peak + math::log(e.total);
}

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

}  // namespace wootz

#define WOOTZ_softmax(name, in, out)                                                  \
  extern "C" __global__ void __launch_bounds__(512, 1)                                  \
      name##_##in##_##out(const wootz::in* x, wootz::out* y, WOOTZ_PLAN wootz::Rows rows) { \
    wootz::softmax_rows<wootz::op::name>(x, y, rows);                                 \
  }
#define WOOTZ_softmax_backward(name, in, out)                                                \
  extern "C" __global__ void __launch_bounds__(512, 1) name##_##in##_##out(                    \
      const wootz::in* grad, const wootz::in* y, wootz::out* dx, WOOTZ_PLAN wootz::Rows rows) {   \
    wootz::softmax_backward_rows<wootz::op::name>(grad, y, dx, rows);                        \
  }
