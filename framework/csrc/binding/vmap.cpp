// Module functions of vmap's levels (core/batch.h), and the Python function that runs ops on batched tensors.
#include "binding/arguments.h"
#include "core/backend.h"
#include "core/batch.h"

namespace wootz::binding {
namespace {

PyObject* none() { return Object::borrow(Py_None).release(); }

Tensor one(PyObject* o, const char* what) {
  WOOTZ_CHECK(is_tensor(o), ErrorKind::Type, what, "() takes a Tensor");
  return tensor_of(o);
}

PyObject* py_push(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    long long size;
    const char* randomness;
    if (!PyArg_ParseTuple(args, "Ls", &size, &randomness)) python_error();
    return PyLong_FromLongLong(push_frame(size, randomness));
  });
}

PyObject* py_pop(PyObject*, PyObject*) {
  return guarded([&] {
    WOOTZ_CHECK(!frames().empty(), ErrorKind::Value, "this thread is not inside vmap");
    pop_frame();
    return none();
  });
}

PyObject* py_frames(PyObject*, PyObject*) { return PyLong_FromSize_t(frames().size()); }

template <Tensor (*move)(const Tensor&, const Level&)> PyObject* py_move(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject* o;
    long long id, size;
    if (!PyArg_ParseTuple(args, "OLL", &o, &id, &size)) python_error();
    return wrap(move(one(o, "vmap"), {id, size}));
  });
}

PyObject* py_level(PyObject*, PyObject* o) {
  return guarded([&] { return PyLong_FromLongLong(is_tensor(o) ? level_of(tensor_of(o)) : 0); });
}

PyObject* py_physical(PyObject*, PyObject* o) {
  return guarded([&] {
    Tensor t = one(o, "physical");
    WOOTZ_CHECK(level_of(t), ErrorKind::Value, "physical(): the tensor is not one that vmap's function sees");
    return wrap(physical(t));
  });
}

PyObject* py_variable(PyObject*, PyObject* o) { return guarded([&] { return wrap(variable(one(o, "variable"))); }); }

}  // namespace

PyMethodDef vmap_functions[] = {
    {"vmap_push", py_push, METH_VARARGS, "(examples, randomness): enters a vmap on this thread; its level."},
    {"vmap_pop", py_pop, METH_NOARGS, "Leaves the innermost vmap."},
    {"vmap_depth", py_frames, METH_NOARGS, "How many vmaps this thread is inside of."},
    {"vmap_enter", py_move<enter>, METH_VARARGS, "(tensor, level, examples): dimension 0 becomes the level's."},
    {"vmap_leave", py_move<leave>, METH_VARARGS, "(tensor, level, examples): the level's examples in dimension 0."},
    {"vmap_batch", py_move<batch>, METH_VARARGS, "Like vmap_enter, for the highest level and without history."},
    {"vmap_level", py_level, METH_O, "The highest level of a tensor; 0 for none."},
    {"vmap_physical", py_physical, METH_O, "The examples of the highest level in dimension 0, without history."},
    {"variable", py_variable, METH_O, "A tensor with these values that derivatives can be taken by."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace wootz::binding
