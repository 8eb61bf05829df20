// Conversions between element types over any strides, and fills by element size.
#include "kernel.cuh"
#include "layout.cuh"

namespace wootz {

// Out of an integer's range the result is the target's nearest, as CUDA's conversions saturate.
template <class In, class Out>
__device__ __forceinline__ void cast(const In* x, Out* out, const Layout<2>& layout) {
  using C = compute_t<In>;
  constexpr int V = vector_bytes / (sizeof(In) > sizeof(Out) ? sizeof(In) : sizeof(Out));
  walk<V>(layout, [&](auto width, const i64(&at)[2]) {
    constexpr int W = decltype(width)::value;
    C a[W];
    load<W>(x + at[1], a);
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

#define WOOTZ_cast(name, in, out)                                                            \
  WOOTZ_KERNEL(cast, name, in, out, 256, const in* x, out* y, WOOTZ_PLAN Layout<2> layout) { \
    cast(x, y, layout);                                                                      \
  }
#define WOOTZ_fill(name, in, out)                                                         \
  WOOTZ_KERNEL(fill, name, in, out, 256, u64 bits, out* y, WOOTZ_PLAN Layout<1> layout) { \
    fill(bits, y, layout);                                                                \
  }

WOOTZ_STRUCTURES(Layout<1>, Layout<2>)

// A copy without a conversion is raw.cu's.
#define WOOTZ_BETWEEN(one, other) WOOTZ_cast(cast, one, other) WOOTZ_cast(cast, other, one)
WOOTZ_BETWEEN(f32, f16) WOOTZ_BETWEEN(f32, bf16) WOOTZ_BETWEEN(f32, f64) WOOTZ_BETWEEN(f32, i64)
WOOTZ_BETWEEN(f32, i32) WOOTZ_BETWEEN(f32, u8) WOOTZ_BETWEEN(f32, boolean) WOOTZ_BETWEEN(f16, bf16)
WOOTZ_BETWEEN(f16, f64) WOOTZ_BETWEEN(f16, i64) WOOTZ_BETWEEN(f16, i32) WOOTZ_BETWEEN(f16, u8)
WOOTZ_BETWEEN(f16, boolean) WOOTZ_BETWEEN(bf16, f64) WOOTZ_BETWEEN(bf16, i64) WOOTZ_BETWEEN(bf16, i32)
WOOTZ_BETWEEN(bf16, u8) WOOTZ_BETWEEN(bf16, boolean) WOOTZ_BETWEEN(f64, i64) WOOTZ_BETWEEN(f64, i32)
WOOTZ_BETWEEN(f64, u8) WOOTZ_BETWEEN(f64, boolean) WOOTZ_BETWEEN(i64, i32) WOOTZ_BETWEEN(i64, u8)
WOOTZ_BETWEEN(i64, boolean) WOOTZ_BETWEEN(i32, u8) WOOTZ_BETWEEN(i32, boolean) WOOTZ_BETWEEN(u8, boolean)
// Small integers go through int64.
WOOTZ_BETWEEN(i8, i64) WOOTZ_BETWEEN(i16, i64)

WOOTZ_fill(fill, u8, u8)
WOOTZ_fill(fill, u16, u16)
WOOTZ_fill(fill, u32, u32)
WOOTZ_fill(fill, u64, u64)

}  // namespace wootz
