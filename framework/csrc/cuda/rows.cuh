// Walking rows: a warp, or a whole block, shares one row of a matrix whose columns are contiguous.
#pragma once
#include "math.cuh"

namespace wootz {

// blockDim.x threads share a row: 32 with several rows a block (blockDim.y), or more with one row a block.
// Vector accesses need `vector`: rows that start on 16 bytes and hold whole packs.
struct Rows {
  i64 count;
  i64 columns;
  i64 stride;  // of the input's rows, in elements; outputs are contiguous
  int vector;
};

template <class C>
__device__ __forceinline__ C shuffle(C x, int mask) {
  return __shfl_xor_sync(0xffffffffu, x, mask);
}

// Every thread of the row's group gets the same result, joined in the same order.
template <class C, class Join>
__device__ __forceinline__ C join_row(C x, Join join) {
#pragma unroll
  for (int mask = warp_size / 2; mask > 0; mask /= 2) x = join(x, shuffle(x, mask));
  if (blockDim.x == warp_size) return x;
  __shared__ C partial[max_row_block / warp_size];
  if (threadIdx.x % warp_size == 0) partial[threadIdx.x / warp_size] = x;
  __syncthreads();
  x = partial[0];
#pragma unroll 1
  for (int w = 1; w < static_cast<int>(blockDim.x) / warp_size; ++w) x = join(x, partial[w]);
  __syncthreads();
  return x;
}

template <class C>
__device__ __forceinline__ C sum_row(C x) {
  return join_row(x, [](C a, C b) { return a + b; });
}

// Calls `each(column, values)` for this thread's packs of a row.
template <int W, class T, class Each>
__device__ __forceinline__ void sweep(const T* row, i64 columns, Each each) {
#pragma unroll 1
  for (i64 c = static_cast<i64>(threadIdx.x) * W; c < columns; c += static_cast<i64>(blockDim.x) * W) {
    compute_t<T> values[W];
    load<W>(row + c, values);
    each(c, values);
  }
}

// Calls `each(width tag, row index)` for every row this block is given.
template <int V, class Each>
__device__ __forceinline__ void each_row(const Rows& rows, Each each) {
  const i64 step = static_cast<i64>(gridDim.x) * blockDim.y;
#pragma unroll 1
  for (i64 r = static_cast<i64>(blockIdx.x) * blockDim.y + threadIdx.y; r < rows.count; r += step) {
    if (rows.vector)
      each(Width<V>{}, r);
    else
      each(Width<1>{}, r);
  }
}

}  // namespace wootz
