#pragma once
// Element types, their names and PyTorch's promotion lattice.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "core/complex.h"
#include "core/error.h"
#include "core/half.h"

namespace wootz {

enum class DType : uint8_t {
  Bool, UInt8, Int8, Int16, Int32, Int64, Float16, BFloat16, Float32, Float64, Complex64, Complex128, UInt16, UInt32, UInt64
};
constexpr int kDTypes = 15;

// The categories between which a Python scalar or a 0-d tensor may promote another operand.
enum class Category : uint8_t { Bool, Integer, Float, Complex };

struct DTypeInfo {
  const char* name;
  const char* format;  // struct-module format, as the buffer protocol wants it; null where it has none
  uint8_t size;
  Category category;
};

inline const DTypeInfo& info(DType t) {
  static constexpr DTypeInfo table[kDTypes] = {
      {"bool", "?", 1, Category::Bool},        {"uint8", "B", 1, Category::Integer},
      {"int8", "b", 1, Category::Integer},     {"int16", "h", 2, Category::Integer},
      {"int32", "i", 4, Category::Integer},    {"int64", "q", 8, Category::Integer},
      {"float16", "e", 2, Category::Float},    {"bfloat16", nullptr, 2, Category::Float},
      {"float32", "f", 4, Category::Float},    {"float64", "d", 8, Category::Float},
      {"complex64", "Zf", 8, Category::Complex}, {"complex128", "Zd", 16, Category::Complex},
      {"uint16", "H", 2, Category::Integer},   {"uint32", "I", 4, Category::Integer},
      {"uint64", "Q", 8, Category::Integer}};
  return table[static_cast<int>(t)];
}

inline size_t size_of(DType t) { return info(t).size; }
inline const char* name_of(DType t) { return info(t).name; }
inline bool is_float(DType t) { return info(t).category == Category::Float; }
inline bool is_complex(DType t) { return info(t).category == Category::Complex; }
inline bool is_integral(DType t) { return info(t).category <= Category::Integer; }
// Of the types that gradients flow through.
inline bool is_differentiable(DType t) { return info(t).category >= Category::Float; }
inline bool is_half(DType t) { return t == DType::Float16 || t == DType::BFloat16; }

// Unsigned types beyond uint8, which PyTorch promotes with floating point types and nothing else.
inline bool is_wide_unsigned(DType t) { return t >= DType::UInt16; }
inline bool is_signed(DType t) { return t != DType::Bool && t != DType::UInt8 && !is_wide_unsigned(t); }

// What numbers of this type are computed in, where there is no kernel for it.
inline DType compute_type(DType t) {
  return is_half(t) ? DType::Float32 : t == DType::UInt16 || t == DType::UInt32 ? DType::Int64 : t;
}
// The type of a complex number's parts, and of the complex number with parts of a type.
inline DType real_type(DType t) { return t == DType::Complex64 ? DType::Float32 : t == DType::Complex128 ? DType::Float64 : t; }
inline DType complex_type(DType t) {
  return is_complex(t) ? t : t == DType::Float64 ? DType::Complex128 : DType::Complex64;
}

// The smallest type that holds both. Order in the enum is order in size, save for three pairs.
inline DType promote(DType a, DType b) {
  DType low = a < b ? a : b, high = a < b ? b : a;
  if (is_wide_unsigned(high) && low != high) {
    WOOTZ_CHECK(is_float(low), ErrorKind::DType, "Promotion for uint16, uint32, uint64 types is not supported, attempted to promote ",
                name_of(a), " and ", name_of(b), "; cast one with .to(dtype)");
    return low;
  }
  if (low == DType::UInt8 && high == DType::Int8) return DType::Int16;
  if (low == DType::Float16 && high == DType::BFloat16) return DType::Float32;
  if (low == DType::Float64 && high == DType::Complex64) return DType::Complex128;
  return high;
}

template <class T> constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, bool>) return DType::Bool;
  else if constexpr (std::is_same_v<T, uint8_t>) return DType::UInt8;
  else if constexpr (std::is_same_v<T, int8_t>) return DType::Int8;
  else if constexpr (std::is_same_v<T, int16_t>) return DType::Int16;
  else if constexpr (std::is_same_v<T, int32_t>) return DType::Int32;
  else if constexpr (std::is_same_v<T, int64_t>) return DType::Int64;
  else if constexpr (std::is_same_v<T, Float16>) return DType::Float16;
  else if constexpr (std::is_same_v<T, BFloat16>) return DType::BFloat16;
  else if constexpr (std::is_same_v<T, float>) return DType::Float32;
  else if constexpr (std::is_same_v<T, double>) return DType::Float64;
  else if constexpr (std::is_same_v<T, Complex<float>>) return DType::Complex64;
  else if constexpr (std::is_same_v<T, uint16_t>) return DType::UInt16;
  else if constexpr (std::is_same_v<T, uint32_t>) return DType::UInt32;
  else if constexpr (std::is_same_v<T, uint64_t>) return DType::UInt64;
  else return DType::Complex128;
}

template <class T> struct TypeTag { using type = T; };

// visit(dtype, [&](auto tag) { using T = typename decltype(tag)::type; ... })
template <class F> decltype(auto) visit(DType t, F&& f) {
  switch (t) {
    case DType::Bool: return f(TypeTag<bool>{});
    case DType::UInt8: return f(TypeTag<uint8_t>{});
    case DType::Int8: return f(TypeTag<int8_t>{});
    case DType::Int16: return f(TypeTag<int16_t>{});
    case DType::Int32: return f(TypeTag<int32_t>{});
    case DType::Int64: return f(TypeTag<int64_t>{});
    case DType::Float16: return f(TypeTag<Float16>{});
    case DType::BFloat16: return f(TypeTag<BFloat16>{});
    case DType::Float32: return f(TypeTag<float>{});
    case DType::Float64: return f(TypeTag<double>{});
    case DType::Complex64: return f(TypeTag<Complex<float>>{});
    case DType::UInt16: return f(TypeTag<uint16_t>{});
    case DType::UInt32: return f(TypeTag<uint32_t>{});
    case DType::UInt64: return f(TypeTag<uint64_t>{});
    default: return f(TypeTag<Complex<double>>{});
  }
}

// The types that kernels compute in; 16-bit floats are brought to float32 before (see ops/widen.h).
template <class F> decltype(auto) visit_float(DType t, const char* op, F&& f) {
  if (t == DType::Float32) return f(TypeTag<float>{});
  WOOTZ_CHECK(t == DType::Float64, ErrorKind::DType, op, ": expected a floating point tensor, got ", name_of(t));
  return f(TypeTag<double>{});
}

// All floating point types, for code that only stores them.
template <class F> decltype(auto) visit_stored(DType t, const char* op, F&& f) {
  if (t == DType::Float16) return f(TypeTag<Float16>{});
  if (t == DType::BFloat16) return f(TypeTag<BFloat16>{});
  return visit_float(t, op, f);
}

}  // namespace wootz
