// Conversions between element types over any strides, strided copies by element size, and fills.
#pragma once
#include "layout.cuh"

namespace wootz {

// Out of an integer's range the result is the target's nearest, as CUDA's conversions saturate.
template <class In, class Out>
__device__ __forceinline__ void cast(const In* x, Out* out, const Layout<2>& layout) {
  using C = compute_t<In>;
  constexpr int V = vector_bytes / (sizeof(In) > sizeof(Out) ? sizeof(In) : sizeof(Out));
  const Source<In> source{x, C{}};
  walk<V>(layout, [&](auto width, const i64(&at)[2]) {
    constexpr int W = decltype(width)::value;
    C a[W];
    source.template fetch<W>(at[1], layout.stride[1][0], a);
    store<W>(out + at[0], a);
  });
}

// One 64-bit pattern, of which the element's low bytes are used, so that one kernel serves every type of a size.
template <class T>
__device__ __forceinline__ void fill(u64 bits, T* out, const Layout<1>& layout) {
  walk<lanes<T>>(layout, [=](auto width, const i64(&at)[1]) {
    constexpr int W = decltype(width)::value;
    T a[W];
#pragma unroll
    for (int i = 0; i < W; ++i) a[i] = static_cast<T>(bits);
    store<W>(out + at[0], a);
  });
}

}  // namespace wootz

#define WOOTZ_cast(name, in, out)                                                             \
  extern "C" __global__ void __launch_bounds__(256, 1)                                           \
      name##_##in##_##out(const wootz::in* x, wootz::out* y, WOOTZ_PLAN wootz::Layout<2> layout) { \
    wootz::cast(x, y, layout);                                                                \
  }
#define WOOTZ_fill(name, in, out)                                                       \
  extern "C" __global__ void __launch_bounds__(256, 1)                                     \
      name##_##in##_##out(wootz::u64 bits, wootz::out* y, WOOTZ_PLAN wootz::Layout<1> layout) { \
    wootz::fill(bits, y, layout);                                                       \
  }
