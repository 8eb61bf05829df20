#include "core/engine.h"

#include <algorithm>
#include <compare>
#include <mutex>
#include <unordered_map>

#include "core/autocast.h"
#include "core/backend.h"
#include "forward.h"
#include "ops.h"

namespace wootz {
namespace {

// A node or leaf that gradients have arrived at, waiting for its turn.
struct Vertex {
  Ref<Node> node;
  Ref<TensorImpl> leaf;
  TensorList grads;
  uint64_t sequence() const { return node ? node->sequence : 0; }
};

void accumulate_into(Tensor& sum, Tensor grad) {
  if (!sum.defined()) {
    sum = std::move(grad);
    return;
  }
  if (!grad_enabled() && sum.unique() && sum.is_contiguous() && !remote(sum, grad)) {
    forward::add(sum, grad, 1, sum);
    return;
  }
  sum = ops::add(sum, grad, 1);
}

// A rule may return the gradient of any shape its input was broadcast to, and in the type it computed in.
Tensor conform(Tensor grad, const Dims& shape, DType dtype, const char* op) {
  if (!(grad.shape() == shape)) {
    WOOTZ_CHECK(expandable(shape, grad.shape()), ErrorKind::Gradient, op, " returned a gradient of shape ",
          text(grad.shape()), " for an input of shape ", text(shape));
    grad = ops::sum_to_size(grad, shape);
  }
  return grad.dtype() == dtype ? grad : ops::cast(grad, dtype);
}

std::mutex& lock_of(const TensorImpl* leaf) {
  static std::mutex locks[64];
  return locks[(reinterpret_cast<uintptr_t>(leaf) >> 6) % 64];
}

// The lock keeps two threads from adding to one gradient at once.
void store_in_leaf(const Ref<TensorImpl>& leaf, Tensor grad) {
  Tensor old;
  {
    std::lock_guard guard(lock_of(leaf.get()));
    if (leaf->grad && !grad_enabled()) {
      ops::add_(Tensor(leaf->grad), grad, 1);
      return;
    }
    old = Tensor(leaf->grad);
    if (!old.defined()) {
      if (!grad_enabled() && !(grad.unique() && grad.is_contiguous())) grad = ops::clone(grad);
      leaf->grad = grad.take();
      return;
    }
  }
  Tensor sum = ops::add(old, grad, 1);
  std::lock_guard guard(lock_of(leaf.get()));
  leaf->grad = sum.take();
}

void add_to_leaf(const Ref<TensorImpl>& leaf, Tensor grad) {
  for (size_t i = 0; i < leaf->hooks.size(); ++i) {
    Ref<Hook> hook = leaf->hooks[i];
    if (hook->after) continue;
    Tensor replaced = hook->call(grad);
    if (replaced.defined()) grad = conform(replaced, leaf->shape, leaf->dtype, "a hook");
  }
  store_in_leaf(leaf, std::move(grad));
  for (size_t i = 0; i < leaf->hooks.size(); ++i) {
    Ref<Hook> hook = leaf->hooks[i];
    if (hook->after) hook->call(Tensor(leaf));
  }
}

// Along an edge out of a level of vmap: the value was used by every example, so its gradient is the sum of theirs.
Tensor leave_levels(const Node& node, const Edge& edge, Tensor grad) {
  Ref<Levels> from, to = levels_of(edge);
  for (uint32_t slot = 0; slot < node.outputs(); ++slot) from = unite(from, node.meta(slot).levels);
  if (!from) return grad;
  for (const Level& level : from->all) {
    if (to && to->find(level.id)) continue;
    Ref<Levels> has = levels_of(grad);
    bool batched = has && has->find(level.id);
    grad = batched ? ops::sum(leave(grad, level), Dims{0}, false, std::nullopt)
                   : ops::mul(grad, wrapped_scalar(static_cast<double>(level.size)));
  }
  return grad;
}

bool has_nan(const Tensor& t) {
  if (!t.defined() || !is_differentiable(t.dtype()) || t->storage->batch) return false;
  GradMode off(false);
  Tensor found = ops::any(ops::isnan(t), std::nullopt, false);
  if (remote(found)) found = call_backend("to_device", {found, std::string("cpu")}).at(0);
  return item(found) != 0;
}

class Pass {
 public:
  Pass(const TensorList& inputs, bool accumulate, BackwardOptions options)
      : inputs_(inputs), captured_(inputs.size()), accumulate_(accumulate), options_(options) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      Edge e = edge_of(inputs[i]);
      targets_[key(e)].push_back({e.slot, i});
    }
  }

  void seed(const Tensor& root, Tensor grad) { send(edge_of(root), std::move(grad), "backward"); }

  void run() {
    if (!targets_.empty()) find_needed();
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end());
      const void* k = heap_.back().key;
      heap_.pop_back();
      auto found = vertices_.find(k);
      Vertex vertex = std::move(found->second);
      vertices_.erase(found);
      visit(k, vertex);
    }
  }

  TensorList captured() { return std::move(captured_); }

 private:
  struct Target { uint32_t slot; size_t index; };
  // Later nodes first; leaves (sequence 0) last, in the order in which they were reached.
  struct Turn {
    uint64_t sequence, arrival;
    const void* key;
    auto operator<=>(const Turn&) const = default;
  };
  static const void* key(const Edge& e) {
    return e.node ? static_cast<const void*>(e.node.get()) : static_cast<const void*>(e.leaf.get());
  }

  void send(const Edge& edge, Tensor grad, const char* op) {
    if (!edge || !grad.defined()) return;
    const void* k = key(edge);
    auto [it, fresh] = vertices_.try_emplace(k);
    Vertex& v = it->second;
    if (fresh) {
      v.node = edge.node;
      v.leaf = edge.leaf;
      v.grads.resize(edge.node ? edge.node->outputs() : 1);
      heap_.push_back({v.sequence(), ~arrivals_++, k});
      std::push_heap(heap_.begin(), heap_.end());
    }
    if (edge.node) {
      const Meta& m = edge.node->meta(edge.slot);
      grad = conform(std::move(grad), m.shape, m.dtype, op);
    } else {
      grad = conform(std::move(grad), edge.leaf->shape, edge.leaf->dtype, op);
    }
    accumulate_into(v.grads[edge.slot], std::move(grad));
  }

  void visit(const void* k, Vertex& v) {
    if (v.node) run_hooks(*v.node, v.grads);
    auto wanted = targets_.find(k);
    if (wanted != targets_.end())
      for (const Target& t : wanted->second) capture(t, v);
    if (v.node) {
      if (targets_.empty() || needed_.count(k)) apply(*v.node, v.grads);
    } else if (targets_.empty()) {
      add_to_leaf(v.leaf, std::move(v.grads[0]));
    }
  }

  void capture(const Target& t, Vertex& v) {
    const Tensor& grad = v.grads[t.slot];
    if (!grad.defined()) return;
    if (accumulate_) add_to_leaf(inputs_[t.index].ref(), grad);
    else captured_[t.index] = grad;
  }

  void run_hooks(Node& node, TensorList& grads) {
    for (size_t i = 0; i < node.hooks.size(); ++i) {
      auto [slot, hook] = node.hooks[i];
      if (!grads[slot].defined()) continue;
      Tensor replaced = hook->call(grads[slot]);
      const Meta& m = node.meta(slot);
      if (replaced.defined()) grads[slot] = conform(replaced, m.shape, m.dtype, "a hook");
    }
  }

  void apply(Node& node, const TensorList& grads) {
    TensorList out(node.edge_count);
    if (anomaly().where) [[unlikely]] apply_watched(node, grads, out);
    else node.apply(grads.data(), out.data());
    for (uint32_t i = 0; i < node.edge_count; ++i) {
      if (levels_used() && out[i].defined() && node.edges[i] && !node.crosses_levels()) [[unlikely]]
        out[i] = leave_levels(node, node.edges[i], std::move(out[i]));
      send(node.edges[i], std::move(out[i]), node.name());
    }
    if (options_.retain_graph) return;
    node.released = true;
    node.release_saved();
  }

  // Anomaly mode: an error says where the op was called, and so does a gradient that is not a number.
  void apply_watched(Node& node, const TensorList& grads, TensorList& out) {
    std::string where = node.trace ? "\nThe forward call was made here:\n" + *node.trace : "";
    try {
      node.apply(grads.data(), out.data());
    } catch (const Error& e) {
      if (e.kind == ErrorKind::Python) throw;
      throw Error(e.kind, e.message + where);
    }
    if (!anomaly().check_nan) return;
    for (uint32_t i = 0; i < node.edge_count; ++i)
      WOOTZ_CHECK(!node.wants(i) || !has_nan(out[i]), ErrorKind::Gradient, "Function '", node.name(),
                  "' returned nan values in its ", i, "th output.", where);
  }

  // Nodes that lie between a root and an input: the others need not run.
  void find_needed() {
    std::vector<Node*> order, stack;
    std::unordered_map<const void*, bool> seen;
    for (auto& [k, v] : vertices_)
      if (v.node && seen.emplace(k, true).second) stack.push_back(v.node.get());
    while (!stack.empty()) {
      Node* n = stack.back();
      stack.pop_back();
      order.push_back(n);
      for (uint32_t i = 0; i < n->edge_count; ++i) {
        Node* next = n->edges[i].node.get();
        if (next && seen.emplace(next, true).second) stack.push_back(next);
      }
    }
    std::sort(order.begin(), order.end(), [](Node* a, Node* b) { return a->sequence < b->sequence; });
    for (Node* n : order)
      for (uint32_t i = 0; i < n->edge_count; ++i) {
        const void* k = key(n->edges[i]);
        if (k && (targets_.count(k) || needed_.count(k))) needed_.emplace(n, true);
      }
  }

  const TensorList& inputs_;
  TensorList captured_;
  bool accumulate_;
  BackwardOptions options_;
  std::unordered_map<const void*, Vertex> vertices_;
  std::vector<Turn> heap_;
  uint64_t arrivals_ = 0;
  std::unordered_map<const void*, std::vector<Target>> targets_;
  std::unordered_map<const void*, bool> needed_;
};

Tensor seed_for(const Tensor& root, const Tensor& given) {
  WOOTZ_CHECK(root.requires_grad(), ErrorKind::Gradient, "element of tensors does not require grad and does not have a grad_fn");
  if (!given.defined()) {
    WOOTZ_CHECK(root.numel() == 1, ErrorKind::Gradient, "grad can be implicitly created only for scalar outputs, not for shape ",
          text(root.shape()));
    WOOTZ_CHECK(!is_complex(root.dtype()), ErrorKind::Gradient, "grad can be implicitly created only for real scalar outputs but got ",
                name_of(root.dtype()));
    return filled(root, root.shape(), root.dtype(), 1);
  }
  WOOTZ_CHECK(given.shape() == root.shape(), ErrorKind::Shape, "Mismatch in shape: grad_output has a shape of ",
        text(given.shape()), " and output has a shape of ", text(root.shape()));
  return given;
}

TensorList sweep(const TensorList& roots, const TensorList& gradients, const TensorList& inputs, bool accumulate,
                 BackwardOptions options) {
  for (const Tensor& t : inputs)
    WOOTZ_CHECK(t.requires_grad(), ErrorKind::Gradient, "One of the differentiated Tensors does not require grad");
  GradMode mode(options.create_graph);
  AutocastOff off;  // gradients are of the types that forward chose
  Pass pass(inputs, accumulate, options);
  for (size_t i = 0; i < roots.size(); ++i) pass.seed(roots[i], seed_for(roots[i], gradients[i]));
  pass.run();
  return pass.captured();
}

}  // namespace

void backward(const TensorList& roots, const TensorList& gradients, const TensorList& inputs, BackwardOptions options) {
  sweep(roots, gradients, inputs, true, options);
}

TensorList gradient(const TensorList& roots, const TensorList& gradients, const TensorList& inputs,
                    BackwardOptions options) {
  WOOTZ_CHECK(!inputs.empty(), ErrorKind::Value, "grad requires non-empty inputs.");
  return sweep(roots, gradients, inputs, false, options);
}

}  // namespace wootz
