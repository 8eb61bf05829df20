#pragma once
// What both ways to compute a convolution share: by tiles, and row by row where a group has few outputs (depth-wise).
#include <vector>

#include "cpu/fill.h"
#include "cpu/vec.h"

namespace wootz::cpu::WOOTZ_ISA {

// Derived sizes. Positions are those of the output; taps those of the kernel; terms are (input, tap) pairs.
struct Plan {
  const Conv& c;
  int64_t image, positions, taps, terms;
  std::vector<int64_t> tap_offset;  // of each tap within an image
  bool phased;
  explicit Plan(const Conv& conv, bool by_phase = true) : c(conv), phased(by_phase) {
    image = c.size[0] * c.size[1] * c.size[2];
    positions = c.out[0] * c.out[1] * c.out[2];
    taps = c.kernel[0] * c.kernel[1] * c.kernel[2];
    terms = c.inputs * taps;
    for (int64_t z = 0; z < c.kernel[0]; ++z)
      for (int64_t y = 0; y < c.kernel[1]; ++y)
        for (int64_t x = 0; x < c.kernel[2]; ++x)
          tap_offset.push_back(at(z * c.dilation[0], y * c.dilation[1], column(x * c.dilation[2])));
  }
  int64_t column(int64_t x) const { return phased ? x % c.stride[2] * c.phase + x / c.stride[2] : x; }
  int64_t at(int64_t z, int64_t y, int64_t x) const { return (z * c.size[1] + y) * c.size[2] + x; }
  int64_t term_offset(int64_t t) const { return t / taps * image + tap_offset[static_cast<size_t>(t % taps)]; }
  // Where the window of a position begins.
  int64_t start(int64_t p) const {
    int64_t x = p % c.out[2], y = p / c.out[2] % c.out[1], z = p / c.out[2] / c.out[1];
    return at(z * c.stride[0], y * c.stride[1], phased ? x : x * c.stride[2]);
  }
};

// Row by row; for the weight, x is [batch, channels, size].
template <class T> void forward_rows(const Conv& c);
template <class T> void input_rows(const Conv& c);
template <class T> void weight_rows(const Conv& c);

}  // namespace wootz::cpu::WOOTZ_ISA
