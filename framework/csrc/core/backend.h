#pragma once
// Ops on tensors that live elsewhere: one function per device type, which gets the op's name and its arguments.
#include <array>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/tensor.h"

namespace wootz {

struct Boxed {
  std::variant<std::monostate, Tensor, TensorList, int64_t, double, bool, Dims, DType, std::string> value;
  Boxed(const Tensor& t) { if (t.defined()) value = t; }
  Boxed(const TensorList& ts) : value(ts) {}
  Boxed(int64_t v) : value(v) {}
  Boxed(double v) : value(v) {}
  Boxed(bool v) : value(v) {}
  Boxed(const Dims& v) : value(v) {}
  Boxed(DType v) : value(v) {}
  Boxed(const std::string& v) : value(v) {}
  template <class T> Boxed(const std::optional<T>& v) { if (v) *this = Boxed(*v); }
};
using BoxedList = std::vector<Boxed>;

using Backend = TensorList (*)(DeviceType type, const char* op, const BoxedList& arguments);
void set_backend(DeviceType type, Backend backend);
// What runs ops on the tensors that vmap's function sees.
void set_batching(Backend backend);

inline bool remote(const Tensor& t) { return t.defined() && t->storage->foreign; }
bool remote(const TensorList& ts);
inline bool remote(const auto&... ts) requires(sizeof...(ts) > 1) { return (remote(ts) || ...); }

// Runs the op where its tensors are; refuses tensors on two devices, save 0-d ones of the CPU.
TensorList call_backend(const char* op, const BoxedList& arguments);
template <size_t N> auto unbox(TensorList results) {
  if constexpr (N == 1) return std::move(results.at(0));
  else {
    std::array<Tensor, N> out;
    for (size_t i = 0; i < N; ++i) out[i] = std::move(results.at(i));
    return out;
  }
}
// A tensor of one value beside `near`.
Tensor filled(const Tensor& near, const Dims& shape, DType dtype, double value);
// Overwrites t with value (broadcast and cast), wherever they live; no history.
void store(const Tensor& t, const Tensor& value);
// The same for an in-place op's result: refused where its shape or the category of its type does not fit t.
void store_result(const char* op, const Tensor& t, const Tensor& value);
// t itself, or its copy on the device.
Tensor on_device(const Tensor& t, Device device);

}  // namespace wootz
