#include "core/batch.h"

#include "core/autograd.h"
#include "ops.h"

namespace wootz {
namespace {

std::atomic<int64_t> next_level{1};
std::atomic<bool> used{false};
thread_local std::vector<Frame> stack;

void keep_nothing(void*) {}

Tensor swapped(const Tensor& t) {
  Dims shape = t.shape(), strides = t.strides();
  std::swap(shape[0], shape[1]);
  std::swap(strides[0], strides[1]);
  return raw_view(t, shape, strides, t->offset);
}

const Batch* batch_at(const Tensor& t, int64_t level) {
  const Batch* b = t->storage->batch.get();
  while (b && b->level > level) b = b->under->batch.get();
  return b && b->level == level ? b : nullptr;
}

// Without history: on entering below other levels, their examples are put aside and taken back.
Tensor raw_enter(const Tensor& t, const Level& level) {
  const Batch* top = t->storage->batch.get();
  if (!top || top->level < level.id) return batch(t, level);
  return batch(raw_enter(swapped(physical(t)), level), {top->level, top->size});
}

Tensor repeated(const Tensor& t, int64_t size) {
  Dims shape = t.shape(), strides = t.strides();
  shape.insert(0, size);
  strides.insert(0, 0);
  return raw_view(t, shape, strides, t->offset);
}

Tensor raw_leave(const Tensor& t, const Level& level) {
  const Batch* top = t->storage->batch.get();
  if (!batch_at(t, level.id)) return repeated(t, level.size);
  if (top->level == level.id) return physical(t);
  return batch(swapped(raw_leave(physical(t), level)), {top->level, top->size});
}

struct EnterNode final : FixedNode<1> {
  Level level;
  const char* name() const override { return "vmap_enter"; }
  bool crosses_levels() const override { return true; }
  void apply(const Tensor* grads, Tensor* out) override {
    if (grads[0].defined()) out[0] = leave(grads[0], level);
  }
};

struct LeaveNode final : FixedNode<1> {
  Level level;
  const char* name() const override { return "vmap_leave"; }
  void apply(const Tensor* grads, Tensor* out) override {
    if (grads[0].defined()) out[0] = enter(grads[0], level);
  }
};

Ref<Levels> single(const Level& level) {
  auto* l = new Levels;
  l->all.push_back(level);
  return Ref<Levels>::adopt(l);
}

}  // namespace

const Level* Levels::find(int64_t id) const {
  for (const Level& l : all)
    if (l.id == id) return &l;
  return nullptr;
}

Ref<Levels> unite(const Ref<Levels>& a, const Ref<Levels>& b) {
  if (!a || !b || a == b) return a ? a : b;
  Ref<Levels> out = Ref<Levels>::adopt(new Levels);
  out->all = a->all;
  for (const Level& l : b->all)
    if (!a->find(l.id)) out->all.push_back(l);
  std::sort(out->all.begin(), out->all.end(), [](const Level& x, const Level& y) { return x.id < y.id; });
  return out;
}

Ref<Levels> levels_of(const Tensor& t) {
  Ref<Levels> out;
  for (const Batch* b = t->storage->batch.get(); b; b = b->under->batch.get()) out = unite(out, single({b->level, b->size}));
  return out;
}

bool levels_used() { return used.load(std::memory_order_relaxed); }

const std::vector<Frame>& frames() { return stack; }
int64_t push_frame(int64_t size, std::string randomness) {
  used = true;
  stack.push_back({{next_level.fetch_add(1), size}, std::move(randomness)});
  return stack.back().level.id;
}
void pop_frame() { stack.pop_back(); }

Ref<Levels> active_levels() {
  Ref<Levels> out;
  for (const Frame& f : stack) out = unite(out, single(f.level));
  return out;
}

Tensor batch(const Tensor& t, const Level& level) {
  WOOTZ_CHECK(t.dim() > 0 && t.shape()[0] == level.size, ErrorKind::Shape, "vmap: expected ", level.size,
              " examples in dimension 0, got shape ", text(t.shape()));
  WOOTZ_CHECK(level_of(t) < level.id, ErrorKind::Value, "vmap: a level is put under a higher one");
  Dims shape = t.shape(), strides = t.strides();
  shape.erase(0);
  strides.erase(0);
  auto size = static_cast<int64_t>(size_of(t.dtype()));
  auto* b = new Batch;
  b->under = t->storage;
  b->level = level.id;
  b->size = level.size;
  b->start = t->offset * size;
  b->stride = t.strides()[0] * size;
  Ref<Batch> owner = Ref<Batch>::adopt(b);
  size_t room = count(shape) ? static_cast<size_t>(extent(shape, strides, 0) * size) : 0;
  Ref<Storage> storage = Storage::borrow(nullptr, room, t.device(), keep_nothing, nullptr);
  storage->batch = owner;
  storage->foreign = true;
  return Tensor::make(std::move(storage), 0, shape, strides, t.dtype());
}

Tensor physical(const Tensor& t) {
  const Batch& b = *t->storage->batch;
  auto size = static_cast<int64_t>(size_of(t.dtype()));
  Dims shape = t.shape(), strides = t.strides();
  shape.insert(0, b.size);
  strides.insert(0, b.stride / size);
  return Tensor::make(b.under, b.start / size + t->offset, shape, strides, t.dtype());
}

Tensor enter(const Tensor& t, const Level& level) {
  Tensor out = raw_enter(t, level);
  if (!recording(t)) return out;
  auto* node = new EnterNode;
  Ref<Node> owner = Ref<Node>::adopt(node);
  node->level = level;
  node->edges[0] = edge_of(t);
  set_history(out, owner);
  return out;
}

Tensor leave(const Tensor& t, const Level& level) {
  bool known = batch_at(t, level.id) != nullptr;
  Ref<Levels> history = recording(t) ? levels_of(edge_of(t)) : nullptr;
  if (!known && !(history && history->find(level.id))) {
    Dims shape = t.shape();
    shape.insert(0, level.size);
    return ops::expand(t, shape);
  }
  Tensor out = raw_leave(t, level);
  if (!recording(t)) return out;
  auto* node = new LeaveNode;
  Ref<Node> owner = Ref<Node>::adopt(node);
  node->level = level;
  node->edges[0] = edge_of(t);
  set_history(out, owner);
  // What leaves a level depends on it no more.
  Ref<Levels> rest = Ref<Levels>::adopt(new Levels);
  if (node->output.levels)
    for (const Level& l : node->output.levels->all)
      if (l.id != level.id) rest->all.push_back(l);
  node->output.levels = rest->all.empty() ? nullptr : rest;
  return out;
}

Tensor variable(const Tensor& t) {
  WOOTZ_CHECK(is_differentiable(t.dtype()), ErrorKind::DType, "derivatives are taken by floating point and complex tensors, got ", name_of(t.dtype()));
  Tensor out = t.detached();
  auto* node = new IdentityNode("variable");
  Ref<Node> owner = Ref<Node>::adopt(node);
  node->edges[0] = edge_of(t);
  set_history(out, owner);
  node->output.levels = unite(node->output.levels, active_levels());
  return out;
}

Dims drawn_shape(const char* op, const Dims& shape) {
  Dims out;
  for (const Frame& f : stack) {
    WOOTZ_CHECK(f.randomness != "error", ErrorKind::Value, "vmap: ", op, " was called while in randomness error mode. ",
                "Pass randomness='same' or randomness='different' to vmap to say what is meant");
    if (f.randomness == "different") out.push(f.level.size);
  }
  for (int64_t n : shape) out.push(n);
  return out;
}

Tensor drawn(const Tensor& t) {
  Tensor out = t;
  for (const Frame& f : stack)
    if (f.randomness == "different") out = batch(out, f.level);
  return out;
}

}  // namespace wootz
