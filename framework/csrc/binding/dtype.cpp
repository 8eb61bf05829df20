// wootz.dtype: one immutable object an element type.
#include "binding/python.h"
#include "core/dtype.h"

namespace wootz::binding {
namespace {

struct DTypeObject {
  PyObject_HEAD
  DType value;
};

PyTypeObject* dtype_type;
PyObject* singletons[kDTypes];

DType value(PyObject* o) { return reinterpret_cast<DTypeObject*>(o)->value; }

PyObject* repr(PyObject* self) { return PyUnicode_FromFormat("wootz.%s", name_of(value(self))); }
PyObject* reduce(PyObject* self, PyObject*) { return PyUnicode_FromString(name_of(value(self))); }
PyObject* get_name(PyObject* self, void*) { return PyUnicode_FromString(name_of(value(self))); }
PyObject* get_size(PyObject* self, void*) { return PyLong_FromSize_t(size_of(value(self))); }
PyObject* get_float(PyObject* self, void*) { return PyBool_FromLong(is_float(value(self))); }
PyObject* get_complex(PyObject* self, void*) { return PyBool_FromLong(is_complex(value(self))); }
PyObject* get_signed(PyObject* self, void*) { return PyBool_FromLong(is_signed(value(self))); }

PyGetSetDef getters[] = {{"name", get_name, nullptr, "Its name, as NumPy spells it.", nullptr},
                         {"itemsize", get_size, nullptr, "Bytes an element.", nullptr},
                         {"is_floating_point", get_float, nullptr, "Whether it is a floating point type.", nullptr},
                         {"is_complex", get_complex, nullptr, "Whether it is a complex type.", nullptr},
                         {"is_signed", get_signed, nullptr, "Whether it has negative values.", nullptr},
                         {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyObject* find(PyObject*, PyObject* name) {
  for (PyObject* d : singletons)
    if (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, name_of(value(d))) == 0) return Object::borrow(d).release();
  PyErr_Format(PyExc_TypeError, "no dtype is called %R", name);
  return nullptr;
}

PyMethodDef methods[] = {{"__reduce__", reduce, METH_NOARGS, "Pickled by name."},
                         {"named", find, METH_O | METH_STATIC, "The dtype of a name such as 'float32'."},
                         {nullptr, nullptr, 0, nullptr}};

}  // namespace

PyTypeObject* make_dtype_type(PyObject* module) {
  PyType_Slot slots[] = {{Py_tp_repr, slot(repr)}, {Py_tp_getset, getters}, {Py_tp_methods, methods},
                         {Py_tp_doc, const_cast<char*>("The type of a tensor's elements.")}, {0, nullptr}};
  PyType_Spec spec{"wootz.dtype", sizeof(DTypeObject), 0,
                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, slots};
  dtype_type = reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &spec, nullptr));
  if (!dtype_type) return nullptr;
  for (int i = 0; i < kDTypes; ++i) {
    PyObject* o = PyType_GenericAlloc(dtype_type, 0);
    if (!o) return nullptr;
    reinterpret_cast<DTypeObject*>(o)->value = static_cast<DType>(i);
    singletons[i] = o;
    if (PyModule_AddObjectRef(module, name_of(static_cast<DType>(i)), o) < 0) return nullptr;
  }
  return dtype_type;
}

PyObject* dtype_object(DType t) { return Object::borrow(singletons[static_cast<int>(t)]).release(); }
bool is_dtype(PyObject* o) { return Py_TYPE(o) == dtype_type; }
DType dtype_of_object(PyObject* o) { return value(o); }

}  // namespace wootz::binding
