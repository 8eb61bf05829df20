// The one translation unit: every family, instantiated from the table.
#include "copy.cuh"
#include "elementwise.cuh"
#include "loss.cuh"
#include "norm.cuh"
#include "optim.cuh"
#include "random.cuh"
#include "reduce.cuh"
#include "softmax.cuh"
#include "table.cuh"

#define WOOTZ_DEFINE(family, op, in, out) WOOTZ_##family(op, in, out)
WOOTZ_KERNELS(WOOTZ_DEFINE)

// One line a kernel, for the loader to check what this binary holds.
#define WOOTZ_DESCRIBE(family, op, in, out) #family " " #op " " #in " " #out "\n"
extern "C" __device__ const char wootz_kernels[] = WOOTZ_KERNELS(WOOTZ_DESCRIBE);
