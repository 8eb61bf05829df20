#pragma once
// The caching allocator: blocks of a few size classes are kept after use, so that a training step allocates nothing.
#include <cstddef>
#include <cstdint>

namespace wootz::pool {

struct Statistics {
  int64_t in_use;       // bytes handed out, in whole size classes
  int64_t peak;         // largest in_use since the start or the last reset_peak
  int64_t cached;       // bytes kept for reuse
  int64_t allocations;  // blocks asked of the system
  int64_t reuses;       // blocks served from the cache
};

// 64-byte aligned memory; throws Error(Memory) when the system has none left after the cache is emptied.
void* allocate(size_t bytes);
// `bytes` must be what was asked for.
void release(void* p, size_t bytes) noexcept;
void empty_cache() noexcept;
void reset_peak() noexcept;
Statistics statistics() noexcept;

}  // namespace wootz::pool
