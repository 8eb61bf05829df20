#include "binding/generated.h"
#include "binding/python.h"

namespace wootz::binding {
namespace {

int add_functions(PyObject* module) {
  for (PyMethodDef* table : {tensor_functions, autograd_functions, mode_functions, autocast_functions, vmap_functions, dlpack_functions, override_functions,
                             system_functions, generated_functions})
    if (PyModule_AddFunctions(module, table) < 0) return -1;
  return 0;
}

int add_type(PyObject* module, const char* name, PyTypeObject* type) {
  return type ? PyModule_AddObjectRef(module, name, reinterpret_cast<PyObject*>(type)) : -1;
}

// What `from wootz._core import *` takes: the ops that are public under their own names.
int add_exports(PyObject* module) {
  Object names(PyUnicode_FromString(generated_exports));
  Object list(names ? PyUnicode_Split(names.get(), nullptr, -1) : nullptr);
  if (!list || PyModule_AddObjectRef(module, "__all__", list.get()) < 0) return -1;
  return PyModule_AddStringConstant(module, "_table", generated_table);
}

PyModuleDef definition = {PyModuleDef_HEAD_INIT, "wootz._core", "Tensors, the tape and its engine.", -1, nullptr,
                          nullptr, nullptr, nullptr, nullptr};

}  // namespace
}  // namespace wootz::binding

PyMODINIT_FUNC PyInit__core() {
  using namespace wootz::binding;
  Object module(PyModule_Create(&definition));
  if (!module) return nullptr;
  if (add_type(module.get(), "dtype", make_dtype_type(module.get())) < 0) return nullptr;
  if (add_type(module.get(), "Tensor", make_tensor_type(module.get())) < 0) return nullptr;
  if (add_type(module.get(), "Node", make_node_type(module.get())) < 0) return nullptr;
  if (add_functions(module.get()) < 0 || add_exports(module.get()) < 0) return nullptr;
  return module.release();
}
