#pragma once
// Ops whose kernels know no 16-bit floats (`wide` in the op table) run in float32: inputs are widened, results rounded.
#include <array>
#include <optional>

#include "forward.h"

namespace wootz {

class Widened {
 public:
  // All: floating inputs are of one type, or else the op is left to judge them, and all results are of that type.
  // First: statistics in float32 may stand beside 16-bit data; the first result is of the first input's type.
  enum Results : uint8_t { All, First };

  // `asked` is the op's own dtype argument.
  Widened(Results results, std::optional<DType> asked, const auto&... inputs) : results_(results), asked_(asked) {
    (look(inputs), ...);
    on_ = (half_ && (results == First || !mixed_)) || (!mixed_ && asked && is_half(*asked));
  }
  explicit operator bool() const { return on_; }

  Tensor operator()(const Tensor& t) const {
    return t.defined() && is_half(t.dtype()) ? forward::cast(t, DType::Float32) : t;
  }
  TensorList operator()(const TensorList& ts) const {
    TensorList out;
    for (const Tensor& t : ts) out.push_back((*this)(t));
    return out;
  }
  std::optional<DType> operator()(std::optional<DType> t) const { return t && is_half(*t) ? DType::Float32 : t; }

  Tensor narrow(const Tensor& t) const {
    DType to = asked_.value_or(first_);
    return t.dtype() == DType::Float32 && is_half(to) ? forward::cast(t, to) : t;
  }
  template <size_t N> std::array<Tensor, N> narrow(std::array<Tensor, N> ts) const {
    for (size_t i = 0; i < (results_ == First ? 1 : N); ++i) ts[i] = narrow(ts[i]);
    return ts;
  }

 private:
  void look(const Tensor& t) {
    if (!t.defined() || t->wrapped || !is_float(t.dtype())) return;
    if (!any_) first_ = t.dtype();
    mixed_ |= t.dtype() != first_;
    half_ |= is_half(t.dtype());
    any_ = true;
  }
  void look(const TensorList& ts) { for (const Tensor& t : ts) look(t); }

  Results results_;
  std::optional<DType> asked_;
  DType first_ = DType::Float32;
  bool any_ = false, mixed_ = false, half_ = false, on_ = false;
};

}  // namespace wootz
