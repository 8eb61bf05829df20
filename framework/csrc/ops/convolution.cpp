// Convolution in one to three dimensions: one trilinear form in input, weight and output, so that the derivative of each
// of its three products is made of the other two.
#include "core/parallel.h"
#include "forward.h"
#include "ops/rules.h"

namespace wootz::forward {
namespace {

struct Shape3 { int64_t v[3] = {1, 1, 1}; };

// The last `n` of three.
Shape3 three(const Dims& d, int n, int64_t fill) {
  Shape3 s{{fill, fill, fill}};
  for (int i = 0; i < n; ++i) s.v[3 - n + i] = d[i];
  return s;
}

struct Geometry3 {
  const char* op;
  int n;  // spatial dimensions
  int64_t batch, groups, inputs, outputs;  // channels of one group
  Shape3 size, kernel, stride, padding, dilation, out;

  Geometry3(const char* name, const Dims& input, const Dims& weight, const Dims& strides, const Dims& paddings,
            const Dims& dilations, int64_t group_count)
      : op(name), n(input.size() - 2), groups(group_count) {
    WOOTZ_CHECK(n >= 1 && n <= 3, ErrorKind::Shape, op, ": expected an input of (batch, channels, 1 to 3 spatial dimensions), got shape ", text(input));
    WOOTZ_CHECK(weight.size() == input.size(), ErrorKind::Shape, op, ": expected a ", n + 2, "-D weight for an input of shape ", text(input),
          ", got shape ", text(weight));
    for (const Dims* d : {&strides, &paddings, &dilations})
      WOOTZ_CHECK(d->size() == n, ErrorKind::Shape, op, ": stride, padding and dilation take ", n, " numbers here, got ", text(*d));
    WOOTZ_CHECK(groups > 0, ErrorKind::Value, op, ": non-positive groups is not supported, got ", groups);
    WOOTZ_CHECK(weight[0] % groups == 0, ErrorKind::Shape, op, ": ", weight[0], " output channels cannot be shared among ", groups, " groups");
    WOOTZ_CHECK(input[1] == weight[1] * groups, ErrorKind::Shape, "Given groups=", groups, ", weight of size ", text(weight),
          ", expected input", text(input), " to have ", weight[1] * groups, " channels, but got ", input[1], " channels instead");
    batch = input[0];
    inputs = weight[1];
    outputs = weight[0] / groups;
    stride = three(strides, n, 1);
    padding = three(paddings, n, 0);
    dilation = three(dilations, n, 1);
    for (int i = 0; i < 3; ++i) {
      int d = i - (3 - n) + 2;
      size.v[i] = d < 2 ? 1 : input[d];
      kernel.v[i] = d < 2 ? 1 : weight[d];
      set_out(i);
    }
  }

  void set_out(int i) {
    WOOTZ_CHECK(stride.v[i] > 0, ErrorKind::Value, op, ": non-positive stride is not supported");
    WOOTZ_CHECK(dilation.v[i] > 0, ErrorKind::Value, op, ": dilation should be greater than zero");
    WOOTZ_CHECK(padding.v[i] >= 0, ErrorKind::Value, op, ": negative padding is not supported");
    WOOTZ_CHECK(kernel.v[i] > 0, ErrorKind::Shape, op, ": the kernel has an extent of 0");
    int64_t padded = size.v[i] + 2 * padding.v[i], window = dilation.v[i] * (kernel.v[i] - 1) + 1;
    WOOTZ_CHECK(padded >= window, ErrorKind::Shape, op, ": the padded input (", padded, ") is smaller than the dilated kernel (", window, ")");
    out.v[i] = (padded - window) / stride.v[i] + 1;
  }

  Dims spatial(const Shape3& s) const {
    Dims d;
    for (int i = 3 - n; i < 3; ++i) d.push(s.v[i]);
    return d;
  }
  Dims shape(int64_t first, int64_t second, const Shape3& s) const {
    Dims d{first, second};
    for (int64_t x : spatial(s)) d.push(x);
    return d;
  }
  Dims input_shape() const { return shape(batch, groups * inputs, size); }
  Dims output_shape() const { return shape(batch, groups * outputs, out); }
  Shape3 padded() const {
    Shape3 s;
    for (int i = 0; i < 3; ++i) s.v[i] = size.v[i] + 2 * padding.v[i];
    return s;
  }
  // With what padding the transpose of a convolution of stride 1 is a convolution; nothing where it is none.
  std::optional<Dims> mirror_padding() const {
    Shape3 around;
    for (int i = 0; i < 3; ++i) {
      around.v[i] = dilation.v[i] * (kernel.v[i] - 1) - padding.v[i];
      if (stride.v[i] != 1 || around.v[i] < 0) return std::nullopt;
    }
    return spatial(around);
  }
  bool unpadded() const { return padding.v[0] == 0 && padding.v[1] == 0 && padding.v[2] == 0; }
  // Where the input lies within a padded tensor whose spatial dimensions begin at `first`.
  Tensor inside(const Tensor& t, int first) const {
    Dims shape = t.shape();
    int64_t offset = t->offset;
    for (int i = 0; i < n; ++i) {
      int64_t pad = padding.v[3 - n + i];
      shape[first + i] -= 2 * pad;
      offset += pad * t.strides()[first + i];
    }
    return raw_view(t, shape, t.strides(), offset);
  }
  cpu::Conv job(bool by_phase = true) const {
    cpu::Conv c{};
    c.batch = batch;
    c.groups = groups;
    c.inputs = inputs;
    c.outputs = outputs;
    Shape3 whole = padded();
    c.phase = (whole.v[2] + stride.v[2] - 1) / stride.v[2];
    whole.v[2] = by_phase ? c.phase * stride.v[2] : whole.v[2];
    for (int i = 0; i < 3; ++i) {
      c.extent[i] = size.v[i];
      c.padding[i] = padding.v[i];
      c.size[i] = whole.v[i];
      c.kernel[i] = kernel.v[i];
      c.stride[i] = stride.v[i];
      c.dilation[i] = dilation.v[i];
      c.out[i] = out.v[i];
    }
    return c;
  }
};

void same_type(const char* op, const Tensor& a, const Tensor& b) {
  WOOTZ_CHECK(a.dtype() == b.dtype(), ErrorKind::DType, op, ": expected tensors of one dtype, got ", name_of(a.dtype()), " and ",
        name_of(b.dtype()));
}

void need_shape(const char* op, const char* what, const Tensor& t, const Dims& shape) {
  WOOTZ_CHECK(t.shape() == shape, ErrorKind::Shape, op, ": expected ", what, " of shape ", text(shape), ", got ", text(t.shape()));
}

// The weight with its channels exchanged and its taps in reverse: the transpose of a convolution of stride 1 is one too.
Tensor mirrored(const Geometry3& g, const Tensor& weight) {
  Tensor w = contiguous(weight), out = empty(g.shape(g.groups * g.inputs, g.outputs, g.kernel), w.dtype());
  int64_t taps = count(g.spatial(g.kernel));
  visit_float(w.dtype(), g.op, [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel_for(g.groups * g.inputs, std::max<int64_t>(1, 8192 / (g.outputs * taps)), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t o = 0; o < g.outputs; ++o) {
          const T* from = w.data<T>() + ((i / g.inputs * g.outputs + o) * g.inputs + i % g.inputs) * taps;
          std::reverse_copy(from, from + taps, out.data<T>() + (i * g.outputs + o) * taps);
        }
    });
  });
  return out;
}

// The same with the channels last: [batch, padded..., channels].
Tensor pad_channels_last(const Geometry3& g, const Tensor& x) {
  Dims order{0};
  for (int d = 2; d < x.dim(); ++d) order.push(d);
  order.push(1);
  Tensor last = permute(x, order);
  if (g.unpadded()) return contiguous(last);
  Dims shape{g.batch};
  for (int64_t s : g.spatial(g.padded())) shape.push(s);
  shape.push(g.groups * g.inputs);
  Tensor out = zeros(shape, x.dtype());
  assign(g.inside(out, 1), last);
  return out;
}

constexpr int64_t kFewOutputs = 4;  // a group: then the kernel goes row by row

}  // namespace

Tensor convolve(const Tensor& input, const Tensor& weight, const Tensor& bias, const Dims& stride, const Dims& padding,
                const Dims& dilation, int64_t groups) {
  Geometry3 g("convolution", input.shape(), weight.shape(), stride, padding, dilation, groups);
  same_type(g.op, input, weight);
  if (bias.defined()) {
    need_shape(g.op, "a bias", bias, {weight.size(0)});
    same_type(g.op, input, bias);
  }
  Tensor out = empty(g.output_shape(), input.dtype());
  if (out.numel() == 0) return out;
  Tensor x = contiguous(input), w = contiguous(weight), b = bias.defined() ? contiguous(bias) : bias;
  if (g.inputs == 0) {
    assign(out, bias.defined() ? unsqueeze(reshape(b, {weight.size(0), 1}), 0) : wrapped_scalar(0.0));
    return out;
  }
  cpu::Conv c = g.job();
  c.x = x.bytes();
  c.weight = w.bytes();
  c.y = out.bytes();
  c.bias = bias.defined() ? b.bytes() : nullptr;
  visit_float(input.dtype(), g.op, [&](auto tag) { cpu::kernels().real<typename decltype(tag)::type>().conv_forward(c); });
  return out;
}

Tensor convolve_input(const Tensor& output, const Tensor& weight, const Dims& size, const Dims& stride, const Dims& padding,
                      const Dims& dilation, int64_t groups) {
  Dims shape{output.size(0), weight.size(1) * groups};
  for (int64_t s : size) shape.push(s);
  Geometry3 g("transposed convolution", shape, weight.shape(), stride, padding, dilation, groups);
  same_type(g.op, output, weight);
  need_shape(g.op, "an argument", output, g.output_shape());
  if (output.numel() == 0 || count(shape) == 0 || weight.numel() == 0) return zeros(shape, output.dtype());
  if (std::optional<Dims> around = g.mirror_padding()) return convolve(output, mirrored(g, weight), Tensor(), stride, *around, dilation, groups);
  cpu::Conv c = g.job();
  Tensor input = empty(shape, output.dtype()), y = contiguous(output), w = contiguous(weight);
  c.x = input.bytes();
  c.weight = w.bytes();
  c.y = y.bytes();
  visit_float(output.dtype(), g.op, [&](auto tag) { cpu::kernels().real<typename decltype(tag)::type>().conv_input(c); });
  return input;
}

Tensor convolve_weight(const Tensor& input, const Tensor& output, const Dims& kernel, const Dims& stride, const Dims& padding,
                       const Dims& dilation, int64_t groups) {
  WOOTZ_CHECK(groups > 0 && input.dim() > 2 && input.size(1) % groups == 0 && output.dim() == input.dim(), ErrorKind::Shape,
        "convolution: shapes ", text(input.shape()), " and ", text(output.shape()), " do not fit ", groups, " groups");
  Dims shape{output.size(1), input.size(1) / groups};
  for (int64_t k : kernel) shape.push(k);
  Geometry3 g("convolution", input.shape(), shape, stride, padding, dilation, groups);
  same_type(g.op, input, output);
  need_shape(g.op, "an argument", output, g.output_shape());
  if (input.numel() == 0 || output.numel() == 0) return zeros(shape, input.dtype());
  bool rows = g.outputs < kFewOutputs;
  Tensor x = rows ? contiguous(input) : pad_channels_last(g, input), y = contiguous(output);
  int64_t parts = rows ? 0 : std::max<int64_t>(1, std::min<int64_t>({g.batch, 8, (int64_t(1) << 24) / count(shape)}));
  Dims kept{g.groups * g.outputs, count(g.spatial(g.kernel)), g.inputs};
  if (!rows) kept.insert(0, parts);
  Tensor sums = empty(rows ? shape : kept, input.dtype());
  cpu::Conv c = g.job(rows);
  c.x = x.bytes();
  c.weight = sums.bytes();
  c.y = y.bytes();
  visit_float(input.dtype(), g.op, [&](auto tag) { cpu::kernels().real<typename decltype(tag)::type>().conv_weight(c, parts); });
  if (rows) return sums;
  Tensor total = parts == 1 ? select(sums, 0, 0) : sum(sums, Dims{0}, false, std::nullopt);
  return reshape(transpose(total, 1, 2), shape);
}

}  // namespace wootz::forward

namespace wootz::rules {

Dims spatial(const Dims& shape) {
  Dims d;
  for (int i = 2; i < shape.size(); ++i) d.push(shape[i]);
  return d;
}

Tensor channel_sum(const Tensor& grad) {
  Dims dims{0};
  for (int d = 2; d < grad.dim(); ++d) dims.push(d);
  return ops::sum(grad, dims, false, std::nullopt);
}

}  // namespace wootz::rules
