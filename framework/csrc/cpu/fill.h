#pragma once
// What each kernel file contributes to its instruction set's table.
#include "cpu/kernels.h"

namespace wootz::cpu::WOOTZ_ISA {

void fill_arithmetic(Kernels& k);
void fill_compare(Kernels& k);
void fill_unary(Kernels& k);
void fill_special(Kernels& k);
void fill_activation(Kernels& k);
void fill_convert(Kernels& k);
void fill_reduce(Kernels& k);
void fill_gemm(Kernels& k);
void fill_softmax(Kernels& k);
void fill_optim(Kernels& k);
void fill_conv(Kernels& k);
void fill_norm(Kernels& k);
void fill_attention(Kernels& k);

}  // namespace wootz::cpu::WOOTZ_ISA
