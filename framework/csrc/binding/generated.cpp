// The bindings that follow from the op table.
#include "binding/arguments.h"
#include "binding/generated.h"
#include "binding/override.h"
#include "core/autograd.h"
#include "core/backend.h"
#include "ops.h"

namespace wootz::binding {
namespace {

bool large(const Tensor& t) { return t.defined() && t.numel() >= (1 << 15); }
bool large(const TensorList& ts) {
  for (const Tensor& t : ts)
    if (large(t)) return true;
  return false;
}
template <class T> bool large(const T&) { return false; }

// The tensor that `out=` names. It takes the result where that can be cast; an empty one takes its shape too.
class Out {
 public:
  Out(const Function& f, PyObject* given, bool recorded) : op_(f.name) {
    if (!given || given == Py_None) return;
    into_ = read::tensor(given, {&f, f.count - 1});
    WOOTZ_CHECK(!recorded && !recording(into_), ErrorKind::Gradient, op_, "(): functions with out=... arguments don't support ",
                "automatic differentiation, but one of the arguments requires grad.");
  }
  explicit operator bool() const { return into_.defined(); }

  Tensor take(const Tensor& result) const {
    WOOTZ_CHECK(info(result.dtype()).category <= info(into_.dtype()).category, ErrorKind::DType, op_, ": result type ",
                name_of(result.dtype()), " can't be cast to the desired output type ", name_of(into_.dtype()));
    WOOTZ_CHECK(result.device() == into_.device(), ErrorKind::Device, op_, ": the result is on ", text(result.device()), ", out on ",
                text(into_.device()));
    if (!(result.shape() == into_.shape())) resize(result);
    store(into_, result);
    into_.bump();
    return into_;
  }

 private:
  void resize(const Tensor& result) const {
    WOOTZ_CHECK(into_.numel() == 0 && !into_->base, ErrorKind::Shape, op_, ": out has shape ", text(into_.shape()), ", the result ",
                text(result.shape()), "; give a tensor of that shape, or an empty one, which takes it");
    Tensor room = filled(into_, result.shape(), into_.dtype(), 0);
    into_->storage = room->storage;
    into_->offset = room->offset;
    into_->shape = room->shape;
    into_->strides = room->strides;
    into_->numel = room->numel;
    into_->contiguous = room->contiguous;
  }

  const char* op_;
  Tensor into_;
};

}  // namespace

#include "bindings.inc"

}  // namespace wootz::binding
