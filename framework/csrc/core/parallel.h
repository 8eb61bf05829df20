#pragma once
// A thread pool whose partition of the work depends on the size of the work alone, never on the number of threads.
#include <cstdint>

namespace wootz {

int num_threads();
void set_num_threads(int n);

namespace detail {
void parallel_chunks(int64_t chunks, void (*run)(void*, int64_t), void* context);
}

// Calls f(begin, end) over [0, n) in pieces of `grain`; f must not throw.
template <class F> void parallel_for(int64_t n, int64_t grain, F&& f) {
  if (n <= grain) {
    if (n > 0) f(int64_t(0), n);
    return;
  }
  struct Context { F& f; int64_t n, grain; } context{f, n, grain};
  detail::parallel_chunks((n + grain - 1) / grain, [](void* p, int64_t i) {
    auto& c = *static_cast<Context*>(p);
    int64_t begin = i * c.grain, end = begin + c.grain;
    c.f(begin, end < c.n ? end : c.n);
  }, &context);
}

}  // namespace wootz
