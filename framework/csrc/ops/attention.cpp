// Scaled dot-product attention over the blocked kernel.
#include <limits>

#include "core/backend.h"
#include "forward.h"
#include "ops/rules.h"

namespace wootz::forward {
namespace {

cpu::Attention::Operand operand(const Tensor& t) {
  return {t.bytes(), t.strides()[0], t.strides()[1], t.strides()[2], t.strides()[3]};
}

void check(const Tensor& q, const Tensor& k, const Tensor& v) {
  for (const Tensor* t : {&q, &k, &v}) {
    WOOTZ_CHECK(t->dim() == 4, ErrorKind::Shape, "attention: expected (batch, heads, length, width), got shape ", text(t->shape()));
    WOOTZ_CHECK(t->dtype() == q.dtype(), ErrorKind::DType, "attention: expected query, key and value of one dtype, got ", name_of(q.dtype()),
          " and ", name_of(t->dtype()));
    WOOTZ_CHECK(t->size(0) == q.size(0) && t->size(1) == q.size(1), ErrorKind::Shape, "attention: batch and heads of ", text(q.shape()), " and ",
          text(t->shape()), " differ");
  }
  WOOTZ_CHECK(q.size(3) == k.size(3) && k.size(2) == v.size(2), ErrorKind::Shape, "attention: query ", text(q.shape()), ", key ", text(k.shape()),
        " and value ", text(v.shape()), " do not fit: keys are as wide as queries and as many as values");
}

void check_dropout(double p) {
  WOOTZ_CHECK(p >= 0 && p <= 1, ErrorKind::Value, "attention: p is a probability, between 0 and 1");
}

// What to add to the products: a float mask as it is, of a boolean one minus infinity where it is false.
Tensor additive(const Tensor& mask, const Tensor& q, const Tensor& k) {
  if (!mask.defined()) return mask;
  Tensor m = mask;
  if (mask.dtype() == DType::Bool)
    m = cast(where(mask, wrapped_scalar(0.0), wrapped_scalar(-std::numeric_limits<double>::infinity())), q.dtype());
  WOOTZ_CHECK(m.dtype() == q.dtype(), ErrorKind::DType, "attention: expected a mask of bool or ", name_of(q.dtype()), ", got ", name_of(m.dtype()));
  Dims shape{q.size(0), q.size(1), q.size(2), k.size(2)};
  WOOTZ_CHECK(expandable(m.shape(), shape), ErrorKind::Shape, "attention: a mask of shape ", text(m.shape()), " does not broadcast to ", text(shape));
  return expand(m, shape);
}

cpu::Attention job(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask, double scale, bool causal, double p,
                   int64_t seed, int64_t draw) {
  cpu::Attention t{};
  t.batch = q.size(0);
  t.heads = q.size(1);
  t.queries = q.size(2);
  t.keys = k.size(2);
  t.width = q.size(3);
  t.value_width = v.size(3);
  t.q = operand(q);
  t.k = operand(k);
  t.v = operand(v);
  if (mask.defined()) t.mask = operand(mask);
  t.scale = scale;
  t.causal = causal;
  t.p = p;
  t.seed = static_cast<uint64_t>(seed);
  t.draw = static_cast<uint64_t>(draw);
  return t;
}

}  // namespace

std::array<Tensor, 2> attention(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& mask, double scale, bool causal,
                                double p, int64_t seed, int64_t draw) {
  check(query, key, value);
  check_dropout(p);
  Tensor m = additive(mask, query, key);
  Dims rows{query.size(0), query.size(1), query.size(2)}, shape = rows;
  shape.push(value.size(3));
  if (count(rows) == 0 || key.numel() == 0 || value.numel() == 0)
    return {zeros(shape, query.dtype()), full(rows, query.dtype(), -std::numeric_limits<double>::infinity())};
  Tensor out = empty(shape, query.dtype()), lse = empty(rows, query.dtype());
  cpu::Attention t = job(query, key, value, m, scale, causal, p, seed, draw);
  t.out = out.bytes();
  t.lse = lse.bytes();
  visit_float(query.dtype(), "attention", [&](auto tag) { cpu::kernels().real<typename decltype(tag)::type>().attention(t); });
  return {out, lse};
}

std::array<Tensor, 3> attention_backward(const Tensor& grad, const Tensor& delta, const Tensor& query, const Tensor& key, const Tensor& value,
                                         const Tensor& mask, const Tensor& lse, double scale, bool causal, double p, int64_t seed,
                                         int64_t draw) {
  check(query, key, value);
  check_dropout(p);
  Dims rows{query.size(0), query.size(1), query.size(2)}, shape = rows;
  shape.push(value.size(3));
  WOOTZ_CHECK(grad.shape() == shape && delta.shape() == rows && lse.shape() == rows, ErrorKind::Shape, "attention: expected a gradient of shape ",
        text(shape), " and sums of ", text(rows), ", got ", text(grad.shape()), ", ", text(delta.shape()), " and ", text(lse.shape()));
  for (const Tensor* t : {&grad, &delta, &lse})
    WOOTZ_CHECK(t->dtype() == query.dtype(), ErrorKind::DType, "attention: expected gradients of ", name_of(query.dtype()), ", got ", name_of(t->dtype()));
  Tensor m = additive(mask, query, key), g = contiguous(grad), d = contiguous(delta), l = contiguous(lse);
  Tensor dq = empty(query.shape(), query.dtype()), dk = zeros(key.shape(), key.dtype()), dv = zeros(value.shape(), value.dtype());
  if (query.numel() == 0 || key.numel() == 0 || value.numel() == 0) return {zeros(query.shape(), query.dtype()), dk, dv};
  cpu::Attention t = job(query, key, value, m, scale, causal, p, seed, draw);
  t.grad = g.bytes();
  t.delta = d.bytes();
  t.lse = l.bytes();
  t.dq = dq.bytes();
  t.dk = dk.bytes();
  t.dv = dv.bytes();
  visit_float(query.dtype(), "attention", [&](auto tag) { cpu::kernels().real<typename decltype(tag)::type>().attention_backward(t); });
  return {dq, dk, dv};
}

}  // namespace wootz::forward

namespace wootz::rules {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

// True where a query may look: at keys up to its own place.
Tensor lower_triangle(int64_t queries, int64_t keys) {
  Tensor m = full({queries, keys}, DType::Bool, 0);
  for (int64_t i = 0; i < queries; ++i) std::fill_n(m.data<bool>() + i * keys, std::min(i + 1, keys), true);
  return m;
}

Tensor as(const Tensor& t, DType dtype) { return t.dtype() == dtype ? t : ops::cast(t, dtype); }

// Sums over 16-bit floats are taken in float32, as the statistics of the forward pass are.
Tensor wide(const Tensor& t) { return as(t, compute_type(t.dtype())); }

// The probabilities out of recorded ops, for derivatives of the derivative.
Tensor probabilities(const Tensor& q, const Tensor& k, const Tensor& mask, const Tensor& lse, double scale, bool causal) {
  Tensor s = ops::matmul(q, ops::transpose(k, -1, -2)) * scale;
  if (mask.defined()) s = mask.dtype() == DType::Bool ? ops::where(mask, s, number(kMinusInfinity)) : s + mask;
  if (causal) s = ops::where(on_device(lower_triangle(q.size(2), k.size(2)), q.device()), s, number(kMinusInfinity));
  Tensor shift = ops::where(ops::eq(lse, number(kMinusInfinity)), number(0), lse);
  return ops::exp(s - ops::unsqueeze(shift, -1));
}

}  // namespace

std::array<Tensor, 3> attention(const Tensor* grads, const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& mask,
                                const Tensor& result, const Tensor& lse, double scale, bool causal, double p, int64_t seed, int64_t draw) {
  Tensor g = grads[0].defined() ? grads[0] : filled(result, result.shape(), result.dtype(), 0);
  Tensor delta = ops::sum(wide(g) * wide(result), Dims{-1}, false, std::nullopt);
  if (grads[1].defined()) delta = delta - grads[1];
  if (!recording(g, delta, query, key, value)) return ops::attention_backward(g, delta, query, key, value, mask, lse, scale, causal, p, seed, draw);
  Tensor q = wide(query), k = wide(key), v = wide(value), added = mask.defined() ? wide(mask) : mask;
  g = wide(g);
  Tensor weights = probabilities(q, k, added, lse, scale, causal), dp = ops::matmul(g, ops::transpose(v, -1, -2)), dropped = weights;
  if (p > 0) {
    Tensor kept = ops::dropout(filled(weights, weights.shape(), weights.dtype(), 1), p, seed, draw);
    dp = dp * kept;
    dropped = weights * kept;
  }
  Tensor ds = weights * (dp - ops::unsqueeze(delta, -1)) * scale;
  return {as(ops::matmul(ds, k), query.dtype()), as(ops::matmul(ops::transpose(ds, -1, -2), q), key.dtype()),
          as(ops::matmul(ops::transpose(dropped, -1, -2), g), value.dtype())};
}

}  // namespace wootz::rules
