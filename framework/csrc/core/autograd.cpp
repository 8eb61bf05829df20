#include "core/autograd.h"

#include "core/backend.h"
#include "forward.h"
#include "ops.h"

namespace wootz {
namespace {

std::atomic<uint64_t> next_sequence{1};
thread_local bool grad_mode = true;
// Threads that have a packer: while none has, saving a value does not ask its own thread.
std::atomic<int> packing{0};
thread_local Packer thread_packer = nullptr;
std::atomic<Anomaly::Where> anomaly_where{nullptr};
std::atomic<bool> anomaly_nan{true};

struct Graveyard {
  std::vector<Node*> waiting;
  bool digging = false;
};
thread_local Graveyard graveyard;

}  // namespace

bool grad_enabled() { return grad_mode; }
void set_grad_enabled(bool on) { grad_mode = on; }

Packer packer() { return packing.load(std::memory_order_relaxed) > 0 ? thread_packer : nullptr; }
void set_packer(Packer p) {
  packing.fetch_add(static_cast<int>(p != nullptr) - static_cast<int>(thread_packer != nullptr), std::memory_order_relaxed);
  thread_packer = p;
}

Anomaly anomaly() { return {anomaly_where.load(std::memory_order_relaxed), anomaly_nan.load(std::memory_order_relaxed)}; }
void set_anomaly(Anomaly a) {
  anomaly_where = a.where;
  anomaly_nan = a.check_nan;
}

Node::Node() {
  if (Anomaly::Where where = anomaly().where) [[unlikely]] trace = std::make_unique<std::string>(where());
}

void Node::destroy(Node* n) {
  Graveyard& g = graveyard;
  if (g.digging) {
    g.waiting.push_back(n);
    return;
  }
  g.digging = true;
  delete n;
  while (!g.waiting.empty()) {
    Node* next = g.waiting.back();
    g.waiting.pop_back();
    delete next;
  }
  g.digging = false;
}

Tensor Saved::get(Node* node) const {
  WOOTZ_CHECK(!node->released, ErrorKind::Gradient, "Trying to backward through the graph a second time (node ", node->name(),
        "), but its saved values were freed. Specify retain_graph=True on the first backward if you need this");
  if (packed_) return restored(node);
  if (!value_.defined()) return value_;
  WOOTZ_CHECK(value_.version() == version_, ErrorKind::Gradient,
        "one of the values needed for gradient computation was modified by an in-place operation: ", node->name(),
        " saved a tensor of shape ", text(value_.shape()), " at version ", version_, ", which is now at version ",
        value_.version());
  if (!own_ || !grad_enabled()) return value_;
  Tensor t = value_.detached();
  t->node = Ref<Node>::share(node);
  t->slot = slot_;
  return t;
}

void Saved::keep(const Tensor& t) {
  WOOTZ_CHECK(!t->storage->inference, ErrorKind::Gradient, "Inference tensors cannot be saved for backward. To work around you can ",
              "make a clone to get a normal tensor and use it in autograd.");
  if (Packer pack = packer()) {
    packed_ = pack(t);
    if (!own_) packed_->edge = edge_of(t);
    return;
  }
  value_ = t;
  version_ = t.version();
}

// What the hooks gave back, in the place in the tape that the value had.
Tensor Saved::restored(Node* node) const {
  Tensor t = packed_->unpack().detached();
  if (!grad_enabled() || !is_differentiable(t.dtype())) return t;
  if (own_) {
    t->node = Ref<Node>::share(node);
    t->slot = slot_;
  } else if (packed_->edge.node) {
    t->node = packed_->edge.node;
    t->slot = packed_->edge.slot;
  } else if (packed_->edge.leaf) {
    Ref<Node> owner = Ref<Node>::adopt(new IdentityNode("unpacked"));
    owner->edges[0] = packed_->edge;
    set_history(t, owner);
  }
  return t;
}

bool needs_grad(const TensorList& ts) {
  for (const Tensor& t : ts)
    if (needs_grad(t)) return true;
  return false;
}

namespace {

void give_history(const Tensor& t, Edge e) {
  t->node = std::move(e.node);
  t->slot = e.slot;
}

// A view may show the parts of complex numbers: its base seen as it sees it.
Tensor as_type_of(const Tensor& view, const Tensor& base) {
  if (view.dtype() == base.dtype()) return base;
  return is_complex(base.dtype()) ? ops::view_as_real(base) : ops::view_as_complex(base);
}

// A stale view gets its history anew from its base's.
void refresh(const Tensor& t) {
  if (!t.stale()) return;
  Tensor base(t->base);
  t->epoch = base->epoch;
  if (!base.requires_grad()) {
    t->node = nullptr;
    return;
  }
  GradMode on(true);
  Tensor again = ops::as_strided(as_type_of(t, base), t.shape(), t.strides(), t->offset);
  t->node = again->node;
  t->slot = again->slot;
}

}  // namespace

Edge edge_of(const Tensor& t) {
  Edge e;
  if (!t.defined()) return e;
  refresh(t);
  if (t->node) {
    e.node = t->node;
    e.slot = t->slot;
  } else if (t->requires_grad) {
    e.leaf = t.ref();
  }
  return e;
}

Ref<Levels> levels_of(const Edge& e) {
  if (e.node) return e.node->meta(e.slot).levels;
  return e.leaf ? levels_of(Tensor(e.leaf)) : nullptr;
}

void set_history(const Tensor& t, const Ref<Node>& node, uint32_t slot) {
  // Numbered now and not when it was made: finding its inputs' edges may have made nodes of its stale views.
  node->sequence = next_sequence.fetch_add(1, std::memory_order_relaxed);
  Meta& meta = slot ? (node->more.resize(std::max<size_t>(node->more.size(), slot)), node->more[slot - 1]) : node->output;
  meta.shape = t.shape();
  meta.dtype = t.dtype();
  if (levels_used()) [[unlikely]] {
    meta.levels = levels_of(t);
    for (uint32_t i = 0; i < node->edge_count; ++i) meta.levels = unite(meta.levels, levels_of(node->edges[i]));
  }
  if (!is_differentiable(t.dtype())) return;
  t->node = node;
  t->slot = slot;
}

void set_view(const Tensor& view, const Tensor& source) {
  if (!(view->storage == source->storage)) return;
  // A leaf that requires grad is where history begins, whatever it was itself cut from.
  view->base = source->base && !source->requires_grad ? source->base : source.ref();
  view->epoch = view->base->epoch;
}

void check_inplace(const Tensor& t, const char* op) {
  WOOTZ_CHECK(!t->storage->inference || inference_mode(), ErrorKind::Gradient, op, ": Inplace update to inference tensor outside ",
              "InferenceMode is not allowed. You can make a clone to get a normal tensor before doing inplace update.");
  if (!grad_enabled()) return;
  WOOTZ_CHECK(!(t.is_leaf() && t->requires_grad), ErrorKind::Gradient, op,
        ": a leaf Tensor that requires grad is being used in an in-place operation");
  if (!t->base) return;
  Tensor base(t->base);
  WOOTZ_CHECK(!(base.is_leaf() && base->requires_grad), ErrorKind::Gradient, op,
        ": a view of a leaf Tensor that requires grad is being used in an in-place operation");
}

void rebase(const Tensor& t, const Tensor& value) {
  store(t, value);
  if (!recording(t, value)) return;
  if (!t->base) {
    give_history(t, edge_of(value));
    ++t->epoch;
    return;
  }
  Tensor base(t->base);
  Tensor alias = base.detached();
  give_history(alias, edge_of(base));
  Tensor whole = ops::as_strided_scatter(as_type_of(t, alias), value, t.shape(), t.strides(), t->offset);
  whole = as_type_of(base, whole);
  base->node = whole->node;
  base->slot = whole->slot;
  ++base->epoch;
  refresh(t);
}

void become(const Tensor& t, const Tensor& view, const char* op) {
  check_inplace(t, op);
  WOOTZ_CHECK(view->storage == t->storage && view.dtype() == t.dtype(), ErrorKind::Value, op, ": the result is no view of the tensor");
  Edge history = edge_of(view);
  take_memory(t, view);
  give_history(t, std::move(history));
  if (t->base) t->epoch = t->base->epoch;
  t.bump();
}

Tensor rewritable(const Tensor& t) {
  GradMode off(false);
  Tensor copy = ops::clone(t);
  give_history(copy, edge_of(t));
  return copy;
}

}  // namespace wootz
