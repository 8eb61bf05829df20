// Fused optimiser steps: one pass over a parameter, its gradient and its state.
#include <cmath>

#include "cpu/fill.h"
#include "cpu/vec.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace {

// f(load, store) for each vector of n elements, where load(p) and store(p, v) touch only what exists.
template <class T, class F> WOOTZ_INLINE void sweep(int64_t n, F f) {
  using V = Vec<T>;
  for (int64_t i = 0; i < n; i += V::size) {
    int64_t c = n - i < V::size ? n - i : V::size;
    auto load = [=](const T* p) WOOTZ_LAMBDA { return c == V::size ? V::load(p + i) : V::load(p + i, c); };
    auto store = [=](T* p, V v) WOOTZ_LAMBDA {
      if (c == V::size) v.store(p + i);
      else v.store(p + i, c);
    };
    f(load, store);
  }
}

template <class T> void sgd(T* p, const T* g, T* buffer, int64_t n, const SgdStep& s) {
  using V = Vec<T>;
  V lr(s.lr), momentum(s.momentum), keep(1 - s.dampening), decay(s.weight_decay);
  sweep<T>(n, [&](auto load, auto store) WOOTZ_LAMBDA {
    V x = load(p), d = load(g);
    if (s.maximize) d = -d;
    if (s.weight_decay != 0) d = d + decay * x;
    if (buffer) {
      V b = s.first ? d : momentum * load(buffer) + keep * d;
      store(buffer, b);
      d = s.nesterov ? d + momentum * b : b;
    }
    store(p, x - lr * d);
  });
}

template <class T> void adam(T* p, const T* g, T* m, T* v, T* vmax, int64_t n, const AdamStep& s) {
  using V = Vec<T>;
  V beta1(s.beta1), rest1(1 - s.beta1), beta2(s.beta2), rest2(1 - s.beta2), eps(s.eps);
  V shrink(1 - s.lr * s.weight_decay), decay(s.weight_decay), step(s.lr / s.bias1), root(1 / std::sqrt(s.bias2));
  sweep<T>(n, [&](auto load, auto store) WOOTZ_LAMBDA {
    V x = load(p), d = load(g);
    if (s.maximize) d = -d;
    if (s.weight_decay != 0) {
      if (s.decoupled) x = x * shrink;
      else d = d + decay * x;
    }
    V m1 = beta1 * load(m) + rest1 * d;
    V v1 = beta2 * load(v) + rest2 * (d * d);
    store(m, m1);
    store(v, v1);
    if (vmax) {
      v1 = maximum(load(vmax), v1);
      store(vmax, v1);
    }
    store(p, x - step * m1 / (sqrt(v1) * root + eps));
  });
}

}  // namespace

void fill_optim(Kernels& k) {
  k.f32.sgd = sgd<float>;
  k.f64.sgd = sgd<double>;
  k.f32.adam = adam<float>;
  k.f64.adam = adam<double>;
}

}  // namespace wootz::cpu::WOOTZ_ISA
