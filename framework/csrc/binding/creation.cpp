// Module functions that make tensors: empty, full, ranges, random numbers, and memory that Python objects lend.
#include "binding/arguments.h"

#include <cmath>
#include <cstring>

#include "core/backend.h"
#include "core/batch.h"
#include "forward.h"
#include "ops/pointwise.h"
#include "ops/random.h"

namespace wootz::binding {
namespace {

using read::optional_dtype;

#define WOOTZ_SIGNATURE(name, ...)                    \
  const Param name##_params[] = {__VA_ARGS__};        \
  const Function name##_function{#name, name##_params, sizeof(name##_params) / sizeof(Param), -1};

constexpr Param required(const char* name) { return {name, true, false}; }
constexpr Param optional(const char* name) { return {name, false, false}; }

WOOTZ_SIGNATURE(empty, required("size"), optional("dtype"))
PyObject* py_empty(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&] {
    Bound v(empty_function, nullptr, args, n, names);
    Dims shape = read::dims(v[0], {&empty_function, 0});
    return wrap(empty(shape, optional_dtype(v[1], {&empty_function, 1}).value_or(default_dtype())));
  });
}

DType scalar_type(const Tensor& value) {
  DType t = value.dtype();
  return is_complex(t) ? complex_type(default_dtype()) : is_float(t) ? default_dtype() : t;
}

WOOTZ_SIGNATURE(full, required("size"), required("fill_value"), optional("dtype"))
PyObject* py_full(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&] {
    Bound v(full_function, nullptr, args, n, names);
    Dims shape = read::dims(v[0], {&full_function, 0});
    Tensor value = read::tensor_or_scalar(v[1], {&full_function, 1});
    Tensor out = empty(shape, optional_dtype(v[2], {&full_function, 2}).value_or(scalar_type(value)));
    if (out.numel() > 0 && !is_complex(value.dtype()) && item(value) == 0) std::memset(out.bytes(), 0, static_cast<size_t>(out.numel()) * size_of(out.dtype()));
    else forward::assign(out, value);
    return wrap(out);
  });
}

WOOTZ_SIGNATURE(scalar, required("value"), optional("dtype"))
PyObject* py_scalar(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&] {
    Bound v(scalar_function, nullptr, args, n, names);
    Tensor value = read::tensor_or_scalar(v[0], {&scalar_function, 0});
    Tensor out = empty(Dims{}, optional_dtype(v[1], {&scalar_function, 1}).value_or(scalar_type(value)));
    forward::assign(out, value);
    return wrap(out);
  });
}

// start, end and step are numbers; integers stay exact.
WOOTZ_SIGNATURE(arange, required("start"), required("end"), required("step"), required("dtype"))
PyObject* py_arange(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&] {
    Bound v(arange_function, nullptr, args, n, names);
    auto at = [](int i) { return Where{&arange_function, i}; };
    Tensor a = read::tensor_or_scalar(v[0], at(0)), b = read::tensor_or_scalar(v[1], at(1)), s = read::tensor_or_scalar(v[2], at(2));
    DType dtype = read::dtype(v[3], at(3));
    double start = item(a), end = item(b), step = item(s);
    WOOTZ_CHECK(std::isfinite(start) && std::isfinite(end), ErrorKind::Value, "arange: unsupported range");
    WOOTZ_CHECK(step != 0 && step == step, ErrorKind::Value, "arange: step must be nonzero");
    WOOTZ_CHECK(step > 0 ? start <= end : start >= end, ErrorKind::Value, "arange: upper bound and larger bound inconsistent with step sign");
    double length = std::ceil((end - start) / step);
    WOOTZ_CHECK(length < 9e17, ErrorKind::Shape, "arange: the range has more elements than can be addressed");
    Tensor out = empty({static_cast<int64_t>(length)}, dtype);
    bool exact = is_integral(a.dtype()) && is_integral(s.dtype());
    int64_t first = exact ? item_int(a) : 0, by = exact ? item_int(s) : 0;
    visit(dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      T* p = out.data<T>();
      for (int64_t i = 0; i < out.numel(); ++i)
        p[i] = exact ? static_cast<T>(first + i * by) : static_cast<T>(start + static_cast<double>(i) * step);
    });
    return wrap(out);
  });
}

// Random numbers come from the generator state (seed, draw) where one is given, else from the default generator.
random::State generator(PyObject* seed, PyObject* draw) {
  if (!seed || seed == Py_None) return random::next();
  WOOTZ_CHECK(PyLong_Check(seed) && draw && PyLong_Check(draw), ErrorKind::Type, "a generator's seed and draw are ints");
  return {PyLong_AsUnsignedLongLongMask(seed), PyLong_AsUnsignedLongLongMask(draw)};
}

WOOTZ_SIGNATURE(uniform, required("size"), required("dtype"), required("low"), required("high"), optional("seed"), optional("draw"))
PyObject* py_uniform(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&] {
    Bound v(uniform_function, nullptr, args, n, names);
    auto at = [](int i) { return Where{&uniform_function, i}; };
    Dims size = drawn_shape("uniform", read::dims(v[0], at(0)));
    DType dtype = read::dtype(v[1], at(1));
    return wrap(drawn(random::uniform(size, dtype, read::number(v[2], at(2)), read::number(v[3], at(3)), generator(v[4], v[5]))));
  });
}

WOOTZ_SIGNATURE(normal, required("size"), required("dtype"), required("mean"), required("std"), optional("seed"), optional("draw"))
PyObject* py_normal(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&] {
    Bound v(normal_function, nullptr, args, n, names);
    auto at = [](int i) { return Where{&normal_function, i}; };
    Dims size = drawn_shape("normal", read::dims(v[0], at(0)));
    DType dtype = read::dtype(v[1], at(1));
    return wrap(drawn(random::normal(size, dtype, read::number(v[2], at(2)), read::number(v[3], at(3)), generator(v[4], v[5]))));
  });
}

WOOTZ_SIGNATURE(randint, required("size"), required("dtype"), required("low"), required("high"), optional("seed"), optional("draw"))
PyObject* py_randint(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&] {
    Bound v(randint_function, nullptr, args, n, names);
    auto at = [](int i) { return Where{&randint_function, i}; };
    Dims size = drawn_shape("randint", read::dims(v[0], at(0)));
    DType dtype = read::dtype(v[1], at(1));
    return wrap(drawn(random::integers(size, dtype, read::integer(v[2], at(2)), read::integer(v[3], at(3)), generator(v[4], v[5]))));
  });
}

WOOTZ_SIGNATURE(random_mask, required("size"), required("p"), optional("seed"), optional("draw"))
PyObject* py_random_mask(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&] {
    Bound v(random_mask_function, nullptr, args, n, names);
    Dims size = drawn_shape("random_mask", read::dims(v[0], {&random_mask_function, 0}));
    return wrap(drawn(random::mask(size, read::number(v[1], {&random_mask_function, 1}), generator(v[2], v[3]))));
  });
}

WOOTZ_SIGNATURE(randperm, required("n"), optional("seed"), optional("draw"))
PyObject* py_randperm(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&] {
    Bound v(randperm_function, nullptr, args, n, names);
    int64_t length = read::integer(v[0], {&randperm_function, 0});
    Dims shape = drawn_shape("randperm", {length});
    random::State at = generator(v[1], v[2]);
    if (shape.size() == 1) return wrap(random::permutation(length, at));
    // Inside vmap one permutation an example, each from a seed of its own.
    TensorList rows;
    int64_t examples = 1;
    for (int d = 0; d + 1 < shape.size(); ++d) examples *= shape[d];
    for (int64_t i = 0; i < examples; ++i)
      rows.push_back(random::permutation(length, {at.seed + static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15u, at.draws}));
    return wrap(drawn(forward::reshape(forward::stack(rows, 0), shape)));
  });
}

PyObject* random_state(PyObject*, PyObject*) {
  random::State s = random::state();
  return Py_BuildValue("(KK)", static_cast<unsigned long long>(s.seed), static_cast<unsigned long long>(s.draws));
}

PyObject* next_random_state(PyObject*, PyObject*) {
  random::State s = random::next();
  return Py_BuildValue("(KK)", static_cast<unsigned long long>(s.seed), static_cast<unsigned long long>(s.draws));
}

PyObject* set_random_state(PyObject*, PyObject* args) {
  unsigned long long s, draws;
  if (!PyArg_ParseTuple(args, "KK", &s, &draws)) return nullptr;
  random::set_state({s, draws});
  return Object::borrow(Py_None).release();
}

// A buffer's format as a dtype: one native item, its size taken from the buffer.
std::optional<DType> format_dtype(const char* f, Py_ssize_t size) {
  if (!f) return size == 1 ? std::optional<DType>(DType::UInt8) : std::nullopt;
  if (*f == '@' || *f == '=' || *f == '<' || *f == '|') ++f;
  if (std::strcmp(f, "Zf") == 0) return DType::Complex64;
  if (std::strcmp(f, "Zd") == 0) return DType::Complex128;
  if (!*f || f[1]) return std::nullopt;
  switch (*f) {
    case '?': return DType::Bool;
    case 'B': return DType::UInt8;
    case 'b': return DType::Int8;
    case 'h': return DType::Int16;
    case 'i': case 'l': case 'q': return size == 4 ? DType::Int32 : DType::Int64;
    case 'H': return DType::UInt16;
    case 'I': case 'L': case 'Q': return size == 4 ? DType::UInt32 : DType::UInt64;
    case 'e': return DType::Float16;
    case 'f': return DType::Float32;
    case 'd': return DType::Float64;
    default: return std::nullopt;
  }
}

void give_back_buffer(void* owner) {
  if (!Py_IsInitialized()) return;
  Locked gil;
  auto* view = static_cast<Py_buffer*>(owner);
  PyBuffer_Release(view);
  delete view;
}

Tensor borrow_buffer(PyObject* o) {
  auto* view = new Py_buffer;
  if (PyObject_GetBuffer(o, view, PyBUF_STRIDES | PyBUF_FORMAT | PyBUF_WRITABLE) != 0) {
    delete view;
    python_error();
  }
  std::unique_ptr<Py_buffer, void (*)(Py_buffer*)> guard(view, [](Py_buffer* v) { PyBuffer_Release(v); delete v; });
  auto dtype = format_dtype(view->format, view->itemsize);
  WOOTZ_CHECK(dtype, ErrorKind::DType, "can't convert memory of format '", view->format ? view->format : "", "'; the supported types are: ",
              "complex128, complex64, float64, float32, float16, int64, int32, int16, int8, uint64, uint32, uint16, uint8 and bool");
  Dims shape, strides;
  for (int d = 0; d < view->ndim; ++d) {
    WOOTZ_CHECK(view->strides[d] >= 0 || view->shape[d] <= 1, ErrorKind::Value, "At least one stride of the array is negative, and tensors ",
                "with negative strides are not supported. Make a copy first.");
    WOOTZ_CHECK(view->strides[d] % view->itemsize == 0, ErrorKind::Value, "array strides that are not multiples of the item size are not supported");
    shape.push(view->shape[d]);
    strides.push(view->shape[d] <= 1 ? 0 : view->strides[d] / view->itemsize);
  }
  auto alignment = size_of(real_type(*dtype));
  WOOTZ_CHECK(reinterpret_cast<uintptr_t>(view->buf) % alignment == 0, ErrorKind::Value, "array is not aligned");
  auto bytes = static_cast<size_t>(count(shape) ? extent(shape, strides, 0) : 0) * size_of(*dtype);
  if (is_contiguous(shape, strides)) strides = contiguous_strides(shape);
  Ref<Storage> storage = Storage::borrow(view->buf, bytes, Device{}, give_back_buffer, view);
  guard.release();
  return Tensor::make(std::move(storage), 0, shape, strides, *dtype);
}

PyObject* from_buffer(PyObject*, PyObject* o) { return guarded([&] { return wrap(borrow_buffer(o)); }); }

void give_back_object(void* owner) {
  if (!Py_IsInitialized()) return;
  Locked gil;
  Py_DECREF(static_cast<PyObject*>(owner));
}

DeviceType device_type(const std::string& name) {
  for (DeviceType t : {DeviceType::Cpu, DeviceType::Cuda})
    if (name == name_of(t)) return t;
  fail(ErrorKind::Device, "unknown device type '", name, "'");
}

// Memory of a backend: `owner` keeps it alive for as long as a tensor looks into it.
WOOTZ_SIGNATURE(from_pointer, required("pointer"), required("nbytes"), required("shape"), required("strides"), required("dtype"),
                required("device_type"), required("device_index"), required("owner"))
PyObject* py_from_pointer(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&] {
    Bound v(from_pointer_function, nullptr, args, n, names);
    auto at = [](int i) { return Where{&from_pointer_function, i}; };
    void* p = PyLong_AsVoidPtr(v[0]);
    if (!p && PyErr_Occurred()) python_error();
    int64_t bytes = read::integer(v[1], at(1)), index = read::integer(v[6], at(6));
    Dims shape = read::dims(v[2], at(2)), strides = read::dims(v[3], at(3));
    DType dtype = read::dtype(v[4], at(4));
    Device device{device_type(read::string(v[5], at(5))), static_cast<int8_t>(index)};
    WOOTZ_CHECK(shape.size() == strides.size(), ErrorKind::Shape, "from_pointer: shape and strides differ in length");
    WOOTZ_CHECK(count(shape) == 0 || extent(shape, strides, 0) <= bytes / static_cast<int64_t>(size_of(dtype)), ErrorKind::Shape,
                "from_pointer: shape ", text(shape), " does not fit into ", bytes, " bytes");
    Ref<Storage> storage = Storage::borrow(p, static_cast<size_t>(bytes), device, give_back_object, Object::borrow(v[7]).release());
    return wrap(Tensor::make(std::move(storage), 0, shape, strides, dtype));
  });
}

PyObject* bitcast(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *o, *type;
    if (!PyArg_ParseTuple(args, "OO", &o, &type)) python_error();
    WOOTZ_CHECK(is_tensor(o) && is_dtype(type), ErrorKind::Type, "bitcast() takes a Tensor and a wootz.dtype");
    Tensor t = tensor_of(o);
    DType to = dtype_of_object(type);
    return wrap(reread(t, to));
  });
}

PyObject* set_default(PyObject*, PyObject* o) {
  return guarded([&] {
    WOOTZ_CHECK(is_dtype(o), ErrorKind::Type, "set_default_dtype() takes a wootz.dtype");
    set_default_dtype(dtype_of_object(o));
    return Object::borrow(Py_None).release();
  });
}
PyObject* get_default(PyObject*, PyObject*) { return dtype_object(default_dtype()); }

PyObject* py_promote(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *a, *b;
    if (!PyArg_ParseTuple(args, "OO", &a, &b)) python_error();
    WOOTZ_CHECK(is_dtype(a) && is_dtype(b), ErrorKind::Type, "promote_types() takes two dtypes");
    return dtype_object(promote(dtype_of_object(a), dtype_of_object(b)));
  });
}

PyObject* py_result_type(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    Py_ssize_t n = PyTuple_Size(args);
    WOOTZ_CHECK(n > 0, ErrorKind::Type, "result_type() takes at least one argument");
    TensorList ts;
    std::vector<const Tensor*> pointers;
    for (Py_ssize_t i = 0; i < n; ++i) {
      PyObject* o = PyTuple_GetItem(args, i);
      ts.push_back(is_tensor(o) ? tensor_of(o) : read::scalar(o));
      WOOTZ_CHECK(ts.back().defined(), ErrorKind::Type, "result_type() takes tensors and numbers");
    }
    for (const Tensor& t : ts) pointers.push_back(&t);
    return dtype_object(result_type(pointers.data(), static_cast<int>(n)));
  });
}

constexpr int kFast = METH_FASTCALL | METH_KEYWORDS;

}  // namespace

PyMethodDef tensor_functions[] = {
    {"empty", as_method(py_empty), kFast, "A tensor of uninitialised memory."},
    {"full", as_method(py_full), kFast, "A tensor of one value."},
    {"scalar", as_method(py_scalar), kFast, "A 0-d tensor of a number."},
    {"arange", as_method(py_arange), kFast, "start, start + step, ... before end."},
    {"uniform", as_method(py_uniform), kFast, "Uniform random numbers in [low, high)."},
    {"normal", as_method(py_normal), kFast, "Normal random numbers."},
    {"randint", as_method(py_randint), kFast, "Uniform random integers in [low, high)."},
    {"random_mask", as_method(py_random_mask), kFast, "Bools that are True with probability p."},
    {"randperm", as_method(py_randperm), kFast, "A random permutation of 0 ... n - 1."},
    {"random_state", random_state, METH_NOARGS, "(seed, draws so far)"},
    {"next_random_state", next_random_state, METH_NOARGS, "Takes a draw of the default generator: its (seed, number)."},
    {"set_random_state", set_random_state, METH_VARARGS, "(seed, draws): restarts the default generator there."},
    {"from_buffer", from_buffer, METH_O, "A tensor that shares a writable buffer's memory."},
    {"from_pointer", as_method(py_from_pointer), kFast, "A tensor over memory that `owner` keeps alive."},
    {"bitcast", bitcast, METH_VARARGS, "The same memory as another dtype, without history."},
    {"set_default_dtype", set_default, METH_O, "The floating point type of new tensors."},
    {"get_default_dtype", get_default, METH_NOARGS, "The floating point type of new tensors."},
    {"promote_types", py_promote, METH_VARARGS, "The smallest dtype that holds two."},
    {"result_type", py_result_type, METH_VARARGS, "The dtype of an arithmetic op on these operands."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace wootz::binding
