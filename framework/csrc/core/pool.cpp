#include "core/pool.h"

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>
#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "core/error.h"

namespace wootz::pool {
namespace {

constexpr size_t kAlign = 64, kHuge = size_t(2) << 20;
constexpr int kBins = 4 * 48;

// Four classes to a doubling: at most a quarter of a block is wasted.
struct SizeClass { int bin; size_t bytes; };
SizeClass classify(size_t bytes) {
  if (bytes <= 4 * kAlign) {
    size_t units = bytes ? (bytes + kAlign - 1) / kAlign : 1;
    return {static_cast<int>(units) - 1, units * kAlign};
  }
  int log = 63 - __builtin_clzll(bytes - 1);
  int shift = log - 2;
  size_t quarters = ((bytes - 1) >> shift) + 1;  // 5..8 quarters of 1 << log
  return {4 * (log - 7) + static_cast<int>(quarters) - 5, quarters << shift};
}

class Spin {
 public:
  void lock() {
    // The holder may have been preempted: on a busy machine, let it run.
    for (int spins = 0; flag_.test_and_set(std::memory_order_acquire); ++spins)
      if (spins >= 64) std::this_thread::yield();
  }
  void unlock() { flag_.clear(std::memory_order_release); }

 private:
  std::atomic_flag flag_ = ATOMIC_FLAG_INIT;
};

int64_t cache_limit() {
#if defined(__linux__)
  int64_t physical = int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  return physical > 0 ? physical / 4 : int64_t(1) << 30;
#else
  return int64_t(1) << 30;
#endif
}

struct Pool {
  Spin lock;
  std::vector<void*> bins[kBins];
  Statistics stats{};
  int64_t limit = cache_limit();
};

// Never destroyed: tensors held by Python die after static destructors ran.
Pool& pool() {
  static Pool* p = new Pool;
  return *p;
}

void* from_system(size_t bytes) {
  void* p = nullptr;
  if (posix_memalign(&p, bytes >= kHuge ? kHuge : kAlign, bytes) != 0) return nullptr;
#if defined(__linux__)
  if (bytes >= kHuge) madvise(p, bytes, MADV_HUGEPAGE);
#endif
  return p;
}

void* allocate_fresh(size_t asked, size_t bytes) {
  void* p = from_system(bytes);
  if (!p) {
    empty_cache();
    p = from_system(bytes);
  }
  if (p) return p;
  Pool& q = pool();
  {
    std::lock_guard guard(q.lock);
    q.stats.in_use -= static_cast<int64_t>(bytes);
  }
  fail(ErrorKind::Memory, "out of memory: tried to allocate ", asked, " bytes");
}

}  // namespace

void* allocate(size_t bytes) {
  SizeClass c = classify(bytes);
  WOOTZ_CHECK(c.bin < kBins, ErrorKind::Memory, "out of memory: tried to allocate ", bytes, " bytes");
  Pool& q = pool();
  {
    std::lock_guard guard(q.lock);
    q.stats.in_use += static_cast<int64_t>(c.bytes);
    if (q.stats.in_use > q.stats.peak) q.stats.peak = q.stats.in_use;
    auto& bin = q.bins[c.bin];
    if (!bin.empty()) {
      void* p = bin.back();
      bin.pop_back();
      q.stats.cached -= static_cast<int64_t>(c.bytes);
      ++q.stats.reuses;
      return p;
    }
    ++q.stats.allocations;
  }
  return allocate_fresh(bytes, c.bytes);
}

void release(void* p, size_t bytes) noexcept {
  if (!p) return;
  SizeClass c = classify(bytes);
  Pool& q = pool();
  {
    std::lock_guard guard(q.lock);
    q.stats.in_use -= static_cast<int64_t>(c.bytes);
    if (q.stats.cached + static_cast<int64_t>(c.bytes) <= q.limit) {
      q.bins[c.bin].push_back(p);
      q.stats.cached += static_cast<int64_t>(c.bytes);
      return;
    }
  }
  std::free(p);
}

void empty_cache() noexcept {
  Pool& q = pool();
  std::lock_guard guard(q.lock);
  for (auto& bin : q.bins) {
    for (void* p : bin) std::free(p);
    bin.clear();
  }
  q.stats.cached = 0;
}

void reset_peak() noexcept {
  Pool& q = pool();
  std::lock_guard guard(q.lock);
  q.stats.peak = q.stats.in_use;
}

Statistics statistics() noexcept {
  Pool& q = pool();
  std::lock_guard guard(q.lock);
  return q.stats;
}

}  // namespace wootz::pool
