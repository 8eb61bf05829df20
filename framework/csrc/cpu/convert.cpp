#include <cmath>
#include <type_traits>

#include "cpu/fill.h"
#include "cpu/vec.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace {

// Out-of-range floating point to integer is undefined in C++; here it wraps through 64 bits, and NaN becomes the minimum.
template <class A, class B> inline B cast(A x) {
  if constexpr (std::is_same_v<B, bool>) return x != A(0);
  else if constexpr (std::is_floating_point_v<A> && std::is_integral_v<B>) {
    constexpr A limit = A(9223372036854775808.0);
    if constexpr (std::is_same_v<B, uint64_t>)
      if (x >= limit && x < 2 * limit) return static_cast<B>(x);
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

// As many as the processor's own instructions take at a time; what is left goes one by one.
#if defined(__AVX512F__)
constexpr int kHalves = 16;
WOOTZ_INLINE void widen(const uint16_t* a, float* b) {
  _mm512_storeu_ps(b, _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a))));
}
WOOTZ_INLINE void narrow(const float* a, uint16_t* b) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(b), _mm512_maskz_cvtps_ph(0xffff, _mm512_loadu_ps(a), _MM_FROUND_TO_NEAREST_INT));
}
#elif defined(__F16C__)
constexpr int kHalves = 8;
WOOTZ_INLINE void widen(const uint16_t* a, float* b) {
  _mm256_storeu_ps(b, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a))));
}
WOOTZ_INLINE void narrow(const float* a, uint16_t* b) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(b), _mm256_cvtps_ph(_mm256_loadu_ps(a), _MM_FROUND_TO_NEAREST_INT));
}
#elif defined(__aarch64__)
constexpr int kHalves = 4;
WOOTZ_INLINE void widen(const uint16_t* a, float* b) { vst1q_f32(b, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(a)))); }
WOOTZ_INLINE void narrow(const float* a, uint16_t* b) { vst1_u16(b, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(a)))); }
#else
constexpr int kHalves = 1;
WOOTZ_INLINE void widen(const uint16_t* a, float* b) { *b = bits::from_float16(*a); }
WOOTZ_INLINE void narrow(const float* a, uint16_t* b) { *b = bits::to_float16(*a); }
#endif

void widen_float16(const char* from, char* to, int64_t n) {
  auto* a = reinterpret_cast<const uint16_t*>(from);
  auto* b = reinterpret_cast<float*>(to);
  int64_t i = 0;
  for (; i + kHalves <= n; i += kHalves) widen(a + i, b + i);
  for (; i < n; ++i) b[i] = bits::from_float16(a[i]);
}

void narrow_float16(const char* from, char* to, int64_t n) {
  auto* a = reinterpret_cast<const float*>(from);
  auto* b = reinterpret_cast<uint16_t*>(to);
  int64_t i = 0;
  for (; i + kHalves <= n; i += kHalves) narrow(a + i, b + i);
  for (; i < n; ++i) b[i] = bits::to_float16(a[i]);
}

void widen_bfloat16(const char* from, char* to, int64_t n) {
  auto* a = reinterpret_cast<const uint16_t*>(from);
  auto* __restrict b = reinterpret_cast<float*>(to);
  for (int64_t i = 0; i < n; ++i) b[i] = bits::from_bfloat16(a[i]);
}

void narrow_bfloat16(const char* from, char* to, int64_t n) {
  auto* a = reinterpret_cast<const float*>(from);
  auto* __restrict b = reinterpret_cast<uint16_t*>(to);
  for (int64_t i = 0; i < n; ++i) b[i] = bits::to_bfloat16(a[i]);
}

Convert& place(Kernels& k, DType from, DType to) { return k.convert[static_cast<int>(from)][static_cast<int>(to)]; }

template <class A, class... B> void put_from(Kernels& k) {
  ((place(k, dtype_of<A>(), dtype_of<B>()) = convert<A, B>), ...);
}
template <class... A> void put(Kernels& k) { (put_from<A, A...>(k), ...); }

}  // namespace

void fill_convert(Kernels& k) {
  put<bool, uint8_t, int8_t, int16_t, int32_t, int64_t, uint64_t, float, double>(k);
  put_from<uint16_t, int64_t>(k);
  put_from<uint32_t, int64_t>(k);
  put_from<int64_t, uint16_t, uint32_t>(k);
  place(k, DType::Float16, DType::Float32) = widen_float16;
  place(k, DType::Float32, DType::Float16) = narrow_float16;
  place(k, DType::BFloat16, DType::Float32) = widen_bfloat16;
  place(k, DType::Float32, DType::BFloat16) = narrow_bfloat16;
}

}  // namespace wootz::cpu::WOOTZ_ISA
