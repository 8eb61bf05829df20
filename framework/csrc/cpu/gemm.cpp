// The packed, blocked matrix product. Packing reads any strides, so that transposed operands cost nothing more.
#include "cpu/gemm.h"

#include "core/parallel.h"
#include "cpu/fill.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace {

// Sum of products of rows of n, in pieces whose sums are added in order: on as many threads as there are.
constexpr int64_t kPiece = 8192;
template <class T> T dot_piece(const T* a, const T* b, int64_t n) {
  using V = Vec<T>;
  constexpr int w = V::size, lanes = 4 * w;
  V acc[4] = {V(T(0)), V(T(0)), V(T(0)), V(T(0))};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int j = 0; j < 4; ++j) acc[j] += V::load(a + i + j * w) * V::load(b + i + j * w);
  for (; i + w <= n; i += w) acc[0] += V::load(a + i) * V::load(b + i);
  if (i < n) acc[1] += V::load(a + i, n - i) * V::load(b + i, n - i);
  return fold((acc[0] + acc[1]) + (acc[2] + acc[3]), [](T p, T q) { return p + q; });
}
template <class T> T dot(const T* a, const T* b, int64_t n) {
  if (n <= kPiece) return dot_piece(a, b, n);
  int64_t pieces = (n + kPiece - 1) / kPiece;
  Scratch<T> sums(pieces);
  parallel_for(pieces, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sums.p[i] = dot_piece(a + i * kPiece, b + i * kPiece, std::min(kPiece, n - i * kPiece));
  });
  T sum = 0;
  for (int64_t i = 0; i < pieces; ++i) sum += sums.p[i];
  return sum;
}

// sums[0, n) of the columns of a, n at most four vectors, each times its x.
template <class T> void add_columns(const T* a, int64_t step, const T* x, int64_t k, int64_t n, T* sums) {
  using V = Vec<T>;
  constexpr int w = V::size;
  V acc[4] = {V(T(0)), V(T(0)), V(T(0)), V(T(0))};
  if (n == 4 * w) {
    for (int64_t p = 0; p < k; ++p, a += step)
      for (int j = 0; j < 4; ++j) acc[j] += V(x[p]) * V::load(a + j * w);
    for (int j = 0; j < 4; ++j) acc[j].store(sums + j * w);
    return;
  }
  for (int64_t p = 0; p < k; ++p, a += step)
    for (int64_t j = 0, i = 0; j < 4 && i < n; ++j, i += w) acc[j] += V(x[p]) * (n - i >= w ? V::load(a + i) : V::load(a + i, n - i));
  for (int64_t j = 0, i = 0; j < 4 && i < n; ++j, i += w) n - i >= w ? acc[j].store(sums + i) : acc[j].store(sums + i, n - i);
}

// A matrix [m, k], of which rows or columns are dense, times a vector.
struct Matrix { int64_t m, k, row, column; };
template <class T>
void by_vector(const Matrix& s, const T* a, const T* x, int64_t x_step, T* y, int64_t y_step, const T* bias, int64_t bias_step, bool accumulate) {
  Scratch<T> dense(x_step == 1 ? 1 : s.k);
  if (x_step != 1) {
    for (int64_t p = 0; p < s.k; ++p) dense.p[p] = x[p * x_step];
    x = dense.p;
  }
  auto put = [&](int64_t i, T sum) {
    if (bias) sum += bias[i * bias_step];
    y[i * y_step] = accumulate ? y[i * y_step] + sum : sum;
  };
  int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, s.k));
  if (s.column == 1 || s.k == 1) {
    if (s.m == 1) return put(0, dot(a, x, s.k));
    parallel_for(s.m, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) put(i, dot_piece(a + i * s.row, x, s.k));
    });
    return;
  }
  constexpr int64_t width = 4 * Vec<T>::size;
  parallel_for((s.m + width - 1) / width, std::max<int64_t>(1, grain / width), [&](int64_t begin, int64_t end) {
    T sums[width];
    for (int64_t b = begin; b < end; ++b) {
      int64_t first = b * width, n = std::min(width, s.m - first);
      add_columns(a + first, s.column, x, s.k, n, sums);
      for (int64_t i = 0; i < n; ++i) put(first + i, sums[i]);
    }
  });
}

// Whether a product is one with a vector that needs no packing.
template <class T> bool vector_product(const Gemm& g) {
  auto* a = static_cast<const T*>(g.a);
  auto* b = static_cast<const T*>(g.b);
  auto* bias = static_cast<const T*>(g.bias);
  auto* c = static_cast<T*>(g.c);
  auto dense = [&](int64_t row, int64_t column) { return row == 1 || column == 1; };
  if (g.n == 1 && dense(g.a_row, g.a_col)) by_vector<T>({g.m, g.k, g.a_row, g.a_col}, a, b, g.b_row, c, g.c_row, bias, 0, g.accumulate);
  else if (g.m == 1 && dense(g.b_row, g.b_col)) by_vector<T>({g.n, g.k, g.b_col, g.b_row}, b, a, g.a_col, c, 1, bias, 1, g.accumulate);
  else return false;
  return true;
}

template <class T> void gemm(const Gemm& g) {
  using P = Tiling<T>;
  if (g.k > 0 && vector_product<T>(g)) return;
  auto* a = static_cast<const T*>(g.a);
  auto* b = static_cast<const T*>(g.b);
  auto* c = static_cast<T*>(g.c);
  auto* bias = static_cast<const T*>(g.bias);
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
    auto product = [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        int64_t i = t / column_blocks * P::mc, j = t % column_blocks * P::nc;
        multiply<T>(std::min<int64_t>(P::mc, g.m - i), std::min<int64_t>(P::nc, g.n - j), k, pa.p + i * k, pb.p + j * k,
                    c + i * g.c_row + j, g.c_row, g.accumulate || p > 0, bias && p == 0 ? bias + j : nullptr);
      }
    };
    int64_t tiles = row_blocks * column_blocks;
    parallel_for(row_blocks, small ? row_blocks : 1, pack_a);
    parallel_for(column_blocks, small ? column_blocks : 1, pack_b);
    parallel_for(tiles, small ? tiles : 1, product);
  }
}

}  // namespace

void fill_gemm(Kernels& k) {
  k.f32.gemm = gemm<float>;
  k.f64.gemm = gemm<double>;
}

}  // namespace wootz::cpu::WOOTZ_ISA
