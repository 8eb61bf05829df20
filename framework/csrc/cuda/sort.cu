// Bitonic sorting (Batcher 1968) of rows, whose width is a power of two: pairs of a key and a place, so that no two are
// equal and equal keys keep their order.
#include "kernel.cuh"

namespace wootz {

constexpr int sort_block = 1024;  // pairs that a block of half as many threads sorts among themselves

// A key whose order as an unsigned number is the element's; NaN, of either sign, comes after infinity.
__device__ __forceinline__ u64 key_of(i64 x) { return static_cast<u64>(x) ^ 0x8000000000000000ull; }
__device__ __forceinline__ u64 key_of(f64 x) {
  union {
    f64 number;
    u64 bits;
  } both;
  both.number = x;
  if (x != x) return 0xfffffffffffffffeull;
  if (x == 0) both.bits = 0;  // -0 equals 0
  return both.bits >> 63 ? ~both.bits : both.bits | 0x8000000000000000ull;
}
__device__ __forceinline__ u64 key_of(f32 x) { return key_of(static_cast<f64>(x)); }

// Keys of [rows, columns] in [rows, width], where what is beyond the columns comes last. `flip` is all ones for a
// descending order.
template <class T>
__device__ __forceinline__ void sort_keys(const T* x, u64* keys, i64* places, i64 count, i64 columns, i64 width,
                                          u64 flip) {
  const i64 step = static_cast<i64>(gridDim.x) * blockDim.x;
#pragma unroll 1
  for (i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    const i64 row = i / width, column = i - row * width;
    keys[i] = column < columns ? key_of(x[row * columns + column]) ^ flip : ~0ull;
    places[i] = column;
  }
}

__device__ __forceinline__ void order_pair(u64& a, i64& i, u64& b, i64& j, bool ascending) {
  const bool greater = a > b || (a == b && i > j);
  if (greater != ascending) return;
  const u64 key = a;
  const i64 place = i;
  a = b, i = j;
  b = key, j = place;
}

// One step over the whole: pairs at distance `reach`, in runs of `run` that rise and fall in turns.
__device__ __forceinline__ void sort_step(u64* keys, i64* places, i64 pairs, i64 width, i64 run, i64 reach) {
  const i64 step = static_cast<i64>(gridDim.x) * blockDim.x;
#pragma unroll 1
  for (i64 t = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x; t < pairs; t += step) {
    const i64 a = t / reach * 2 * reach + t % reach, b = a + reach;
    order_pair(keys[a], places[a], keys[b], places[b], ((a & (width - 1)) & run) == 0);
  }
}

// The steps that stay within a block: all of a first sort (run from 2 on), or the last ones of a run.
__device__ __forceinline__ void sort_near(u64* keys, i64* places, i64 count, i64 width, i64 first, i64 last) {
  __shared__ u64 key[sort_block];
  __shared__ i64 place[sort_block];
  const i64 start = static_cast<i64>(blockIdx.x) * sort_block;
  const int here = static_cast<int>(count - start < sort_block ? count - start : sort_block);
  for (int i = threadIdx.x; i < here; i += blockDim.x) {
    key[i] = keys[start + i];
    place[i] = places[start + i];
  }
  __syncthreads();
#pragma unroll 1
  for (i64 run = first; run <= last; run *= 2) {
#pragma unroll 1
    for (int reach = static_cast<int>(run / 2 < here / 2 ? run / 2 : here / 2); reach > 0; reach /= 2) {
      if (static_cast<int>(threadIdx.x) < here / 2) {
        const int t = threadIdx.x, a = t / reach * 2 * reach + t % reach, b = a + reach;
        order_pair(key[a], place[a], key[b], place[b], (((start + a) & (width - 1)) & run) == 0);
      }
      __syncthreads();
    }
  }
  for (int i = threadIdx.x; i < here; i += blockDim.x) {
    keys[start + i] = key[i];
    places[start + i] = place[i];
  }
}

#define WOOTZ_sort_keys(name, in, out)                                                                          \
  WOOTZ_KERNEL(sort_keys, name, in, out, 256, const in* x, out* keys, i64* places, i64 count, i64 columns, i64 width, \
               u64 flip) {                                                                                      \
    sort_keys(x, keys, places, count, columns, width, flip);                                                    \
  }

WOOTZ_STRUCTURES()

WOOTZ_sort_keys(sort_keys, f32, u64)
WOOTZ_sort_keys(sort_keys, f64, u64)
WOOTZ_sort_keys(sort_keys, i64, u64)
WOOTZ_KERNEL(sort_step, sort_step, u64, i64, 256, u64* keys, i64* places, i64 pairs, i64 width, i64 run, i64 reach) {
  sort_step(keys, places, pairs, width, run, reach);
}
WOOTZ_KERNEL(sort_near, sort_near, u64, i64, 512, u64* keys, i64* places, i64 count, i64 width, i64 first, i64 last) {
  sort_near(keys, places, count, width, first, last);
}

}  // namespace wootz
