#pragma once
// Intrusive reference counting: one word in the object, no control block.
#include <atomic>
#include <cstdint>
#include <utility>

namespace wootz {

struct Counted {
  mutable std::atomic<int64_t> refs{1};
  Counted() = default;
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
};

// Types say how they die: `static void destroy(T*)`.
template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  // Takes over the reference that a new object is born with.
  static Ref adopt(T* p) { Ref r; r.p_ = p; return r; }
  static Ref share(T* p) { if (p) p->refs.fetch_add(1, std::memory_order_relaxed); return adopt(p); }
  Ref(const Ref& o) : p_(o.p_) { if (p_) p_->refs.fetch_add(1, std::memory_order_relaxed); }
  Ref(Ref&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  Ref& operator=(Ref o) noexcept { std::swap(p_, o.p_); return *this; }
  ~Ref() { release(p_); }

  T* get() const { return p_; }
  T* operator->() const { return p_; }
  T& operator*() const { return *p_; }
  explicit operator bool() const { return p_ != nullptr; }
  bool operator==(const Ref& o) const { return p_ == o.p_; }
  T* leak() { return std::exchange(p_, nullptr); }
  static void release(T* p) {
    if (p && p->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) T::destroy(p);
  }

 private:
  T* p_ = nullptr;
};

}  // namespace wootz
