#pragma once
// The pieces of packed matrix products (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008).
#include <algorithm>

#include "core/pool.h"
#include "cpu/vec.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace {

constexpr int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

template <class T> struct Tiling {
  static constexpr int w = Vec<T>::size;
#if WOOTZ_VECTOR_BYTES == 64
  static constexpr int mr = 12, nv = 2;
#elif defined(__aarch64__)
  static constexpr int mr = 8, nv = 2;
#else
  static constexpr int mr = 6, nv = 2;
#endif
  static constexpr int nr = nv * w;
  static constexpr int64_t kc = 320, mc = mr * 12, nc = nr * 16;
};

// A scratch block of the pool, given back at the end of the scope.
template <class T> struct Scratch {
  size_t bytes;
  T* p;
  explicit Scratch(int64_t n) : bytes(static_cast<size_t>(n) * sizeof(T)), p(static_cast<T*>(pool::allocate(bytes))) {}
  ~Scratch() { pool::release(p, bytes); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
};

// Up to `width` rows of k become columns, zero-padded: to[p][i]. The last lanes come first, as whole vectors: what they write
// too much is overwritten by the next column.
template <class T> void pack_rows(const T* from, int64_t across, int64_t k, int64_t rows, int width, T* to) {
  using V = Vec<T>;
  constexpr int64_t w = V::size;
  for (int64_t i = (width - 1) / w * w; i >= 0; i -= w)
    for (int64_t p = 0; p < k; p += w) {
      V block[w];
      int64_t n = std::min(w, k - p), rest = width - i;
      for (int64_t j = 0; j < w; ++j) {
        const T* row = from + (i + j) * across + p;
        block[j] = i + j >= rows ? V(T(0)) : n == w ? V::load(row) : V::load(row, n);
      }
      transpose(block);
      for (int64_t q = 0; q < n; ++q) {
        T* column = to + (p + q) * width + i;
        if (rest >= w || p + q + 1 < k) block[q].store(column);
        else block[q].store(column, rest);
      }
    }
}

// Panels of `width` rows (columns) side by side, zero-padded: to[panel][p][i].
template <class T>
void pack(const T* from, int64_t along, int64_t across, int64_t k, int64_t count, int width, T* to) {
  for (int64_t i = 0; i < count; i += width, to += k * width) {
    int64_t h = std::min<int64_t>(width, count - i);
    const T* f = from + i * across;
    if (h == width && across == 1) {
      for (int64_t p = 0; p < k; ++p) std::memcpy(to + p * width, f + p * along, sizeof(T) * static_cast<size_t>(width));
      continue;
    }
    if (along == 1) {
      pack_rows(f, across, k, h, width, to);
      continue;
    }
    for (int64_t j = 0; j < h; ++j)
      for (int64_t p = 0; p < k; ++p) to[p * width + j] = f[j * across + p * along];
    for (int64_t j = h; j < width; ++j)
      for (int64_t p = 0; p < k; ++p) to[p * width + j] = T(0);
  }
}

// c[mr, nr] (+)= a b (+ bias), b packed. Row i of a at step p is a[i * row + p * step]: packed by default.
template <class T, int row = 1, int step = Tiling<T>::mr, int mr = Tiling<T>::mr, int nv = Tiling<T>::nv>
WOOTZ_INLINE void micro(int64_t k, const T* __restrict a, const T* __restrict b, T* c, int64_t c_row, bool accumulate,
                        const T* bias) {
  using V = Vec<T>;
  constexpr int w = V::size;
  V acc[mr][nv];
#pragma GCC unroll 16
  for (int i = 0; i < mr; ++i)
    for (int j = 0; j < nv; ++j) acc[i][j] = V(T(0));
  for (int64_t p = 0; p < k; ++p, a += step, b += Tiling<T>::nr) {
    V bv[nv];
    for (int j = 0; j < nv; ++j) bv[j] = V::load(b + j * w);
#pragma GCC unroll 16
    for (int i = 0; i < mr; ++i) {
      V x(a[i * row]);
      for (int j = 0; j < nv; ++j) acc[i][j].v += x.v * bv[j].v;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < mr; ++i)
    for (int j = 0; j < nv; ++j) {
      T* p = c + i * c_row + j * w;
      V r = acc[i][j];
      if (bias) r += V::load(bias + j * w);
      if (accumulate) r += V::load(p);
      r.store(p);
    }
}

// A part of a tile, with a third or two of its rows and one vector of its columns where that is enough.
template <class T, int row = 1, int step = Tiling<T>::mr>
void edge(int64_t k, const T* a, const T* b, T* c, int64_t c_row, bool accumulate, const T* bias, int64_t h, int64_t w) {
  constexpr int mr = Tiling<T>::mr, nr = Tiling<T>::nr;
  alignas(64) T tile[mr * nr];
  auto rows = [&]<int count>(std::integral_constant<int, count>) WOOTZ_LAMBDA {
    if (w <= Vec<T>::size) micro<T, row, step, count, 1>(k, a, b, tile, nr, false, nullptr);
    else micro<T, row, step, count>(k, a, b, tile, nr, false, nullptr);
  };
  if (h <= mr / 3) rows(std::integral_constant<int, mr / 3>());
  else if (h <= mr * 2 / 3) rows(std::integral_constant<int, mr * 2 / 3>());
  else rows(std::integral_constant<int, mr>());
  for (int64_t i = 0; i < h; ++i)
    for (int64_t j = 0; j < w; ++j) {
      T r = tile[i * nr + j];
      if (bias) r += bias[j];
      c[i * c_row + j] = accumulate ? c[i * c_row + j] + r : r;
    }
}

// c[m, n] (+)= a b (+ bias) over whole packed operands.
template <class T>
void multiply(int64_t m, int64_t n, int64_t k, const T* pa, const T* pb, T* c, int64_t c_row, bool accumulate,
              const T* bias = nullptr) {
  constexpr int mr = Tiling<T>::mr, nr = Tiling<T>::nr;
  for (int64_t j = 0; j < n; j += nr)
    for (int64_t i = 0; i < m; i += mr) {
      T* at = c + i * c_row + j;
      const T* add = bias ? bias + j : nullptr;
      int64_t h = std::min<int64_t>(mr, m - i), w = std::min<int64_t>(nr, n - j);
      if (h == mr && w == nr) micro<T>(k, pa + i * k, pb + j * k, at, c_row, accumulate, add);
      else edge<T>(k, pa + i * k, pb + j * k, at, c_row, accumulate, add, h, w);
    }
}

}  // namespace
}  // namespace wootz::cpu::WOOTZ_ISA
