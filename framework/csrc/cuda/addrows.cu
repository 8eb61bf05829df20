// Sums of rows at places that may repeat, which is what an embedding's gradient is: the same bits every time, without atomic
// adds of floats, without a sort, and without waiting for the host.
#include "kernel.cuh"
#include "math.cuh"

namespace wootz {

// Negative indices count from the end. One out of range is noted as 1 + its place, and -1 here.
__device__ __forceinline__ i64 checked(const i64* indices, i64 i, i64 rows, i64* fault) {
  const i64 given = indices[i], index = given < 0 ? given + rows : given;
  if (index >= 0 && index < rows) return index;
  if (fault != nullptr) *fault = i + 1;
  return -1;
}

// Threads each place i into a list of its row: `first` holds the list's head of every row, `next` what follows each place,
// -1 is the end. Which place comes first depends on the run; which places there are does not.
__device__ __forceinline__ void link_rows(const i64* indices, i64 count, i64 rows, i32* first, i32* next, i64* fault) {
  const i64 step = static_cast<i64>(gridDim.x) * blockDim.x;
#pragma unroll 1
  for (i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    const i64 index = checked(indices, i, rows, fault);
    if (index >= 0) next[i] = atomicExch(first + index, static_cast<i32>(i));
  }
}

constexpr int lines = 8, most_places = 512, columns_a_thread = 4;

// The places of a row's list in rising order; more than `most_places` is answered with their number alone.
struct Places {
  i32 found[most_places];
  i32 ordered[most_places];
  i32 count;

  __device__ __forceinline__ void collect(i32 place, const i32* next) {
    const int thread = threadIdx.y * warp_size + threadIdx.x;
    if (thread == 0) {
      int n = 0;
#pragma unroll 1
      for (; place >= 0 && n <= most_places; place = next[place], ++n)
        if (n < most_places) found[n] = place;
      count = n;
    }
    __syncthreads();
    if (count <= most_places)
#pragma unroll 1
      for (int i = thread; i < count; i += lines * warp_size) {
        int rank = 0;
#pragma unroll 1
        for (int j = 0; j < count; ++j) rank += found[j] < found[i];
        ordered[rank] = found[i];
      }
    __syncthreads();
  }
};

// out[row] = base[row] + the sum of source[i] over the places i that name the row. A block a row: each of its lines adds
// every eighth place in order, or looks through an eighth of all indices where the row has too many places; then the lines
// are added in order.
template <class T>
__device__ __forceinline__ void add_rows(const T* base, const i64* indices, const T* source, const i32* first,
                                         const i32* next, T* out, i64 count, i64 rows, i64 columns) {
  using C = compute_t<T>;
  __shared__ Places places;
  __shared__ C partial[lines][warp_size];
#pragma unroll 1
  for (i64 row = blockIdx.x; row < rows; row += gridDim.x) {
    __syncthreads();
    places.collect(first[row], next);
    const int n = places.count;
    const i64 part = (count + lines - 1) / lines, start = threadIdx.y * part;
    const i64 end = start + part < count ? start + part : count;
#pragma unroll 1
    for (i64 c0 = threadIdx.x; c0 - threadIdx.x < columns; c0 += warp_size * columns_a_thread) {
      C sum[columns_a_thread] = {};
      const auto add = [&](i64 place) {
#pragma unroll
        for (int k = 0; k < columns_a_thread; ++k) {
          const i64 c = c0 + k * warp_size;
          if (c < columns) sum[k] += widen(source[place * columns + c]);
        }
      };
      if (n <= most_places) {
#pragma unroll 2
        for (int j = threadIdx.y; j < n; j += lines) add(places.ordered[j]);
      } else {
#pragma unroll 2
        for (i64 i = start; i < end; ++i)
          if (checked(indices, i, rows, nullptr) == row) add(i);
      }
#pragma unroll
      for (int k = 0; k < columns_a_thread; ++k) {
        __syncthreads();
        partial[threadIdx.y][threadIdx.x] = sum[k];
        __syncthreads();
        const i64 c = c0 + k * warp_size;
        if (threadIdx.y != 0 || c >= columns) continue;
        C total = widen(base[row * columns + c]);
#pragma unroll
        for (int l = 0; l < lines; ++l) total += partial[l][threadIdx.x];
        out[row * columns + c] = narrow<T>::from(total);
      }
    }
  }
}

#define WOOTZ_link_rows(name, in, out)                                                                            \
  WOOTZ_KERNEL(link_rows, name, in, out, 256, const i64* indices, i64 count, i64 rows, out* first, out* next,      \
               i64* fault) {                                                                                      \
    link_rows(indices, count, rows, first, next, fault);                                                          \
  }
#define WOOTZ_add_rows(name, in, out)                                                                             \
  WOOTZ_KERNEL(add_rows, name, in, out, 256, const out* base, const i64* indices, const out* source,               \
               const i32* first, const i32* next, out* y, i64 count, i64 rows, i64 columns) {                     \
    add_rows(base, indices, source, first, next, y, count, rows, columns);                                        \
  }

WOOTZ_STRUCTURES()

WOOTZ_link_rows(link_rows, i64, i32)
WOOTZ_FLOATS(WOOTZ_add_rows, add_rows)

}  // namespace wootz
