#pragma once
// Subclasses of Tensor that say themselves what an op does with them (`__wootz_function__`).
#include "binding/python.h"

namespace wootz::binding {

// Whether any such class exists: while none does, a call pays for reading this.
extern bool overrides_exist;
// Whether an argument (self, args[0 .. n + keywords), or an element of a list among them) is of such a class.
bool overridden(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* names);
// Calls the op through the classes of its arguments. `name` is a function of wootz._core, else a method of Tensor.
PyObject* call_override(const char* name, PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* names);

inline bool overridden(PyObject* a, PyObject* b = nullptr) {
  if (!overrides_exist) return false;
  PyObject* args[] = {a, b};
  return overridden(nullptr, args, b ? 2 : 1, nullptr);
}
inline PyObject* call_override(const char* name, PyObject* a, PyObject* b = nullptr, PyObject* c = nullptr) {
  PyObject* args[] = {a, b, c};
  return call_override(name, nullptr, args, c ? 3 : b ? 2 : 1, nullptr);
}

}  // namespace wootz::binding
