#pragma once
// Counter-based random numbers (Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
// Number i of a draw depends on seed, draw and i alone: the same on every machine and for any number of threads.
#include "core/tensor.h"

namespace wootz::random {

void seed(uint64_t value);
uint64_t initial_seed();
// Seed and counter, and back: all there is to a generator's state.
struct State { uint64_t seed, draws; };
State state();
void set_state(State s);

Tensor uniform(const Dims& shape, DType dtype, double low, double high);
Tensor normal(const Dims& shape, DType dtype, double mean, double deviation);
Tensor integers(const Dims& shape, DType dtype, int64_t low, int64_t high);
// True with probability p.
Tensor mask(const Dims& shape, double p);
Tensor permutation(int64_t n);

}  // namespace wootz::random
