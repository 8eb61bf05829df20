// Switches of the tape: grad mode, inference mode, saved-tensor hooks, anomaly mode.
#include "binding/arguments.h"
#include "core/autograd.h"

namespace wootz::binding {
namespace {

PyObject* none() { return Object::borrow(Py_None).release(); }

template <bool (*get)(), void (*set)(bool)> PyObject* exchange(PyObject*, PyObject* on) {
  int v = PyObject_IsTrue(on);
  if (v < 0) return nullptr;
  bool before = get();
  set(v != 0);
  return PyBool_FromLong(before);
}
template <bool (*get)()> PyObject* ask(PyObject*, PyObject*) { return PyBool_FromLong(get()); }

// Saved-tensor hooks: the innermost pair of the thread packs, and what it packed unpacks itself later, on any thread.

struct Pair {
  PyObject *pack, *unpack;
};
thread_local std::vector<Pair> pairs;
thread_local bool in_pack = false;  // what a pack function itself saves is not packed

struct PyPacked final : Packed {
  PyObject *kept, *unpack_function;
  PyPacked(PyObject* value, PyObject* f) : kept(value), unpack_function(Object::borrow(f).release()) {}
  ~PyPacked() override {
    if (!Py_IsInitialized()) return;
    Locked gil;
    Py_DECREF(kept);
    Py_DECREF(unpack_function);
  }
  Tensor unpack() override {
    Locked gil;
    Object t(must(PyObject_CallFunctionObjArgs(unpack_function, kept, nullptr)));
    WOOTZ_CHECK(is_tensor(t.get()), ErrorKind::Type, "saved_tensors_hooks: unpack_hook must return a Tensor");
    return tensor_of(t.get());
  }
};

Ref<Packed> pack(const Tensor& t);

struct Packing {
  Packing() { in_pack = true; set_packer(nullptr); }
  ~Packing() { in_pack = false; set_packer(pairs.empty() ? nullptr : pack); }
};

Ref<Packed> pack(const Tensor& t) {
  Locked gil;
  Pair p = pairs.back();
  Packing busy;
  Object given(wrap(t));
  PyObject* kept = must(PyObject_CallFunctionObjArgs(p.pack, given.get(), nullptr));
  return Ref<Packed>::adopt(new PyPacked(kept, p.unpack));
}

PyObject* push_hooks(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *pack_function, *unpack_function;
    if (!PyArg_ParseTuple(args, "OO", &pack_function, &unpack_function)) python_error();
    WOOTZ_CHECK(PyCallable_Check(pack_function) && PyCallable_Check(unpack_function), ErrorKind::Type,
                "saved_tensors_hooks takes two functions: pack_hook and unpack_hook");
    pairs.push_back({Object::borrow(pack_function).release(), Object::borrow(unpack_function).release()});
    if (!in_pack) set_packer(pack);
    return none();
  });
}

PyObject* pop_hooks(PyObject*, PyObject*) {
  return guarded([&] {
    WOOTZ_CHECK(!pairs.empty(), ErrorKind::Value, "no saved-tensor hooks are active on this thread");
    Pair p = pairs.back();
    pairs.pop_back();
    if (pairs.empty()) set_packer(nullptr);
    Py_DECREF(p.pack);
    Py_DECREF(p.unpack);
    return none();
  });
}

// The innermost pair, for functions written in Python that save tensors; None where there is none.
PyObject* saved_hooks(PyObject*, PyObject*) {
  if (pairs.empty() || in_pack) return none();
  return PyTuple_Pack(2, pairs.back().pack, pairs.back().unpack);
}

PyObject* where_function = nullptr;

std::string where() {
  Locked gil;
  if (!where_function) return "";
  Object text(must(PyObject_CallNoArgs(where_function)));
  const char* s = PyUnicode_AsUTF8AndSize(text.get(), nullptr);
  if (!s) python_error();
  return s;
}

PyObject* py_set_anomaly(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject* function;
    int check_nan;
    if (!PyArg_ParseTuple(args, "Op", &function, &check_nan)) python_error();
    bool on = function != Py_None;
    set_anomaly({on ? where : nullptr, check_nan != 0});
    Object old(std::exchange(where_function, on ? Object::borrow(function).release() : nullptr));
    return none();
  });
}

}  // namespace

PyMethodDef mode_functions[] = {
    {"is_grad_enabled", ask<grad_enabled>, METH_NOARGS, "Whether ops are recorded on this thread."},
    {"set_grad_enabled", exchange<grad_enabled, set_grad_enabled>, METH_O, "Switches recording on this thread; returns what it was."},
    {"is_inference_mode_enabled", ask<inference_mode>, METH_NOARGS, "Whether this thread is in inference mode."},
    {"set_inference_mode", exchange<inference_mode, set_inference_mode>, METH_O, "Switches inference mode on this thread; returns what it was."},
    {"push_saved_hooks", push_hooks, METH_VARARGS, "(pack, unpack): what the tape saves on this thread goes through them."},
    {"pop_saved_hooks", pop_hooks, METH_NOARGS, "Takes the innermost pair away."},
    {"saved_hooks", saved_hooks, METH_NOARGS, "The innermost (pack, unpack), or None."},
    {"set_anomaly", py_set_anomaly, METH_VARARGS, "(function that says where Python is, or None; check for NaN)"},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace wootz::binding
