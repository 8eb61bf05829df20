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

// What the loader checks before it launches anything: one line a kernel, and the sizes of the structures that
// wootz.backend.geometry fills in.
#define WOOTZ_DESCRIBE(family, op, in, out) #family " " #op " " #in " " #out "\n"
extern "C" __device__ const char wootz_kernels[] = WOOTZ_KERNELS(WOOTZ_DESCRIBE);
extern "C" __device__ const unsigned wootz_kernels_bytes = sizeof wootz_kernels;
extern "C" __device__ const unsigned wootz_plan_bytes[] = {
    sizeof(wootz::Layout<1>),      sizeof(wootz::Layout<2>),       sizeof(wootz::Layout<3>),
    sizeof(wootz::Layout<4>),      sizeof(wootz::Reduction),       sizeof(wootz::Rows),
    sizeof(wootz::Slot),           sizeof(wootz::SgdRule<float>),  sizeof(wootz::SgdRule<double>),
    sizeof(wootz::AdamRule<float>), sizeof(wootz::AdamRule<double>),
};
