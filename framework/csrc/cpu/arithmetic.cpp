#include "cpu/loops.h"
#include "cpu/trigonometry.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace fn {

struct copy : Plain {
  using Plain::Plain;
  template <class V> WOOTZ_INLINE V operator()(V a) const { return a; }
};
// A factor of integers may be negative, which an unsigned type cannot be cast to.
template <class V> WOOTZ_INLINE V factor(double alpha) {
  if constexpr (std::is_integral_v<V>) return static_cast<V>(static_cast<int64_t>(alpha));
  else return static_cast<V>(alpha);
}
struct add {
  double alpha;
  explicit WOOTZ_INLINE add(const double* p) : alpha(*p) {}
  template <class V> WOOTZ_INLINE V operator()(V a, V b) const { return static_cast<V>(a + factor<V>(alpha) * b); }
};
struct sub {
  double alpha;
  explicit WOOTZ_INLINE sub(const double* p) : alpha(*p) {}
  template <class V> WOOTZ_INLINE V operator()(V a, V b) const { return static_cast<V>(a - factor<V>(alpha) * b); }
};
struct mul : Plain {
  using Plain::Plain;
  template <class V> WOOTZ_INLINE V operator()(V a, V b) const { return static_cast<V>(a * b); }
};
struct div : Plain {
  using Plain::Plain;
  template <class V> WOOTZ_INLINE V operator()(V a, V b) const { return a / b; }
};

// Floor division and its remainder, as Python defines them; dividing an integer by zero gives 0, not a trap.
struct floor_divide : Plain {
  using Plain::Plain;
  template <class T> static T one(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      if (b == 0) return a / b;
      T mod = std::fmod(a, b), quotient = (a - mod) / b;
      if (mod != 0 && (b < 0) != (mod < 0)) quotient -= 1;
      if (quotient == 0) return std::copysign(T(0), a / b);
      T down = std::floor(quotient);
      return quotient - down > T(0.5) ? down + 1 : down;
    } else {
      if (b == 0) return 0;
      if constexpr (std::is_signed_v<T>)
        if (b == -1) return static_cast<T>(0 - static_cast<std::make_unsigned_t<T>>(a));
      T q = static_cast<T>(a / b);
      return a % b != 0 && (a < 0) != (b < 0) ? static_cast<T>(q - 1) : q;
    }
  }
  template <class T> WOOTZ_INLINE T operator()(T a, T b) const { return one(a, b); }
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const {
    T x[Vec<T>::size], y[Vec<T>::size];
    a.store(x);
    b.store(y);
    for (int i = 0; i < Vec<T>::size; ++i) x[i] = one(x[i], y[i]);
    return Vec<T>::load(x);
  }
};
struct remainder : Plain {
  using Plain::Plain;
  template <class T> static T one(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      T mod = std::fmod(a, b);
      if (mod == 0) return std::copysign(T(0), b);
      return (b < 0) != (mod < 0) ? mod + b : mod;
    } else {
      if (b == 0) return 0;
      if constexpr (std::is_signed_v<T>)
        if (b == -1) return 0;
      T mod = static_cast<T>(a % b);
      return mod != 0 && (mod < 0) != (b < 0) ? static_cast<T>(mod + b) : mod;
    }
  }
  template <class T> WOOTZ_INLINE T operator()(T a, T b) const { return one(a, b); }
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const {
    T x[Vec<T>::size], y[Vec<T>::size];
    a.store(x);
    b.store(y);
    for (int i = 0; i < Vec<T>::size; ++i) x[i] = one(x[i], y[i]);
    return Vec<T>::load(x);
  }
};
// Where the quotient is right to the unit, what it leaves is exact: by a fused product, or for float32 in float64. If
// the quotient was rounded up, one divisor too many is taken.
struct fmod : Plain {
  using Plain::Plain;
  template <class T> WOOTZ_INLINE T operator()(T a, T b) const {
    if (b == 0) return 0;
    if constexpr (std::is_signed_v<T>)
      if (b == -1) return 0;
    return static_cast<T>(a % b);
  }
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const {
    constexpr bool f32 = std::is_same_v<T, float>;
#if defined(__FMA__) || defined(__aarch64__)
    constexpr bool fused = true;
#else
    constexpr bool fused = false;
#endif
    T x[Vec<T>::size], y[Vec<T>::size], r[Vec<T>::size];
    a.store(x);
    b.store(y);
    int near = f32 || fused;
    for (int i = 0; i < Vec<T>::size; ++i) {
      T by = std::fabs(y[i]);
      near &= (std::fabs(x[i]) / by < T(1 << 22)) & (by < T(INFINITY));
    }
    for (int i = 0; i < Vec<T>::size; ++i) {
      if (!near) {
        r[i] = std::fmod(x[i], y[i]);
        continue;
      }
      T size = std::fabs(x[i]), by = std::fabs(y[i]), whole = static_cast<T>(static_cast<int32_t>(size / by));
      T rest = fused ? std::fma(-whole, by, size) : static_cast<T>(double(size) - double(whole) * double(by));
      r[i] = std::copysign(rest < 0 ? rest + by : rest, x[i]);
    }
    return Vec<T>::load(r);
  }
};
struct hypot : Plain {
  using Plain::Plain;
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const {
    using V = Vec<T>;
    constexpr bool f32 = std::is_same_v<T, float>;
    a = abs(a), b = abs(b);
    V most = select<T>(a > b, a, b);
    // Squares neither overflow nor lose digits.
    V scale = select<T>(most > V(f32 ? 0x1p60 : 0x1p500), V(f32 ? 0x1p-70 : 0x1p-600), V(1));
    scale = select<T>(most < V(f32 ? 0x1p-40 : 0x1p-400), V(f32 ? 0x1p+90 : 0x1p+650), scale);
    a = a * scale, b = b * scale;
    V r = sqrt(a * a + b * b) / scale;
    return select<T>((a == V(INFINITY)) | (b == V(INFINITY)), V(INFINITY), r);
  }
};
struct pow : Plain {
  using Plain::Plain;
  template <class T> WOOTZ_INLINE T operator()(T a, T b) const {
    T r = 1;
    if (b < 0) return a == 1 ? T(1) : a == T(-1) ? (b % 2 ? T(-1) : T(1)) : T(0);
    for (; b; b = static_cast<T>(b >> 1), a = static_cast<T>(a * a))
      if (b & 1) r = static_cast<T>(r * a);
    return r;
  }
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const {
    T x[Vec<T>::size], y[Vec<T>::size];
    b.store(y);
    bool same = true;
    for (int i = 1; i < Vec<T>::size; ++i) same &= y[i] == y[0];
    if (same && y[0] == 2) return a * a;
    if (same && y[0] == 3) return a * a * a;
    if (same && y[0] == 1) return a;
    if (same && y[0] == -1) return Vec<T>(1) / a;
    a.store(x);
    for (int i = 0; i < Vec<T>::size; ++i) x[i] = std::pow(x[i], y[i]);
    return Vec<T>::load(x);
  }
};
struct maximum : Plain {
  using Plain::Plain;
  template <class T> WOOTZ_INLINE T operator()(T a, T b) const { return a > b ? a : b; }
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const { return WOOTZ_ISA::maximum(a, b); }
};
struct minimum : Plain {
  using Plain::Plain;
  template <class T> WOOTZ_INLINE T operator()(T a, T b) const { return a < b ? a : b; }
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const { return WOOTZ_ISA::minimum(a, b); }
};
struct atan2 : Plain {
  using Plain::Plain;
  template <class T> WOOTZ_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const { return WOOTZ_ISA::atan2(a, b); }
};
struct lerp : Plain {
  using Plain::Plain;
  template <class V> WOOTZ_INLINE V operator()(V a, V b, V w) const { return a + w * (b - a); }
};

}  // namespace fn

namespace {

// The mask is of another type than the values, so `where` is written out.
template <class T> void where_kernel(char* out, const char* const* in, const uint8_t* step, int64_t n, const double*) {
  auto* o = reinterpret_cast<T*>(out);
  auto* c = reinterpret_cast<const uint8_t*>(in[0]);
  auto* a = reinterpret_cast<const T*>(in[1]);
  auto* b = reinterpret_cast<const T*>(in[2]);
  with_steps<3>(step, [&]<bool C, bool A, bool B>(std::integer_sequence<bool, C, A, B>) {
    for (int64_t i = 0; i < n; ++i) {
      T x = a[A ? i : 0], y = b[B ? i : 0];
      o[i] = c[C ? i : 0] ? x : y;
    }
  });
}

struct Sixteen { int64_t half[2]; };

// Moving elements takes only their size: one kernel serves all types of T's.
template <class T> void put_moves(Kernels& k) {
  for (int t = 0; t < kDTypes; ++t) {
    if (size_of(static_cast<DType>(t)) != sizeof(T)) continue;
    k.pointwise[static_cast<int>(Op::copy)][t] = kernel<fn::copy, 1, T, T>;
    k.pointwise[static_cast<int>(Op::where)][t] = where_kernel<T>;
  }
}

}  // namespace

void fill_arithmetic(Kernels& k) {
  WOOTZ_KERNELS_arithmetic(WOOTZ_PUT)
  put_moves<uint8_t>(k);
  put_moves<int16_t>(k);
  put_moves<int32_t>(k);
  put_moves<int64_t>(k);
  put_moves<Sixteen>(k);
}

}  // namespace wootz::cpu::WOOTZ_ISA
