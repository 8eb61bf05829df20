// Packed, blocked matrix product (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008).
// Packing reads any strides, so that transposed operands cost nothing more.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "core/parallel.h"
#include "core/pool.h"
#include "cpu/fill.h"
#include "cpu/vec.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace {

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
    for (int64_t j = 0; j < h; ++j)
      for (int64_t p = 0; p < k; ++p) to[p * width + j] = f[j * across + p * along];
    for (int64_t j = h; j < width; ++j)
      for (int64_t p = 0; p < k; ++p) to[p * width + j] = T(0);
  }
}

// c[mr, nr] (+)= a b (+ bias), a and b packed.
template <class T>
WOOTZ_INLINE void micro(int64_t k, const T* __restrict a, const T* __restrict b, T* c, int64_t c_row, bool accumulate,
                        const T* bias) {
  using V = Vec<T>;
  constexpr int mr = Tiling<T>::mr, nv = Tiling<T>::nv, w = V::size;
  V acc[mr][nv];
#pragma GCC unroll 16
  for (int i = 0; i < mr; ++i)
    for (int j = 0; j < nv; ++j) acc[i][j] = V(T(0));
  for (int64_t p = 0; p < k; ++p, a += mr, b += nv * w) {
    V bv[nv];
    for (int j = 0; j < nv; ++j) bv[j] = V::load(b + j * w);
#pragma GCC unroll 16
    for (int i = 0; i < mr; ++i) {
      V x(a[i]);
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

template <class T>
void edge(int64_t k, const T* a, const T* b, T* c, int64_t c_row, bool accumulate, const T* bias, int64_t h, int64_t w) {
  constexpr int mr = Tiling<T>::mr, nr = Tiling<T>::nr;
  alignas(64) T tile[mr * nr];
  micro<T>(k, a, b, tile, nr, false, nullptr);
  for (int64_t i = 0; i < h; ++i)
    for (int64_t j = 0; j < w; ++j) {
      T r = tile[i * nr + j];
      if (bias) r += bias[j];
      c[i * c_row + j] = accumulate ? c[i * c_row + j] + r : r;
    }
}

template <class T>
void block(const Gemm& g, const T* pa, const T* pb, int64_t i0, int64_t mc, int64_t j0, int64_t nc, int64_t k, bool first) {
  constexpr int mr = Tiling<T>::mr, nr = Tiling<T>::nr;
  auto* c = static_cast<T*>(g.c);
  const T* bias = first && g.bias ? static_cast<const T*>(g.bias) : nullptr;
  bool accumulate = g.accumulate || !first;
  for (int64_t j = 0; j < nc; j += nr)
    for (int64_t i = 0; i < mc; i += mr) {
      T* at = c + (i0 + i) * g.c_row + j0 + j;
      const T* a = pa + i * k;
      const T* b = pb + j * k;
      const T* add = bias ? bias + j0 + j : nullptr;
      int64_t h = std::min<int64_t>(mr, mc - i), w = std::min<int64_t>(nr, nc - j);
      if (h == mr && w == nr) micro<T>(k, a, b, at, g.c_row, accumulate, add);
      else edge<T>(k, a, b, at, g.c_row, accumulate, add, h, w);
    }
}

template <class T> void gemm(const Gemm& g) {
  using P = Tiling<T>;
  auto* a = static_cast<const T*>(g.a);
  auto* b = static_cast<const T*>(g.b);
  auto round_up = [](int64_t n, int64_t to) { return (n + to - 1) / to * to; };
  int64_t kc = std::min<int64_t>(P::kc, std::max<int64_t>(g.k, 1));
  int64_t rows = round_up(g.m, P::mr), columns = round_up(g.n, P::nr);
  int64_t row_blocks = (rows + P::mc - 1) / P::mc, column_blocks = (columns + P::nc - 1) / P::nc;
  Scratch<T> pa(rows * kc), pb(columns * kc);
  for (int64_t p = 0; p < std::max<int64_t>(g.k, 1); p += kc) {
    int64_t k = std::min(kc, g.k - p);
    bool small = g.m * g.n * k < 65536;
    auto pack_a = [&](int64_t begin, int64_t end) {
      int64_t i = begin * P::mc, n = std::min(end * P::mc, g.m) - i;
      pack<T>(a + i * g.a_row + p * g.a_col, g.a_col, g.a_row, k, n, P::mr, pa.p + i * k);
    };
    auto pack_b = [&](int64_t begin, int64_t end) {
      int64_t j = begin * P::nc, n = std::min(end * P::nc, g.n) - j;
      pack<T>(b + j * g.b_col + p * g.b_row, g.b_row, g.b_col, k, n, P::nr, pb.p + j * k);
    };
    auto multiply = [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        int64_t i = t / column_blocks * P::mc, j = t % column_blocks * P::nc;
        block<T>(g, pa.p + i * k, pb.p + j * k, i, std::min<int64_t>(P::mc, g.m - i), j,
                 std::min<int64_t>(P::nc, g.n - j), k, p == 0);
      }
    };
    int64_t tiles = row_blocks * column_blocks;
    parallel_for(row_blocks, small ? row_blocks : 1, pack_a);
    parallel_for(column_blocks, small ? column_blocks : 1, pack_b);
    parallel_for(tiles, small ? tiles : 1, multiply);
  }
}

}  // namespace

void fill_gemm(Kernels& k) {
  k.f32.gemm = gemm<float>;
  k.f64.gemm = gemm<double>;
}

}  // namespace wootz::cpu::WOOTZ_ISA
