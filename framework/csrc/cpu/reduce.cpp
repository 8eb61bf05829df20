// Reductions of [outer, n, inner] over n. Long sums go through a fixed tree of blocks, so that rounding errors grow with
// the logarithm of the length and the result does not depend on who computes which part.
#include <limits>

#include "cpu/fill.h"
#include "cpu/vec.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace {

constexpr int64_t kBlock = 2048, kRows = 16, kColumns = 256;
constexpr int kLevels = 48;  // 2^48 blocks

struct Sum {
  template <class T> static constexpr T identity() { return T(0); }
  template <class V> static WOOTZ_INLINE V join(V a, V b) { return static_cast<V>(a + b); }
};
struct Prod {
  template <class T> static constexpr T identity() { return T(1); }
  template <class V> static WOOTZ_INLINE V join(V a, V b) { return static_cast<V>(a * b); }
};
struct Max {
  template <class T> static constexpr T identity() {
    return std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
  }
  template <class T> static WOOTZ_INLINE T join(T a, T b) { return a != a || a > b ? a : b; }
  template <class T> static WOOTZ_INLINE Vec<T> join(Vec<T> a, Vec<T> b) { return maximum(a, b); }
};
struct Min {
  template <class T> static constexpr T identity() {
    return std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
  }
  template <class T> static WOOTZ_INLINE T join(T a, T b) { return a != a || a < b ? a : b; }
  template <class T> static WOOTZ_INLINE Vec<T> join(Vec<T> a, Vec<T> b) { return minimum(a, b); }
};
struct Any {
  template <class T> static constexpr T identity() { return false; }
  template <class T> static WOOTZ_INLINE T join(T a, T b) { return a | b; }
};
struct All {
  template <class T> static constexpr T identity() { return true; }
  template <class T> static WOOTZ_INLINE T join(T a, T b) { return a & b; }
};

template <class F, class T> T block(const T* x, int64_t n) {
  if constexpr (std::is_floating_point_v<T>) {
    using V = Vec<T>;
    constexpr int w = V::size, lanes = 4 * w;
    V identity(F::template identity<T>());
    V acc[4] = {identity, identity, identity, identity};
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
      for (int j = 0; j < 4; ++j) acc[j] = F::join(acc[j], V::load(x + i + j * w));
    for (int j = 0; i < n; i += w, ++j)
      acc[j] = F::join(acc[j], i + w <= n ? V::load(x + i) : V::load(x + i, n - i, F::template identity<T>()));
    V sum = F::join(F::join(acc[0], acc[1]), F::join(acc[2], acc[3]));
    return fold(sum, [](T a, T b) { return F::join(a, b); });
  } else {
    T r = F::template identity<T>();
    for (int64_t i = 0; i < n; ++i) r = F::join(r, x[i]);
    return r;
  }
}

// Joins block results pairwise like a binary counter: level l holds the join of 2^l blocks.
template <class F, class T> T row(const T* x, int64_t n) {
  if (n <= kBlock) return block<F>(x, n);
  T level[kLevels];
  uint64_t blocks = 0;
  for (int64_t i = 0; i < n; i += kBlock, ++blocks) {
    T r = block<F>(x + i, n - i < kBlock ? n - i : kBlock);
    int l = 0;
    for (; (blocks >> l) & 1; ++l) r = F::join(level[l], r);
    level[l] = r;
  }
  T r = F::template identity<T>();
  for (int l = 0; l < kLevels; ++l)
    if ((blocks >> l) & 1) r = F::join(level[l], r);
  return r;
}

// The same tree for up to `kColumns` columns at once.
template <class F, class T> void column_block(const T* x, T* out, int64_t n, int64_t inner, int64_t w) {
  T level[kLevels][kColumns], part[kColumns];
  uint64_t blocks = 0;
  for (int64_t r = 0; r < n; r += kRows, ++blocks) {
    int64_t end = n - r < kRows ? n : r + kRows;
    for (int64_t i = 0; i < w; ++i) part[i] = x[r * inner + i];
    for (int64_t q = r + 1; q < end; ++q)
      for (int64_t i = 0; i < w; ++i) part[i] = F::join(part[i], x[q * inner + i]);
    int l = 0;
    for (; (blocks >> l) & 1; ++l)
      for (int64_t i = 0; i < w; ++i) part[i] = F::join(level[l][i], part[i]);
    for (int64_t i = 0; i < w; ++i) level[l][i] = part[i];
  }
  for (int64_t i = 0; i < w; ++i) out[i] = F::template identity<T>();
  for (int l = 0; l < kLevels; ++l)
    if ((blocks >> l) & 1)
      for (int64_t i = 0; i < w; ++i) out[i] = F::join(level[l][i], out[i]);
}

template <class F, class T> void wide_columns(const T* x, T* out, int64_t n, int64_t inner) {
  for (int64_t c = 0; c < inner; c += kColumns)
    column_block<F>(x + c, out + c, n, inner, inner - c < kColumns ? inner - c : kColumns);
}

// Few columns are seen as `fold` times as many of fewer rows first, so that vectors are full.
template <class F, class T> void columns(const T* x, T* out, int64_t n, int64_t inner) {
  int64_t fold = inner > 0 ? 128 / inner : 0;
  if (fold < 4 || n < 2 * fold) return wide_columns<F>(x, out, n, inner);
  T folded[128], rest[128];
  wide_columns<F>(x, folded, n / fold, inner * fold);
  wide_columns<F>(folded, out, fold, inner);
  if (n % fold == 0) return;
  wide_columns<F>(x + (n - n % fold) * inner, rest, n % fold, inner);
  for (int64_t i = 0; i < inner; ++i) out[i] = F::join(out[i], rest[i]);
}

template <class F, class T>
void reduce(const char* x, char* out, int64_t first, int64_t last, int64_t stride, int64_t n, int64_t inner) {
  auto* from = reinterpret_cast<const T*>(x);
  auto* to = reinterpret_cast<T*>(out);
  for (int64_t o = first; o < last; ++o) {
    if (inner == 1) to[o] = row<F>(from + o * stride, n);
    else columns<F>(from + o * stride, to + o * inner, n, inner);
  }
}

template <bool Largest, class T> void arg_reduce(const char* x, int64_t* out, int64_t rows, int64_t n) {
  auto* p = reinterpret_cast<const T*>(x);
  for (int64_t r = 0; r < rows; ++r, p += n) {
    int64_t best = 0;
    for (int64_t i = 1; i < n && p[best] == p[best]; ++i)
      if (p[i] != p[i] || (Largest ? p[i] > p[best] : p[i] < p[best])) best = i;
    out[r] = best;
  }
}

template <class F, class... T> void put(Kernels& k, Reduction r) {
  ((k.reduce[static_cast<int>(r)][static_cast<int>(dtype_of<T>())] = reduce<F, T>), ...);
}
template <class... T> void put_arg(Kernels& k) {
  ((k.argmax[static_cast<int>(dtype_of<T>())] = arg_reduce<true, T>), ...);
  ((k.argmin[static_cast<int>(dtype_of<T>())] = arg_reduce<false, T>), ...);
}

}  // namespace

void fill_reduce(Kernels& k) {
  put<Sum, int64_t, float, double>(k, Reduction::sum);
  put<Prod, int64_t, float, double>(k, Reduction::prod);
  put<Max, bool, uint8_t, int8_t, int16_t, int32_t, int64_t, uint16_t, uint32_t, uint64_t, float, double>(k, Reduction::amax);
  put<Min, bool, uint8_t, int8_t, int16_t, int32_t, int64_t, uint16_t, uint32_t, uint64_t, float, double>(k, Reduction::amin);
  put<Any, bool>(k, Reduction::any);
  put<All, bool>(k, Reduction::all);
  put_arg<bool, uint8_t, int8_t, int16_t, int32_t, int64_t, uint16_t, uint32_t, uint64_t, float, double>(k);
}

}  // namespace wootz::cpu::WOOTZ_ISA
