#pragma once
// Counter-based random numbers (Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
// Number i of a draw depends on seed, draw and i alone: the same on every machine and for any number of threads.
#include "core/tensor.h"

namespace wootz::random {

// All there is to a generator: its seed and how many draws it made.
struct State {
  uint64_t seed = 0x5eed, draws = 0;
};
// The default generator: restart it, look at it, put it back, and take its next draw.
State state();
void set_state(State s);
State next();

Tensor uniform(const Dims& shape, DType dtype, double low, double high, State at);
Tensor normal(const Dims& shape, DType dtype, double mean, double deviation, State at);
Tensor integers(const Dims& shape, DType dtype, int64_t low, int64_t high, State at);
// True with probability p.
Tensor mask(const Dims& shape, double p, State at);
Tensor permutation(int64_t n, State at);

}  // namespace wootz::random
