#include "core/autocast.h"

#include <unordered_map>

#include "core/autograd.h"
#include "ops.h"

namespace wootz {
namespace {

struct Before {
  DeviceType type;
  AutocastState state;
  bool caches, suspended;
};

// A weight, and what it was cast to when it had that version.
struct Kept {
  Tensor weight, cast;
  uint32_t version;
};
using Casts = std::unordered_map<const TensorImpl*, Kept>;

struct Here {
  AutocastState states[kDeviceTypes] = {{false, DType::BFloat16}, {false, DType::Float16}};
  bool caches = true, suspended = false;
  std::vector<Before> stack;
  Casts* casts = nullptr;  // not destroyed with its thread, when hooks could no longer run
};
thread_local Here here;

bool castable(const Tensor& t) {
  return t.defined() && !t->wrapped && is_float(t.dtype()) && t.dtype() != DType::Float64;
}

// Only leaves that are trained, as they are: anything else is seldom cast twice.
bool is_weight(const Tensor& t) {
  return t->requires_grad && t.is_leaf() && !t->base && !t->storage->batch && t.dtype() == DType::Float32;
}

Tensor cast_once(const Tensor& t, DType to) {
  if (!here.casts) here.casts = new Casts;
  Kept& kept = (*here.casts)[t.ref().get()];
  bool fresh = kept.cast.defined() && kept.version == t.version() && kept.cast.dtype() == to &&
               (kept.cast.requires_grad() || !grad_enabled());
  if (!fresh) kept = {t, ops::cast(t, to), t.version()};
  return kept.cast;
}

}  // namespace

std::atomic<int> autocast_pushes{0};

AutocastState autocast_state(DeviceType type) { return here.states[static_cast<int>(type)]; }
bool autocast_caches() { return here.caches; }
size_t autocast_depth() { return here.stack.size(); }

void push_autocast(DeviceType type, AutocastState state, bool caches) {
  AutocastState& now = here.states[static_cast<int>(type)];
  here.stack.push_back({type, now, here.caches, here.suspended});
  now = state;
  here.caches = caches;
  here.suspended = false;
  autocast_pushes.fetch_add(1, std::memory_order_relaxed);
}

void pop_autocast() {
  Before before = here.stack.back();
  here.stack.pop_back();
  here.states[static_cast<int>(before.type)] = before.state;
  here.caches = before.caches;
  here.suspended = before.suspended;
  autocast_pushes.fetch_sub(1, std::memory_order_relaxed);
  if (here.stack.empty()) forget_casts();
}

void forget_casts() { delete std::exchange(here.casts, nullptr); }

bool autocast_in_force() {
  if (here.suspended) return false;
  for (const AutocastState& s : here.states)
    if (s.enabled) return true;
  return false;
}

bool suspend_autocast(bool suspended) { return std::exchange(here.suspended, suspended); }

bool Autocast::eligible(const Tensor& t) const { return castable(t) && t.device().type == type_; }

void Autocast::choose(const Policy& policy, const Tensor& t) {
  if (*this || !castable(t)) return;
  int type = static_cast<int>(t.device().type);
  if (!here.states[type].enabled) return;
  precision_ = policy.on[type];
  type_ = t.device().type;
  if (precision_ == Precision::Low || precision_ == Precision::Widest) to_ = here.states[type].dtype;
}

Tensor Autocast::operator()(const Tensor& t) const {
  if (precision_ == Precision::Same || !eligible(t) || t.dtype() == to_) return t;
  return here.caches && is_half(to_) && is_weight(t) ? cast_once(t, to_) : ops::cast(t, to_);
}

TensorList Autocast::operator()(const TensorList& ts) const {
  TensorList out;
  for (const Tensor& t : ts) out.push_back((*this)(t));
  return out;
}

}  // namespace wootz
