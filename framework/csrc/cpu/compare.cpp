#include "cpu/loops.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace fn {

#define WOOTZ_BINARY(name, expression)                                                       \
  struct name : Plain {                                                                      \
    using Plain::Plain;                                                                      \
    template <class T> WOOTZ_INLINE auto operator()(T a, T b) const { return expression; }   \
  };
#define WOOTZ_UNARY(name, expression)                                                 \
  struct name : Plain {                                                               \
    using Plain::Plain;                                                               \
    template <class T> WOOTZ_INLINE auto operator()(T a) const { return expression; } \
  };

WOOTZ_BINARY(eq, a == b)
WOOTZ_BINARY(ne, a != b)
WOOTZ_BINARY(lt, a < b)
WOOTZ_BINARY(le, a <= b)
WOOTZ_BINARY(gt, a > b)
WOOTZ_BINARY(ge, a >= b)
WOOTZ_BINARY(logical_and, (a != T(0)) & (b != T(0)))
WOOTZ_BINARY(logical_or, (a != T(0)) | (b != T(0)))
WOOTZ_BINARY(logical_xor, (a != T(0)) != (b != T(0)))
WOOTZ_UNARY(logical_not, a == T(0))
WOOTZ_UNARY(isnan, a != a)
WOOTZ_UNARY(isinf, (a == a) & !(a - a == T(0)))
WOOTZ_UNARY(isfinite, a - a == T(0))
WOOTZ_BINARY(bitwise_and, static_cast<T>(a & b))
WOOTZ_BINARY(bitwise_or, static_cast<T>(a | b))
WOOTZ_BINARY(bitwise_xor, static_cast<T>(a ^ b))

struct bitwise_not : Plain {
  using Plain::Plain;
  template <class T> WOOTZ_INLINE T operator()(T a) const { return static_cast<T>(~a); }
  WOOTZ_INLINE bool operator()(bool a) const { return !a; }
};

}  // namespace fn

void fill_compare(Kernels& k) { WOOTZ_KERNELS_compare(WOOTZ_PUT) }

}  // namespace wootz::cpu::WOOTZ_ISA
