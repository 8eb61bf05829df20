// Counter-based random numbers (Philox 4x32-10, Salmon et al. 2011), the same as the CPU's for every launch shape.
#pragma once
#include "dtypes.cuh"

namespace wootz {

struct Words {
  u32 word[4];
};

__device__ __forceinline__ Words philox(u64 seed, u64 counter_high, u64 counter_low) {
  u32 c0 = static_cast<u32>(counter_low), c1 = static_cast<u32>(counter_low >> 32);
  u32 c2 = static_cast<u32>(counter_high), c3 = static_cast<u32>(counter_high >> 32);
  u32 k0 = static_cast<u32>(seed), k1 = static_cast<u32>(seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const u64 p = static_cast<u64>(0xD2511F53u) * c0;
    const u64 q = static_cast<u64>(0xCD9E8D57u) * c2;
    c0 = static_cast<u32>(q >> 32) ^ c1 ^ k0;
    c1 = static_cast<u32>(q);
    c2 = static_cast<u32>(p >> 32) ^ c3 ^ k1;
    c3 = static_cast<u32>(p);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// [0, 1) with the 24 bits a float holds exactly.
__device__ __forceinline__ f32 uniform(u32 word) { return static_cast<f32>(word >> 8) * 5.9604644775390625e-8f; }

// Element i uses word i % 4 of counter i / 4, so that neither the launch shape nor the width of an access matters.
template <class T, class Each>
__device__ __forceinline__ void each_four(i64 count, u64 seed, u64 stream, Each each) {
  const i64 step = static_cast<i64>(gridDim.x) * blockDim.x;
#pragma unroll 1
  for (i64 q = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x; q * 4 < count; q += step) {
    const Words words = philox(seed, stream, static_cast<u64>(q));
#pragma unroll
    for (int j = 0; j < 4; ++j)
      if (q * 4 + j < count) each(q * 4 + j, uniform(words.word[j]));
  }
}

// out = x / (1 - p) where the draw is at least p, else zero. The same launch on the gradient is the backward pass:
// the mask is drawn again and never stored.
template <class T>
__device__ __forceinline__ void dropout(const T* x, T* out, i64 count, f32 p, u64 seed, u64 stream) {
  using C = compute_t<T>;
  const C scale = p < 1.0f ? C(1) / (C(1) - static_cast<C>(p)) : C(0);
  each_four<T>(count, seed, stream, [&](i64 i, f32 draw) {
    out[i] = narrow<T>::from(draw >= p ? widen(x[i]) * scale : C(0));
  });
}

}  // namespace wootz

#define WOOTZ_dropout(name, in, out)                                                                            \
  extern "C" __global__ void __launch_bounds__(256, 1) name##_##in##_##out(                                        \
      const wootz::in* x, wootz::out* y, wootz::i64 count, wootz::f32 p, wootz::u64 seed, wootz::u64 stream) {  \
    wootz::name(x, y, count, p, seed, stream);                                                                  \
  }
