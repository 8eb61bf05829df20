// Work along lines, which lie at any stride: running sums, the place of the extremum, and sums by index.
#include "kernel.cuh"
#include "layout.cuh"
#include "math.cuh"

namespace wootz {

// A line's elements; `chunk` of them go to each gridDim.y.
struct Line {
  i64 length;
  i64 step;      // of the input, in elements
  i64 out_step;  // of the output
  i64 chunk;
};

template <class C>
__device__ __forceinline__ C lane_of(C x, int mask) {
  return __shfl_xor_sync(0xffffffffu, x, mask);
}

namespace join {
struct cumsum {
  template <class C>
  static __device__ __forceinline__ C of(C a, C b) {
    return a + b;
  }
  static constexpr int neutral = 0;
};
struct cumprod {
  template <class C>
  static __device__ __forceinline__ C of(C a, C b) {
    return a * b;
  }
  static constexpr int neutral = 1;
};
}  // namespace join

// A warp a line or chunk of one, 32 elements at a time. With `totals` [lines, chunks] only those are written; `before`
// holds their running joins, from which each chunk but the first goes on.
template <class F, class C>
__device__ __forceinline__ void scan(const C* x, C* out, const C* before, C* totals, const Line& line,
                                     const Layout<2>& lines) {
  const u32 lane = threadIdx.x, number = blockIdx.x * blockDim.y + threadIdx.y;
  if (number >= lines.units) return;
  i64 at[2];
  locate(lines, number, at);
  const i64 chunks = gridDim.y, cell = number * chunks + blockIdx.y;
  const i64 from = blockIdx.y * line.chunk;
  const i64 to = from + line.chunk < line.length ? from + line.chunk : line.length;
  C carried = before != nullptr && blockIdx.y > 0 ? before[cell - 1] : C(F::neutral);
#pragma unroll 1
  for (i64 i = from; i < to; i += warp_size) {
    const bool inside = i + lane < to;
    C prefix = inside ? x[at[1] + (i + lane) * line.step] : C(F::neutral), total = prefix;
#pragma unroll
    for (int mask = 1; mask < warp_size; mask *= 2) {
      const C other = lane_of(total, mask);
      const bool later = lane & mask;
      if (later) prefix = F::of(other, prefix);
      total = later ? F::of(other, total) : F::of(total, other);
    }
    if (totals == nullptr && inside) out[at[0] + (i + lane) * line.out_step] = F::of(carried, prefix);
    carried = F::of(carried, total);
  }
  if (totals != nullptr && lane == 0) totals[cell] = carried;
}

// Whether (x, i) goes before (y, j): the first of equal ones, and of NaN, wins.
struct argmax {
  template <class C>
  static __device__ __forceinline__ bool wins(C x, i64 i, C y, i64 j) {
    if (is_nan(x) || is_nan(y)) return is_nan(x) && (!is_nan(y) || i < j);
    return x > y || (x == y && i < j);
  }
};
struct argmin {
  template <class C>
  static __device__ __forceinline__ bool wins(C x, i64 i, C y, i64 j) {
    if (is_nan(x) || is_nan(y)) return is_nan(x) && (!is_nan(y) || i < j);
    return x < y || (x == y && i < j);
  }
};

// A warp a line or chunk of one. The winners of several chunks go side by side, and are `among` what the next launch asks.
template <class F, class C>
__device__ __forceinline__ void place(const C* x, const i64* among, i64* out, const Line& line, const Layout<2>& lines) {
  const u32 number = blockIdx.x * blockDim.y + threadIdx.y;
  if (number >= lines.units) return;
  i64 at[2];
  locate(lines, number, at);
  const C* start = x + at[1];
  if (among != nullptr) among += number * line.length;
  const i64 from = blockIdx.y * line.chunk;
  const i64 to = from + line.chunk < line.length ? from + line.chunk : line.length;
  const i64 mine = from + threadIdx.x < to ? from + threadIdx.x : from;
  i64 best = among != nullptr ? among[mine] : mine;
  C value = start[best * line.step];
#pragma unroll 1
  for (i64 j = mine + warp_size; j < to; j += warp_size) {
    const i64 i = among != nullptr ? among[j] : j;
    const C next = start[i * line.step];
    if (F::wins(next, i, value, best)) value = next, best = i;
  }
#pragma unroll
  for (int mask = warp_size / 2; mask > 0; mask /= 2) {
    const C other = lane_of(value, mask);
    const i64 its = lane_of(best, mask);
    if (F::wins(other, its, value, best)) value = other, best = its;
  }
  if (threadIdx.x == 0) out[gridDim.y > 1 ? static_cast<i64>(number) * gridDim.y + blockIdx.y : at[0]] = best;
}

// out[.., index, ..] += x, along a line in order, so that the sum does not depend on the machine: a thread a line.
template <class C>
__device__ __forceinline__ void add_at(const i64* indices, const C* x, C* out, const Line& line, i64 extent,
                                       i64 index_step, i64* fault, const Layout<3>& lines) {
  walk<1>(lines, [&](auto, const i64(&at)[3]) {
#pragma unroll 1
    for (i64 j = 0; j < line.length; ++j) {
      const i64 place = at[1] + j * index_step;
      i64 i = indices[place];
      i = i < 0 ? i + extent : i;
      if (i < 0 || i >= extent) {
        *fault = place + 1;
        continue;
      }
      out[at[0] + i * line.out_step] += x[at[2] + j * line.step];
    }
  });
}

// The same where a line is long: `places` are sorted, `order` says which element goes to each. The thread that meets
// a place first adds all that go there.
template <class C>
__device__ __forceinline__ void add_runs(const i64* places, const i64* order, const C* x, C* out, const Line& line,
                                         const Layout<2>& lines) {
  const i64 step = static_cast<i64>(gridDim.x) * blockDim.x;
  i64 at[2];
  locate(lines, blockIdx.y, at);
#pragma unroll 1
  for (i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x; i < line.length; i += step) {
    const i64 place = places[i];
    if (i > 0 && places[i - 1] == place) continue;
    C* target = out + at[0] + place * line.out_step;
    C sum = *target;
#pragma unroll 1
    for (i64 j = i; j < line.length && places[j] == place; ++j) sum += x[at[1] + order[j] * line.step];
    *target = sum;
  }
}

#define WOOTZ_scan(name, in, out)                                                                               \
  WOOTZ_KERNEL(scan, name, in, out, 256, const in* x, out* y, const in* before, out* totals, WOOTZ_PLAN Line line, \
               WOOTZ_PLAN Layout<2> lines) {                                                                    \
    scan<join::name>(x, y, before, totals, line, lines);                                                        \
  }
#define WOOTZ_place(name, in, out)                                                                         \
  WOOTZ_KERNEL(place, name, in, out, 256, const in* x, const i64* among, out* y, WOOTZ_PLAN Line line,     \
               WOOTZ_PLAN Layout<2> lines) {                                                               \
    place<name>(x, among, y, line, lines);                                                                 \
  }
#define WOOTZ_add_at(name, in, out)                                                                       \
  WOOTZ_KERNEL(add_at, name, in, out, 256, const i64* indices, const in* x, out* y, i64 extent, i64 index_step, \
               i64* fault, WOOTZ_PLAN Line line, WOOTZ_PLAN Layout<3> lines) {                            \
    add_at(indices, x, y, line, extent, index_step, fault, lines);                                        \
  }
#define WOOTZ_add_runs(name, in, out)                                                                    \
  WOOTZ_KERNEL(add_runs, name, in, out, 256, const i64* places, const i64* order, const in* x, out* y,    \
               WOOTZ_PLAN Line line, WOOTZ_PLAN Layout<2> lines) {                                       \
    add_runs(places, order, x, y, line, lines);                                                          \
  }
#define WOOTZ_WIDE(K, name) K(name, f32, f32) K(name, f64, f64) K(name, i64, i64)

WOOTZ_STRUCTURES(Layout<2>, Layout<3>, Line)

WOOTZ_WIDE(WOOTZ_scan, cumsum)
WOOTZ_WIDE(WOOTZ_scan, cumprod)
WOOTZ_place(argmax, f32, i64)
WOOTZ_place(argmax, f64, i64)
WOOTZ_place(argmax, i64, i64)
WOOTZ_place(argmin, f32, i64)
WOOTZ_place(argmin, f64, i64)
WOOTZ_place(argmin, i64, i64)
WOOTZ_WIDE(WOOTZ_add_at, add_at)
WOOTZ_WIDE(WOOTZ_add_runs, add_runs)

}  // namespace wootz
