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

// A graph draws other numbers each time it is replayed: what that adds to the draw is in device memory.
__device__ __forceinline__ u64 draw_of(u64 draw, const u64* shift) { return shift == nullptr ? draw : draw + *shift; }

// 53 bits: a half of a block, of which the lower 11 bits are dropped.
__device__ __forceinline__ u64 bits_of(const Words& block, int half) {
  return (static_cast<u64>(block.word[2 * half + 1]) << 32 | block.word[2 * half]) >> 11;
}

// Element i of draw `draw` is decided by half i % 2 of block i / 2.
// Neither the launch shape nor the number of threads matters, and csrc/ops/random.cpp decides the same.
template <class Each>
__device__ __forceinline__ void each_draw(i64 count, u64 seed, u64 draw, Each each) {
  const i64 step = static_cast<i64>(gridDim.x) * blockDim.x;
#pragma unroll 1
  for (i64 q = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x; q * 2 < count; q += step) {
    const Words block = philox(seed, draw, static_cast<u64>(q));
#pragma unroll
    for (int half = 0; half < 2; ++half)
      if (q * 2 + half < count) each(q * 2 + half, bits_of(block, half));
  }
}

}  // namespace wootz
