// How a kernel is declared, and what a unit says of itself.
#pragma once
#include "dtypes.cuh"

// A kernel's symbol is operator_input_output. The host emulation, which keeps a list, brings a definition of its own.
#ifndef WOOTZ_KERNEL
#define WOOTZ_KERNEL(family, name, in, out, threads, ...) \
  extern "C" __global__ void __launch_bounds__(threads, 1) name##_##in##_##out(__VA_ARGS__)
#endif

// K(operator, input type, output type) is the macro of a family.
#define WOOTZ_FLOATS(K, name) K(name, f32, f32) K(name, f16, f16) K(name, bf16, bf16) K(name, f64, f64)

namespace wootz {

struct Structures {
  u32 bytes[8];
  char names[96];
};

template <class... Each, int N>
constexpr Structures describe(const char (&names)[N]) {
  static_assert(sizeof...(Each) <= 8 && N <= 96);
  Structures described{{static_cast<u32>(sizeof(Each))...}, {}};
  for (int i = 0; i < N; ++i) described.names[i] = names[i];
  return described;
}

// The structures that wootz.backend.geometry fills in for this unit's kernels, none perhaps. The loader compares their
// sizes with its own before the unit's first launch.
#define WOOTZ_STRUCTURES(...) \
  extern "C" __device__ const Structures wootz_structures = describe<__VA_ARGS__>("" #__VA_ARGS__);

}  // namespace wootz
