#include "cpu/fill.h"

#define WOOTZ_TEXT2(x) #x
#define WOOTZ_TEXT(x) WOOTZ_TEXT2(x)

namespace wootz::cpu::WOOTZ_ISA {

const Kernels& table() {
  static const Kernels kernels = [] {
    Kernels k{};
    k.isa = WOOTZ_TEXT(WOOTZ_ISA);
    fill_arithmetic(k);
    fill_compare(k);
    fill_unary(k);
    fill_special(k);
    fill_activation(k);
    fill_convert(k);
    fill_reduce(k);
    fill_gemm(k);
    fill_softmax(k);
    fill_optim(k);
    fill_conv(k);
    fill_norm(k);
    fill_attention(k);
    fill_complex(k);
    return k;
  }();
  return kernels;
}

}  // namespace wootz::cpu::WOOTZ_ISA
