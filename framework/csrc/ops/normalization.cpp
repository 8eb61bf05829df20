// One normalisation for layer, RMS, batch, group and instance norm: (x - mean) / sqrt(var + eps) * weight + bias with the
// statistics over some dimensions. The last ones, with a weight by element, go row by row; the rest in groups of runs.
#include <cmath>

#include "core/parallel.h"
#include "forward.h"
#include "ops/rules.h"

namespace wootz::forward {
namespace {

constexpr int64_t kGrain = 16384;

struct Layout {
  Dims dims;         // of the statistics, sorted
  Dims stat_shape;   // with 1 where reduced
  bool by_row;       // weights along the last dimension
  cpu::NormGroups groups;
  bool batch;        // the groups are channels, their runs one in each image

  Layout(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias, const Dims& over) {
    dims = wrap_dims(over, x.dim());
    std::sort(dims.begin(), dims.end());
    WOOTZ_CHECK(!dims.empty() && x.numel() > 0, ErrorKind::Shape, op, ": needs dimensions to normalise over and elements in them");
    stat_shape = x.shape();
    for (int64_t d : dims) stat_shape[static_cast<int>(d)] = 1;
    int first = static_cast<int>(dims[0]), last = x.dim() - 1;
    batch = x.dim() == 3 && dims == Dims{0, 2};
    WOOTZ_CHECK(batch || (dims.size() == last - first + 1 && dims.back() == last), ErrorKind::Shape, op,
          ": normalises over the last dimensions, or over the first and last of three, not over ", text(dims), " of ", x.dim());
    bool affine = weight.defined() || bias.defined();
    by_row = !batch && (!affine || varies(weight) || varies(bias));
    WOOTZ_CHECK(!by_row || (flat(weight, dims) && flat(bias, dims)), ErrorKind::Shape, op,
          ": a weight by element has the shape of the dimensions that are normalised over");
    const Dims& s = x.shape();
    if (batch) groups = {s[1], s[0], s[2], s[2], s[1] * s[2]};
    else if (by_row) groups = {x.numel() / volume(s, first, last + 1), 1, volume(s, first, last + 1), volume(s, first, last + 1), 0};
    else groups = {x.numel() / volume(s, first, last + 1), volume(s, first, last), s[last], volume(s, first, last + 1), s[last]};
  }

  static int64_t volume(const Dims& s, int from, int to) {
    int64_t n = 1;
    for (int d = from; d < to; ++d) n *= s[d];
    return n;
  }
  static bool varies(const Tensor& t) { return t.defined() && t.dim() > 0 && t.size(-1) != 1; }
  static bool flat(const Tensor& t, const Dims& dims) { return !t.defined() || t.dim() <= dims.size(); }
  int64_t size() const { return groups.segments * groups.length; }
  int64_t grain() const { return std::max<int64_t>(1, kGrain / size()); }

  // A weight by [group, segment], or `otherwise` where there is none.
  Tensor by_run(const Tensor& weight, const Tensor& x, double otherwise) const {
    if (!weight.defined()) return full({groups.groups, groups.segments}, x.dtype(), otherwise);
    Dims shape = x.shape();
    shape[x.dim() - 1] = 1;
    Tensor t = expand(weight, shape);
    if (batch) t = transpose(t, 0, 1);
    return reshape(clone(t), {groups.groups, groups.segments});
  }
  // Sums by [group, segment] in the shape of x with its last dimension 1.
  Tensor as_image(const Tensor& sums, const Tensor& x) const {
    Dims shape = x.shape();
    shape[x.dim() - 1] = 1;
    return batch ? reshape(transpose(sums, 0, 1), shape) : reshape(sums, shape);
  }
};

void check_types(const char* op, const Tensor& x, std::initializer_list<const Tensor*> others) {
  for (const Tensor* t : others)
    WOOTZ_CHECK(!t->defined() || t->dtype() == x.dtype(), ErrorKind::DType, op, ": expected tensors of one dtype, got ", name_of(x.dtype()),
          " and ", name_of(t->dtype()));
}

template <class T> const T* or_null(const Tensor& t) { return t.defined() ? t.data<T>() : nullptr; }

// A weight by element as a row, or nothing.
Tensor as_row(const Layout& l, const Tensor& t, const Tensor& x) {
  if (!t.defined()) return t;
  Dims shape;
  for (int64_t d : l.dims) shape.push(x.shape()[static_cast<int>(d)]);
  return contiguous(reshape(clone(expand(t, shape)), {l.size()}));
}

// [groups] tensors: the mean and 1 / sqrt(var + eps), from what is given or from x.
template <class T> std::array<Tensor, 2> statistics(const Layout& l, const Tensor& x, const Tensor& mean, const Tensor& var, double eps, bool centred) {
  Tensor m = empty({l.groups.groups}, x.dtype()), r = empty({l.groups.groups}, x.dtype());
  if (mean.defined() || var.defined()) {
    WOOTZ_CHECK(mean.defined() && var.defined() && mean.numel() == l.groups.groups && var.numel() == l.groups.groups, ErrorKind::Shape,
          "normalise: expected a mean and a var of ", l.groups.groups, " elements, or neither");
    Tensor a = contiguous(mean), b = contiguous(var);
    std::copy_n(a.data<T>(), l.groups.groups, m.data<T>());
    std::copy_n(b.data<T>(), l.groups.groups, r.data<T>());
  } else {
    parallel_for(l.groups.groups, l.grain(), [&](int64_t a, int64_t b) {
      cpu::kernels().real<T>().group_moments(x.data<T>(), l.groups, m.data<T>(), r.data<T>(), a, b, centred);
    });
  }
  for (int64_t i = 0; i < l.groups.groups; ++i) r.data<T>()[i] = T(1) / std::sqrt(r.data<T>()[i] + static_cast<T>(eps));
  return {m, r};
}

template <class T> void scale_runs(const Layout& l, const Tensor& by_run, const Tensor& by_group) {
  for (int64_t g = 0; g < l.groups.groups; ++g)
    for (int64_t q = 0; q < l.groups.segments; ++q) by_run.data<T>()[g * l.groups.segments + q] *= by_group.data<T>()[g];
}

// The gradient of the statistics' part, from sums by run; leaves a, b and c of dx = a g + b (x - mean) + c.
template <class T>
void coefficients(const Layout& l, const T* weight, const T* inverse, const T* sum, const T* product, T* a, T* b, T* c, bool centred) {
  int64_t segments = l.groups.segments;
  auto n = static_cast<double>(l.size());
  for (int64_t g = 0; g < l.groups.groups; ++g) {
    double h = 0, hz = 0, r = inverse[g];
    for (int64_t k = g * segments; k < (g + 1) * segments; ++k) {
      h += static_cast<double>(weight[k]) * sum[k];
      hz += static_cast<double>(weight[k]) * product[k] * r;
    }
    for (int64_t k = g * segments; k < (g + 1) * segments; ++k) {
      a[k] = static_cast<T>(r * weight[k]);
      b[k] = static_cast<T>(-r * r * hz / n);
      c[k] = static_cast<T>(centred ? -r * h / n : 0);
    }
  }
}

template <class T>
std::array<Tensor, 3> rows_backward(const Layout& l, const Tensor& g, const Tensor& x, const Tensor& weight, double eps, bool centred) {
  int64_t rows = l.groups.groups, n = l.size();
  Tensor w = as_row(l, weight, x), dx = empty(x.shape(), x.dtype());
  // Partial sums of fixed shares of the rows: the result does not depend on who computes which.
  int64_t share = std::max<int64_t>({1, kGrain / n, (rows + 63) / 64}), parts = (rows + share - 1) / share;
  Tensor dw = zeros({parts, n}, x.dtype()), db = zeros({parts, n}, x.dtype());
  parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      int64_t r = p * share, h = std::min(share, rows - r);
      cpu::kernels().real<T>().norm_rows_backward(g.data<T>() + r * n, x.data<T>() + r * n, or_null<T>(w), dx.data<T>() + r * n,
                                                  dw.data<T>() + p * n, db.data<T>() + p * n, h, n, eps, centred);
    }
  });
  Dims shape;
  for (int64_t d : l.dims) shape.push(x.shape()[static_cast<int>(d)]);
  return {dx, reshape(sum(dw, Dims{0}, false, std::nullopt), shape), reshape(sum(db, Dims{0}, false, std::nullopt), shape)};
}

template <class T>
std::array<Tensor, 3> groups_backward(const Layout& l, const Tensor& g, const Tensor& x, const Tensor& weight, const Tensor& mean,
                                      const Tensor& var, double eps, bool centred) {
  auto [m, r] = statistics<T>(l, x, mean, var, eps, centred);
  Dims runs{l.groups.groups, l.groups.segments};
  Tensor w = l.by_run(weight, x, 1), dx = empty(x.shape(), x.dtype()), s = empty(runs, x.dtype()), p = empty(runs, x.dtype());
  Tensor a = empty(runs, x.dtype()), b = empty(runs, x.dtype()), c = empty(runs, x.dtype());
  const auto& kernels = cpu::kernels().real<T>();
  parallel_for(l.groups.groups, l.grain(), [&, mean = m](int64_t i, int64_t j) {
    kernels.group_sums(g.data<T>(), x.data<T>(), l.groups, mean.template data<T>(), s.data<T>(), p.data<T>(), i, j);
  });
  coefficients<T>(l, w.data<T>(), r.template data<T>(), s.data<T>(), p.data<T>(), a.data<T>(), b.data<T>(), c.data<T>(), centred);
  parallel_for(l.groups.groups, l.grain(), [&, mean = m](int64_t i, int64_t j) {
    kernels.group_combine(g.data<T>(), x.data<T>(), l.groups, mean.template data<T>(), a.data<T>(), b.data<T>(), c.data<T>(), dx.data<T>(), i, j);
  });
  scale_runs<T>(l, p, r);
  return {dx, l.as_image(p, x), l.as_image(s, x)};
}

}  // namespace

std::array<Tensor, 2> moments(const Tensor& self, const Dims& dims, bool centred) {
  Tensor x = contiguous(self);
  Layout l("moments", x, Tensor(), Tensor(), dims);
  Tensor mean = empty(l.stat_shape, x.dtype()), var = empty(l.stat_shape, x.dtype());
  visit_float(x.dtype(), "moments", [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel_for(l.groups.groups, l.grain(), [&](int64_t a, int64_t b) {
      cpu::kernels().real<T>().group_moments(x.data<T>(), l.groups, mean.data<T>(), var.data<T>(), a, b, centred);
    });
  });
  return {mean, var};
}

Tensor normalise(const Tensor& input, const Tensor& weight, const Tensor& bias, const Tensor& mean, const Tensor& var, const Dims& dims,
                 double eps, bool centred) {
  if (input.numel() == 0) return empty(input.shape(), input.dtype());
  check_types("normalise", input, {&weight, &bias, &mean, &var});
  Tensor x = contiguous(input), y = empty(x.shape(), x.dtype());
  Layout l("normalise", x, weight, bias, dims);
  visit_float(x.dtype(), "normalise", [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto& kernels = cpu::kernels().real<T>();
    if (l.by_row) {
      Tensor w = as_row(l, weight, x), b = as_row(l, bias, x);
      int64_t n = l.size();
      parallel_for(l.groups.groups, l.grain(), [&](int64_t i, int64_t j) {
        kernels.norm_rows(x.data<T>() + i * n, or_null<T>(w), or_null<T>(b), y.data<T>() + i * n, j - i, n, eps, centred);
      });
      return;
    }
    std::array<Tensor, 2> s = statistics<T>(l, x, mean, var, eps, centred);
    Tensor w = l.by_run(weight, x, 1), b = l.by_run(bias, x, 0);
    scale_runs<T>(l, w, s[1]);
    parallel_for(l.groups.groups, l.grain(), [&](int64_t i, int64_t j) {
      kernels.group_apply(x.data<T>(), l.groups, s[0].template data<T>(), w.data<T>(), b.data<T>(), y.data<T>(), i, j);
    });
  });
  return y;
}

// The gradients of input, weight and bias; the last two in shapes that the engine sums to theirs.
std::array<Tensor, 3> normalise_backward(const Tensor& grad, const Tensor& input, const Tensor& weight, const Tensor& bias,
                                         const Tensor& mean, const Tensor& var, const Dims& dims, double eps, bool centred) {
  if (input.numel() == 0) {
    Tensor none = zeros(input.shape(), input.dtype());
    return {none, none, none};
  }
  WOOTZ_CHECK(grad.shape() == input.shape(), ErrorKind::Shape, "normalise: a gradient of shape ", text(grad.shape()), " for an input of shape ",
        text(input.shape()));
  check_types("normalise", input, {&grad, &weight, &bias, &mean, &var});
  Tensor x = contiguous(input), g = contiguous(grad);
  Layout l("normalise", x, weight, bias, dims);
  std::array<Tensor, 3> out;
  visit_float(x.dtype(), "normalise", [&](auto tag) {
    using T = typename decltype(tag)::type;
    out = l.by_row ? rows_backward<T>(l, g, x, weight, eps, centred) : groups_backward<T>(l, g, x, weight, mean, var, eps, centred);
  });
  return out;
}

}  // namespace wootz::forward

namespace wootz::rules {
namespace {

// The same out of recorded ops, for derivatives of the derivative: the statistics are taken from the input anew.
std::array<Tensor, 3> normalise_recorded(const Tensor& g, const Tensor& x, const Tensor& weight, const Dims& dims, double eps, bool centred) {
  auto average = [&](const Tensor& t) { return ops::mean(t, dims, true, std::nullopt); };
  Tensor centre = centred ? x - average(x) : x;
  Tensor inverse = ops::rsqrt(average(centre * centre) + eps), z = centre * inverse, h = weight.defined() ? g * weight : g;
  Tensor rest = centred ? h - average(h) : h;
  return {inverse * (rest - z * average(h * z)), g * z, g};
}

}  // namespace

std::array<Tensor, 3> normalise(const Tensor& grad, const Tensor& input, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                                const Tensor& var, const Dims& dims, double eps, bool centred) {
  if (recording(grad, input, weight)) return normalise_recorded(grad, input, weight, dims, eps, centred);
  return ops::normalise_backward(grad, input, weight, bias, mean, var, dims, eps, centred);
}

}  // namespace wootz::rules
