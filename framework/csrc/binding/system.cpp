// Module functions around the tensors: threads, memory, instruction set, backends, optimiser steps.
#include "binding/arguments.h"

#include <cmath>

#include "core/backend.h"
#include "core/parallel.h"
#include "core/pool.h"
#include "ops/optim.h"

namespace wootz::binding {
namespace {

PyObject* none() { return Object::borrow(Py_None).release(); }

PyObject* py_num_threads(PyObject*, PyObject*) { return PyLong_FromLong(num_threads()); }
PyObject* py_set_num_threads(PyObject*, PyObject* o) {
  return guarded([&] {
    WOOTZ_CHECK(PyLong_Check(o), ErrorKind::Type, "set_num_threads expects an int");
    long n = PyLong_AsLong(o);
    if (n == -1 && PyErr_Occurred()) python_error();
    WOOTZ_CHECK(n > 0 && n <= 1024, ErrorKind::Value, "set_num_threads expects an integer from 1 to 1024, got ", n);
    set_num_threads(static_cast<int>(n));
    return none();
  });
}

PyObject* isa(PyObject*, PyObject*) { return guarded([] { return PyUnicode_FromString(cpu::kernels().isa); }); }

PyObject* memory_stats(PyObject*, PyObject*) {
  pool::Statistics s = pool::statistics();
  return Py_BuildValue("{sLsLsLsLsL}", "in_use", static_cast<long long>(s.in_use), "peak", static_cast<long long>(s.peak), "cached",
                       static_cast<long long>(s.cached), "allocations", static_cast<long long>(s.allocations), "reuses",
                       static_cast<long long>(s.reuses));
}
PyObject* empty_cache(PyObject*, PyObject*) {
  pool::empty_cache();
  return none();
}
PyObject* reset_peak(PyObject*, PyObject*) {
  pool::reset_peak();
  return none();
}

// Backends written in Python: called with the op's name and its arguments.

PyObject* backends[kDeviceTypes];
PyObject* batching;  // the same for tensors inside vmap

PyObject* number(const Tensor& t) {
  if (is_complex(t.dtype())) {
    Complex<double> z = item_complex(t);
    return PyComplex_FromDoubles(z.re, z.im);
  }
  if (is_float(t.dtype())) return PyFloat_FromDouble(item(t));
  return t.dtype() == DType::Bool ? PyBool_FromLong(item(t) != 0) : PyLong_FromLongLong(item_int(t));
}

struct ToPython {
  PyObject* operator()(std::monostate) const { return none(); }
  // What stands for a Python number is one again: it is passed to a kernel by value and promotes by category only.
  PyObject* operator()(const Tensor& t) const { return t->wrapped ? number(t) : wrap(t); }
  PyObject* operator()(const TensorList& ts) const { return wrap_list(ts); }
  PyObject* operator()(int64_t v) const { return PyLong_FromLongLong(v); }
  PyObject* operator()(double v) const { return PyFloat_FromDouble(v); }
  PyObject* operator()(bool v) const { return PyBool_FromLong(v); }
  PyObject* operator()(const Dims& v) const { return dims_tuple(v); }
  PyObject* operator()(DType v) const { return dtype_object(v); }
  PyObject* operator()(const std::string& v) const { return PyUnicode_FromStringAndSize(v.data(), static_cast<Py_ssize_t>(v.size())); }
};

TensorList call_function(PyObject* function, const char* op, const BoxedList& arguments) {
  Object args(must(PyTuple_New(static_cast<Py_ssize_t>(arguments.size()))));
  for (size_t i = 0; i < arguments.size(); ++i)
    PyTuple_SetItem(args.get(), static_cast<Py_ssize_t>(i), must(std::visit(ToPython{}, arguments[i].value)));
  Object result(must(PyObject_CallFunction(function, "sO", op, args.get())));
  if (result.get() == Py_None) return {};
  if (is_tensor(result.get())) return {tensor_of(result.get())};
  WOOTZ_CHECK(PyTuple_Check(result.get()), ErrorKind::Backend, op, ": the backend returned neither a Tensor nor a tuple of them");
  TensorList out;
  for (Py_ssize_t i = 0; i < PyTuple_Size(result.get()); ++i) {
    PyObject* o = PyTuple_GetItem(result.get(), i);
    WOOTZ_CHECK(is_tensor(o), ErrorKind::Backend, op, ": the backend returned something that is no Tensor");
    out.push_back(tensor_of(o));
  }
  return out;
}

TensorList call_python(DeviceType type, const char* op, const BoxedList& arguments) {
  Locked gil;
  return call_function(backends[static_cast<int>(type)], op, arguments);
}

// Inside vmap, what stands for a Python number reaches the rule as one, and goes on to take part in promotion as one.
TensorList call_batching(DeviceType, const char* op, const BoxedList& arguments) {
  Locked gil;
  BoxedList plain;
  for (const Boxed& b : arguments) {
    auto* t = std::get_if<Tensor>(&b.value);
    if (!t || !t->defined() || !(*t)->wrapped || is_complex(t->dtype())) plain.push_back(b);
    else if (is_float((*t).dtype())) plain.emplace_back(item(*t));
    else if (t->dtype() == DType::Bool) plain.emplace_back(item_int(*t) != 0);
    else plain.emplace_back(item_int(*t));
  }
  return call_function(batching, op, plain);
}

PyObject* register_backend(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    const char* name;
    PyObject* function;
    if (!PyArg_ParseTuple(args, "sO", &name, &function)) python_error();
    if (std::string(name) == "vmap") {
      Object before(std::exchange(batching, Object::borrow(function).release()));
      set_batching(call_batching);
      return none();
    }
    WOOTZ_CHECK(std::string(name) == "cuda", ErrorKind::Device, "register_backend: no device type '", name, "' takes a backend");
    bool clear = function == Py_None;
    WOOTZ_CHECK(clear || PyCallable_Check(function), ErrorKind::Type, "register_backend: the backend must be callable");
    Object old(std::exchange(backends[static_cast<int>(DeviceType::Cuda)], clear ? nullptr : Object::borrow(function).release()));
    set_backend(DeviceType::Cuda, clear ? nullptr : call_python);
    return none();
  });
}

constexpr Param required(const char* name) { return {name, true, false}; }
constexpr Param optional(const char* name) { return {name, false, false}; }

// Both steps take lists of tensors and write parameters and state in place.
const Param sgd_params[] = {required("params"), required("grads"), required("momentum_buffers"), required("lr"), optional("momentum"),
                            optional("dampening"), optional("weight_decay"), optional("nesterov"), optional("maximize"), optional("first")};
const Function sgd_function{"sgd_step", sgd_params, 10, -1};
PyObject* sgd_step(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&] {
    Bound v(sgd_function, nullptr, args, n, names);
    auto at = [](int i) { return Where{&sgd_function, i}; };
    auto number = [&](int i) { return v[i] ? read::number(v[i], at(i)) : 0; };
    auto flag = [&](int i) { return v[i] && read::boolean(v[i], at(i)); };
    TensorList params = read::tensor_list(v[0], at(0)), grads = read::tensor_list(v[1], at(1)), buffers;
    if (v[2] != Py_None) buffers = read::tensor_list(v[2], at(2));
    cpu::SgdStep step{number(3), number(4), number(5), number(6), flag(7), flag(8), flag(9)};
    Unlocked unlocked(true);
    optim::sgd(params, grads, buffers, step);
    unlocked.lock();
    return none();
  });
}

const Param adam_params[] = {required("params"), required("grads"), required("exp_avgs"), required("exp_avg_sqs"),
                             required("max_exp_avg_sqs"), required("step"), required("lr"), required("beta1"), required("beta2"),
                             required("eps"), required("weight_decay"), optional("decoupled"), optional("maximize")};
const Function adam_function{"adamw_step", adam_params, 13, -1};
PyObject* adamw_step(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&] {
    Bound v(adam_function, nullptr, args, n, names);
    auto at = [](int i) { return Where{&adam_function, i}; };
    auto number = [&](int i) { return read::number(v[i], at(i)); };
    auto flag = [&](int i, bool otherwise) { return v[i] ? read::boolean(v[i], at(i)) : otherwise; };
    TensorList params = read::tensor_list(v[0], at(0)), grads = read::tensor_list(v[1], at(1)), means = read::tensor_list(v[2], at(2)),
               squares = read::tensor_list(v[3], at(3)), maxima;
    bool amsgrad = v[4] != Py_None;
    if (amsgrad) maxima = read::tensor_list(v[4], at(4));
    int64_t t = read::integer(v[5], at(5));
    WOOTZ_CHECK(t > 0, ErrorKind::Value, "adamw_step: step counts from 1, got ", t);
    double beta1 = number(7), beta2 = number(8);
    cpu::AdamStep step{number(6), beta1, beta2, number(9), number(10), 1 - std::pow(beta1, static_cast<double>(t)),
                       1 - std::pow(beta2, static_cast<double>(t)), flag(11, true), amsgrad, flag(12, false)};
    Unlocked unlocked(true);
    optim::adam(params, grads, means, squares, maxima, step);
    unlocked.lock();
    return none();
  });
}

}  // namespace

PyMethodDef system_functions[] = {
    {"get_num_threads", py_num_threads, METH_NOARGS, "How many threads one op may use."},
    {"set_num_threads", py_set_num_threads, METH_O, "How many threads one op may use; results do not depend on it."},
    {"isa", isa, METH_NOARGS, "The instruction set of the kernels in use."},
    {"memory_stats", memory_stats, METH_NOARGS, "The caching allocator's counters, in bytes and blocks."},
    {"empty_cache", empty_cache, METH_NOARGS, "Gives cached memory back to the system."},
    {"reset_peak_memory_stats", reset_peak, METH_NOARGS, "Sets the peak to what is in use now."},
    {"register_backend", register_backend, METH_VARARGS, "(device type, function(op, arguments) or None)"},
    {"sgd_step", as_method(sgd_step), METH_FASTCALL | METH_KEYWORDS, "One step of stochastic gradient descent, in place."},
    {"adamw_step", as_method(adamw_step), METH_FASTCALL | METH_KEYWORDS, "One step of Adam or AdamW, in place."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace wootz::binding
