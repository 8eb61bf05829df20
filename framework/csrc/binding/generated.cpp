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

// The tensor that `out=` names. It takes the result where that can be cast, and its shape too, with a warning unless it was empty.
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
    WOOTZ_CHECK(!into_->base, ErrorKind::Shape, op_, ": out has shape ", text(into_.shape()), ", the result ", text(result.shape()),
                "; a view cannot be resized: give a tensor of that shape");
    if (into_.numel() > 0) warn(result.shape());
    take_memory(into_, filled(into_, result.shape(), into_.dtype(), 0));
  }

  void warn(const Dims& shape) const {
    std::string message = std::string(op_) + ": an output with one or more elements was resized since it had shape " + text(into_.shape()) +
                          ", which does not match the required output shape " + text(shape) + ". Give an empty tensor: out.resize_(0)";
    Locked gil;
    if (PyErr_WarnEx(PyExc_UserWarning, message.c_str(), 1) != 0) python_error();
  }

  const char* op_;
  Tensor into_;
};

}  // namespace

#include "bindings.inc"

}  // namespace wootz::binding
