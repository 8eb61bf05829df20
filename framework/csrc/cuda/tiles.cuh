// Products of tiles of rows, by fused multiply-adds or by tensor cores, with one interface, so that attention is written once.
//
// A block of 128 threads owns 64 rows of up to two matrices and takes turns of N rows of two others. A thread holds
// `rows` by `columns` of the products of owned rows with a turn's rows, and `rows` by `depth` of sums over a turn's rows:
// element (i, j) of either is at (row(i), column(j)). The `sharers` neighbours that hold one row are lanes of one warp.
// Between a product and the next accumulation, threads may hand each other an element for each of a turn's: laid(r, c).
#pragma once
#include "mma.cuh"

namespace wootz {

constexpr int tile_rows = 64, tile_threads = 128;

// Rows of elements side by side, from some row on; what lies outside reads as zero. With `vector`, rows start on 16 bytes
// and hold whole packs.
template <class T>
struct Matrix {
  const T* data;
  i64 stride;
  int rows;
  int columns;
  bool vector;

  __device__ __forceinline__ Matrix from(int row) const {
    return {data + row * stride, stride, rows - row, columns, vector};
  }
};

// Any type on any GPU. What is multiplied passes through shared memory a few columns at a time.
template <class T, int D, int N>
struct PlainTiles {
  using C = compute_t<T>;
  static constexpr int rows = 4, sharers = 8, columns = N / sharers, depth = D / sharers;
  static constexpr int chunk = 128 / sizeof(C);
  struct Memory {
    C own[tile_rows][chunk + 1];
    C other[N][chunk + 1];
    C weight[tile_rows][N + 1];
  };
  using Laid = C;
  Memory& memory;
  Matrix<T> own[2], other[2];

  __device__ __forceinline__ static int row(int i) { return static_cast<int>(threadIdx.x) / sharers * rows + i; }
  __device__ __forceinline__ static int column(int j) { return static_cast<int>(threadIdx.x) % sharers + sharers * j; }

  __device__ __forceinline__ explicit PlainTiles(Memory& shared) : memory(shared) {}

  __device__ __forceinline__ C& laid(int r, int c) { return memory.weight[r][c]; }

  template <int S>
  __device__ __forceinline__ void hold(const Matrix<T>& m) {
    own[S] = m;
  }
  __device__ __forceinline__ void turn(const Matrix<T>& first, const Matrix<T>& second) {
    other[0] = first;
    other[1] = second;
  }

  template <int Rows>
  __device__ __forceinline__ static void bring(C (&to)[Rows][chunk + 1], const Matrix<T>& m, int first) {
#pragma unroll 2
    for (int i = threadIdx.x; i < Rows * chunk; i += tile_threads) {
      const int r = i / chunk, c = i % chunk;
      to[r][c] = r < m.rows && first + c < m.columns ? widen(m.data[r * m.stride + first + c]) : C(0);
    }
  }

  // s = own[S] other[S]^T
  template <int S>
  __device__ __forceinline__ void product(C (&s)[rows][columns]) {
#pragma unroll
    for (int i = 0; i < rows; ++i)
#pragma unroll
      for (int j = 0; j < columns; ++j) s[i][j] = C(0);
#pragma unroll 1
    for (int first = 0; first < own[S].columns; first += chunk) {
      __syncthreads();
      bring(memory.own, own[S], first);
      bring(memory.other, other[S], first);
      __syncthreads();
#pragma unroll 2
      for (int d = 0; d < chunk; ++d) {
        C a[rows], b[columns];
#pragma unroll
        for (int i = 0; i < rows; ++i) a[i] = memory.own[row(i)][d];
#pragma unroll
        for (int j = 0; j < columns; ++j) b[j] = memory.other[column(j)][d];
#pragma unroll
        for (int i = 0; i < rows; ++i)
#pragma unroll
          for (int j = 0; j < columns; ++j) s[i][j] += a[i] * b[j];
      }
    }
  }

  // sum += weight other[S]
  template <int S>
  __device__ __forceinline__ void accumulate(const C (&weight)[rows][columns], C (&sum)[rows][depth]) {
    __syncthreads();
#pragma unroll
    for (int i = 0; i < rows; ++i)
#pragma unroll
      for (int j = 0; j < columns; ++j) memory.weight[row(i)][column(j)] = weight[i][j];
#pragma unroll
    for (int first = 0; first < D; first += chunk) {
      if (first >= other[S].columns) continue;
      __syncthreads();
      bring(memory.other, other[S], first);
      __syncthreads();
#pragma unroll 2
      for (int k = 0; k < N; ++k) {
        C w[rows], b[chunk / sharers];
#pragma unroll
        for (int i = 0; i < rows; ++i) w[i] = memory.weight[row(i)][k];
#pragma unroll
        for (int j = 0; j < chunk / sharers; ++j) b[j] = memory.other[k][column(j)];
#pragma unroll
        for (int i = 0; i < rows; ++i)
#pragma unroll
          for (int j = 0; j < chunk / sharers; ++j) sum[i][first / sharers + j] += w[i] * b[j];
      }
    }
  }
};

template <class T>
__device__ __forceinline__ void multiply(float& d0, float& d1, float& d2, float& d3, const u32 (&a)[4], u32 b0, u32 b1);
template <>
__device__ __forceinline__ void multiply<f16>(float& d0, float& d1, float& d2, float& d3, const u32 (&a)[4], u32 b0,
                                              u32 b1) {
  mma_m16n8k16_f16(d0, d1, d2, d3, a, b0, b1);
}
template <>
__device__ __forceinline__ void multiply<bf16>(float& d0, float& d1, float& d2, float& d3, const u32 (&a)[4], u32 b0,
                                               u32 b1) {
  mma_m16n8k16_bf16(d0, d1, d2, d3, a, b0, b1);
}

template <class T>
__device__ __forceinline__ u32 pair(f32 low, f32 high) {
  union Both {
    u32 word;
    Pack<T, 2> pack;
    __device__ Both() {}
  } both;
  both.pack.item[0] = narrow<T>::from(low);
  both.pack.item[1] = narrow<T>::from(high);
  return both.word;
}

// 16-bit floats on tensor cores, with sums in float32. Each of four warps owns 16 rows. Of an accumulator's fragment, a
// lane holds two neighbours in each of two rows 8 apart; and a pair of fragments of a product is, rounded, the first
// factor's fragment of the next product. A padded row puts 8 rows of a fragment into different banks.
template <class T, int D, int N, int Owned>
struct CoreTiles {
  using C = f32;
  static constexpr int rows = 2, sharers = 4, columns = N / sharers, depth = D / sharers;
  static constexpr int step = 16, pack = 8, pitch = D + pack;
  struct alignas(vector_bytes) Memory {
    u16 own[Owned][tile_rows][pitch];
    u16 other[2][N][pitch];
    T laid[tile_rows][N + 2];
  };
  using Laid = T;
  Memory& memory;

  __device__ __forceinline__ static int lane() { return threadIdx.x % warp_size; }
  __device__ __forceinline__ static int warp_row() { return static_cast<int>(threadIdx.x) / warp_size * step; }
  __device__ __forceinline__ static int row(int i) { return warp_row() + lane() / sharers + i * pack; }
  __device__ __forceinline__ static int column(int j) { return j / 2 * pack + lane() % sharers * 2 + j % 2; }

  __device__ __forceinline__ explicit CoreTiles(Memory& shared) : memory(shared) {}

  __device__ __forceinline__ T& laid(int r, int c) { return memory.laid[r][c]; }

  template <int Rows>
  __device__ __forceinline__ static void bring(u16 (&to)[Rows][pitch], const Matrix<T>& m) {
    const u16* data = reinterpret_cast<const u16*>(m.data);
    if (!m.vector) {
#pragma unroll 1
      for (int i = threadIdx.x; i < Rows * D; i += tile_threads) {
        const int r = i / D, c = i % D;
        to[r][c] = r < m.rows && c < m.columns ? data[r * m.stride + c] : u16(0);
      }
      return;
    }
#pragma unroll 4
    for (int i = threadIdx.x; i < Rows * D / pack; i += tile_threads) {
      const int r = i / (D / pack), c = i % (D / pack) * pack;
      uint4 word = {0, 0, 0, 0};
      if (r < m.rows && c < m.columns) word = *reinterpret_cast<const uint4*>(data + r * m.stride + c);
      *reinterpret_cast<uint4*>(&to[r][c]) = word;
    }
  }

  template <int S>
  __device__ __forceinline__ void hold(const Matrix<T>& m) {
    bring(memory.own[S], m);
  }
  __device__ __forceinline__ void turn(const Matrix<T>& first, const Matrix<T>& second) {
    __syncthreads();
    bring(memory.other[0], first);
    bring(memory.other[1], second);
    __syncthreads();
  }

  template <int S>
  __device__ __forceinline__ void product(C (&s)[rows][columns]) {
#pragma unroll
    for (int i = 0; i < rows; ++i)
#pragma unroll
      for (int j = 0; j < columns; ++j) s[i][j] = C(0);
#pragma unroll
    for (int d = 0; d < D; d += step) {
      u32 a[4], b[4];
      ldmatrix_x4(a, &memory.own[S][warp_row() + lane() % step][d + lane() / step * pack]);
#pragma unroll
      for (int n = 0; n < N; n += step) {
        ldmatrix_x4(b, &memory.other[S][n + lane() / step * pack + lane() % pack][d + lane() / pack % 2 * pack]);
        const int j = n / sharers;
        multiply<T>(s[0][j], s[0][j + 1], s[1][j], s[1][j + 1], a, b[0], b[1]);
        multiply<T>(s[0][j + 2], s[0][j + 3], s[1][j + 2], s[1][j + 3], a, b[2], b[3]);
      }
    }
  }

  template <int S>
  __device__ __forceinline__ void accumulate(const C (&weight)[rows][columns], C (&sum)[rows][depth]) {
#pragma unroll
    for (int n = 0; n < N; n += step) {
      const int k = n / sharers;
      const u32 a[4] = {pair<T>(weight[0][k], weight[0][k + 1]), pair<T>(weight[1][k], weight[1][k + 1]),
                        pair<T>(weight[0][k + 2], weight[0][k + 3]), pair<T>(weight[1][k + 2], weight[1][k + 3])};
#pragma unroll
      for (int d = 0; d < D; d += step) {
        u32 b[4];
        ldmatrix_x4_trans(b, &memory.other[S][n + lane() % step][d + lane() / step * pack]);
        const int j = d / sharers;
        multiply<T>(sum[0][j], sum[0][j + 1], sum[1][j], sum[1][j + 1], a, b[0], b[1]);
        multiply<T>(sum[0][j + 2], sum[0][j + 3], sum[1][j + 2], sum[1][j + 3], a, b[2], b[3]);
      }
    }
  }
};

// The tiles for a type on this GPU, with rows of up to D elements; `Rows` float32 rows a turn fit where one matrix of D=128
// is owned, and half as many of float64.
template <class T, int D, int Owned, bool Cores>
struct ChooseTiles {
  using type = PlainTiles<T, D, 256 / sizeof(compute_t<T>) / Owned>;
};
template <int D, int Owned>
struct ChooseTiles<f16, D, Owned, true> {
  using type = CoreTiles<f16, D, 4096 / D / Owned, Owned>;
};
template <int D, int Owned>
struct ChooseTiles<bf16, D, Owned, true> {
  using type = CoreTiles<bf16, D, 4096 / D / Owned, Owned>;
};
template <class T, int D, int Owned>
using Tiles = typename ChooseTiles<T, D, Owned, tensor_cores>::type;

}  // namespace wootz
