#include <cmath>
#include <type_traits>

#include "cpu/fill.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace {

// Out-of-range floating point to integer is undefined in C++; here it wraps through 64 bits, and NaN becomes the minimum.
template <class A, class B> inline B cast(A x) {
  if constexpr (std::is_same_v<B, bool>) return x != A(0);
  else if constexpr (std::is_floating_point_v<A> && std::is_integral_v<B>) {
    constexpr A limit = A(9223372036854775808.0);
    int64_t wide = x >= -limit && x < limit ? static_cast<int64_t>(x) : INT64_MIN;
    return static_cast<B>(wide);
  } else {
    return static_cast<B>(x);
  }
}

template <class A, class B> void convert(const char* from, char* to, int64_t n) {
  auto* a = reinterpret_cast<const A*>(from);
  auto* __restrict b = reinterpret_cast<B*>(to);
  for (int64_t i = 0; i < n; ++i) b[i] = cast<A, B>(a[i]);
}

template <class A, class... B> void put_from(Kernels& k) {
  ((k.convert[static_cast<int>(dtype_of<A>())][static_cast<int>(dtype_of<B>())] = convert<A, B>), ...);
}
template <class... A> void put(Kernels& k) { (put_from<A, A...>(k), ...); }

}  // namespace

void fill_convert(Kernels& k) { put<bool, uint8_t, int8_t, int16_t, int32_t, int64_t, float, double>(k); }

}  // namespace wootz::cpu::WOOTZ_ISA
