#pragma once
// Tensor: a counted handle to shape, strides and type over a shared Storage, with its place in the tape.
#include <memory>
#include <vector>

#include "core/dtype.h"
#include "core/ref.h"
#include "core/shape.h"
#include "core/storage.h"

namespace wootz {

struct Node;
struct Hook;
class Tensor;

struct TensorImpl : Counted {
  Ref<Storage> storage;
  int64_t offset = 0;  // elements from the start of the storage
  int64_t numel = 0;
  Dims shape, strides;
  DType dtype = DType::Float32;
  bool contiguous = true;
  bool requires_grad = false;  // of a leaf; other tensors require it by having a node
  bool wrapped = false;        // made from a Python scalar: takes part in promotion by category only
  uint32_t slot = 0;           // which output of `node` this is
  uint32_t epoch = 0;          // recorded in-place writes; of a view: its base's when `node` was made
  Ref<Node> node;
  Ref<TensorImpl> grad;
  Ref<TensorImpl> base;  // of a differentiable view: the tensor it looks into
  std::vector<Ref<Hook>> hooks;
  std::atomic<void*> wrapper{nullptr};  // the Python object, borrowed

  static void destroy(TensorImpl* t);
};

class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(Ref<TensorImpl> impl) : p_(std::move(impl)) {}
  static Tensor make(Ref<Storage> storage, int64_t offset, const Dims& shape, const Dims& strides, DType dtype);

  bool defined() const { return static_cast<bool>(p_); }
  TensorImpl* get() const { return p_.get(); }
  TensorImpl* operator->() const { return p_.get(); }
  const Ref<TensorImpl>& ref() const { return p_; }
  Ref<TensorImpl> take() { return std::move(p_); }

  const Dims& shape() const { return p_->shape; }
  const Dims& strides() const { return p_->strides; }
  int dim() const { return p_->shape.size(); }
  int64_t size(int64_t d) const { return p_->shape[wrap_dim(d, dim())]; }
  int64_t numel() const { return p_->numel; }
  DType dtype() const { return p_->dtype; }
  Device device() const { return p_->storage->device; }
  bool is_contiguous() const { return p_->contiguous; }
  uint32_t version() const { return p_->storage->version.load(std::memory_order_relaxed); }
  void bump() const { p_->storage->version.fetch_add(1, std::memory_order_relaxed); }
  // A view whose base was since written in place: its history is what the base's now says.
  bool stale() const { return p_->base && p_->epoch != p_->base->epoch; }
  bool requires_grad() const { return stale() ? p_->base->node || p_->base->requires_grad : p_->node || p_->requires_grad; }
  bool is_leaf() const { return !(stale() ? p_->base->node : p_->node); }
  char* bytes() const { return p_->storage->data + p_->offset * static_cast<int64_t>(size_of(p_->dtype)); }
  template <class T> T* data() const { return reinterpret_cast<T*>(bytes()); }
  // No other tensor or handle sees this memory, so that it may be overwritten.
  bool unique() const {
    return p_->refs.load(std::memory_order_relaxed) == 1 && p_->storage->refs.load(std::memory_order_relaxed) == 1;
  }
  // The same memory without history.
  Tensor detached() const;

 private:
  Ref<TensorImpl> p_;
};

using TensorList = std::vector<Tensor>;

// Uninitialised memory on the CPU.
Tensor empty(const Dims& shape, DType dtype);
Tensor zeros(const Dims& shape, DType dtype);
Tensor full(const Dims& shape, DType dtype, double value);
Tensor scalar(double value, DType dtype);
// A 0-d tensor that stands for a Python scalar.
Tensor wrapped_scalar(double value);
Tensor wrapped_scalar(int64_t value);
Tensor wrapped_scalar(bool value);
Tensor wrapped_scalar(Complex<double> value);
// t looks into the memory of `other`, as `other` does.
void take_memory(const Tensor& t, const Tensor& other);
// A view that nobody differentiates through; bounds are the caller's duty.
Tensor raw_view(const Tensor& t, const Dims& shape, const Dims& strides, int64_t offset);
// The same memory read as another type; where the sizes differ, so does the last extent. Nobody differentiates through it.
Tensor reread(const Tensor& t, DType to);
double item(const Tensor& t);
Complex<double> item_complex(const Tensor& t);
int64_t item_int(const Tensor& t);

}  // namespace wootz
