// Module functions of mixed precision (core/autocast.h).
#include "binding/arguments.h"
#include "core/autocast.h"

namespace wootz::binding {
namespace {

PyObject* none() { return Object::borrow(Py_None).release(); }

DeviceType named(const char* name) {
  for (DeviceType t : {DeviceType::Cpu, DeviceType::Cuda})
    if (std::string(name) == name_of(t)) return t;
  fail(ErrorKind::Value, "autocast is for devices of type 'cpu' and 'cuda', not '", name, "'");
}

Precision precision(const std::string& name) {
  const char* names[] = {"", "same", "low", "wide", "widest"};
  for (uint8_t i = 0; i < 5; ++i)
    if (name == names[i]) return static_cast<Precision>(i);
  fail(ErrorKind::Value, "a precision is 'same', 'low', 'wide' or 'widest', not '", name, "'");
}

PyObject* push(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    const char* device;
    PyObject* dtype;
    int enabled, caches;
    if (!PyArg_ParseTuple(args, "sOpp", &device, &dtype, &enabled, &caches)) python_error();
    WOOTZ_CHECK(is_dtype(dtype), ErrorKind::Type, "autocast_push() takes a dtype");
    push_autocast(named(device), {enabled != 0, dtype_of_object(dtype)}, caches != 0);
    return none();
  });
}

PyObject* pop(PyObject*, PyObject*) {
  return guarded([&] {
    WOOTZ_CHECK(autocast_depth() > 0, ErrorKind::Value, "this thread is not inside autocast");
    pop_autocast();
    return none();
  });
}

PyObject* state(PyObject*, PyObject* name) {
  return guarded([&]() -> PyObject* {
    const char* device = PyUnicode_AsUTF8AndSize(name, nullptr);
    if (!device) python_error();
    AutocastState s = autocast_state(named(device));
    Object dtype(dtype_object(s.dtype)), enabled(PyBool_FromLong(s.enabled)), caches(PyBool_FromLong(autocast_caches()));
    return PyTuple_Pack(3, enabled.get(), dtype.get(), caches.get());
  });
}

PyObject* in_force(PyObject*, PyObject*) { return PyBool_FromLong(autocasting()); }

PyObject* suspend(PyObject*, PyObject* on) {
  int v = PyObject_IsTrue(on);
  return v < 0 ? nullptr : PyBool_FromLong(suspend_autocast(v != 0));
}

PyObject* forget(PyObject*, PyObject*) {
  forget_casts();
  return none();
}

// What an op of Python makes of the tensors among its arguments; None where autocast leaves them alone.
PyObject* cast_inputs(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    const char *cpu, *cuda;
    PyObject* list;
    if (!PyArg_ParseTuple(args, "ssO!", &cpu, &cuda, &PyList_Type, &list)) python_error();
    TensorList tensors;
    for (Py_ssize_t i = 0; i < PyList_Size(list); ++i) {
      PyObject* o = PyList_GetItem(list, i);
      WOOTZ_CHECK(is_tensor(o), ErrorKind::Type, "autocast_inputs() takes a list of tensors");
      tensors.push_back(tensor_of(o));
    }
    Autocast cast({{precision(cpu), precision(cuda)}}, tensors);
    return cast ? wrap_list(cast(tensors)) : none();
  });
}

}  // namespace

PyMethodDef autocast_functions[] = {
    {"autocast_push", push, METH_VARARGS, "(device type, dtype, whether enabled, whether weights' casts are kept)"},
    {"autocast_pop", pop, METH_NOARGS, "Back to what was in force before the last push of this thread."},
    {"autocast_state", state, METH_O, "(whether enabled, dtype, whether weights' casts are kept) for a device type."},
    {"autocasting", in_force, METH_NOARGS, "Whether ops of this thread cast their inputs, on any device."},
    {"autocast_suspend", suspend, METH_O, "Whether ops are left alone from now on; returns what it was."},
    {"autocast_forget", forget, METH_NOARGS, "Drops the casts of weights that are kept."},
    {"autocast_inputs", cast_inputs, METH_VARARGS, "(precision on cpu, on cuda, tensors): those cast, or None."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace wootz::binding
