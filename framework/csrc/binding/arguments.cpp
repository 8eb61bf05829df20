#include "binding/arguments.h"

#include <cstring>

namespace wootz::binding {
namespace {

std::string type_name(PyObject* o) {
  Object name(PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(o)), "__name__"));
  const char* s = name ? PyUnicode_AsUTF8AndSize(name.get(), nullptr) : nullptr;
  if (s) return s;
  PyErr_Clear();
  return "object";
}

[[noreturn]] void wrong(Where at, const char* expected, PyObject* got) {
  fail(ErrorKind::Type, text(at), " must be ", expected, ", not ", type_name(got));
}

int find(const Function& f, PyObject* name) {
  for (int i = 0; i < f.count; ++i)
    if (PyUnicode_CompareWithASCIIString(name, f.params[i].name) == 0) return i;
  return -1;
}

std::string utf8(PyObject* s) {
  const char* p = PyUnicode_AsUTF8AndSize(s, nullptr);
  if (!p) python_error();
  return p;
}

}  // namespace

std::string text(Where at) {
  return std::string(at.function->name) + "(): argument '" + at.function->params[at.index].name + "' (position " +
         std::to_string(at.index + 1) + ")";
}

Bound::Bound(const Function& f, PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  int at = 0;
  if (self) v_[at++] = self;
  for (Py_ssize_t i = 0; i < n; ++i, ++at) {
    if (at == f.gather && n - i > 1 && PyIndex_Check(args[i])) {
      gathered_ = Object(must(PyTuple_New(n - i)));
      for (Py_ssize_t k = i; k < n; ++k) PyTuple_SetItem(gathered_.get(), k - i, Object::borrow(args[k]).release());
      v_[at] = gathered_.get();
      break;
    }
    if (at >= f.count || f.params[at].keyword_only) {
      int most = 0;
      while (most < f.count && !f.params[most].keyword_only) ++most;
      fail(ErrorKind::Type, f.name, "() takes at most ", most, " positional arguments (", static_cast<long>(n) + (self ? 1 : 0), " given)");
    }
    v_[at] = args[i];
  }
  if (f.gather >= 0 && !v_[f.gather] && f.gather == at && f.params[f.gather].required && !names) {
    gathered_ = Object(must(PyTuple_New(0)));
    v_[at] = gathered_.get();
  }
  Py_ssize_t extra = names ? PyTuple_Size(names) : 0;
  for (Py_ssize_t i = 0; i < extra; ++i) {
    PyObject* name = PyTuple_GetItem(names, i);
    int k = find(f, name);
    WOOTZ_CHECK(k >= 0, ErrorKind::Type, f.name, "() got an unexpected keyword argument '", utf8(name), "'");
    WOOTZ_CHECK(!v_[k], ErrorKind::Type, f.name, "() got multiple values for argument '", f.params[k].name, "'");
    v_[k] = args[n + i];
  }
  for (int i = 0; i < f.count; ++i)
    WOOTZ_CHECK(v_[i] || !f.params[i].required, ErrorKind::Type, f.name, "() missing required argument '", f.params[i].name,
                "' (position ", i + 1, ")");
}

namespace read {

namespace {
// NumPy's complex64 is no Python complex, and converts to float with a warning.
bool is_complex_scalar(PyObject* o) {
  if (!PyObject_HasAttrString(o, "__complex__") || !PyObject_HasAttrString(o, "dtype") || PyObject_HasAttrString(o, "__len__")) return false;
  Object kind(PyObject_GetAttrString(o, "dtype"));
  Object letter(kind ? PyObject_GetAttrString(kind.get(), "kind") : nullptr);
  if (!letter) PyErr_Clear();
  return letter && PyUnicode_Check(letter.get()) && PyUnicode_CompareWithASCIIString(letter.get(), "c") == 0;
}
}  // namespace

Tensor scalar(PyObject* o) {
  if (PyFloat_Check(o)) return wrapped_scalar(PyFloat_AsDouble(o));
  if (PyBool_Check(o)) return wrapped_scalar(o == Py_True);
  if (PyIndex_Check(o)) {
    Object index(must(PyNumber_Index(o)));
    long long v = PyLong_AsLongLong(index.get());
    if (v == -1 && PyErr_Occurred()) {
      PyErr_Clear();
      fail(ErrorKind::Overflow, "integer does not fit in 64 bits");
    }
    return wrapped_scalar(static_cast<int64_t>(v));
  }
  if (PyComplex_Check(o) || is_complex_scalar(o)) {
    Object z(PyComplex_Check(o) ? Object::borrow(o).release() : PyObject_CallMethod(o, "__complex__", nullptr));
    if (!z) python_error();
    return wrapped_scalar(Complex<double>(PyComplex_RealAsDouble(z.get()), PyComplex_ImagAsDouble(z.get())));
  }
  // NumPy's floating point scalars that are no Python floats.
  if (PySequence_Check(o) || PyUnicode_Check(o) || !PyObject_HasAttrString(o, "__float__")) return Tensor();
  double v = PyFloat_AsDouble(o);
  if (v == -1 && PyErr_Occurred()) python_error();
  return wrapped_scalar(v);
}

Tensor tensor(PyObject* o, Where at) {
  if (!is_tensor(o)) wrong(at, "Tensor", o);
  return tensor_of(o);
}

Tensor tensor_or_scalar(PyObject* o, Where at) {
  if (is_tensor(o)) return tensor_of(o);
  Tensor t = scalar(o);
  if (!t.defined()) wrong(at, "Tensor or a number", o);
  return t;
}

Tensor optional_tensor(PyObject* o, Where at) {
  return !o || o == Py_None ? Tensor() : tensor_or_scalar(o, at);
}

namespace {
// Lists and tuples only: a tensor is a sequence too, and taking it apart by mistake would be slow and wrong.
template <class F> void each(PyObject* o, Where at, const char* expected, F f) {
  bool list = PyList_Check(o);
  if (!list && !PyTuple_Check(o)) wrong(at, expected, o);
  Object items = list ? Object(must(PyList_AsTuple(o))) : Object::borrow(o);
  Py_ssize_t n = PyTuple_Size(items.get());
  for (Py_ssize_t i = 0; i < n; ++i) f(PyTuple_GetItem(items.get(), i));
}
}  // namespace

TensorList tensor_list(PyObject* o, Where at) {
  TensorList out;
  each(o, at, "tuple or list of Tensors", [&](PyObject* x) { out.push_back(tensor(x, at)); });
  return out;
}

TensorList optional_tensor_list(PyObject* o, Where at) {
  TensorList out;
  each(o, at, "tuple or list of Tensors", [&](PyObject* x) { out.push_back(x == Py_None ? Tensor() : tensor(x, at)); });
  return out;
}

int64_t integer(PyObject* o, Where at) {
  if (is_tensor(o)) {
    Tensor t = tensor_of(o);
    if (!is_integral(t.dtype()) || t.numel() != 1) wrong(at, "int", o);
    return item_int(t);
  }
  if (!PyIndex_Check(o)) wrong(at, "int", o);
  Object index(must(PyNumber_Index(o)));
  long long v = PyLong_AsLongLong(index.get());
  if (v == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    fail(ErrorKind::Overflow, text(at), ": integer does not fit in 64 bits");
  }
  return v;
}

std::optional<int64_t> optional_integer(PyObject* o, Where at) {
  return !o || o == Py_None ? std::nullopt : std::optional<int64_t>(integer(o, at));
}

Dims dims(PyObject* o, Where at) {
  if (PyIndex_Check(o) && !PyTuple_Check(o)) return Dims{integer(o, at)};
  Dims out;
  each(o, at, "tuple of ints", [&](PyObject* x) { out.push(integer(x, at)); });
  return out;
}

std::optional<Dims> optional_dims(PyObject* o, Where at) {
  return !o || o == Py_None ? std::nullopt : std::optional<Dims>(dims(o, at));
}

double number(PyObject* o, Where at) {
  if (is_tensor(o)) return item(tensor_of(o));
  if (!PyFloat_Check(o) && !PyIndex_Check(o) && !PyObject_HasAttrString(o, "__float__")) wrong(at, "float", o);
  double v = PyFloat_AsDouble(o);
  if (v == -1 && PyErr_Occurred()) python_error();
  return v;
}

std::optional<double> optional_number(PyObject* o, Where at) {
  return !o || o == Py_None ? std::nullopt : std::optional<double>(number(o, at));
}

bool boolean(PyObject* o, Where at) {
  if (o != Py_True && o != Py_False) wrong(at, "bool", o);
  return o == Py_True;
}

DType dtype(PyObject* o, Where at) {
  if (!is_dtype(o)) wrong(at, "wootz.dtype", o);
  return dtype_of_object(o);
}

std::optional<DType> optional_dtype(PyObject* o, Where at) {
  return !o || o == Py_None ? std::nullopt : std::optional<DType>(dtype(o, at));
}

std::string string(PyObject* o, Where at) {
  if (!PyUnicode_Check(o)) wrong(at, "str", o);
  return utf8(o);
}

}  // namespace read
}  // namespace wootz::binding
