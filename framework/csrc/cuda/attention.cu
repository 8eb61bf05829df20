// Scaled dot-product attention with a running maximum and sum (Dao et al., "FlashAttention", 2022; "FlashAttention-2",
// 2023): no matrix of queries by keys is ever stored. The gradients of queries and of keys and values are two kernels, so
// that no two blocks add to one place and every run gives the same bits.
#include "kernel.cuh"
#include "philox.cuh"
#include "rows.cuh"
#include "tiles.cuh"

namespace wootz {

// Element (i, j) of a head's matrix is at batch * b + head * h + row * i + j. Filled in by wootz.backend.geometry.
struct Heads {
  i64 batch;
  i64 head;
  i64 row;
};

struct Attention {
  Heads query, key, value, grad, mask;
  i64 mask_column;
  f64 scale;
  f64 kept;       // what a probability that dropout keeps is multiplied with
  u64 threshold;  // 2^53 times the chance of being kept
  u64 seed;
  u64 draw;
  int heads;
  int queries;
  int keys;
  int width;
  int value_width;
  int causal;
  int dropout;
  int vector;
};

// Which of a batch's heads a block works on, and its first row there.
struct Place {
  i64 head;  // counted over the batch
  int first;
  i64 b, h;

  // In 32 bits, which hold a grid: a division of 64 is a long program.
  __device__ __forceinline__ Place(int rows, int heads) {
    const u32 tiles = (static_cast<u32>(rows) + tile_rows - 1) / tile_rows, all = blockIdx.x / tiles;
    head = all;
    first = static_cast<int>(blockIdx.x - all * tiles) * tile_rows;
    b = all / heads;
    h = all % heads;
  }

  template <class T>
  __device__ __forceinline__ Matrix<T> matrix(const T* data, const Heads& at, int rows, int columns, int vector) const {
    return {data + b * at.batch + h * at.head, at.row, rows, columns, vector != 0};
  }
};

// A turn's scores and draws: its products are of `queries` by `keys` rows, the queries being the block's own rows or, with
// `Keys`, the others. What is particular to an element is laid down in shared memory by one short loop of all threads:
// written out for every element that a thread holds, it would be most of the kernel.
template <class T, class Tiles, bool Keys>
struct Turn {
  using C = compute_t<T>;
  static constexpr int turn = Tiles::columns * Tiles::sharers;
  static constexpr int queries = Keys ? turn : tile_rows, keys = Keys ? tile_rows : turn;
  const Attention& plan;
  const boolean* allowed;
  const T* bias;
  const u64* shift;
  const Place& place;
  Tiles& tiles;

  __device__ __forceinline__ Turn(const boolean* may, const T* add, const u64* moved, const Attention& given,
                                  const Place& at, Tiles& those)
      : plan(given), allowed(may), bias(add), shift(moved), place(at), tiles(those) {
    const i64 first = place.b * plan.mask.batch + place.h * plan.mask.head;
    if (allowed != nullptr) allowed += first;
    if (bias != nullptr) bias += first;
  }

  // What is laid down for a query and a key, keys side by side in memory that is read.
  __device__ __forceinline__ auto& place_of(int query, int key) const {
    return Keys ? tiles.laid(key, query) : tiles.laid(query, key);
  }
  __device__ __forceinline__ int first_query(int at) const { return Keys ? at : place.first; }
  __device__ __forceinline__ int first_key(int at) const { return Keys ? place.first : at; }

  // Minus infinity where the query may not look, else what the mask adds. Of the masks one or none is given.
  __device__ __forceinline__ C added(int query, int key) const {
    if (query >= plan.queries || key >= plan.keys || (plan.causal && key > query)) return -infinity<C>();
    const i64 at = query * plan.mask.row + key * plan.mask_column;
    if (allowed != nullptr && allowed[at].byte == 0) return -infinity<C>();
    return bias != nullptr ? widen(bias[at]) : C(0);
  }

  // Products to scores, of the turn that starts at row `at`.
  template <int R, int N>
  __device__ __forceinline__ void score(C (&s)[R][N], int at) const {
    const C scale = static_cast<C>(plan.scale);
    const int query = first_query(at), key = first_key(at);
#pragma unroll
    for (int i = 0; i < R; ++i)
#pragma unroll
      for (int j = 0; j < N; ++j) s[i][j] *= scale;
    const bool inside = query + queries <= plan.queries && key + keys <= plan.keys;
    const bool seen = !plan.causal || key + keys <= query + 1;
    if (allowed == nullptr && bias == nullptr && inside && seen) return;
    __syncthreads();
#pragma unroll 1
    for (int i = threadIdx.x; i < queries * keys; i += tile_threads)
      lay(i / keys, i % keys, added(query + i / keys, key + i % keys));
    __syncthreads();
#pragma unroll
    for (int i = 0; i < R; ++i)
#pragma unroll
      for (int j = 0; j < N; ++j) s[i][j] += widen(tiles.laid(Tiles::row(i), Tiles::column(j)));
  }

  __device__ __forceinline__ void lay(int query, int key, C value) const {
    place_of(query, key) = narrow<typename Tiles::Laid>::from(value);
  }

  // Draws the numbers that decide about the turn's probabilities, the same in every kernel and on the CPU: those of an
  // array (batch, heads, queries, keys).
  __device__ __forceinline__ void draw(int at) const {
    if (!plan.dropout) return;
    constexpr int pairs = keys / 2 + 1;
    const i64 row = place.head * plan.queries + first_query(at);
    const u64 which = draw_of(plan.draw, shift);
    __syncthreads();
#pragma unroll 1
    for (int i = threadIdx.x; i < queries * pairs; i += tile_threads) {
      const i64 first = (row + i / pairs) * plan.keys + first_key(at), pair = first / 2 + i % pairs;
      const Words block = philox(plan.seed, which, static_cast<u64>(pair));
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int key = static_cast<int>(pair * 2 - first) + half;
        if (key >= 0 && key < keys) lay(i / pairs, key, C(bits_of(block, half) < plan.threshold ? 1 : 0));
      }
    }
    __syncthreads();
  }

  // Zero where the draw says so. The others' factor `plan.kept` is left to the caller.
  template <int R, int N>
  __device__ __forceinline__ void drop(C (&p)[R][N]) const {
    if (!plan.dropout) return;
#pragma unroll
    for (int i = 0; i < R; ++i)
#pragma unroll
      for (int j = 0; j < N; ++j) p[i][j] *= widen(tiles.laid(Tiles::row(i), Tiles::column(j)));
  }
};

__device__ __forceinline__ int least(int a, int b) { return a < b ? a : b; }

// A query that looks at nothing has the sum 0 and the logarithm minus infinity; its exponentials are zero, not NaN.
template <class C>
__device__ __forceinline__ C finite(C peak) {
  return peak == -infinity<C>() ? C(0) : peak;
}

template <class Tiles, class C, class Join>
__device__ __forceinline__ C join_sharers(C x, Join join) {
#pragma unroll
  for (int mask = Tiles::sharers / 2; mask > 0; mask /= 2) x = join(x, shuffle(x, mask));
  return x;
}

template <class C, int R, int W>
__device__ __forceinline__ void clear(C (&x)[R][W]) {
#pragma unroll
  for (int i = 0; i < R; ++i)
#pragma unroll
    for (int j = 0; j < W; ++j) x[i][j] = C(0);
}

// The owned rows of a contiguous result, each times a factor of its own.
template <class Tiles, class T, class C, int R, int W>
__device__ __forceinline__ void write(T* out, const Place& place, int rows, int width, const C (&sum)[R][W],
                                      const C (&factor)[R]) {
#pragma unroll
  for (int i = 0; i < R; ++i) {
    const int r = place.first + Tiles::row(i);
    if (r >= rows) continue;
    T* row = out + (place.head * rows + r) * width;
#pragma unroll
    for (int j = 0; j < W; ++j)
      if (Tiles::column(j) < width) row[Tiles::column(j)] = narrow<T>::from(sum[i][j] * factor[i]);
  }
}

// Scores to exponentials relative to the row's maximum so far; what was summed before fades to that maximum.
template <class Tiles, class C, int R, int N, int W>
__device__ __forceinline__ void soften(C (&s)[R][N], C (&peak)[R], C (&total)[R], C (&sum)[R][W]) {
#pragma unroll
  for (int i = 0; i < R; ++i) {
    C most = peak[i];
#pragma unroll
    for (int j = 0; j < N; ++j) most = s[i][j] > most ? s[i][j] : most;
    most = join_sharers<Tiles>(most, [](C a, C b) { return a > b ? a : b; });
    const C origin = finite(most), fade = math::exp(peak[i] - origin);
    total[i] *= fade;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      s[i][j] = math::exp(s[i][j] - origin);
      total[i] += s[i][j];
    }
#pragma unroll
    for (int j = 0; j < W; ++j) sum[i][j] *= fade;
    peak[i] = most;
  }
}

template <int D, class T>
__device__ __forceinline__ void attention(const T* query, const T* key, const T* value, const boolean* allowed,
                                          const T* bias, const u64* shift, T* out, compute_t<T>* lse,
                                          const Attention& plan) {
  using C = compute_t<T>;
  using Here = Tiles<T, D, 1>;
  __shared__ typename Here::Memory memory;
  Here tiles(memory);
  const Place place(plan.queries, plan.heads);
  const Turn<T, Here, false> turn(allowed, bias, shift, plan, place, tiles);
  const Matrix<T> k = place.matrix(key, plan.key, plan.keys, plan.width, plan.vector);
  const Matrix<T> v = place.matrix(value, plan.value, plan.keys, plan.value_width, plan.vector);
  tiles.template hold<0>(
      place.matrix(query, plan.query, plan.queries, plan.width, plan.vector).from(place.first));

  C sum[Here::rows][Here::depth], peak[Here::rows], total[Here::rows];
  clear(sum);
#pragma unroll
  for (int i = 0; i < Here::rows; ++i) {
    peak[i] = -infinity<C>();
    total[i] = C(0);
  }
  const int limit = plan.causal ? least(place.first + tile_rows, plan.keys) : plan.keys;
#pragma unroll 1
  for (int at = 0; at < limit; at += turn.keys) {
    tiles.turn(k.from(at), v.from(at));
    C s[Here::rows][Here::columns];
    tiles.template product<0>(s);
    turn.score(s, at);
    soften<Here>(s, peak, total, sum);
    turn.draw(at);
    turn.drop(s);
    tiles.template accumulate<1>(s, sum);
  }
  C factor[Here::rows];
#pragma unroll
  for (int i = 0; i < Here::rows; ++i) {
    total[i] = join_sharers<Here>(total[i], [](C a, C b) { return a + b; });
    factor[i] = total[i] == C(0) ? C(0) : static_cast<C>(plan.kept) / total[i];
    const int r = place.first + Here::row(i);
    if (r < plan.queries && Here::column(0) == 0)
      lse[place.head * plan.queries + r] = total[i] == C(0) ? -infinity<C>() : peak[i] + math::log(total[i]);
  }
  write<Here>(out, place, plan.queries, plan.value_width, sum, factor);
}

// With P the probabilities, M what dropout multiplies them with, dP = M dO V^T and delta the sums over dO O:
// dS = P (dP - delta), dQ = scale dS K.
template <int D, class T>
__device__ __forceinline__ void attention_queries(const T* query, const T* key, const T* value, const T* grad,
                                                  const boolean* allowed, const T* bias, const u64* shift,
                                                  const compute_t<T>* lse, const compute_t<T>* delta, T* dq,
                                                  const Attention& plan) {
  using C = compute_t<T>;
  using Here = Tiles<T, D, 2>;
  __shared__ typename Here::Memory memory;
  Here tiles(memory);
  const Place place(plan.queries, plan.heads);
  const Turn<T, Here, false> turn(allowed, bias, shift, plan, place, tiles);
  const Matrix<T> k = place.matrix(key, plan.key, plan.keys, plan.width, plan.vector);
  const Matrix<T> v = place.matrix(value, plan.value, plan.keys, plan.value_width, plan.vector);
  tiles.template hold<0>(
      place.matrix(query, plan.query, plan.queries, plan.width, plan.vector).from(place.first));
  tiles.template hold<1>(
      place.matrix(grad, plan.grad, plan.queries, plan.value_width, plan.vector).from(place.first));

  const C kept = static_cast<C>(plan.kept);
  C sum[Here::rows][Here::depth], origin[Here::rows], mean[Here::rows], factor[Here::rows];
  clear(sum);
#pragma unroll
  for (int i = 0; i < Here::rows; ++i) {
    const int r = place.first + Here::row(i);
    const i64 at = place.head * plan.queries + r;
    origin[i] = r < plan.queries ? finite(lse[at]) : C(0);
    mean[i] = r < plan.queries ? delta[at] : C(0);
    factor[i] = static_cast<C>(plan.scale);
  }
  const int limit = plan.causal ? least(place.first + tile_rows, plan.keys) : plan.keys;
#pragma unroll 1
  for (int at = 0; at < limit; at += turn.keys) {
    tiles.turn(k.from(at), v.from(at));
    C s[Here::rows][Here::columns], dp[Here::rows][Here::columns];
    tiles.template product<0>(s);
    tiles.template product<1>(dp);
    turn.score(s, at);
    turn.draw(at);
    turn.drop(dp);
#pragma unroll
    for (int i = 0; i < Here::rows; ++i)
#pragma unroll
      for (int j = 0; j < Here::columns; ++j)
        s[i][j] = math::exp(s[i][j] - origin[i]) * (dp[i][j] * kept - mean[i]);
    tiles.template accumulate<0>(s, sum);
  }
  write<Here>(dq, place, plan.queries, plan.width, sum, factor);
}

// The other two: dK = scale dS^T Q and dV = (M P)^T dO.
template <int D, class T>
__device__ __forceinline__ void attention_keys(const T* query, const T* key, const T* value, const T* grad,
                                               const boolean* allowed, const T* bias, const u64* shift,
                                               const compute_t<T>* lse, const compute_t<T>* delta, T* dk, T* dv,
                                               const Attention& plan) {
  using C = compute_t<T>;
  using Here = Tiles<T, D, 2>;
  __shared__ typename Here::Memory memory;
  Here tiles(memory);
  const Place place(plan.keys, plan.heads);
  const Turn<T, Here, true> turn(allowed, bias, shift, plan, place, tiles);
  const Matrix<T> q = place.matrix(query, plan.query, plan.queries, plan.width, plan.vector);
  const Matrix<T> g = place.matrix(grad, plan.grad, plan.queries, plan.value_width, plan.vector);
  tiles.template hold<0>(place.matrix(key, plan.key, plan.keys, plan.width, plan.vector).from(place.first));
  tiles.template hold<1>(place.matrix(value, plan.value, plan.keys, plan.value_width, plan.vector).from(place.first));

  const C kept = static_cast<C>(plan.kept);
  C dk_sum[Here::rows][Here::depth], dv_sum[Here::rows][Here::depth];
  clear(dk_sum);
  clear(dv_sum);
#pragma unroll 1
  for (int at = plan.causal ? place.first : 0; at < plan.queries; at += turn.queries) {
    tiles.turn(q.from(at), g.from(at));
    C p[Here::rows][Here::columns], ds[Here::rows][Here::columns];
    tiles.template product<0>(p);
    tiles.template product<1>(ds);
    turn.score(p, at);
    turn.draw(at);
    turn.drop(ds);
#pragma unroll
    for (int j = 0; j < Here::columns; ++j) {
      const int column = at + Here::column(j);
      const i64 of = place.head * plan.queries + column;
      const C origin = column < plan.queries ? finite(lse[of]) : C(0);
      const C mean = column < plan.queries ? delta[of] : C(0);
#pragma unroll
      for (int i = 0; i < Here::rows; ++i) {
        p[i][j] = math::exp(p[i][j] - origin);
        ds[i][j] = p[i][j] * (ds[i][j] * kept - mean);
      }
    }
    turn.drop(p);
    tiles.template accumulate<0>(ds, dk_sum);
    tiles.template accumulate<1>(p, dv_sum);
  }
  C scaled[Here::rows], weighed[Here::rows];
#pragma unroll
  for (int i = 0; i < Here::rows; ++i) {
    scaled[i] = static_cast<C>(plan.scale);
    weighed[i] = kept;
  }
  write<Here>(dk, place, plan.keys, plan.width, dk_sum, scaled);
  write<Here>(dv, place, plan.keys, plan.value_width, dv_sum, weighed);
}

// The most elements that a row of queries, keys or values may have.
namespace op {
template <int D>
struct Widest {
  static constexpr int width = D;
};
using attention_64 = Widest<64>;
using attention_128 = Widest<128>;
using attention_queries_64 = Widest<64>;
using attention_queries_128 = Widest<128>;
using attention_keys_64 = Widest<64>;
using attention_keys_128 = Widest<128>;
}  // namespace op

#define WOOTZ_attention(name, in, out)                                                                            \
  WOOTZ_KERNEL(attention, name, in, out, tile_threads, const in* query, const in* key, const in* value,           \
               const boolean* allowed, const in* bias, const u64* shift, out* y, compute_t<in>* lse,              \
               WOOTZ_PLAN Attention plan) {                                                                       \
    attention<op::name::width>(query, key, value, allowed, bias, shift, y, lse, plan);                            \
  }
#define WOOTZ_attention_queries(name, in, out)                                                                    \
  WOOTZ_KERNEL(attention_queries, name, in, out, tile_threads, const in* query, const in* key, const in* value,   \
               const in* grad, const boolean* allowed, const in* bias, const u64* shift,                          \
               const compute_t<in>* lse, const compute_t<in>* delta, out* dq, WOOTZ_PLAN Attention plan) {        \
    attention_queries<op::name::width>(query, key, value, grad, allowed, bias, shift, lse, delta, dq, plan);      \
  }
#define WOOTZ_attention_keys(name, in, out)                                                                       \
  WOOTZ_KERNEL(attention_keys, name, in, out, tile_threads, const in* query, const in* key, const in* value,      \
               const in* grad, const boolean* allowed, const in* bias, const u64* shift,                          \
               const compute_t<in>* lse, const compute_t<in>* delta, out* dk, out* dv,                            \
               WOOTZ_PLAN Attention plan) {                                                                       \
    attention_keys<op::name::width>(query, key, value, grad, allowed, bias, shift, lse, delta, dk, dv, plan);     \
  }

// Accumulators of wide rows of float64 do not fit a thread's registers.
#define WOOTZ_NARROW(K, name) K(name, f32, f32) K(name, f16, f16) K(name, bf16, bf16)

WOOTZ_STRUCTURES(Attention)

WOOTZ_FLOATS(WOOTZ_attention, attention_64)
WOOTZ_FLOATS(WOOTZ_attention_queries, attention_queries_64)
WOOTZ_FLOATS(WOOTZ_attention_keys, attention_keys_64)
WOOTZ_NARROW(WOOTZ_attention, attention_128)
WOOTZ_NARROW(WOOTZ_attention_queries, attention_queries_128)
WOOTZ_NARROW(WOOTZ_attention_keys, attention_keys_128)

}  // namespace wootz
