#include <cuda_fp16.h>

#include "common.cuh"
#include "scale.cuh"

extern "C" __global__ void scale_half(const __half* input, __half* output, Index count) {
    for (Index i = blockIdx.x * (Index)blockDim.x + threadIdx.x; i < count; i += (Index)gridDim.x * blockDim.x)
        output[i] = __float2half(scale(__half2float(input[i])));
}
