#pragma once
// The Python C API, held to the stable ABI of CPython 3.11, and what the binding files share. It comes before any header of
// the C or C++ library, whose feature macros it sets.
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <array>

#include "core/tensor.h"

namespace wootz::binding {

// An owned reference.
class Object {
 public:
  Object() = default;
  explicit Object(PyObject* owned) : p_(owned) {}
  static Object borrow(PyObject* p) { Py_XINCREF(p); return Object(p); }
  Object(Object&& o) noexcept : p_(o.p_) { o.p_ = nullptr; }
  Object(const Object& o) : p_(o.p_) { Py_XINCREF(p_); }
  Object& operator=(Object o) noexcept { std::swap(p_, o.p_); return *this; }
  ~Object() { Py_XDECREF(p_); }
  PyObject* get() const { return p_; }
  PyObject* release() { PyObject* p = p_; p_ = nullptr; return p; }
  explicit operator bool() const { return p_ != nullptr; }

 private:
  PyObject* p_ = nullptr;
};

// Leaves C++ because a Python exception is set already.
[[noreturn]] inline void python_error() { throw Error(ErrorKind::Python, ""); }
inline PyObject* must(PyObject* p) {
  if (!p) python_error();
  return p;
}

// Sets the Python exception that corresponds to the C++ one being handled.
void raise_current() noexcept;

template <class F> PyObject* guarded(F&& f) noexcept {
  try {
    return f();
  } catch (...) {
    raise_current();
    return nullptr;
  }
}
template <class F> int guarded_int(F&& f) noexcept {
  try {
    return f();
  } catch (...) {
    raise_current();
    return -1;
  }
}

// Lets other Python threads run while it lives, if there is enough work to be worth it.
class Unlocked {
 public:
  explicit Unlocked(bool worth) : state_(worth ? PyEval_SaveThread() : nullptr) {}
  ~Unlocked() { lock(); }
  Unlocked(const Unlocked&) = delete;
  void lock() {
    if (state_) PyEval_RestoreThread(state_);
    state_ = nullptr;
  }

 private:
  PyThreadState* state_;
};

class Locked {
 public:
  Locked() : state_(PyGILState_Ensure()) {}
  ~Locked() { PyGILState_Release(state_); }
  Locked(const Locked&) = delete;

 private:
  PyGILState_STATE state_;
};

inline PyCFunction as_method(PyObject* (*f)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*)) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(f));
}
template <class F> void* slot(F f) { return reinterpret_cast<void*>(f); }

// The Tensor type.
struct TensorObject {
  PyObject_HEAD
  TensorImpl* impl;
  PyObject* weak;
};
extern PyTypeObject* tensor_type;
PyTypeObject* make_tensor_type(PyObject* module);
inline bool is_tensor(PyObject* o) {
  return Py_TYPE(o) == tensor_type || PyType_IsSubtype(Py_TYPE(o), tensor_type);
}
inline Tensor tensor_of(PyObject* o) { return Tensor(Ref<TensorImpl>::share(reinterpret_cast<TensorObject*>(o)->impl)); }
// The one Python object of a tensor; None for an undefined one.
PyObject* wrap(Tensor t);
// A new object of a subclass for a tensor that has none yet.
PyObject* wrap_as(PyTypeObject* type, Tensor t);
PyObject* wrap_list(const TensorList& ts);

inline PyObject* to_python(Tensor t) { return wrap(std::move(t)); }
template <size_t N> PyObject* to_python(std::array<Tensor, N> ts) { return wrap_list(TensorList(ts.begin(), ts.end())); }

PyTypeObject* make_dtype_type(PyObject* module);
PyObject* dtype_object(DType t);
bool is_dtype(PyObject* o);
DType dtype_of_object(PyObject* o);

PyTypeObject* make_node_type(PyObject* module);
PyObject* wrap_node(const Ref<struct ::wootz::Node>& node);

PyObject* dims_tuple(const Dims& d);
PyObject* get_item(PyObject* self, PyObject* key);
int set_item(PyObject* self, PyObject* key, PyObject* value);

extern PyMethodDef tensor_functions[];
extern PyMethodDef autograd_functions[];
extern PyMethodDef system_functions[];
extern PyMethodDef mode_functions[];
extern PyMethodDef autocast_functions[];
extern PyMethodDef vmap_functions[];
extern PyMethodDef dlpack_functions[];
extern PyMethodDef override_functions[];

}  // namespace wootz::binding
