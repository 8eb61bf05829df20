// The sum of a row's exponentials, in one pass.
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

}  // namespace wootz
