// Convolutions of few outputs a group, depth-wise ones above all: row by row, without tiles.
#include <optional>

#include "cpu/conv.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace {

// f(row of y, row of x where its first window begins), for every output row of one pair of channels.
template <class T, class F> WOOTZ_INLINE void each_row(const Plan& plan, T* y, T* x, F f) {
  const Conv& c = plan.c;
  for (int64_t z = 0; z < c.out[0]; ++z)
    for (int64_t r = 0; r < c.out[1]; ++r)
      f(y + (z * c.out[1] + r) * c.out[2], x + plan.at(z * c.stride[0], r * c.stride[1], 0));
}

// The padded images of all groups of the batch. One of a single plane, as depth-wise ones are, is padded when its turn comes
// and stays in the nearest cache.
template <class T> struct Images {
  const Plan& plan;
  std::optional<Padded<T>> all;
  explicit Images(const Plan& of) : plan(of) {
    if (plan.c.inputs > 1) all.emplace(plan).read();
  }
  // Image i, perhaps in `room`, which holds zeros or an earlier one.
  const T* get(int64_t i, Scratch<T>& room) const {
    if (all) return all->p + i * plan.c.inputs * plan.image;
    const T* x = static_cast<T*>(plan.c.x) + i * plan.plane;
    if (plan.plain) return x;
    pad_plane(plan, x, room.p);
    return room.p;
  }
};

// Neighbouring output rows of one plane, `count` of them: all terms are summed in registers, and a weight is read once.
template <int count, class T>
WOOTZ_INLINE void sum_rows(const Plan& plan, const std::vector<int64_t>& offset, const T* weight, T bias, const T* x, T* y) {
  using V = Vec<T>;
  int64_t width = plan.c.out[2], step = plan.c.stride[1] * plan.c.size[2];
  auto block = [&](int64_t i, auto load, auto store) WOOTZ_LAMBDA {
    V sums[count];
    for (V& sum : sums) sum = V(bias);
    for (int64_t t = 0; t < plan.terms; ++t) {
      V w(weight[t]);
      const T* from = x + offset[static_cast<size_t>(t)] + i;
      for (int r = 0; r < count; ++r) sums[r] += w * load(from + r * step);
    }
    for (int r = 0; r < count; ++r) store(sums[r], y + r * width + i);
  };
  auto whole = [&](int64_t i) WOOTZ_LAMBDA {
    block(i, [](const T* p) WOOTZ_LAMBDA { return V::load(p); }, [](V v, T* p) WOOTZ_LAMBDA { v.store(p); });
  };
  int64_t i = 0;
  for (; i + V::size <= width; i += V::size) whole(i);
  if (i == width) return;
  if (width >= V::size) return whole(width - V::size);  // some elements twice, to the same value
  block(0, [&](const T* p) WOOTZ_LAMBDA { return V::load(p, width); }, [&](V v, T* p) WOOTZ_LAMBDA { v.store(p, width); });
}

constexpr int64_t kRows = 4;

}  // namespace

template <class T> void forward_rows(const Conv& c) {
  Plan plan(c);
  auto* bias = static_cast<const T*>(c.bias);
  std::vector<int64_t> offset;
  for (int64_t t = 0; t < plan.terms; ++t) offset.push_back(plan.term_offset(t));
  Images<T> images(plan);
  parallel_for(c.batch * c.groups * c.outputs, std::max<int64_t>(1, 131072 / (plan.positions * plan.terms)), [&](int64_t begin, int64_t last) {
    Scratch<T> room(plan.image);
    std::fill_n(room.p, plan.image, T(0));
    const T* image = nullptr;
    for (int64_t i = begin; i < last; ++i) {
      int64_t o = i % (c.groups * c.outputs), n = i / (c.groups * c.outputs), g = o / c.outputs;
      const T* weight = static_cast<const T*>(c.weight) + o * plan.terms;
      T* y = static_cast<T*>(c.y) + i * plan.positions;
      if (i == begin || o % c.outputs == 0) image = images.get(n * c.groups + g, room);
      auto rows = [&]<int count>(std::integral_constant<int, count>, int64_t z, int64_t r) WOOTZ_LAMBDA {
        sum_rows<count>(plan, offset, weight, bias ? bias[o] : T(0), image + plan.at(z * c.stride[0], r * c.stride[1], 0),
                        y + (z * c.out[1] + r) * c.out[2]);
      };
      for (int64_t z = 0; z < c.out[0]; ++z) {
        int64_t r = 0;
        for (; r + kRows <= c.out[1]; r += kRows) rows(std::integral_constant<int, kRows>(), z, r);
        for (; r < c.out[1]; ++r) rows(std::integral_constant<int, 1>(), z, r);
      }
    }
  });
}

template <class T> void input_rows(const Conv& c) {
  Plan plan(c);
  int64_t width = c.out[2];
  parallel_for(c.batch * c.groups * c.inputs, std::max<int64_t>(1, 131072 / (plan.positions * plan.taps)), [&](int64_t begin, int64_t last) {
    Scratch<T> padded(plan.plain ? 1 : plan.image);
    for (int64_t i = begin; i < last; ++i) {
      int64_t channel = i % c.inputs, ng = i / c.inputs, g = ng % c.groups;
      T *x = static_cast<T*>(c.x) + i * plan.plane, *image = plan.plain ? x : padded.p;
      std::fill_n(image, plan.image, T(0));
      for (int64_t o = 0; o < c.outputs; ++o)
        for (int64_t t = 0; t < plan.taps; ++t) {
          T w = static_cast<const T*>(c.weight)[(g * c.outputs + o) * plan.terms + channel * plan.taps + t];
          T* y = static_cast<T*>(c.y) + (ng * c.outputs + o) * plan.positions;
          each_row(plan, y, image + plan.tap_offset[static_cast<size_t>(t)], [&](const T* __restrict from, T* __restrict to) WOOTZ_LAMBDA {
            for (int64_t j = 0; j < width; ++j) to[j] += w * from[j];
          });
        }
      if (!plan.plain) crop_plane(plan, image, x);
    }
  });
}

namespace {

// Sums over one row of y times x at several terms at once.
constexpr int kTogether = 5;
template <class T> WOOTZ_INLINE void add_products(const T* y, const T* x, const int64_t* offset, int64_t n, Vec<T>* sums) {
  using V = Vec<T>;
  constexpr int w = V::size;
  int64_t i = 0;
  for (; i + w <= n; i += w) {
    V g = V::load(y + i);
    for (int t = 0; t < kTogether; ++t) sums[t] += g * V::load(x + offset[t] + i);
  }
  if (i == n) return;
  if (n < w) {
    V g = V::load(y, n);
    for (int t = 0; t < kTogether; ++t) sums[t] += g * V::load(x + offset[t], n);
    return;
  }
  // The last vector again, of which the lanes that have been counted are left out.
  typename V::Bits lane;
  for (int j = 0; j < w; ++j) lane[j] = j;
  auto left = lane >= static_cast<typename V::Int>(i + w - n);
  V g = V::load(y + n - w);
  for (int t = 0; t < kTogether; ++t) sums[t] += select<T>(left, g * V::load(x + offset[t] + n - w), V(T(0)));
}

}  // namespace

template <class T> void weight_rows(const Conv& c) {
  using V = Vec<T>;
  Plan plan(c);
  Images<T> images(plan);
  parallel_for(c.groups * c.outputs, std::max<int64_t>(1, 16384 / (c.batch * plan.positions * plan.terms)), [&](int64_t begin, int64_t last) {
    int64_t lanes = round_up(plan.terms, kTogether) * V::size;
    Scratch<T> room(plan.image), sums(lanes);
    std::fill_n(room.p, plan.image, T(0));
    for (int64_t o = begin; o < last; ++o) {
      std::fill_n(sums.p, lanes, T(0));
      for (int64_t n = 0; n < c.batch; ++n) {
        const T* image = images.get(n * c.groups + o / c.outputs, room);
        const T* y = static_cast<T*>(c.y) + (n * c.groups * c.outputs + o) * plan.positions;
        for (int64_t first = 0; first < plan.terms; first += kTogether) {
          int64_t offset[kTogether];
          for (int t = 0; t < kTogether; ++t) offset[t] = plan.term_offset(std::min(first + t, plan.terms - 1));
          V part[kTogether];
          for (int t = 0; t < kTogether; ++t) part[t] = V::load(sums.p + (first + t) * V::size);
          each_row(plan, y, image, [&](const T* from, const T* x) WOOTZ_LAMBDA { add_products(from, x, offset, c.out[2], part); });
          for (int t = 0; t < kTogether; ++t) part[t].store(sums.p + (first + t) * V::size);
        }
      }
      for (int64_t t = 0; t < plan.terms; ++t)
        static_cast<T*>(c.weight)[o * plan.terms + t] = fold(V::load(sums.p + t * V::size), [](T p, T q) { return p + q; });
    }
  });
}

template void forward_rows<float>(const Conv&);
template void forward_rows<double>(const Conv&);
template void input_rows<float>(const Conv&);
template void input_rows<double>(const Conv&);
template void weight_rows<float>(const Conv&);
template void weight_rows<double>(const Conv&);

}  // namespace wootz::cpu::WOOTZ_ISA
