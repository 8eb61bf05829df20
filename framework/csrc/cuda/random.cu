// Random numbers, the same as the CPU's bit for bit.
#include "kernel.cuh"
#include "philox.cuh"

namespace wootz {

// Products and sums that are rounded one by one, never fused: the numbers have to equal the CPU's bit for bit.
struct Exact {
  f64 value;
  __device__ __forceinline__ Exact(f64 x) : value(x) {}
};
__device__ __forceinline__ Exact operator*(Exact a, Exact b) { return __dmul_rn(a.value, b.value); }
__device__ __forceinline__ Exact operator+(Exact a, Exact b) { return __dadd_rn(a.value, b.value); }
__device__ __forceinline__ Exact operator-(Exact a, Exact b) { return __dadd_rn(a.value, -b.value); }
__device__ __forceinline__ Exact operator/(Exact a, Exact b) { return a.value / b.value; }

__device__ __forceinline__ f64 unit(u64 bits) { return static_cast<f64>(bits) * (1.0 / 9007199254740992.0); }

// The series of csrc/ops/random.cpp, step by step.
__device__ __forceinline__ Exact natural_log(f64 x) {
  int e;
  f64 m = ::frexp(x, &e);
  if (m < 0.70710678118654752440) {
    m *= 2;
    --e;
  }
  const Exact s = (Exact(m) - 1.0) / (Exact(m) + 1.0), z = s * s;
  Exact sum = 0.0;
#pragma unroll 1
  for (int k = 23; k >= 1; k -= 2) sum = sum * z + 1.0 / k;
  return Exact(2.0) * s * sum + Exact(e) * 0.69314718055994530942;
}

// cos and sin of 2 pi t for t in [0, 1): folded to an eighth turn, then the Taylor series.
__device__ __forceinline__ void turn(f64 t, f64& c, f64& s) {
  const f64 eighths = t * 8;
  const int octant = static_cast<int>(eighths);
  const f64 r = eighths - octant;
  const Exact x = Exact(octant & 1 ? 1 - r : r) * 0.78539816339744830962, z = x * x;
  Exact sine = 0.0, cosine = 0.0;
#pragma unroll 1
  for (int k = 17; k >= 3; k -= 2) sine = (sine - 1.0) * z / f64(k * (k - 1));
  sine = x * (Exact(1.0) + sine);
#pragma unroll 1
  for (int k = 16; k >= 2; k -= 2) cosine = (cosine - 1.0) * z / f64(k * (k - 1));
  cosine = Exact(1.0) + cosine;
  const bool swapped = ((octant + 1) >> 1) & 1;
  const f64 even = swapped ? sine.value : cosine.value, odd = swapped ? cosine.value : sine.value;
  c = octant >= 2 && octant < 6 ? -even : even;
  s = octant >= 4 ? -odd : odd;
}

// Uniform in [low, high), of as many bits as the type holds, so that rounding does not reach `high`.
template <class T>
__device__ __forceinline__ void uniform(T* out, i64 count, f64 low, f64 high, u64 seed, u64 draw) {
  constexpr int dropped = sizeof(T) == 4 ? 29 : 0;
  each_draw(count, seed, draw, [=](i64 i, u64 bits) {
    out[i] = narrow<T>::from((Exact(low) + Exact(high - low) * unit(bits >> dropped << dropped)).value);
  });
}

// Box and Muller's transform: two numbers a block.
template <class T>
__device__ __forceinline__ void normal(T* out, i64 count, f64 mean, f64 deviation, u64 seed, u64 draw) {
  const i64 step = static_cast<i64>(gridDim.x) * blockDim.x;
#pragma unroll 1
  for (i64 q = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x; q * 2 < count; q += step) {
    const Words block = philox(seed, draw, static_cast<u64>(q));
    f64 direction[2];
    turn(unit((static_cast<u64>(block.word[3]) << 32 | block.word[2]) >> 11), direction[0], direction[1]);
    const f64 first = unit((static_cast<u64>(block.word[1]) << 32 | block.word[0]) >> 11);
    const f64 radius = ::sqrt((Exact(-2.0) * natural_log(1 - first)).value);
#pragma unroll
    for (int k = 0; k < 2; ++k)
      if (q * 2 + k < count)
        out[q * 2 + k] = narrow<T>::from((Exact(mean) + Exact(deviation) * radius * direction[k]).value);
  }
}

// The high word of a 64 by 64 bit product: uniform in [low, low + range).
__device__ __forceinline__ void randint(i64* out, i64 count, i64 low, u64 range, u64 seed, u64 draw) {
  const i64 step = static_cast<i64>(gridDim.x) * blockDim.x;
#pragma unroll 1
  for (i64 q = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x; q * 2 < count; q += step) {
    const Words block = philox(seed, draw, static_cast<u64>(q));
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const u64 bits = static_cast<u64>(block.word[2 * k + 1]) << 32 | block.word[2 * k];
      if (q * 2 + k < count) out[q * 2 + k] = low + static_cast<i64>(__umul64hi(bits, range));
    }
  }
}

__device__ __forceinline__ void random_mask(boolean* out, i64 count, f64 p, u64 seed, u64 draw) {
  each_draw(count, seed, draw, [=](i64 i, u64 bits) { out[i] = {static_cast<u8>(unit(bits) < p)}; });
}

#define WOOTZ_random(name, in, out)                                                                      \
  WOOTZ_KERNEL(random, name, in, out, 256, out* y, i64 count, f64 first, f64 second, u64 seed, u64 draw, \
               const u64* shift) {                                                                       \
    name(y, count, first, second, seed, draw_of(draw, shift));                                           \
  }
#define WOOTZ_randint(name, in, out)                                                                   \
  WOOTZ_KERNEL(randint, name, in, out, 256, out* y, i64 count, i64 low, u64 range, u64 seed, u64 draw, \
               const u64* shift) {                                                                     \
    name(y, count, low, range, seed, draw_of(draw, shift));                                            \
  }
#define WOOTZ_random_mask(name, in, out)                                                                          \
  WOOTZ_KERNEL(random_mask, name, in, out, 256, out* y, i64 count, f64 p, u64 seed, u64 draw, const u64* shift) { \
    name(y, count, p, seed, draw_of(draw, shift));                                                                \
  }

WOOTZ_STRUCTURES()

WOOTZ_random(uniform, f64, f32)
WOOTZ_random(uniform, f64, f64)
WOOTZ_random(normal, f64, f32)
WOOTZ_random(normal, f64, f64)
WOOTZ_randint(randint, i64, i64)
WOOTZ_random_mask(random_mask, f64, boolean)

}  // namespace wootz
