#pragma once
// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): a block of numbers out of a key and
// a place. csrc/cuda/philox.cuh draws the same.
#include <cstdint>

namespace wootz::random {

struct Block { uint32_t v[4]; };

inline Block philox(uint64_t key, uint64_t draw, uint64_t index) {
  auto k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  uint32_t c[4] = {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), static_cast<uint32_t>(draw),
                   static_cast<uint32_t>(draw >> 32)};
  for (int round = 0; round < 10; ++round) {
    uint64_t a = uint64_t(0xD2511F53) * c[0], b = uint64_t(0xCD9E8D57) * c[2];
    uint32_t n0 = static_cast<uint32_t>(b >> 32) ^ c[1] ^ k0, n2 = static_cast<uint32_t>(a >> 32) ^ c[3] ^ k1;
    c[0] = n0;
    c[1] = static_cast<uint32_t>(b);
    c[2] = n2;
    c[3] = static_cast<uint32_t>(a);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return {{c[0], c[1], c[2], c[3]}};
}

// Element i of a draw is half i % 2 of block i / 2.
inline uint64_t wide(const Block& b, int half) { return (uint64_t(b.v[2 * half + 1]) << 32) | b.v[2 * half]; }
inline double unit(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

}  // namespace wootz::random
