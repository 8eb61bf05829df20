// Which instruction set to run: read from the processor itself, because the compilers' helpers differ (one answers 0).
#include <cstdlib>
#include <cstring>

#include "cpu/kernels.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace wootz::cpu {

#if defined(__x86_64__)
namespace baseline { const Kernels& table(); }
namespace avx2 { const Kernels& table(); }
namespace avx512 { const Kernels& table(); }
#else
namespace neon { const Kernels& table(); }
#endif

namespace {

struct Choice {
  const char* name;
  bool available;
  const Kernels& (*table)();
};

#if defined(__x86_64__)
struct Features { bool avx2 = false, avx512 = false; };

// The processor must have the instructions and the system must save the registers (XCR0).
Features features() {
  Features f;
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return f;
  bool xsave = (c >> 27) & 1, fma = (c >> 12) & 1, f16c = (c >> 29) & 1;
  if (!xsave || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return f;
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  f.avx2 = (low & 0x06) == 0x06 && fma && f16c && ((b >> 5) & 1);
  bool foundation = (b >> 16) & 1, dq = (b >> 17) & 1, bw = (b >> 30) & 1, vl = (b >> 31) & 1;
  f.avx512 = f.avx2 && (low & 0xe6) == 0xe6 && foundation && dq && bw && vl;
  return f;
}

const Kernels& pick(const char* wanted) {
  Features f = features();
  const Choice choices[] = {
      {"avx512", f.avx512, avx512::table}, {"avx2", f.avx2, avx2::table}, {"baseline", true, baseline::table}};
#else
const Kernels& pick(const char* wanted) {
  const Choice choices[] = {{"neon", true, neon::table}};
#endif
  const Choice* best = nullptr;
  for (const Choice& c : choices) {
    if (!c.available) continue;
    if (wanted && std::strcmp(wanted, c.name) == 0) return c.table();
    if (!best) best = &c;
  }
  WOOTZ_CHECK(!wanted, ErrorKind::Value, "WOOTZ_ISA=", wanted ? wanted : "", " names no instruction set of this processor");
  return best->table();
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = [] () -> const Kernels& {
    const char* wanted = std::getenv("WOOTZ_ISA");
    return pick(wanted && *wanted ? wanted : nullptr);
  }();
  return chosen;
}

}  // namespace wootz::cpu
