// Softmax and cross-entropy over the row kernels.
#include "core/parallel.h"
#include "forward.h"
#include "ops/rules.h"

namespace wootz::forward {
namespace {

constexpr int64_t kGrain = 8192;

Tensor real(const Tensor& t, std::optional<DType> dtype) {
  DType to = dtype.value_or(is_integral(t.dtype()) ? default_dtype() : t.dtype());
  return t.dtype() == to ? t : cast(t, to);
}

// Runs a row kernel along any dimension: the others are moved out of its way, and back.
template <class F> Tensor along_rows(const char* op, const TensorList& inputs, int64_t dim, F run) {
  const Tensor& x = inputs[0];
  for (const Tensor& t : inputs) {
    WOOTZ_CHECK(t.shape() == x.shape(), ErrorKind::Shape, op, ": shapes ", text(x.shape()), " and ", text(t.shape()), " differ");
    WOOTZ_CHECK(t.dtype() == x.dtype(), ErrorKind::DType, op, ": dtypes ", name_of(x.dtype()), " and ", name_of(t.dtype()), " differ");
  }
  int d = wrap_dim(dim, x.dim());
  bool last = x.dim() == 0 || d == x.dim() - 1;
  TensorList rows;
  for (const Tensor& t : inputs) rows.push_back(contiguous(last ? t : transpose(t, d, -1)));
  Tensor out = empty(rows[0].shape(), x.dtype());
  int64_t n = x.dim() ? rows[0].size(-1) : 1;
  if (out.numel() > 0)
    visit_float(x.dtype(), op, [&](auto tag) {
      using T = typename decltype(tag)::type;
      parallel_for(out.numel() / n, std::max<int64_t>(1, kGrain / n),
                   [&](int64_t a, int64_t b) { run(tag, rows, out.data<T>() + a * n, a * n, b - a, n); });
    });
  return last ? out : transpose(out, d, -1);
}

}  // namespace

Tensor softmax(const Tensor& self, int64_t dim, std::optional<DType> dtype) {
  return along_rows("softmax", {real(self, dtype)}, dim, [](auto tag, auto& in, auto* out, int64_t at, int64_t rows, int64_t n) {
    using T = typename decltype(tag)::type;
    cpu::kernels().real<T>().softmax(in[0].template data<T>() + at, out, rows, n);
  });
}

Tensor log_softmax(const Tensor& self, int64_t dim, std::optional<DType> dtype) {
  return along_rows("log_softmax", {real(self, dtype)}, dim, [](auto tag, auto& in, auto* out, int64_t at, int64_t rows, int64_t n) {
    using T = typename decltype(tag)::type;
    cpu::kernels().real<T>().log_softmax(in[0].template data<T>() + at, out, rows, n);
  });
}

Tensor softmax_backward(const Tensor& grad, const Tensor& output, int64_t dim) {
  return along_rows("softmax_backward", {grad, output}, dim, [](auto tag, auto& in, auto* out, int64_t at, int64_t rows, int64_t n) {
    using T = typename decltype(tag)::type;
    cpu::kernels().real<T>().softmax_backward(in[0].template data<T>() + at, in[1].template data<T>() + at, out, rows, n);
  });
}

Tensor log_softmax_backward(const Tensor& grad, const Tensor& output, int64_t dim) {
  return along_rows("log_softmax_backward", {grad, output}, dim, [](auto tag, auto& in, auto* out, int64_t at, int64_t rows, int64_t n) {
    using T = typename decltype(tag)::type;
    cpu::kernels().real<T>().log_softmax_backward(in[0].template data<T>() + at, in[1].template data<T>() + at, out, rows, n);
  });
}

namespace {

// Class indices as int64, each checked against the number of classes.
Tensor classes(const Tensor& self, const Tensor& target, int64_t ignore_index) {
  WOOTZ_CHECK(self.dim() == 2 && target.dim() == 1, ErrorKind::Shape, "cross_entropy: expected logits (rows, classes) and ",
        "target (rows), got ", text(self.shape()), " and ", text(target.shape()));
  WOOTZ_CHECK(self.size(0) == target.size(0), ErrorKind::Shape, "Expected input batch_size (", self.size(0),
        ") to match target batch_size (", target.size(0), ").");
  WOOTZ_CHECK(is_integral(target.dtype()) && target.dtype() != DType::Bool, ErrorKind::DType,
        "cross_entropy: expected target of an integer dtype with class indices, got ", name_of(target.dtype()));
  Tensor t = target.dtype() == DType::Int64 ? contiguous(target) : cast(target, DType::Int64);
  const int64_t* p = t.data<int64_t>();
  for (int64_t i = 0; i < t.numel(); ++i)
    WOOTZ_CHECK(p[i] == ignore_index || (p[i] >= 0 && p[i] < self.size(1)), ErrorKind::Index, "Target ", p[i],
          " is out of bounds for ", self.size(1), " classes.");
  return t;
}

void run_rows(const cpu::CrossEntropy& job, DType dtype, int64_t rows) {
  visit_float(dtype, "cross_entropy", [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel_for(rows, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, job.classes)),
                 [&](int64_t a, int64_t b) { cpu::kernels().real<T>().cross_entropy(job, a, b); });
  });
}

}  // namespace

Tensor cross_entropy_rows(const Tensor& self, const Tensor& target, int64_t ignore_index, double label_smoothing) {
  WOOTZ_CHECK(label_smoothing >= 0 && label_smoothing <= 1, ErrorKind::Value, "label_smoothing must be between 0.0 and 1.0");
  Tensor t = classes(self, target, ignore_index), x = contiguous(self), loss = empty({self.size(0)}, self.dtype());
  run_rows({x.bytes(), t.data<int64_t>(), loss.bytes(), nullptr, nullptr, self.size(1), ignore_index, label_smoothing},
           self.dtype(), self.size(0));
  return loss;
}

Tensor cross_entropy_backward(const Tensor& self, const Tensor& target, const Tensor& scale, int64_t ignore_index,
                              double label_smoothing) {
  Tensor t = classes(self, target, ignore_index), x = contiguous(self), out = empty(self.shape(), self.dtype());
  Tensor s = contiguous(expand(scale.dtype() == self.dtype() ? scale : cast(scale, self.dtype()), {self.size(0)}));
  run_rows({x.bytes(), t.data<int64_t>(), nullptr, out.bytes(), s.bytes(), self.size(1), ignore_index, label_smoothing},
           self.dtype(), self.size(0));
  return out;
}

Tensor count_valid(const Tensor& target, int64_t ignore_index) {
  Tensor valid = ne(target, wrapped_scalar(ignore_index));
  return cast(sum(valid, std::nullopt, false, std::nullopt), default_dtype());
}

}  // namespace wootz::forward
