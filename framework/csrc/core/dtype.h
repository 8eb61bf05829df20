#pragma once
// Element types, their names and PyTorch's promotion lattice.
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/error.h"

namespace wootz {

enum class DType : uint8_t { Bool, UInt8, Int8, Int16, Int32, Int64, Float32, Float64 };
constexpr int kDTypes = 8;


// The categories between which a Python scalar or a 0-d tensor may promote another operand.
enum class Category : uint8_t { Bool, Integer, Float };

struct DTypeInfo {
  const char* name;
  const char* format;  // struct-module format character, as the buffer protocol wants it
  uint8_t size;
  Category category;
};

inline const DTypeInfo& info(DType t) {
  static constexpr DTypeInfo table[kDTypes] = {
      {"bool", "?", 1, Category::Bool},    {"uint8", "B", 1, Category::Integer}, {"int8", "b", 1, Category::Integer},
      {"int16", "h", 2, Category::Integer}, {"int32", "i", 4, Category::Integer}, {"int64", "q", 8, Category::Integer},
      {"float32", "f", 4, Category::Float}, {"float64", "d", 8, Category::Float}};
  return table[static_cast<int>(t)];
}

inline size_t size_of(DType t) { return info(t).size; }
inline bool is_float(DType t) { return info(t).category == Category::Float; }
inline bool is_integral(DType t) { return info(t).category != Category::Float; }
inline const char* name_of(DType t) { return info(t).name; }

// The smallest type that holds both. Within one category order in the enum is order in size, save uint8 with signed.
inline DType promote(DType a, DType b) {
  if (a == b) return a;
  DType low = a < b ? a : b, high = a < b ? b : a;
  if (low == DType::UInt8 && high == DType::Int8) return DType::Int16;
  return high;
}

template <class T> constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, bool>) return DType::Bool;
  else if constexpr (std::is_same_v<T, uint8_t>) return DType::UInt8;
  else if constexpr (std::is_same_v<T, int8_t>) return DType::Int8;
  else if constexpr (std::is_same_v<T, int16_t>) return DType::Int16;
  else if constexpr (std::is_same_v<T, int32_t>) return DType::Int32;
  else if constexpr (std::is_same_v<T, int64_t>) return DType::Int64;
  else if constexpr (std::is_same_v<T, float>) return DType::Float32;
  else return DType::Float64;
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
    case DType::Float32: return f(TypeTag<float>{});
    default: return f(TypeTag<double>{});
  }
}

template <class F> decltype(auto) visit_float(DType t, const char* op, F&& f) {
  if (t == DType::Float32) return f(TypeTag<float>{});
  WOOTZ_CHECK(t == DType::Float64, ErrorKind::DType, op, ": expected a floating point tensor, got ", name_of(t));
  return f(TypeTag<double>{});
}

}  // namespace wootz
