#pragma once
// The tape: nodes that remember how to turn a gradient of outputs into gradients of inputs.
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "core/batch.h"
#include "core/pool.h"
#include "core/tensor.h"

namespace wootz {

// What a gradient must look like where it arrives; the engine sums and casts it into this.
struct Meta {
  Dims shape;
  DType dtype = DType::Float32;
  Ref<Levels> levels;  // of vmap: null outside of it
};

// What a rule may need to know of an input whose values it does not need.
struct Geometry {
  Dims shape, strides;
  int64_t offset = 0;
  DType dtype = DType::Float32;
  Device device;
};
inline Geometry geometry(const Tensor& t) { return {t.shape(), t.strides(), t->offset, t.dtype(), t.device()}; }

// Where a gradient goes: output `slot` of a node, or a leaf.
struct Edge {
  Ref<Node> node;
  Ref<TensorImpl> leaf;
  uint32_t slot = 0;
  explicit operator bool() const { return node || leaf; }
};

// A callback on a gradient (registered from Python); may return a replacement or nothing.
struct Hook : Counted {
  bool after = false;  // called with a leaf when its gradient has been accumulated, not with a gradient before
  virtual ~Hook() = default;
  virtual Tensor call(const Tensor& grad) = 0;
  static void destroy(Hook* h) { delete h; }
};

struct Node : Counted {
  // Later nodes have larger numbers than everything they depend on: the engine's whole schedule.
  uint64_t sequence = 0;
  std::vector<Meta> more;  // outputs after the first
  Meta output;
  Edge* edges = nullptr;
  uint32_t edge_count = 0;
  bool released = false;
  std::unique_ptr<std::string> trace;  // in anomaly mode: where the op was called
  std::vector<std::pair<uint32_t, Ref<Hook>>> hooks;

  Node();
  virtual ~Node() = default;
  virtual const char* name() const = 0;
  // `grads` has one entry per output (undefined: zero); fills `out`, one per edge, where wanted.
  virtual void apply(const Tensor* grads, Tensor* out) = 0;
  virtual void release_saved() {}
  // Nodes that move examples in and out of a level of vmap deal with it themselves.
  virtual bool crosses_levels() const { return false; }
  uint32_t outputs() const { return 1 + static_cast<uint32_t>(more.size()); }
  const Meta& meta(uint32_t slot) const { return slot ? more[slot - 1] : output; }
  bool wants(uint32_t i) const { return static_cast<bool>(edges[i]); }

  // Long chains die in a loop, not by recursion.
  static void destroy(Node* n);
  static void* operator new(size_t n) { return pool::allocate(n); }
  static void operator delete(void* p, size_t n) { pool::release(p, n); }
};

template <int N> struct FixedNode : Node {
  Edge storage[N];
  FixedNode() { edges = storage; edge_count = N; }
};

// Another tensor with the same values.
struct IdentityNode final : FixedNode<1> {
  const char* title;
  explicit IdentityNode(const char* name) : title(name) {}
  const char* name() const override { return title; }
  void apply(const Tensor* grads, Tensor* out) override { out[0] = grads[0]; }
};

struct ListNode : Node {
  std::vector<Edge> storage;
  void resize(size_t n) { storage.resize(n); edges = storage.data(); edge_count = static_cast<uint32_t>(n); }
};

// What the innermost saved-tensor hooks of the thread made of a value.
struct Packed : Counted {
  Edge edge;  // the value's history
  virtual ~Packed() = default;
  virtual Tensor unpack() = 0;
  static void destroy(Packed* p) { delete p; }
};
using Packer = Ref<Packed> (*)(const Tensor& t);
// The thread's packer, null for none. Set by whoever keeps the hooks.
Packer packer();
void set_packer(Packer p);

// A value kept for the derivative, with the version it had.
class Saved {
 public:
  void input(const Tensor& t) { if (t.defined()) keep(t); }
  // An output of the node itself: kept without its history, or the node would keep itself alive.
  void output(const Tensor& t, uint32_t slot) { slot_ = slot; own_ = true; keep(t.detached()); }
  Tensor get(Node* node) const;
  void reset() { value_ = Tensor(); packed_ = nullptr; }

 private:
  void keep(const Tensor& t);
  Tensor restored(Node* node) const;
  Tensor value_;
  Ref<Packed> packed_;
  uint32_t version_ = 0, slot_ = 0;
  bool own_ = false;
};

bool grad_enabled();
void set_grad_enabled(bool on);
struct GradMode {
  bool before = grad_enabled();
  explicit GradMode(bool on) { set_grad_enabled(on); }
  ~GradMode() { set_grad_enabled(before); }
};

inline bool needs_grad(const Tensor& t) { return t.defined() && t.requires_grad(); }
bool needs_grad(const TensorList& ts);
// Anomaly mode: `where` says where an op is called from, and gradients are searched for NaN if asked.
struct Anomaly {
  using Where = std::string (*)();
  Where where = nullptr;
  bool check_nan = true;
};
Anomaly anomaly();
void set_anomaly(Anomaly a);

inline bool recording(const auto&... inputs) { return grad_enabled() && (needs_grad(inputs) || ...); }

// The edge along which t's gradient flows; empty when it needs none.
Edge edge_of(const Tensor& t);
Ref<Levels> levels_of(const Edge& e);
// Makes `t` output `slot` of `node`.
void set_history(const Tensor& t, const Ref<Node>& node, uint32_t slot = 0);
// Remembers that `view` looks into `source` (or what source looks into).
void set_view(const Tensor& view, const Tensor& source);
// The in-place protocol: refuse what cannot be differentiated, then `value` becomes t's content and history.
void check_inplace(const Tensor& t, const char* op);
void rebase(const Tensor& t, const Tensor& value);
// t becomes what `view`, a view of it, is: in geometry and in history.
void become(const Tensor& t, const Tensor& view, const char* op);
// The same values and history, in other memory: an in-place op is recorded as an op on this, and may keep it.
Tensor rewritable(const Tensor& t);

}  // namespace wootz
