// CUDA's index variables, barriers and warp shuffles on one host thread, so that kernels run without a GPU.
//
// Every thread of a block is a fiber. They run one after another, in index order or reversed, and switch only at
// barriers and shuffles; each warp runs as far ahead of the others as barriers allow. So a result that depends on the
// order betrays a missing barrier. A barrier that not all threads reach, undefined on a GPU, is an error here.
#pragma once
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __noinline__ inline
#define __shared__ static
#define __launch_bounds__(threads, blocks)
#define __grid_constant__

struct uint2 {
  unsigned x, y;
};
struct uint3 {
  unsigned x, y, z;
};
struct uint4 {
  unsigned x, y, z, w;
};

namespace shim {

enum class State { ready, at_block_barrier, at_warp_barrier, done };

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  uint3 index;
  State state;
  unsigned shuffles;
};

struct Warp {
  std::uint64_t slots[2][32];
  float left[2][16][16], right[2][16][8];  // the factors of a matrix product
};

constexpr std::size_t stack_bytes = 128 * 1024;
constexpr unsigned warp_lanes = 32;

struct Block {
  ucontext_t scheduler;
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  std::size_t running = 0;
  void (*kernel)(void**) = nullptr;
  void** arguments = nullptr;
  bool plain = false;  // no fibers: a thread that waits for another is an error
};
inline Block block;

}  // namespace shim

inline uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace shim {

inline void wait(State state) {
  if (block.plain) throw std::runtime_error("a kernel of a family whose threads are independent waits for others");
  Fiber& fiber = block.fibers[block.running];
  fiber.state = state;
  swapcontext(&fiber.context, &block.scheduler);
}

inline void enter() {
  block.kernel(block.arguments);
  block.fibers[block.running].state = State::done;
}

inline void prepare(Fiber& fiber) {
  if (!fiber.stack) fiber.stack.reset(new char[stack_bytes]);
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = stack_bytes;
  fiber.context.uc_link = &block.scheduler;
  makecontext(&fiber.context, enter, 0);
  fiber.state = State::ready;
  fiber.shuffles = 0;
}

inline void resume(std::size_t i) {
  Fiber& fiber = block.fibers[i];
  block.running = i;
  threadIdx = fiber.index;
  swapcontext(&block.scheduler, &fiber.context);
}

inline bool all(std::size_t from, std::size_t to, State state) {
  for (std::size_t i = from; i < to; ++i)
    if (block.fibers[i].state != state) return false;
  return true;
}

inline void release(std::size_t from, std::size_t to) {
  for (std::size_t i = from; i < to; ++i) block.fibers[i].state = State::ready;
}

// Runs one warp as far as it gets without the others: through its shuffles, up to a barrier of the block.
inline void run_warp(std::size_t from, std::size_t to, bool reversed) {
  for (;;) {
    for (std::size_t k = from; k < to; ++k) {
      const std::size_t i = reversed ? from + to - 1 - k : k;
      if (block.fibers[i].state == State::ready) resume(i);
    }
    if (to - from < warp_lanes || !all(from, to, State::at_warp_barrier)) return;
    release(from, to);
  }
}

// After every warp has stopped: whether the block is past its barrier and goes on. Divergence is an error.
inline bool advance(std::size_t threads) {
  if (all(0, threads, State::done)) return false;
  if (!all(0, threads, State::at_block_barrier))
    throw std::runtime_error("divergence: some threads wait at a barrier that others do not reach");
  release(0, threads);
  return true;
}

inline void run_block(bool reversed) {
  const std::size_t threads = std::size_t(blockDim.x) * blockDim.y * blockDim.z;
  if (block.fibers.size() < threads) block.fibers.resize(threads);
  block.warps.resize((threads + warp_lanes - 1) / warp_lanes);
  for (std::size_t i = 0; i < threads; ++i) {
    const unsigned t = static_cast<unsigned>(i);
    block.fibers[i].index = {t % blockDim.x, t / blockDim.x % blockDim.y, t / (blockDim.x * blockDim.y)};
    prepare(block.fibers[i]);
  }
  const std::size_t count = block.warps.size();
  do {
    for (std::size_t k = 0; k < count; ++k) {
      const std::size_t w = reversed ? count - 1 - k : k;
      run_warp(w * warp_lanes, std::min(threads, (w + 1) * warp_lanes), reversed);
    }
  } while (advance(threads));
}

inline void run_plain(bool reversed) {
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  for (unsigned k = 0; k < threads; ++k) {
    const unsigned t = reversed ? threads - 1 - k : k;
    threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y, t / (blockDim.x * blockDim.y)};
    block.kernel(block.arguments);
  }
}

inline void launch(void (*kernel)(void**), const unsigned* grid, const unsigned* threads, void** arguments,
                   bool reversed, bool plain) {
  block.plain = plain;
  block.kernel = kernel;
  block.arguments = arguments;
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {threads[0], threads[1], threads[2]};
  for (unsigned z = 0; z < grid[2]; ++z)
    for (unsigned y = 0; y < grid[1]; ++y)
      for (unsigned x = 0; x < grid[0]; ++x) {
        blockIdx = reversed ? uint3{grid[0] - 1 - x, grid[1] - 1 - y, grid[2] - 1 - z} : uint3{x, y, z};
        if (plain) run_plain(reversed);
        else run_block(reversed);
      }
}

}  // namespace shim

inline void __syncthreads() { shim::wait(shim::State::at_block_barrier); }

// Whole warps only. Two sets of slots: a thread may deposit for the next shuffle before its neighbours have read this one's.
template <class T>
T __shfl_xor_sync(unsigned, T value, int lanes) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t) && std::is_trivially_copyable_v<T>);
  const std::size_t me = shim::block.running;
  auto& slots = shim::block.warps[me / shim::warp_lanes].slots[shim::block.fibers[me].shuffles++ % 2];
  std::memcpy(&slots[me % shim::warp_lanes], &value, sizeof(T));
  shim::wait(shim::State::at_warp_barrier);
  T other;
  std::memcpy(&other, &slots[me % shim::warp_lanes ^ static_cast<unsigned>(lanes)], sizeof(T));
  return other;
}

template <class T>
T atomicExch(T* at, T value) {
  std::swap(*at, value);
  return value;
}

inline double __dmul_rn(double x, double y) { return x * y; }
inline double __dadd_rn(double x, double y) { return x + y; }
inline std::uint64_t __umul64hi(std::uint64_t x, std::uint64_t y) {
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(x) * y >> 64);
}

// By halving: erf rises.
inline double erfinv(double x) {
  if (!(std::fabs(x) < 1)) return std::fabs(x) == 1 ? std::copysign(INFINITY, x) : NAN;
  double low = 0, high = 7;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(middle) > 1 - std::fabs(x) ? low : high) = middle;
  }
  return std::copysign(low, x);
}
inline float erfinvf(float x) { return static_cast<float>(erfinv(static_cast<double>(x))); }

inline float __int_as_float(int bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// Storage formats, rounding to nearest even. A double is rounded once: through a float it could be rounded twice.
struct __nv_bfloat16 {
  std::uint16_t bits;
};
struct __half {
  std::uint16_t bits;
};

namespace shim {

// `x` rounded to `digits` significant bits, with exponents below `lowest` rounded to a multiple of 2^(lowest-digits).
inline double round_to(double x, int digits, int lowest) {
  if (x == 0 || !std::isfinite(x)) return x;
  int exponent;
  std::frexp(x, &exponent);
  const int scale = digits - (exponent < lowest ? lowest : exponent);
  return std::ldexp(std::nearbyint(std::ldexp(x, scale)), -scale);
}

inline std::uint16_t top_half(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<std::uint16_t>(bits >> 16);
}

}  // namespace shim

inline __nv_bfloat16 __double2bfloat16(double x) {
  if (std::isnan(x)) return {0x7fff};
  return {shim::top_half(static_cast<float>(shim::round_to(x, 8, -125)))};
}
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return __double2bfloat16(x); }
inline float __bfloat162float(__nv_bfloat16 x) { return __int_as_float(static_cast<int>(std::uint32_t(x.bits) << 16)); }

inline __half __double2half(double x) {
  const std::uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  if (std::isnan(x)) return {0x7fff};
  const double y = std::fabs(shim::round_to(x, 11, -13));
  if (y >= 65536) return {static_cast<std::uint16_t>(sign | 0x7c00)};
  if (y < std::ldexp(1.0, -14)) return {static_cast<std::uint16_t>(sign | int(std::ldexp(y, 24)))};
  int exponent;
  const double fraction = std::frexp(y, &exponent);
  const int mantissa = static_cast<int>(std::ldexp(fraction, 11)) - 1024;
  return {static_cast<std::uint16_t>(sign | (exponent + 14) << 10 | mantissa)};
}
inline __half __float2half_rn(float x) { return __double2half(x); }
inline float __half2float(__half x) {
  const int exponent = x.bits >> 10 & 31, mantissa = x.bits & 1023;
  const float sign = x.bits & 0x8000 ? -1.0f : 1.0f;
  if (exponent == 31) return mantissa ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  return sign * std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
}

// The instructions of mma.cuh, from the layouts that the PTX ISA documents: which lane holds which elements. Lane l is
// thread l % 4 of group l / 4.
namespace shim {

// Every lane's address, once all of the warp have given theirs.
inline const std::uint64_t* addresses(const void* mine) {
  const std::size_t me = block.running;
  auto& slots = block.warps[me / warp_lanes].slots[block.fibers[me].shuffles++ % 2];
  slots[me % warp_lanes] = reinterpret_cast<std::uint64_t>(mine);
  wait(State::at_warp_barrier);
  return slots;
}

// Element (row, column) of matrix m, whose row r lane 8 m + r has named.
inline unsigned element(const std::uint64_t* rows, unsigned m, unsigned row, unsigned column) {
  if (rows[8 * m + row] % 16 != 0) throw std::runtime_error("ldmatrix: a row does not start on 16 bytes");
  return reinterpret_cast<const std::uint16_t*>(rows[8 * m + row])[column];
}

// Lane l gets elements 2 (l % 4) and the next of row l / 4 of each matrix, or of its transpose.
inline void load_matrices(unsigned (&to)[4], const void* row, bool transposed) {
  const std::uint64_t* rows = addresses(row);
  const unsigned lane = block.running % warp_lanes, group = lane / 4, first = lane % 4 * 2;
  for (unsigned m = 0; m < 4; ++m) {
    const unsigned low = transposed ? element(rows, m, first, group) : element(rows, m, group, first);
    const unsigned high = transposed ? element(rows, m, first + 1, group) : element(rows, m, group, first + 1);
    to[m] = high << 16 | low;
  }
}

// A fragment of the 16 by 16 factor has 8 elements a lane, of the 16 by 8 one 4, of the result 4.
inline unsigned row_of_a(unsigned lane, unsigned i) { return i < 2 || (i >= 4 && i < 6) ? lane / 4 : lane / 4 + 8; }
inline unsigned column_of_a(unsigned lane, unsigned i) { return lane % 4 * 2 + (i & 1) + (i >= 4 ? 8 : 0); }
inline unsigned row_of_b(unsigned lane, unsigned i) { return lane % 4 * 2 + (i & 1) + (i >= 2 ? 8 : 0); }
inline unsigned column_of_b(unsigned lane, unsigned) { return lane / 4; }
inline unsigned row_of_c(unsigned lane, unsigned i) { return i < 2 ? lane / 4 : lane / 4 + 8; }
inline unsigned column_of_c(unsigned lane, unsigned i) { return lane % 4 * 2 + (i & 1); }

template <class Widen>
void mma(float* d, const unsigned (&a)[4], unsigned b0, unsigned b1, Widen widen) {
  const std::size_t me = block.running;
  Warp& warp = block.warps[me / warp_lanes];
  const unsigned set = block.fibers[me].shuffles++ % 2, lane = me % warp_lanes, b[2] = {b0, b1};
  for (unsigned i = 0; i < 8; ++i)
    warp.left[set][row_of_a(lane, i)][column_of_a(lane, i)] = widen(static_cast<std::uint16_t>(a[i / 2] >> i % 2 * 16));
  for (unsigned i = 0; i < 4; ++i)
    warp.right[set][row_of_b(lane, i)][column_of_b(lane, i)] = widen(static_cast<std::uint16_t>(b[i / 2] >> i % 2 * 16));
  wait(State::at_warp_barrier);
  for (unsigned i = 0; i < 4; ++i)
    for (unsigned k = 0; k < 16; ++k)
      d[i] += warp.left[set][row_of_c(lane, i)][k] * warp.right[set][k][column_of_c(lane, i)];
}

}  // namespace shim

inline void ldmatrix_x4(unsigned (&to)[4], const void* row) { shim::load_matrices(to, row, false); }
inline void ldmatrix_x4_trans(unsigned (&to)[4], const void* row) { shim::load_matrices(to, row, true); }
#define SHIM_MMA(type, widen_bits)                                                                               \
  inline void mma_m16n8k16_##type(float& d0, float& d1, float& d2, float& d3, const unsigned (&a)[4], unsigned b0, \
                                  unsigned b1) {                                                                 \
    float d[4] = {d0, d1, d2, d3};                                                                               \
    shim::mma(d, a, b0, b1, [](std::uint16_t x) { return widen_bits; });                                         \
    d0 = d[0];                                                                                                   \
    d1 = d[1];                                                                                                   \
    d2 = d[2];                                                                                                   \
    d3 = d[3];                                                                                                   \
  }
SHIM_MMA(f16, __half2float(__half{x}))
SHIM_MMA(bf16, __bfloat162float(__nv_bfloat16{x}))
#undef SHIM_MMA
