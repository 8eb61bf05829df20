// The largest element of windows, and its place in its plane.
#include "kernel.cuh"
#include "math.cuh"

namespace wootz {

// Up to three dimensions, the last one first; those that are not there have extent 1. An adaptive window reaches from
// i n / m to what (i + 1) n / m rounds up to, another from i stride - padding in steps of the dilation.
struct Windows {
  i64 count;
  int adaptive;
  int extent[3];
  int out[3];
  int kernel[3];
  int stride[3];
  int padding[3];
  int dilation[3];
};

struct Span {
  i64 from, to, step;
};

__device__ __forceinline__ Span span_of(const Windows& w, int d, i64 at) {
  const i64 n = w.extent[d], m = w.out[d];
  if (w.adaptive) return {at * n / m, ((at + 1) * n + m - 1) / m, 1};
  const i64 step = w.dilation[d];
  i64 from = at * w.stride[d] - w.padding[d];
  const i64 end = from + (w.kernel[d] - 1) * step + 1;
  if (from < 0) from += (-from + step - 1) / step * step;
  return {from, end < n ? end : n, step};
}

template <class T>
__device__ __forceinline__ void max_pool(const T* x, T* out, i64* places, const Windows& w) {
  using C = compute_t<T>;
  const i64 step = static_cast<i64>(gridDim.x) * blockDim.x;
#pragma unroll 1
  for (i64 i = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x; i < w.count; i += step) {
    Span span[3];
    i64 rest = i;
#pragma unroll
    for (int d = 0; d < 3; ++d) {
      span[d] = span_of(w, d, rest % w.out[d]);
      rest /= w.out[d];
    }
    const T* plane = x + rest * w.extent[0] * w.extent[1] * w.extent[2];
    i64 best = (span[2].from * w.extent[1] + span[1].from) * w.extent[0] + span[0].from;
    C value = widen(plane[best]);
#pragma unroll 1
    for (i64 c = span[2].from; c < span[2].to; c += span[2].step)
#pragma unroll 1
      for (i64 b = span[1].from; b < span[1].to; b += span[1].step)
#pragma unroll 1
        for (i64 a = span[0].from; a < span[0].to; a += span[0].step) {
          const i64 at = (c * w.extent[1] + b) * w.extent[0] + a;
          const C next = widen(plane[at]);
          if (next > value || is_nan(next)) value = next, best = at;  // the last NaN, as on the CPU
        }
    out[i] = plane[best];
    places[i] = best;
  }
}

#define WOOTZ_max_pool(name, in, out)                                                                       \
  WOOTZ_KERNEL(max_pool, name, in, out, 256, const in* x, out* y, i64* places, WOOTZ_PLAN Windows windows) { \
    max_pool(x, y, places, windows);                                                                        \
  }

WOOTZ_STRUCTURES(Windows)

WOOTZ_FLOATS(WOOTZ_max_pool, max_pool)
WOOTZ_max_pool(max_pool, i64, i64)

}  // namespace wootz
