#pragma once
// Walks over a row of any length, a vector at a time.
#include "cpu/math.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace {

template <class T, class F> WOOTZ_INLINE T fold_row(const T* x, int64_t n, T identity, F f) {
  using V = Vec<T>;
  V acc(identity);
  int64_t i = 0;
  for (; i + V::size <= n; i += V::size) acc = f(acc, V::load(x + i));
  if (i < n) acc = f(acc, V::load(x + i, n - i, identity));
  return fold(acc, [&](T a, T b) { return f(Vec<T>(a), Vec<T>(b))[0]; });
}

// f(i-th vector) for each vector of the row, the last one partial.
template <class T, class F> WOOTZ_INLINE void map_row(T* out, int64_t n, F f) {
  using V = Vec<T>;
  int64_t i = 0;
  for (; i + V::size <= n; i += V::size) f(i, int64_t(V::size)).store(out + i);
  if (i < n) f(i, n - i).store(out + i, n - i);
}

template <class T> WOOTZ_INLINE Vec<T> part(const T* x, int64_t i, int64_t n) {
  return n == Vec<T>::size ? Vec<T>::load(x + i) : Vec<T>::load(x + i, n);
}

}  // namespace
}  // namespace wootz::cpu::WOOTZ_ISA
