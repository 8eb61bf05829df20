// Tensor-core instructions, which CUDA C++ has no function for: the product of a 16 by 16 and a 16 by 8 matrix of 16-bit
// floats, and the loads that bring its factors. A host that stands in for the GPU brings functions of the same names.
#pragma once
#include "dtypes.cuh"

namespace wootz {

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
constexpr bool tensor_cores = true;
#else
constexpr bool tensor_cores = false;
#endif

}  // namespace wootz

#ifdef __CUDACC__

// Four 8 by 8 matrices in shared memory: lane i gives the address of row i % 8 of matrix i / 8.
__device__ __forceinline__ void ldmatrix_x4(unsigned (&to)[4], const void* row) {
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address)
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(unsigned (&to)[4], const void* row) {
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address)
               : "memory");
}

#define WOOTZ_MMA(type)                                                                                            \
  __device__ __forceinline__ void mma_m16n8k16_##type(float& d0, float& d1, float& d2, float& d3,                  \
                                                      const unsigned (&a)[4], unsigned b0, unsigned b1) {          \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." #type "." #type                                          \
                 ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                            \
                 : "+f"(d0), "+f"(d1), "+f"(d2), "+f"(d3)                                                          \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));                                  \
  }
WOOTZ_MMA(f16)
WOOTZ_MMA(bf16)
#undef WOOTZ_MMA

#endif
