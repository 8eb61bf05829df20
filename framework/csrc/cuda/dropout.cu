// Dropout, whose mask is drawn again in the backward pass and never stored.
#include "kernel.cuh"
#include "philox.cuh"

namespace wootz {

// out = x scale where the draw is below `threshold` (2^53 times the probability of keeping), else zero. The same
// launch on the gradient is the backward pass: the mask is drawn again and never stored.
template <class T>
__device__ __forceinline__ void dropout(const T* x, T* out, i64 count, u64 threshold, compute_t<T> scale, u64 seed,
                                        u64 draw) {
  using C = compute_t<T>;
  each_draw(count, seed, draw, [=](i64 i, u64 bits) {
    out[i] = narrow<T>::from(bits < threshold ? widen(x[i]) * scale : C(0));
  });
}

#define WOOTZ_dropout(name, in, out)                                                                            \
  WOOTZ_KERNEL(dropout, name, in, out, 256, const in* x, out* y, i64 count, u64 threshold, compute_t<in> scale, \
               u64 seed, u64 draw, const u64* shift) {                                                          \
    name(x, y, count, threshold, scale, seed, draw_of(draw, shift));                                            \
  }

WOOTZ_STRUCTURES()

WOOTZ_FLOATS(WOOTZ_dropout, dropout)

}  // namespace wootz
