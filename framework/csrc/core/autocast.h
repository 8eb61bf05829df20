#pragma once
// Mixed precision: while it is on for a type of device, ops cast their inputs first, as the op table says of each.
#include "core/tensor.h"

namespace wootz {

// What an op does with its floating-point inputs (save float64): nothing; nothing, and neither does what it is made of;
// cast them to the 16-bit type in force, to float32, or to the widest type among them.
enum class Precision : uint8_t { Free, Same, Low, Wide, Widest };

struct Policy {
  Precision on[kDeviceTypes];  // by type of device
};

struct AutocastState {
  bool enabled = false;
  DType dtype = DType::Float16;
};
// All of this is the thread's own.
AutocastState autocast_state(DeviceType type);
bool autocast_caches();
// Also where it was suspended: who asks for it in the middle of an op or of backward, means it.
void push_autocast(DeviceType type, AutocastState state, bool caches);
// Back to what was in force before the last push. With the outermost one the casts of weights are forgotten.
void pop_autocast();
size_t autocast_depth();
void forget_casts();

extern std::atomic<int> autocast_pushes;  // of all threads: while there are none, no thread looks at its own state
bool autocast_in_force();
inline bool autocasting() { return autocast_pushes.load(std::memory_order_relaxed) > 0 && autocast_in_force(); }

// Switches it off for a scope, or on again.
bool suspend_autocast(bool suspended);
struct AutocastOff {
  bool before = suspend_autocast(true);
  AutocastOff() = default;
  AutocastOff(const AutocastOff&) = delete;
  ~AutocastOff() { suspend_autocast(before); }
};

// The inputs of one op as it gets them; while this lives, what the op calls is left alone.
class Autocast {
 public:
  Autocast(const Policy& policy, const auto&... inputs) {
    (choose(policy, inputs), ...);
    if (precision_ == Precision::Widest) (widen(inputs), ...);
    if (*this) suspend_autocast(true);
  }
  Autocast(const Autocast&) = delete;
  ~Autocast() { if (*this) suspend_autocast(false); }
  explicit operator bool() const { return precision_ != Precision::Free; }

  Tensor operator()(const Tensor& t) const;
  TensorList operator()(const TensorList& ts) const;

 private:
  bool eligible(const Tensor& t) const;
  void choose(const Policy& policy, const Tensor& t);
  void choose(const Policy& policy, const TensorList& ts) { for (const Tensor& t : ts) choose(policy, t); }
  void widen(const Tensor& t) { if (eligible(t)) to_ = promote(to_, t.dtype()); }
  void widen(const TensorList& ts) { for (const Tensor& t : ts) widen(t); }

  Precision precision_ = Precision::Free;
  DeviceType type_ = DeviceType::Cpu;
  DType to_ = DType::Float32;
};

}  // namespace wootz
