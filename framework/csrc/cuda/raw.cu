// Copies, reading and writing by index, all by element size: no arithmetic, so one kernel serves every type of a size.
#include "kernel.cuh"
#include "layout.cuh"

namespace wootz {

template <class T>
__device__ __forceinline__ void copy(const T* x, T* out, const Layout<2>& layout) {
  const Source<T> source{x, T{}};
  walk<lanes<T>>(layout, [&](auto width, const i64(&at)[2]) {
    constexpr int W = decltype(width)::value;
    T a[W];
    source.template fetch<W>(at[1], layout.stride[1][0], a);
    store<W>(out + at[0], a);
  });
}

// An index counts from the end if negative. One out of range is noted, as 1 + its place, and clamped.
struct Index {
  i64 extent;
  i64 step;  // elements between neighbours along the indexed dimension
  i64* fault;

  __device__ __forceinline__ i64 offset(i64 index, i64 place) const {
    const i64 i = index < 0 ? index + extent : index;
    if (i >= 0 && i < extent) return i * step;
    *fault = place + 1;
    return 0;
  }
};

// Along the indexed dimension the strides of x are 0: its place there is what the index says.
template <class T>
__device__ __forceinline__ void gather(const i64* indices, const T* x, T* out, const Index& index,
                                       const Layout<3>& layout) {
  walk<1>(layout, [&](auto, const i64(&at)[3]) {
    out[at[0]] = x[at[2] + index.offset(indices[at[1]], at[1])];
  });
}

// The other way. Of several values for one place any may stay.
template <class T>
__device__ __forceinline__ void scatter(const i64* indices, const T* x, T* out, const Index& index,
                                        const Layout<3>& layout) {
  walk<1>(layout, [&](auto, const i64(&at)[3]) {
    out[at[2] + index.offset(indices[at[0]], at[0])] = x[at[1]];
  });
}

// Offsets that several indices give together: each adds its own to those before.
__device__ __forceinline__ void add_offsets(const i64* indices, const i64* before, i64* out, const Index& index,
                                            const Layout<3>& layout) {
  walk<1>(layout, [&](auto, const i64(&at)[3]) {
    const i64 start = before == nullptr ? 0 : before[at[2]];
    out[at[0]] = start + index.offset(indices[at[1]], at[1]);
  });
}

// Where the mask holds; `ranks` counts the true ones up to and with each.
__device__ __forceinline__ void compact(const boolean* mask, const i64* ranks, i64 count, i64* out) {
  const i64 step = static_cast<i64>(gridDim.x) * blockDim.x;
#pragma unroll 1
  for (i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step)
    if (mask[i].byte != 0) out[ranks[i] - 1] = i;
}

__device__ __forceinline__ void count_up(i64 first, i64 step, i64 count, i64* out) {
  const i64 stride = static_cast<i64>(gridDim.x) * blockDim.x;
#pragma unroll 1
  for (i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride)
    out[i] = first + i * step;
}

#define WOOTZ_copy(name, in, out)                                                            \
  WOOTZ_KERNEL(copy, name, in, out, 256, const in* x, out* y, WOOTZ_PLAN Layout<2> layout) { \
    copy(x, y, layout);                                                                      \
  }
#define WOOTZ_indexed(name, in, out)                                                                      \
  WOOTZ_KERNEL(indexed, name, in, out, 256, const i64* indices, const in* x, out* y, i64 extent, i64 step, \
               i64* fault, WOOTZ_PLAN Layout<3> layout) {                                                 \
    name(indices, x, y, Index{extent, step, fault}, layout);                                              \
  }

WOOTZ_STRUCTURES(Layout<2>, Layout<3>)

#define WOOTZ_EACH_SIZE(K, name) \
  K(name, u8, u8) K(name, u16, u16) K(name, u32, u32) K(name, u64, u64) K(name, u128, u128)

WOOTZ_EACH_SIZE(WOOTZ_copy, copy)
WOOTZ_EACH_SIZE(WOOTZ_indexed, gather)
WOOTZ_EACH_SIZE(WOOTZ_indexed, scatter)
WOOTZ_indexed(add_offsets, i64, i64)

WOOTZ_KERNEL(compact, compact, boolean, i64, 256, const boolean* mask, const i64* ranks, i64 count, i64* out) {
  compact(mask, ranks, count, out);
}
WOOTZ_KERNEL(count_up, count_up, i64, i64, 256, i64 first, i64 step, i64 count, i64* out) {
  count_up(first, step, count, out);
}

}  // namespace wootz
