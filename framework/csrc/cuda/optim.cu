// Optimiser steps over any number of tensors in one launch.
#include "kernel.cuh"
#include "math.cuh"

namespace wootz {

// One tensor of a step. `first_block` is the sum of the blocks of the tensors before it.
struct Slot {
  void* parameter;
  const void* gradient;
  void* state[3];
  i64 count;
  i64 first_block;
};

constexpr int elements_per_block = 4096;

// The last slot whose first block is not after this one.
__device__ __forceinline__ const Slot& slot_of(const Slot* slots, int count, i64 block) {
  int low = 0, high = count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (slots[middle].first_block <= block)
      low = middle;
    else
      high = middle;
  }
  return slots[low];
}

__device__ __forceinline__ bool aligned(const void* p) { return reinterpret_cast<u64>(p) % vector_bytes == 0; }

// Calls `step(width tag, first element)` for this block's share of a tensor, in packs where everything is aligned.
template <class T, class Step>
__device__ __forceinline__ void each_share(const Slot& slot, Step step) {
  constexpr int V = lanes<T>;
  const i64 from = (blockIdx.x - slot.first_block) * elements_per_block;
  const i64 to = from + elements_per_block < slot.count ? from + elements_per_block : slot.count;
  bool vector = aligned(slot.parameter) && aligned(slot.gradient);
  for (int k = 0; k < 3; ++k) vector = vector && aligned(slot.state[k]);
  i64 whole = vector ? from + (to - from) / V * V : from;
#pragma unroll 1
  for (i64 i = from + static_cast<i64>(threadIdx.x) * V; i < whole; i += static_cast<i64>(blockDim.x) * V)
    step(Width<V>{}, i);
#pragma unroll 1
  for (i64 i = whole + threadIdx.x; i < to; i += blockDim.x) step(Width<1>{}, i);
}

template <class C>
struct SgdRule {
  C rate, momentum, dampening, decay;
  int nesterov, maximize, first;
  const f64* live;  // if given, the rate: a captured graph must not fix it
};

// v = momentum v + (1 - dampening) g, first step v = g; p -= rate (nesterov ? g + momentum v : v).
template <class T>
__device__ __forceinline__ void sgd(const Slot* slots, int count, const SgdRule<compute_t<T>>& rule) {
  using C = compute_t<T>;
  const Slot& slot = slot_of(slots, count, blockIdx.x);
  T* parameter = static_cast<T*>(slot.parameter);
  const T* gradient = static_cast<const T*>(slot.gradient);
  T* velocity = static_cast<T*>(slot.state[0]);
  const C rate = rule.live ? static_cast<C>(rule.live[0]) : rule.rate;
  each_share<T>(slot, [&](auto width, i64 at) {
    constexpr int W = decltype(width)::value;
    C p[W], g[W], v[W];
    load<W>(parameter + at, p);
    load<W>(gradient + at, g);
    if (velocity != nullptr && !rule.first) load<W>(velocity + at, v);
#pragma unroll
    for (int i = 0; i < W; ++i) {
      C d = (rule.maximize ? -g[i] : g[i]) + rule.decay * p[i];
      if (velocity != nullptr) {
        v[i] = rule.first ? d : rule.momentum * v[i] + (C(1) - rule.dampening) * d;
        d = rule.nesterov ? d + rule.momentum * v[i] : v[i];
      }
      p[i] -= rate * d;
    }
    if (velocity != nullptr) store<W>(velocity + at, v);
    store<W>(parameter + at, p);
  });
}

template <class C>
struct AdamRule {
  C rate, beta1, beta2, eps, decay;
  C correction1;       // 1 - beta1^step
  C correction2_root;  // sqrt(1 - beta2^step)
  int decoupled, maximize;
  const f64* live;  // if given, the rate and the two corrections: a captured graph must not fix them
};

// Adam (Kingma & Ba 2015), with decoupled decay AdamW (Loshchilov & Hutter 2019); a third state makes it AMSGrad.
template <class T>
__device__ __forceinline__ void adam(const Slot* slots, int count, const AdamRule<compute_t<T>>& rule) {
  using C = compute_t<T>;
  const Slot& slot = slot_of(slots, count, blockIdx.x);
  T* parameter = static_cast<T*>(slot.parameter);
  const T* gradient = static_cast<const T*>(slot.gradient);
  T* average = static_cast<T*>(slot.state[0]);
  T* square = static_cast<T*>(slot.state[1]);
  T* peak = static_cast<T*>(slot.state[2]);
  const C rate = rule.live ? static_cast<C>(rule.live[0]) : rule.rate;
  const C correction1 = rule.live ? static_cast<C>(rule.live[1]) : rule.correction1;
  const C correction2_root = rule.live ? static_cast<C>(rule.live[2]) : rule.correction2_root;
  each_share<T>(slot, [&](auto width, i64 at) {
    constexpr int W = decltype(width)::value;
    C p[W], g[W], m[W], v[W], top[W];
    load<W>(parameter + at, p);
    load<W>(gradient + at, g);
    load<W>(average + at, m);
    load<W>(square + at, v);
    if (peak != nullptr) load<W>(peak + at, top);
#pragma unroll
    for (int i = 0; i < W; ++i) {
      C d = rule.maximize ? -g[i] : g[i];
      if (rule.decoupled)
        p[i] -= rate * rule.decay * p[i];
      else
        d += rule.decay * p[i];
      m[i] += (C(1) - rule.beta1) * (d - m[i]);
      v[i] = rule.beta2 * v[i] + (C(1) - rule.beta2) * d * d;
      C second = v[i];
      if (peak != nullptr) second = top[i] = math::maximum(top[i], v[i]);
      p[i] -= rate / correction1 * m[i] / (math::sqrt(second) / correction2_root + rule.eps);
    }
    store<W>(average + at, m);
    store<W>(square + at, v);
    if (peak != nullptr) store<W>(peak + at, top);
    store<W>(parameter + at, p);
  });
}

#define WOOTZ_sgd(name, in, out)                                                                                \
  WOOTZ_KERNEL(sgd, name, in, out, 256, const Slot* slots, int count, WOOTZ_PLAN SgdRule<compute_t<in>> rule) { \
    name<in>(slots, count, rule);                                                                               \
  }
#define WOOTZ_adam(name, in, out)                                                                                 \
  WOOTZ_KERNEL(adam, name, in, out, 256, const Slot* slots, int count, WOOTZ_PLAN AdamRule<compute_t<in>> rule) { \
    name<in>(slots, count, rule);                                                                                 \
  }

WOOTZ_STRUCTURES(Slot, SgdRule<f32>, SgdRule<f64>, AdamRule<f32>, AdamRule<f64>)

WOOTZ_FLOATS(WOOTZ_sgd, sgd)
WOOTZ_FLOATS(WOOTZ_adam, adam)

}  // namespace wootz
