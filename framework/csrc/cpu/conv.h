#pragma once
// What both ways to compute a convolution share: by tiles, and row by row where a group has few outputs (depth-wise).
#include <vector>

#include "core/parallel.h"
#include "cpu/fill.h"
#include "cpu/gemm.h"

namespace wootz::cpu::WOOTZ_ISA {

// Derived sizes. Positions are those of the output; taps those of the kernel; terms are (input, tap) pairs.
struct Plan {
  const Conv& c;
  int64_t plane, planes, image, positions, taps, terms;  // a plane of x becomes an image
  std::vector<int64_t> tap_offset;  // of each tap within an image
  bool phased;
  bool plain;  // x needs no padding and no sorting
  explicit Plan(const Conv& conv, bool by_phase = true) : c(conv), phased(by_phase) {
    plane = c.extent[0] * c.extent[1] * c.extent[2];
    planes = c.batch * c.groups * c.inputs;
    plain = c.padding[0] == 0 && c.padding[1] == 0 && c.padding[2] == 0 && c.stride[2] == 1;
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

// f(row of a plane of x, row of its padded form), in elements.
template <class F> WOOTZ_INLINE void each_padded_row(const Plan& plan, F f) {
  const Conv& c = plan.c;
  for (int64_t z = 0, row = 0; z < c.extent[0]; ++z)
    for (int64_t y = 0; y < c.extent[1]; ++y, row += c.extent[2]) f(row, plan.at(z + c.padding[0], y + c.padding[1], 0));
}

// Lanes of a and b by turns, from the lower or upper halves of both.
template <int half, class T, int... lane> WOOTZ_INLINE Vec<T> by_turns(Vec<T> a, Vec<T> b, std::integer_sequence<int, lane...>) {
  constexpr int w = Vec<T>::size;
  return __builtin_shufflevector(a.v, b.v, (half * w / 2 + lane / 2 + lane % 2 * w)...);
}

// A row [n] as it is, apart by its even and odd elements, and together again: through whole vectors, and one in part.
template <class T> WOOTZ_INLINE void copy_row(const T* from, int64_t n, T* to) {
  using V = Vec<T>;
  for (; n >= V::size; n -= V::size, from += V::size, to += V::size) V::load(from).store(to);
  if (n > 0) V::load(from, n).store(to, n);
}
template <class T> WOOTZ_INLINE void split_row(const T* from, int64_t n, T* even, T* odd) {
  using V = Vec<T>;
  constexpr int64_t w = V::size;
  for (; n >= 2 * w; n -= 2 * w, from += 2 * w, even += w, odd += w) {
    V a = V::load(from), b = V::load(from + w);
    every_other<0>(a, b).store(even);
    every_other<1>(a, b).store(odd);
  }
  if (n == 0) return;
  V a = n >= w ? V::load(from) : V::load(from, n), b = n > w ? V::load(from + w, n - w) : V(T(0));
  every_other<0>(a, b).store(even, (n + 1) / 2);
  if (n > 1) every_other<1>(a, b).store(odd, n / 2);
}
template <class T> WOOTZ_INLINE void join_row(const T* even, const T* odd, int64_t n, T* to) {
  using V = Vec<T>;
  constexpr int w = V::size;
  constexpr auto lanes = std::make_integer_sequence<int, w>();
  for (; n >= 2 * w; n -= 2 * w, even += w, odd += w, to += 2 * w) {
    V a = V::load(even), b = V::load(odd);
    by_turns<0>(a, b, lanes).store(to);
    by_turns<1>(a, b, lanes).store(to + w);
  }
  if (n == 0) return;
  V a = V::load(even, (n + 1) / 2), b = n > 1 ? V::load(odd, n / 2) : V(T(0));
  V lower = by_turns<0>(a, b, lanes);
  if (n < w) return lower.store(to, n);
  lower.store(to);
  if (n > w) by_turns<1>(a, b, lanes).store(to + w, n - w);
}

// The elements of a plane of x to where they go in its padded form, the padding left as it is; and from there.
template <class T> void pad_plane(const Plan& plan, const T* x, T* padded) {
  const Conv& c = plan.c;
  int64_t step = c.stride[2], width = c.extent[2], first = plan.column(c.padding[2]), second = plan.column(c.padding[2] + 1);
  each_padded_row(plan, [&](int64_t from, int64_t to) WOOTZ_LAMBDA {
    const T* row = x + from;
    if (step == 1) copy_row(row, width, padded + to + first);
    else if (step == 2) split_row(row, width, padded + to + first, padded + to + second);
    else
      for (int64_t q = 0; q < std::min(step, width); ++q) {
        T* at = padded + to + plan.column(c.padding[2] + q);
        for (int64_t i = q; i < width; i += step) *at++ = row[i];
      }
  });
}
template <class T> void crop_plane(const Plan& plan, const T* padded, T* x) {
  const Conv& c = plan.c;
  int64_t step = c.stride[2], width = c.extent[2], first = plan.column(c.padding[2]), second = plan.column(c.padding[2] + 1);
  each_padded_row(plan, [&](int64_t to, int64_t from) WOOTZ_LAMBDA {
    T* row = x + to;
    if (step == 1) copy_row(padded + from + first, width, row);
    else if (step == 2) join_row(padded + from + first, padded + from + second, width, row);
    else
      for (int64_t q = 0; q < std::min(step, width); ++q) {
        const T* at = padded + from + plan.column(c.padding[2] + q);
        for (int64_t i = q; i < width; i += step) row[i] = *at++;
      }
  });
}

// All planes in their padded form, or x itself where that is plain.
template <class T> struct Padded {
  const Plan& plan;
  Scratch<T> scratch;
  T *x, *p;
  explicit Padded(const Plan& of)
      : plan(of), scratch(of.plain ? 1 : of.planes * of.image), x(static_cast<T*>(of.c.x)), p(of.plain ? x : scratch.p) {}
  void read() {
    each([&](const T* from, T* to) {
      std::fill_n(to, plan.image, T(0));
      pad_plane(plan, from, to);
    });
  }
  void write() {
    each([&](T* to, const T* from) { crop_plane(plan, from, to); });
  }

 private:
  template <class F> void each(F f) {
    if (plan.plain) return;
    parallel_for(plan.planes, std::max<int64_t>(1, 32768 / plan.image), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) f(x + i * plan.plane, p + i * plan.image);
    });
  }
};

// Row by row.
template <class T> void forward_rows(const Conv& c);
template <class T> void input_rows(const Conv& c);
template <class T> void weight_rows(const Conv& c);

}  // namespace wootz::cpu::WOOTZ_ISA
