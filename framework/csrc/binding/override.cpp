#include "binding/override.h"

#include <algorithm>

#include "binding/arguments.h"
#include "ops.h"

namespace wootz::binding {

bool overrides_exist = false;

namespace {

// Compared by address only; a class takes itself out again through its successor at the same address.
std::vector<PyTypeObject*> classes;
PyObject* handler = nullptr;
thread_local bool off = false;

bool known(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  return type != tensor_type && std::find(classes.begin(), classes.end(), type) != classes.end();
}

template <PyObject* (*item)(PyObject*, Py_ssize_t)> bool any_known(PyObject* o, Py_ssize_t n) {
  for (Py_ssize_t i = 0; i < n; ++i)
    if (known(item(o, i))) return true;
  return false;
}

bool holds_known(PyObject* o) {
  if (known(o)) return true;
  if (PyTuple_Check(o)) return any_known<PyTuple_GetItem>(o, PyTuple_Size(o));
  return PyList_Check(o) && any_known<PyList_GetItem>(o, PyList_Size(o));
}

}  // namespace

bool overridden(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  if (off) return false;
  if (self && known(self)) return true;
  Py_ssize_t all = n + (names ? PyTuple_Size(names) : 0);
  return std::any_of(args, args + all, holds_known);
}

PyObject* call_override(const char* name, PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&] {
    Object module(must(PyImport_ImportModule("wootz._core")));
    bool op = name[0] != '_' && PyObject_HasAttrString(module.get(), name);
    PyObject* owner = op ? module.get() : reinterpret_cast<PyObject*>(tensor_type);
    Object function(must(PyObject_GetAttrString(owner, name)));
    Object positional(must(PyTuple_New(n + (self ? 1 : 0)))), keywords(must(PyDict_New()));
    Py_ssize_t at = 0;
    if (self) PyTuple_SetItem(positional.get(), at++, Object::borrow(self).release());
    for (Py_ssize_t i = 0; i < n; ++i) PyTuple_SetItem(positional.get(), at++, Object::borrow(args[i]).release());
    for (Py_ssize_t i = 0; names && i < PyTuple_Size(names); ++i)
      if (PyDict_SetItem(keywords.get(), PyTuple_GetItem(names, i), args[n + i]) < 0) python_error();
    return must(PyObject_CallFunctionObjArgs(handler, function.get(), positional.get(), keywords.get(), nullptr));
  });
}

namespace {

PyObject* register_override(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject* type;
    int on;
    if (!PyArg_ParseTuple(args, "Op", &type, &on)) python_error();
    WOOTZ_CHECK(PyType_Check(type), ErrorKind::Type, "register_override() takes a class");
    auto* t = reinterpret_cast<PyTypeObject*>(type);
    std::erase(classes, t);
    if (on) classes.push_back(t);
    overrides_exist = !classes.empty();
    return Object::borrow(Py_None).release();
  });
}

PyObject* set_handler(PyObject*, PyObject* function) {
  Object old(std::exchange(handler, Object::borrow(function).release()));
  return Object::borrow(Py_None).release();
}

PyObject* has_override(PyObject*, PyObject* values) {
  return PyBool_FromLong(overrides_exist && !off && holds_known(values));
}

// function(*args, **kwargs) on the tensors that the arguments are, whatever their classes say.
PyObject* call_plain(PyObject*, PyObject* args) {
  PyObject *function, *positional, *keywords;
  if (!PyArg_ParseTuple(args, "OOO", &function, &positional, &keywords)) return nullptr;
  bool before = std::exchange(off, true);
  PyObject* result = PyObject_Call(function, positional, keywords == Py_None ? nullptr : keywords);
  off = before;
  return result;
}

PyObject* py_as_subclass(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *o, *type;
    if (!PyArg_ParseTuple(args, "OO", &o, &type)) python_error();
    WOOTZ_CHECK(is_tensor(o) && PyType_Check(type) && PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(type), tensor_type),
                ErrorKind::Type, "as_subclass() takes a Tensor and a subclass of Tensor");
    Tensor t = tensor_of(o);
    Tensor same = t.requires_grad() ? ops::as_strided(t, t.shape(), t.strides(), t->offset) : t.detached();
    return wrap_as(reinterpret_cast<PyTypeObject*>(type), same);
  });
}

}  // namespace

PyMethodDef override_functions[] = {
    {"register_override", register_override, METH_VARARGS, "(class, whether ops ask its __wootz_function__)"},
    {"set_override_handler", set_handler, METH_O, "function(op, args, kwargs), called for arguments of such a class."},
    {"has_override", has_override, METH_O, "Whether a tuple or list of arguments holds a tensor of such a class."},
    {"call_plain", call_plain, METH_VARARGS, "(function, args, kwargs): calls it without asking any class."},
    {"as_subclass", py_as_subclass, METH_VARARGS, "(tensor, class): the same values and history as an object of the class."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace wootz::binding
