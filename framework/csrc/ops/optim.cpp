#include "ops/optim.h"

#include "core/backend.h"
#include "core/parallel.h"
#include "forward.h"
#include "ops/rules.h"

namespace wootz::optim {
namespace {

constexpr int64_t kGrain = 32768;

void check_state(const char* op, const TensorList& params, const TensorList& state, const char* what) {
  WOOTZ_CHECK(state.size() == params.size(), ErrorKind::Value, op, ": ", params.size(), " parameters but ", state.size(), " ", what);
  for (size_t i = 0; i < params.size(); ++i) {
    const Tensor &p = params[i], &s = state[i];
    WOOTZ_CHECK(s.shape() == p.shape(), ErrorKind::Shape, op, ": parameter ", i, " has shape ", text(p.shape()), ", its ", what,
          " ", text(s.shape()));
    WOOTZ_CHECK(s.dtype() == p.dtype(), ErrorKind::DType, op, ": parameter ", i, " has dtype ", name_of(p.dtype()), ", its ",
          what, " ", name_of(s.dtype()));
    WOOTZ_CHECK(p.is_contiguous(), ErrorKind::Shape, op, ": parameter ", i, " is not contiguous");
    WOOTZ_CHECK(p.device() == s.device(), ErrorKind::Device, op, ": parameter ", i, " is on ", text(p.device()), ", its ",
          what, " on ", text(s.device()));
  }
}

void check_written(const char* op, const TensorList& params, const TensorList& state, const char* what) {
  check_state(op, params, state, what);
  for (const Tensor& s : state) WOOTZ_CHECK(s.is_contiguous(), ErrorKind::Shape, op, ": ", what, " must be contiguous");
}

// Small parameters are taken whole, large ones in pieces; all of them in one parallel sweep.
template <class F> void pieces(const TensorList& params, F run) {
  struct Piece { size_t i; int64_t begin, end; };
  std::vector<Piece> work;
  for (size_t i = 0; i < params.size(); ++i)
    for (int64_t b = 0; b < params[i].numel(); b += kGrain) work.push_back({i, b, std::min(b + kGrain, params[i].numel())});
  int64_t total = 0;
  for (const Piece& p : work) total += p.end - p.begin;
  auto n = static_cast<int64_t>(work.size());
  parallel_for(n, total <= kGrain ? n : 1, [&](int64_t a, int64_t b) {
    for (int64_t k = a; k < b; ++k) run(work[static_cast<size_t>(k)].i, work[static_cast<size_t>(k)].begin, work[static_cast<size_t>(k)].end);
  });
}

// A piece of a tensor in the type that kernels compute in: its own memory, or a float32 copy that `save` rounds back.
class Part {
 public:
  Part() = default;
  Part(const Tensor& t, int64_t begin, int64_t end) : whole_(t), begin_(begin), end_(end) {
    Tensor part = raw_view(t, {end - begin}, {1}, t->offset + begin);
    part_ = is_half(t.dtype()) ? forward::cast(part, DType::Float32) : part;
  }
  template <class T> T* data() const { return part_.defined() ? part_.data<T>() : nullptr; }
  void save() const {
    if (part_.defined() && is_half(whole_.dtype()))
      forward::assign(raw_view(whole_, {end_ - begin_}, {1}, whole_->offset + begin_), part_);
  }

 private:
  Tensor whole_, part_;
  int64_t begin_ = 0, end_ = 0;
};

TensorList dense(const TensorList& ts) {
  TensorList out;
  for (const Tensor& t : ts) out.push_back(contiguous(t));
  return out;
}

void bump(const TensorList& ts) {
  for (const Tensor& t : ts) t.bump();
}

}  // namespace

void sgd(const TensorList& params, const TensorList& grads, const TensorList& buffers, const cpu::SgdStep& step) {
  check_state("sgd_step", params, grads, "gradients");
  if (!buffers.empty()) check_written("sgd_step", params, buffers, "momentum buffers");
  for (const Tensor& p : params) visit_float(compute_type(p.dtype()), "sgd_step", [](auto) {});
  GradMode off(false);
  TensorList g = dense(grads);
  if (remote(params))
    call_backend("sgd_step", {params, g, buffers, step.lr, step.momentum, step.dampening, step.weight_decay,
                              step.nesterov, step.maximize, step.first});
  else pieces(params, [&](size_t i, int64_t a, int64_t b) {
    Part p(params[i], a, b), d(g[i], a, b), buffer = buffers.empty() ? Part() : Part(buffers[i], a, b);
    visit_float(compute_type(params[i].dtype()), "sgd_step", [&](auto tag) {
      using T = typename decltype(tag)::type;
      cpu::kernels().real<T>().sgd(p.template data<T>(), d.template data<T>(), buffer.template data<T>(), b - a, step);
    });
    for (const Part* written : {&p, &buffer}) written->save();
  });
  bump(params);
  bump(buffers);
}

void adam(const TensorList& params, const TensorList& grads, const TensorList& means, const TensorList& squares,
          const TensorList& maxima, const cpu::AdamStep& step) {
  check_state("adamw_step", params, grads, "gradients");
  check_written("adamw_step", params, means, "exp_avgs");
  check_written("adamw_step", params, squares, "exp_avg_sqs");
  if (step.amsgrad) check_written("adamw_step", params, maxima, "max_exp_avg_sqs");
  for (const Tensor& p : params) visit_float(compute_type(p.dtype()), "adamw_step", [](auto) {});
  GradMode off(false);
  TensorList g = dense(grads);
  if (remote(params))
    call_backend("adamw_step", {params, g, means, squares, maxima, step.lr, step.beta1, step.beta2, step.eps,
                                step.weight_decay, step.bias1, step.bias2, step.decoupled, step.maximize});
  else pieces(params, [&](size_t i, int64_t a, int64_t b) {
    Part p(params[i], a, b), d(g[i], a, b), m(means[i], a, b), v(squares[i], a, b),
        top = step.amsgrad ? Part(maxima[i], a, b) : Part();
    visit_float(compute_type(params[i].dtype()), "adamw_step", [&](auto tag) {
      using T = typename decltype(tag)::type;
      cpu::kernels().real<T>().adam(p.template data<T>(), d.template data<T>(), m.template data<T>(), v.template data<T>(),
                                    top.template data<T>(), b - a, step);
    });
    for (const Part* written : {&p, &m, &v, &top}) written->save();
  });
  bump(params);
  bump(means);
  bump(squares);
  if (step.amsgrad) bump(maxima);
}

}  // namespace wootz::optim
