// The packed, blocked matrix product. Packing reads any strides, so that transposed operands cost nothing more.
#include "cpu/gemm.h"

#include "core/parallel.h"
#include "cpu/fill.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace {

template <class T> void gemm(const Gemm& g) {
  using P = Tiling<T>;
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
