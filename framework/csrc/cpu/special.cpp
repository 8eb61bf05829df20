#include "cpu/special.h"

#include "cpu/loops.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace fn {

#define WOOTZ_SPECIAL(name)                                                                            \
  struct name : Plain {                                                                                \
    using Plain::Plain;                                                                                \
    template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a) const { return WOOTZ_ISA::name(a); }   \
  };

WOOTZ_SPECIAL(lgamma)
WOOTZ_SPECIAL(digamma)
WOOTZ_SPECIAL(erfc)
WOOTZ_SPECIAL(erfinv)

struct polygamma_of {
  double order;
  explicit WOOTZ_INLINE polygamma_of(const double* p) : order(*p) {}
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a) const {
    return each(a, [this](T x) { return static_cast<T>(polygamma(order, x)); });
  }
};

}  // namespace fn

void fill_special(Kernels& k) { WOOTZ_KERNELS_special(WOOTZ_PUT) }

}  // namespace wootz::cpu::WOOTZ_ISA
