#pragma once
// The two 16-bit floats as storage: numbers are computed in float32 and rounded to the nearest, ties to even.
#include <bit>
#include <cstdint>
#include <type_traits>

namespace wootz {

// Inlined everywhere: a copy compiled for one instruction set must not be linked into code for another.
#define WOOTZ_HALF [[gnu::always_inline]] inline

namespace bits {

// Normal and subnormal numbers are scaled by 2^112 at once; infinities and NaNs then lack the top of the exponent.
WOOTZ_HALF float from_float16(uint16_t h) {
  uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16, rest = static_cast<uint32_t>(h & 0x7fffu) << 13;
  uint32_t scaled = std::bit_cast<uint32_t>(std::bit_cast<float>(rest) * 0x1p112f);
  uint32_t special = rest >= 0x0f800000u ? 0x7f800000u : 0u;
  return std::bit_cast<float>(sign | scaled | special);
}

WOOTZ_HALF uint16_t to_float16(float x) {
  uint32_t b = std::bit_cast<uint32_t>(x), sign = (b >> 16) & 0x8000u, rest = b & 0x7fffffffu;
  uint32_t normal = (rest - 0x37fff001u + ((rest >> 13) & 1u)) >> 13;
  // Adding 0.5 leaves the subnormal's digits, rounded, at the low end.
  uint32_t small = std::bit_cast<uint32_t>(std::bit_cast<float>(rest) + 0.5f) - 0x3f000000u;
  uint32_t out = rest < 0x38800000u ? small : normal;
  out = rest >= 0x47800000u ? 0x7c00u : out;
  out = rest > 0x7f800000u ? 0x7e00u : out;
  return static_cast<uint16_t>(sign | out);
}

WOOTZ_HALF float from_bfloat16(uint16_t h) { return std::bit_cast<float>(static_cast<uint32_t>(h) << 16); }

WOOTZ_HALF uint16_t to_bfloat16(float x) {
  uint32_t b = std::bit_cast<uint32_t>(x);
  uint32_t rounded = (b + 0x7fffu + ((b >> 16) & 1u)) >> 16;
  return static_cast<uint16_t>((b & 0x7fffffffu) > 0x7f800000u ? (b >> 16 & 0x8000u) | 0x7fc0u : rounded);
}

}  // namespace bits

struct Float16 {
  uint16_t stored;
  Float16() = default;
  template <class S> requires(std::is_arithmetic_v<S>)
  WOOTZ_HALF Float16(S x) : stored(bits::to_float16(static_cast<float>(x))) {}
  WOOTZ_HALF operator float() const { return bits::from_float16(stored); }
};

struct BFloat16 {
  uint16_t stored;
  BFloat16() = default;
  template <class S> requires(std::is_arithmetic_v<S>)
  WOOTZ_HALF BFloat16(S x) : stored(bits::to_bfloat16(static_cast<float>(x))) {}
  WOOTZ_HALF operator float() const { return bits::from_bfloat16(stored); }
};

}  // namespace wootz
