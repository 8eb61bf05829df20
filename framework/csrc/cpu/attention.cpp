// Scaled dot-product attention in blocks of keys, with a running maximum and sum (Dao et al., "FlashAttention", 2022):
// no matrix of queries by keys is ever stored. Products are kept transposed, [keys, one panel of queries]: so each is at
// once the packed operand of the next product, and the softmax runs down the columns, a vector of queries at a time.
#include <cmath>

#include "core/parallel.h"
#include "core/philox.h"
#include "cpu/fill.h"
#include "cpu/gemm.h"
#include "cpu/math.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace {

// One head's matrices.
template <class T> struct Matrix {
  T* p;
  int64_t row, column;
  Matrix(const Attention::Operand& o, int64_t b, int64_t h)
      : p(static_cast<T*>(o.p) + b * o.batch + h * o.head), row(o.row), column(o.column) {}
};

template <class T> struct Blocks {
  static constexpr int mr = Tiling<T>::mr, nr = Tiling<T>::nr, nv = Tiling<T>::nv, w = Vec<T>::size;
  static constexpr int64_t keys = mr * 20;  // a block
};

// Rows as the first operand of a product over columns, and over rows in blocks of keys.
template <class T> void pack_keys(const Matrix<T>& m, int64_t keys, int64_t width, T* to) {
  pack<T>(m.p, m.column, m.row, width, keys, Blocks<T>::mr, to);
}
template <class T> void pack_blocks(const Matrix<T>& m, int64_t keys, int64_t width, T* to) {
  for (int64_t j = 0; j < keys; j += Blocks<T>::keys)
    pack<T>(m.p + j * m.row, m.row, m.column, std::min(Blocks<T>::keys, keys - j), width, Blocks<T>::mr,
            to + j * round_up(width, Blocks<T>::mr));
}

// `n` rows of m from `first` on as one panel [width, nr], times `by`.
template <class T> void pack_queries(const Matrix<T>& m, int64_t first, int64_t n, int64_t width, T by, T* to) {
  pack<T>(m.p + first * m.row, m.column, m.row, width, n, Blocks<T>::nr, to);
  for (int64_t i = 0; by != T(1) && i < width * Blocks<T>::nr; ++i) to[i] *= by;
}

// c[rows, nr] (+)= a b over the first k of the `depth` steps that a's panels have; c has room for rows rounded up.
template <class T> void product(int64_t rows, int64_t k, const T* a, int64_t depth, const T* b, T* c, bool accumulate) {
  constexpr int mr = Blocks<T>::mr, nr = Blocks<T>::nr;
  int64_t i = 0;
  for (; rows - i > mr * 2 / 3; i += mr) micro<T>(k, a + i * depth, b, c + i * nr, nr, accumulate, nullptr);
  if (rows - i > mr / 3) micro<T, 1, mr, mr * 2 / 3>(k, a + i * depth, b, c + i * nr, nr, accumulate, nullptr);
  else if (rows > i) micro<T, 1, mr, mr / 3>(k, a + i * depth, b, c + i * nr, nr, accumulate, nullptr);
}

// The mask of keys [j, j + n) for one panel of queries, added to their products.
template <class T> void mask_block(const Attention& t, int64_t b, int64_t h, int64_t q, int64_t queries, int64_t j, int64_t n, T* s) {
  constexpr int nr = Blocks<T>::nr;
  if (t.mask.p) {
    Matrix<T> m(t.mask, b, h);
    for (int64_t lane = 0; lane < queries; ++lane) {
      const T* row = m.p + (q + lane) * m.row + j * m.column;
      for (int64_t k = 0; k < n; ++k) s[k * nr + lane] += row[k * m.column];
    }
  }
  if (!t.causal) return;
  for (int64_t k = std::max<int64_t>(0, q - j + 1); k < n; ++k)
    std::fill_n(s + k * nr, std::min<int64_t>(nr, j + k - q), T(-INFINITY));
}

// What dropout multiplies the probabilities of keys [j, j + n) with, for one panel of queries.
template <class T> void draw_block(const Attention& t, int64_t row, int64_t queries, int64_t j, int64_t n, T* to) {
  constexpr int nr = Blocks<T>::nr;
  const T kept = t.p < 1 ? static_cast<T>(1 / (1 - t.p)) : T(0);
  for (int64_t lane = 0; lane < queries; ++lane) {
    const int64_t first = (row + lane) * t.keys + j;
    for (int64_t pair = first / 2; pair * 2 < first + n; ++pair) {
      const random::Block block = random::philox(t.seed, t.draw, static_cast<uint64_t>(pair));
      for (int half = 0; half < 2; ++half) {
        const int64_t k = pair * 2 + half - first;
        if (k >= 0 && k < n) to[k * nr + lane] = random::unit(random::wide(block, half)) < 1 - t.p ? kept : T(0);
      }
    }
  }
}

template <class T> void multiply_block(int64_t n, const T* by, T* s) {
  for (int64_t i = 0; i < n * Blocks<T>::nr; i += Blocks<T>::w) (Vec<T>::load(s + i) * Vec<T>::load(by + i)).store(s + i);
}

// Keys that one panel of queries looks at.
inline int64_t visible(const Attention& t, int64_t q, int64_t queries) {
  return t.causal ? std::min(t.keys, q + queries) : t.keys;
}

template <class T> WOOTZ_INLINE Vec<T> finite_or_zero(Vec<T> m) { return select<T>(m == Vec<T>(T(-INFINITY)), Vec<T>(T(0)), m); }

// exp(s - maximum) in place of s; the running maximum, sum and (all but the first time) output follow.
template <class T> void soften(T* s, int64_t n, T* maxima, T* sums, T* out, int64_t width, bool first) {
  using V = Vec<T>;
  constexpr int nr = Blocks<T>::nr, w = Blocks<T>::w;
  for (int v = 0; v < nr; v += w) {
    V before = V::load(maxima + v), most = before, sum(T(0));
    for (int64_t k = 0; k < n; ++k) most = maximum(most, V::load(s + k * nr + v));
    V shift = finite_or_zero(most);
    for (int64_t k = 0; k < n; ++k) {
      V e = exp(V::load(s + k * nr + v) - shift);
      e.store(s + k * nr + v);
      sum += e;
    }
    V fade = exp(before - shift);
    (V::load(sums + v) * fade + sum).store(sums + v);
    most.store(maxima + v);
    for (int64_t i = 0; !first && i < width; ++i) (V::load(out + i * nr + v) * fade).store(out + i * nr + v);
  }
}

template <class T> struct ForwardScratch {
  Scratch<T> q, s, kept, out;
  explicit ForwardScratch(const Attention& t)
      : q(t.width * Blocks<T>::nr), s(Blocks<T>::keys * Blocks<T>::nr), kept(t.p > 0 ? Blocks<T>::keys * Blocks<T>::nr : 0),
        out(round_up(t.value_width, Blocks<T>::mr) * Blocks<T>::nr) {}
};

// One panel of queries; kp and vp are the head's packed keys and values.
template <class T>
void forward_panel(const Attention& t, int64_t b, int64_t h, int64_t q, const T* kp, const T* vp, ForwardScratch<T>& room) {
  constexpr int nr = Blocks<T>::nr;
  int64_t queries = std::min<int64_t>(nr, t.queries - q), limit = visible(t, q, queries);
  int64_t values = round_up(t.value_width, Blocks<T>::mr), row = (b * t.heads + h) * t.queries + q;
  alignas(64) T maxima[nr], sums[nr];
  std::fill_n(maxima, nr, T(-INFINITY));
  std::fill_n(sums, nr, T(0));
  pack_queries(Matrix<T>(t.q, b, h), q, queries, t.width, static_cast<T>(t.scale), room.q.p);
  for (int64_t j = 0; j < limit; j += Blocks<T>::keys) {
    int64_t n = std::min(Blocks<T>::keys, limit - j), whole = std::min(Blocks<T>::keys, t.keys - j);
    product(n, t.width, kp + j * t.width, t.width, room.q.p, room.s.p, false);
    mask_block(t, b, h, q, queries, j, n, room.s.p);
    soften(room.s.p, n, maxima, sums, room.out.p, t.value_width, j == 0);
    if (t.p > 0) {
      draw_block(t, row, queries, j, n, room.kept.p);
      multiply_block(n, room.kept.p, room.s.p);
    }
    product(t.value_width, n, vp + j * values, whole, room.s.p, room.out.p, j > 0);
  }
  for (int64_t lane = 0; lane < queries; ++lane) {
    T scale = sums[lane] == 0 ? T(0) : T(1) / sums[lane];
    T* out = static_cast<T*>(t.out) + (row + lane) * t.value_width;
    for (int64_t i = 0; i < t.value_width; ++i) out[i] = room.out.p[i * nr + lane] * scale;
    static_cast<T*>(t.lse)[row + lane] = sums[lane] == 0 ? T(-INFINITY) : maxima[lane] + static_cast<T>(std::log(sums[lane]));
  }
}

template <class T> void attention(const Attention& t) {
  constexpr int mr = Blocks<T>::mr, nr = Blocks<T>::nr;
  int64_t heads = t.batch * t.heads, panels = (t.queries + nr - 1) / nr;
  int64_t k_size = round_up(t.keys, mr) * t.width, v_size = t.keys * round_up(t.value_width, mr);
  Scratch<T> kp(heads * k_size), vp(heads * v_size);
  parallel_for(heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      pack_keys(Matrix<T>(t.k, i / t.heads, i % t.heads), t.keys, t.width, kp.p + i * k_size);
      pack_blocks(Matrix<T>(t.v, i / t.heads, i % t.heads), t.keys, t.value_width, vp.p + i * v_size);
    }
  });
  parallel_for(heads * panels, std::max<int64_t>(1, std::min<int64_t>(8, heads * panels / 32)), [&](int64_t begin, int64_t end) {
    ForwardScratch<T> room(t);
    for (int64_t i = begin; i < end; ++i) {
      int64_t head = i / panels;
      forward_panel(t, head / t.heads, head % t.heads, i % panels * nr, kp.p + head * k_size, vp.p + head * v_size, room);
    }
  });
}

// What one head's backward pass needs at hand.
template <class T> struct BackwardScratch {
  Scratch<T> kp, vp, kt, q, g, q_rows, g_rows, p, d, kept, dq;
  explicit BackwardScratch(const Attention& t)
      : kp(round_up(t.keys, Blocks<T>::mr) * t.width), vp(round_up(t.keys, Blocks<T>::mr) * t.value_width),
        kt(t.keys * round_up(t.width, Blocks<T>::mr)), q(t.width * Blocks<T>::nr), g(t.value_width * Blocks<T>::nr),
        q_rows(round_up(t.width, Blocks<T>::nr) * Blocks<T>::nr), g_rows(round_up(t.value_width, Blocks<T>::nr) * Blocks<T>::nr),
        p(Blocks<T>::keys * Blocks<T>::nr), d(Blocks<T>::keys * Blocks<T>::nr),
        kept(t.p > 0 ? Blocks<T>::keys * Blocks<T>::nr : 0), dq(round_up(t.width, Blocks<T>::mr) * Blocks<T>::nr) {}
};

// c[n, width] += s^T b: the [keys, queries] block s read along its rows, b in packed panels over the queries.
template <class T> void add_rows(int64_t n, int64_t width, int64_t queries, const T* s, const T* b, T* c) {
  constexpr int mr = Blocks<T>::mr, nr = Blocks<T>::nr;
  for (int64_t j = 0; j < width; j += nr)
    for (int64_t i = 0; i < n; i += mr) {
      int64_t h = std::min<int64_t>(mr, n - i), w = std::min<int64_t>(nr, width - j);
      T* to = c + i * width + j;
      if (h == mr && w == nr) micro<T, nr, 1>(queries, s + i * nr, b + j * queries, to, width, true, nullptr);
      else edge<T, nr, 1>(queries, s + i * nr, b + j * queries, to, width, true, nullptr, h, w);
    }
}

// p = exp(s - lse) and d = p (d - delta), down the columns.
template <class T> void slopes(T* p, T* d, int64_t n, const T* lse, const T* delta) {
  using V = Vec<T>;
  constexpr int nr = Blocks<T>::nr, w = Blocks<T>::w;
  for (int v = 0; v < nr; v += w) {
    V shift = finite_or_zero(V::load(lse + v)), less = V::load(delta + v);
    for (int64_t k = 0; k < n; ++k) {
      V e = exp(V::load(p + k * nr + v) - shift);
      e.store(p + k * nr + v);
      (e * (V::load(d + k * nr + v) - less)).store(d + k * nr + v);
    }
  }
}

template <class T> void backward_panel(const Attention& t, int64_t b, int64_t h, int64_t q, BackwardScratch<T>& room) {
  constexpr int nr = Blocks<T>::nr;
  int64_t queries = std::min<int64_t>(nr, t.queries - q), limit = visible(t, q, queries), head = b * t.heads + h;
  int64_t row = head * t.queries + q, widths = round_up(t.width, Blocks<T>::mr);
  auto* grad = static_cast<const T*>(t.grad) + row * t.value_width;
  auto scale = static_cast<T>(t.scale);
  alignas(64) T lse[nr] = {}, delta[nr] = {};
  std::copy_n(static_cast<const T*>(t.lse) + row, queries, lse);
  std::copy_n(static_cast<const T*>(t.delta) + row, queries, delta);
  Matrix<T> qm(t.q, b, h);
  pack_queries(qm, q, queries, t.width, scale, room.q.p);
  pack<T>(grad, 1, t.value_width, t.value_width, queries, nr, room.g.p);
  pack<T>(qm.p + q * qm.row, qm.row, qm.column, queries, t.width, nr, room.q_rows.p);
  pack<T>(grad, t.value_width, 1, queries, t.value_width, nr, room.g_rows.p);
  for (int64_t i = 0; i < round_up(t.width, nr) * queries; ++i) room.q_rows.p[i] *= scale;
  for (int64_t j = 0; j < limit; j += Blocks<T>::keys) {
    int64_t n = std::min(Blocks<T>::keys, limit - j), whole = std::min(Blocks<T>::keys, t.keys - j);
    product(n, t.width, room.kp.p + j * t.width, t.width, room.q.p, room.p.p, false);
    product(n, t.value_width, room.vp.p + j * t.value_width, t.value_width, room.g.p, room.d.p, false);
    mask_block(t, b, h, q, queries, j, n, room.p.p);
    if (t.p > 0) {
      draw_block(t, row, queries, j, n, room.kept.p);
      multiply_block(n, room.kept.p, room.d.p);
    }
    slopes(room.p.p, room.d.p, n, lse, delta);
    if (t.p > 0) multiply_block(n, room.kept.p, room.p.p);
    product(t.width, n, room.kt.p + j * widths, whole, room.d.p, room.dq.p, j > 0);
    add_rows(n, t.value_width, queries, room.p.p, room.g_rows.p, static_cast<T*>(t.dv) + (head * t.keys + j) * t.value_width);
    add_rows(n, t.width, queries, room.d.p, room.q_rows.p, static_cast<T*>(t.dk) + (head * t.keys + j) * t.width);
  }
  for (int64_t lane = 0; lane < queries; ++lane) {
    T* dq = static_cast<T*>(t.dq) + (row + lane) * t.width;
    for (int64_t i = 0; i < t.width; ++i) dq[i] = room.dq.p[i * nr + lane] * scale;
  }
}

template <class T> void attention_backward(const Attention& t) {
  parallel_for(t.batch * t.heads, 1, [&](int64_t begin, int64_t end) {
    BackwardScratch<T> room(t);
    for (int64_t i = begin; i < end; ++i) {
      int64_t b = i / t.heads, h = i % t.heads;
      pack_keys(Matrix<T>(t.k, b, h), t.keys, t.width, room.kp.p);
      pack_keys(Matrix<T>(t.v, b, h), t.keys, t.value_width, room.vp.p);
      pack_blocks(Matrix<T>(t.k, b, h), t.keys, t.width, room.kt.p);
      for (int64_t q = 0; q < t.queries; q += Blocks<T>::nr) backward_panel(t, b, h, q, room);
    }
  });
}

template <class T> void put(FloatKernels<T>& k) {
  k.attention = attention<T>;
  k.attention_backward = attention_backward<T>;
}

}  // namespace

void fill_attention(Kernels& k) {
  put(k.f32);
  put(k.f64);
}

}  // namespace wootz::cpu::WOOTZ_ISA
