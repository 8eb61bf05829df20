#pragma once
// A vector of T as wide as the instruction set allows, over the compilers' vector extensions. Kernels are written once
// on it; every file that includes it is compiled once per instruction set.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define WOOTZ_INLINE inline __attribute__((always_inline))
#define WOOTZ_LAMBDA __attribute__((always_inline))

namespace wootz::cpu::WOOTZ_ISA {

template <class T> struct Wide;
template <> struct Wide<float> {
  using Int = int32_t;
  typedef float Native __attribute__((vector_size(WOOTZ_VECTOR_BYTES)));
  typedef int32_t Bits __attribute__((vector_size(WOOTZ_VECTOR_BYTES)));
};
template <> struct Wide<double> {
  using Int = int64_t;
  typedef double Native __attribute__((vector_size(WOOTZ_VECTOR_BYTES)));
  typedef int64_t Bits __attribute__((vector_size(WOOTZ_VECTOR_BYTES)));
};

template <class T> struct Vec {
  using Scalar = T;
  using Int = typename Wide<T>::Int;
  using Native = typename Wide<T>::Native;
  using Bits = typename Wide<T>::Bits;
  static constexpr int size = WOOTZ_VECTOR_BYTES / sizeof(T);

  Native v;
  Vec() = default;
  WOOTZ_INLINE Vec(Native x) : v(x) {}
  WOOTZ_INLINE Vec(T x) : v(x - Native{}) {}
  template <class S> requires(std::is_arithmetic_v<S> && !std::is_same_v<S, T>)
  WOOTZ_INLINE Vec(S x) : Vec(static_cast<T>(x)) {}

#if WOOTZ_VECTOR_BYTES == 64
  template <class Mask> static WOOTZ_INLINE Mask first(int64_t n) { return static_cast<Mask>((1u << n) - 1); }
#elif WOOTZ_VECTOR_BYTES == 32
  static WOOTZ_INLINE Bits lanes(int64_t n) {
    Bits index;
    for (int i = 0; i < size; ++i) index[i] = i;
    return index < static_cast<Int>(n);
  }
#endif

  static WOOTZ_INLINE Vec load(const T* p) { Vec r; std::memcpy(&r.v, p, sizeof(Native)); return r; }
  // The first n lanes, 0 < n < size: through a mask where the processor has one.
  static WOOTZ_INLINE Vec load(const T* p, int64_t n, T pad = T(0)) {
#if WOOTZ_VECTOR_BYTES == 64
    if constexpr (sizeof(T) == 4) return (Native)_mm512_mask_loadu_ps((__m512)Vec(pad).v, first<__mmask16>(n), p);
    else return (Native)_mm512_mask_loadu_pd((__m512d)Vec(pad).v, first<__mmask8>(n), p);
#elif WOOTZ_VECTOR_BYTES == 32
    Bits m = lanes(n);
    if constexpr (sizeof(T) == 4) return m ? (Native)_mm256_maskload_ps(p, (__m256i)m) : Vec(pad).v;
    else return m ? (Native)_mm256_maskload_pd(p, (__m256i)m) : Vec(pad).v;
#else
    Vec r(pad);
    std::memcpy(&r.v, p, static_cast<size_t>(n) * sizeof(T));
    return r;
#endif
  }
  WOOTZ_INLINE void store(T* p) const { std::memcpy(p, &v, sizeof(Native)); }
  WOOTZ_INLINE void store(T* p, int64_t n) const {
#if WOOTZ_VECTOR_BYTES == 64
    if constexpr (sizeof(T) == 4) _mm512_mask_storeu_ps(p, first<__mmask16>(n), (__m512)v);
    else _mm512_mask_storeu_pd(p, first<__mmask8>(n), (__m512d)v);
#elif WOOTZ_VECTOR_BYTES == 32
    if constexpr (sizeof(T) == 4) _mm256_maskstore_ps(p, (__m256i)lanes(n), (__m256)v);
    else _mm256_maskstore_pd(p, (__m256i)lanes(n), (__m256d)v);
#else
    std::memcpy(p, &v, static_cast<size_t>(n) * sizeof(T));
#endif
  }

  friend WOOTZ_INLINE Vec operator+(Vec a, Vec b) { return a.v + b.v; }
  friend WOOTZ_INLINE Vec operator-(Vec a, Vec b) { return a.v - b.v; }
  friend WOOTZ_INLINE Vec operator*(Vec a, Vec b) { return a.v * b.v; }
  friend WOOTZ_INLINE Vec operator/(Vec a, Vec b) { return a.v / b.v; }
  friend WOOTZ_INLINE Vec operator-(Vec a) { return -a.v; }
  friend WOOTZ_INLINE Bits operator<(Vec a, Vec b) { return (Bits)(a.v < b.v); }
  friend WOOTZ_INLINE Bits operator>(Vec a, Vec b) { return (Bits)(a.v > b.v); }
  friend WOOTZ_INLINE Bits operator<=(Vec a, Vec b) { return (Bits)(a.v <= b.v); }
  friend WOOTZ_INLINE Bits operator>=(Vec a, Vec b) { return (Bits)(a.v >= b.v); }
  friend WOOTZ_INLINE Bits operator==(Vec a, Vec b) { return (Bits)(a.v == b.v); }
  friend WOOTZ_INLINE Bits operator!=(Vec a, Vec b) { return (Bits)(a.v != b.v); }
  WOOTZ_INLINE Vec& operator+=(Vec b) { v = v + b.v; return *this; }
  WOOTZ_INLINE Vec& operator*=(Vec b) { v = v * b.v; return *this; }
  WOOTZ_INLINE T operator[](int i) const { return v[i]; }
  WOOTZ_INLINE Bits bits() const { return (Bits)v; }
  static WOOTZ_INLINE Vec from_bits(Bits b) { return (Native)b; }
};

template <class T> WOOTZ_INLINE Vec<T> select(typename Vec<T>::Bits m, Vec<T> a, Vec<T> b) { return m ? a.v : b.v; }
template <class T> WOOTZ_INLINE Vec<T> abs(Vec<T> a) {
  using I = typename Vec<T>::Int;
  constexpr I sign = std::is_same_v<T, float> ? I(0x7fffffff) : I(0x7fffffffffffffffLL);
  return Vec<T>::from_bits(a.bits() & sign);
}
// The magnitude of a with the sign of b.
template <class T> WOOTZ_INLINE Vec<T> copysign(Vec<T> a, Vec<T> b) {
  using I = typename Vec<T>::Int;
  constexpr I rest = std::is_same_v<T, float> ? I(0x7fffffff) : I(0x7fffffffffffffffLL);
  return Vec<T>::from_bits((a.bits() & rest) | (b.bits() & ~rest));
}

// NaN in either operand gives NaN.
template <class T> WOOTZ_INLINE Vec<T> maximum(Vec<T> a, Vec<T> b) { return select<T>(a != a, a, select<T>(a > b, a, b)); }
template <class T> WOOTZ_INLINE Vec<T> minimum(Vec<T> a, Vec<T> b) { return select<T>(a != a, a, select<T>(a < b, a, b)); }

WOOTZ_INLINE Vec<float> sqrt(Vec<float> a) {
#if defined(__AVX512F__)
  return (Vec<float>::Native)_mm512_maskz_sqrt_ps(0xffff, (__m512)a.v);
#elif defined(__AVX2__)
  return (Vec<float>::Native)_mm256_sqrt_ps((__m256)a.v);
#elif defined(__x86_64__)
  return (Vec<float>::Native)_mm_sqrt_ps((__m128)a.v);
#else
  return (Vec<float>::Native)vsqrtq_f32((float32x4_t)a.v);
#endif
}
WOOTZ_INLINE Vec<double> sqrt(Vec<double> a) {
#if defined(__AVX512F__)
  return (Vec<double>::Native)_mm512_maskz_sqrt_pd(0xff, (__m512d)a.v);
#elif defined(__AVX2__)
  return (Vec<double>::Native)_mm256_sqrt_pd((__m256d)a.v);
#elif defined(__x86_64__)
  return (Vec<double>::Native)_mm_sqrt_pd((__m128d)a.v);
#else
  return (Vec<double>::Native)vsqrtq_f64((float64x2_t)a.v);
#endif
}

// Lanes first, first + 2, ... of a and then b.
template <int first, class T, int... lane> WOOTZ_INLINE Vec<T> every_other(Vec<T> a, Vec<T> b, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(a.v, b.v, (2 * lane + first)...);
}
template <int first, class T> WOOTZ_INLINE Vec<T> every_other(Vec<T> a, Vec<T> b) {
  return every_other<first>(a, b, std::make_integer_sequence<int, Vec<T>::size>());
}

// Rows become columns: each of log2(size) rounds sorts the lanes of rows that are `size / 2` apart by one bit of their index.
template <class T> WOOTZ_INLINE void transpose(Vec<T>* rows) {
  constexpr int w = Vec<T>::size;
#pragma GCC unroll 4
  for (int round = 1; round < w; round *= 2) {
    Vec<T> next[w];
#pragma GCC unroll 16
    for (int i = 0; i < w; i += 2) {
      next[i / 2] = every_other<0>(rows[i], rows[i + 1]);
      next[(i + w) / 2] = every_other<1>(rows[i], rows[i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < w; ++i) rows[i] = next[i];
  }
}

// Lane by lane through a scalar function: for the long tail that has no polynomial here.
template <class T, class F> WOOTZ_INLINE Vec<T> each(Vec<T> a, F f) {
  T x[Vec<T>::size];
  a.store(x);
  for (T& y : x) y = f(y);
  return Vec<T>::load(x);
}

// Sum (or other fold) over the lanes, halving: the same tree whatever the compiler.
template <class T, class F> WOOTZ_INLINE T fold(Vec<T> a, F f) {
  T x[Vec<T>::size];
  a.store(x);
  for (int w = Vec<T>::size / 2; w; w /= 2)
    for (int i = 0; i < w; ++i) x[i] = f(x[i], x[i + w]);
  return x[0];
}

template <class V> struct ScalarOf { using type = V; };
template <class T> struct ScalarOf<Vec<T>> { using type = T; };

}  // namespace wootz::cpu::WOOTZ_ISA
