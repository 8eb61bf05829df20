#include "common.cuh"
#include "offset.cuh"

extern "C" __global__ void offset_float(float* values, Index count) {
    for (Index i = blockIdx.x * (Index)blockDim.x + threadIdx.x; i < count; i += (Index)gridDim.x * blockDim.x)
        values[i] = offset(values[i]);
}
