#include <cuda_fp16.h>

#include "scale.cuh"

extern "C" __global__ void scale_half(const __half* input, __half* output, long count) {
    for (long i = blockIdx.x * (long)blockDim.x + threadIdx.x; i < count; i += (long)gridDim.x * blockDim.x)
        output[i] = __float2half(scale(__half2float(input[i])));
}
