// Convolutions as packed matrix products whose second operand is never laid out in memory: panels of it are gathered
// from the image as they are needed (Chetlur et al., "cuDNN", 2014). Few outputs a group (depth-wise) go row by row.
#include "cpu/conv.h"

namespace wootz::cpu::WOOTZ_ISA {
namespace {

constexpr int64_t kFewOutputs = 4;

// `count` neighbouring columns of a panel, from `column` on, that read (write) `from` and what follows.
struct Run { int64_t column, from, count; };

// The runs of positions [first, first + count) of the whole batch; image n begins at n * stride.
void find_runs(const Plan& plan, int64_t first, int64_t count, int64_t stride, std::vector<Run>& runs) {
  runs.clear();
  int64_t width = plan.c.out[2];
  for (int64_t j = 0; j < count;) {
    int64_t n = (first + j) / plan.positions, p = (first + j) % plan.positions;
    int64_t length = std::min(width - p % width, count - j), from = n * stride + plan.start(p);
    if (!runs.empty() && runs.back().from + runs.back().count == from) runs.back().count += length;
    else runs.push_back({j, from, length});
    j += length;
  }
}

// Whole vectors wherever they stay inside the image: what they write too much is overwritten by the next run or row, and
// after the last row of a panel there is one to spare.
template <class T> WOOTZ_INLINE void copy_run(const T* from, const T* end, T* to, int64_t n) {
  constexpr int w = Vec<T>::size;
  for (; n > 0; n -= w, from += w, to += w) {
    if (n >= w || from + w <= end) Vec<T>::load(from).store(to);
    else Vec<T>::load(from, n).store(to);
  }
}

// Rows [first, first + k) of some panels of the implicit matrix [terms, positions]: all that read one channel together, as
// its rows are then near.
template <class T>
void gather(const Plan& plan, const T* x, const T* end, const std::vector<std::vector<Run>>& panels, int64_t count, int64_t first, int64_t k, T* to) {
  constexpr int nr = Tiling<T>::nr;
  for (int64_t t = first; t < first + k; ++t, to += nr) {
    const T* from = x + plan.term_offset(t);
    for (int64_t j = 0; j < count; ++j)
      for (const Run& r : panels[static_cast<size_t>(j)]) copy_run(from + r.from, end, to + j * (k + 1) * nr + r.column, r.count);
  }
}

// A rectangle of y: `rows` channels of one group at `count` positions of the batch, a panel of which is in `tile`.
template <class T>
void put_tile(const Plan& plan, const T* tile, int64_t rows, int64_t first, int64_t count, T* y, bool accumulate) {
  constexpr int nr = Tiling<T>::nr;
  int64_t image = plan.c.groups * plan.c.outputs * plan.positions;
  for (int64_t j = 0; j < count;) {
    int64_t n = (first + j) / plan.positions, p = (first + j) % plan.positions;
    int64_t length = std::min(plan.positions - p, count - j);
    for (int64_t i = 0; i < rows; ++i) {
      T* to = y + n * image + i * plan.positions + p;
      for (int64_t q = 0; q < length; ++q) to[q] = accumulate ? to[q] + tile[i * nr + j + q] : tile[i * nr + j + q];
    }
    j += length;
  }
}

template <class T> void fill_bias(const Plan& plan, const T* bias, int64_t rows, int64_t first, int64_t count, T* y) {
  int64_t image = plan.c.groups * plan.c.outputs * plan.positions;
  for (int64_t j = 0; j < count;) {
    int64_t n = (first + j) / plan.positions, p = (first + j) % plan.positions;
    int64_t length = std::min(plan.positions - p, count - j);
    for (int64_t i = 0; i < rows; ++i) std::fill_n(y + n * image + i * plan.positions + p, length, bias[i]);
    j += length;
  }
}

// One panel of `count` positions times `h` packed rows of the weight.
template <class T>
void put_product(const Plan& plan, const T* a, const T* b, int64_t h, int64_t k, int64_t first, int64_t count, T* y, bool accumulate) {
  constexpr int mr = Tiling<T>::mr, nr = Tiling<T>::nr;
  int64_t n = first / plan.positions, p = first % plan.positions;
  bool direct = p + count <= plan.positions;
  T* to = y + n * plan.c.groups * plan.c.outputs * plan.positions + p;
  if (direct && count == nr && h == mr) return micro<T>(k, a, b, to, plan.positions, accumulate, nullptr);
  if (direct) return edge<T>(k, a, b, to, plan.positions, accumulate, nullptr, h, count);
  alignas(64) T tile[mr * nr];
  micro<T>(k, a, b, tile, nr, false, nullptr);
  put_tile(plan, tile, h, first, count, y, accumulate);
}

template <class T> void forward_tiles(const Conv& c) {
  using P = Tiling<T>;
  Plan plan(c);
  Padded<T> padded(plan);
  padded.read();
  const T* x = padded.p;
  auto* weight = static_cast<const T*>(c.weight);
  auto* bias = static_cast<const T*>(c.bias);
  const T* end = x + c.batch * c.groups * c.inputs * plan.image;
  int64_t depth = (plan.terms + P::kc - 1) / P::kc, kc = (plan.terms + depth - 1) / depth;
  int64_t rows = round_up(c.outputs, P::mr), all = c.batch * plan.positions;
  Scratch<T> pa(c.groups * rows * plan.terms);
  parallel_for(c.groups * (rows / P::mr), std::max<int64_t>(1, 16384 / (plan.terms * P::mr)), [&](int64_t begin, int64_t last) {
    for (int64_t q = begin; q < last; ++q) {
      int64_t g = q / (rows / P::mr), i = q % (rows / P::mr) * P::mr;
      for (int64_t t = 0; t < plan.terms; t += kc) {
        int64_t k = std::min(kc, plan.terms - t);
        pack<T>(weight + (g * c.outputs + i) * plan.terms + t, 1, plan.terms, k, std::min<int64_t>(P::mr, c.outputs - i), P::mr,
                pa.p + g * rows * plan.terms + rows * t + i * k);
      }
    }
  });
  // Few tiles are cut by rows too, for which each share gathers anew: no more than the threads need. No sum is cut.
  int64_t columns = P::nr * 3, blocks = (all + columns - 1) / columns, cuts = 1;
  while (c.groups * blocks * cuts < 4 * (num_threads() - 1) && rows / P::mr > 4 * cuts) cuts *= 2;
  int64_t share = round_up((rows + cuts - 1) / cuts, P::mr);
  parallel_for(c.groups * blocks * cuts, 1, [&](int64_t begin, int64_t last) {
    Scratch<T> pb(columns * (kc + 1));
    std::vector<std::vector<Run>> runs(static_cast<size_t>(columns / P::nr));
    for (int64_t task = begin; task < last; ++task) {
      int64_t g = task / (blocks * cuts), block = task / cuts % blocks, i = task % cuts * share;
      int64_t first = block * columns, count = std::min(columns, all - first), h = std::min(share, c.outputs - i);
      if (h <= 0) continue;
      T* y = static_cast<T*>(c.y) + (g * c.outputs + i) * plan.positions;
      const T* image = x + g * c.inputs * plan.image;
      if (bias) fill_bias(plan, bias + g * c.outputs + i, h, first, count, y);
      for (int64_t j = 0; j < count; j += P::nr)
        find_runs(plan, first + j, std::min<int64_t>(P::nr, count - j), c.groups * c.inputs * plan.image, runs[static_cast<size_t>(j / P::nr)]);
      for (int64_t t = 0; t < plan.terms; t += kc) {
        int64_t k = std::min(kc, plan.terms - t);
        const T* a = pa.p + g * rows * plan.terms + rows * t + i * k;
        gather(plan, image, end, runs, (count + P::nr - 1) / P::nr, t, k, pb.p);
        for (int64_t r = 0; r < h; r += P::mr)
          for (int64_t j = 0; j < count; j += P::nr)
            put_product(plan, a + r * k, pb.p + j * (k + 1), std::min<int64_t>(P::mr, h - r), k, first + j, std::min<int64_t>(P::nr, count - j),
                        y + r * plan.positions, bias || t > 0);
      }
    }
  });
}

// x += by columns of the product of the transposed weight and y: tap by tap to where each was read from.
template <class T>
void scatter(const Plan& plan, const T* columns, int64_t width, int64_t terms, const std::vector<Run>& runs, T* x) {
  for (int64_t t = 0; t < terms; ++t, columns += width) {
    T* to = x + plan.term_offset(t);
    for (const Run& r : runs) {
      T* at = to + r.from;
      const T* from = columns + r.column;
      for (int64_t j = 0; j < r.count; ++j) at[j] += from[j];
    }
  }
}

template <class T> void input_tiles(const Conv& c) {
  using P = Tiling<T>;
  Plan plan(c);
  auto* weight = static_cast<const T*>(c.weight);
  auto* y = static_cast<const T*>(c.y);
  Padded<T> padded(plan);
  T* x = padded.p;
  // Channels of the input are shared out too where there are few images.
  int64_t cuts = 1;
  while (c.batch * c.groups * cuts < 16 && c.inputs > 2 * cuts) cuts *= 2;
  int64_t share = (c.inputs + cuts - 1) / cuts, rows = round_up(share * plan.taps, P::mr);
  int64_t width = std::max<int64_t>(P::nr, std::min<int64_t>(512, 65536 / rows) / P::nr * P::nr);
  Scratch<T> pa(c.groups * cuts * rows * c.outputs);
  parallel_for(c.groups * cuts, 1, [&](int64_t begin, int64_t last) {
    for (int64_t q = begin; q < last; ++q) {
      int64_t g = q / cuts, channel = q % cuts * share, h = std::min(share, c.inputs - channel) * plan.taps;
      if (h > 0)
        pack<T>(weight + g * c.outputs * plan.terms + channel * plan.taps, plan.terms, 1, c.outputs, h, P::mr, pa.p + q * rows * c.outputs);
    }
  });
  parallel_for(c.batch * c.groups * cuts, 1, [&](int64_t begin, int64_t last) {
    Scratch<T> pb(width * c.outputs), columns(rows * width);
    std::vector<Run> runs;
    for (int64_t task = begin; task < last; ++task) {
      int64_t n = task / (c.groups * cuts), q = task % (c.groups * cuts), g = q / cuts, channel = q % cuts * share;
      int64_t h = std::min(share, c.inputs - channel);
      if (h <= 0) continue;
      T* image = x + ((n * c.groups + g) * c.inputs + channel) * plan.image;
      const T* from = y + (n * c.groups + g) * c.outputs * plan.positions;
      std::fill_n(image, h * plan.image, T(0));
      for (int64_t p = 0; p < plan.positions; p += width) {
        int64_t count = std::min(width, plan.positions - p);
        pack<T>(from + p, plan.positions, 1, c.outputs, count, P::nr, pb.p);
        multiply<T>(h * plan.taps, count, c.outputs, pa.p + q * rows * c.outputs, pb.p, columns.p, width, false);
        find_runs(plan, p, count, 0, runs);
        scatter(plan, columns.p, width, h * plan.taps, runs, image);
      }
    }
  });
  padded.write();
}

// Panels of y's channels [k, mr] over positions [first, first + count) of the batch.
template <class T> void pack_outputs(const Plan& plan, const T* y, int64_t g, int64_t first, int64_t count, T* to) {
  constexpr int mr = Tiling<T>::mr;
  const Conv& c = plan.c;
  for (int64_t i = 0; i < c.outputs; i += mr, to += mr * count)
    for (int64_t j = 0; j < count;) {
      int64_t n = (first + j) / plan.positions, p = (first + j) % plan.positions;
      int64_t length = std::min(plan.positions - p, count - j);
      pack<T>(y + ((n * c.groups + g) * c.outputs + i) * plan.positions + p, 1, plan.positions, length,
              std::min<int64_t>(mr, c.outputs - i), mr, to + j * mr);
      j += length;
    }
}

// One panel of the implicit matrix [positions, (tap, input)], over an image with its channels last.
template <class T>
void gather_rows(const Plan& plan, const T* x, const T* end, int64_t g, int64_t column, int64_t columns, int64_t first, int64_t count, T* to) {
  constexpr int nr = Tiling<T>::nr;
  const Conv& c = plan.c;
  int64_t channels = c.groups * c.inputs;
  for (int64_t p = first; p < first + count; ++p, to += nr) {
    const T* window = x + (p / plan.positions * plan.image + plan.start(p % plan.positions)) * channels + g * c.inputs;
    for (int64_t j = 0; j < columns;) {
      int64_t tap = (column + j) / c.inputs, channel = (column + j) % c.inputs, n = std::min(c.inputs - channel, columns - j);
      copy_run(window + plan.tap_offset[static_cast<size_t>(tap)] * channels + channel, end, to + j, n);
      j += n;
    }
  }
}

template <class T> void weight_tiles(const Conv& c, int64_t parts) {
  using P = Tiling<T>;
  Plan plan(c, false);
  auto* x = static_cast<const T*>(c.x);
  auto* y = static_cast<const T*>(c.y);
  auto* weight = static_cast<T*>(c.weight);
  const T* end = x + c.batch * c.groups * c.inputs * plan.image;
  int64_t blocks = (plan.terms + P::nc - 1) / P::nc, all = c.batch * plan.positions, share = (all + parts - 1) / parts;
  parallel_for(parts * c.groups * blocks, 1, [&](int64_t begin, int64_t last) {
    Scratch<T> pa(round_up(c.outputs, P::mr) * P::kc), pb(P::nr * P::kc + P::nr);
    for (int64_t task = begin; task < last; ++task) {
      int64_t part = task / (c.groups * blocks), g = task / blocks % c.groups, column = task % blocks * P::nc;
      int64_t columns = std::min<int64_t>(P::nc, plan.terms - column), stop = std::min(all, (part + 1) * share);
      T* to = weight + (part * c.groups + g) * c.outputs * plan.terms + column;
      for (int64_t i = 0; part * share >= all && i < c.outputs; ++i) std::fill_n(to + i * plan.terms, columns, T(0));
      for (int64_t p = part * share; p < stop; p += P::kc) {
        int64_t k = std::min<int64_t>(P::kc, stop - p);
        pack_outputs(plan, y, g, p, k, pa.p);
        for (int64_t j = 0; j < columns; j += P::nr) {
          int64_t w = std::min<int64_t>(P::nr, columns - j);
          gather_rows(plan, x, end, g, column + j, w, p, k, pb.p);
          multiply<T>(c.outputs, w, k, pa.p, pb.p, to + j, plan.terms, p > part * share);
        }
      }
    }
  });
}

template <class T> void conv_forward(const Conv& c) { c.outputs < kFewOutputs ? forward_rows<T>(c) : forward_tiles<T>(c); }
template <class T> void conv_input(const Conv& c) { c.outputs < kFewOutputs ? input_rows<T>(c) : input_tiles<T>(c); }
template <class T> void conv_weight(const Conv& c, int64_t parts) { parts == 0 ? weight_rows<T>(c) : weight_tiles<T>(c, parts); }

template <class T> void put(FloatKernels<T>& k) {
  k.conv_forward = conv_forward<T>;
  k.conv_input = conv_input<T>;
  k.conv_weight = conv_weight<T>;
}

}  // namespace

void fill_conv(Kernels& k) {
  put(k.f32);
  put(k.f64);
}

}  // namespace wootz::cpu::WOOTZ_ISA
