// t[key] and t[key] = value: basic keys are views; index tensors, lists and masks are gathered and scattered.
#include "binding/arguments.h"
#include "binding/override.h"
#include "core/autograd.h"
#include "core/backend.h"
#include "ops.h"
#include "ops/pointwise.h"

namespace wootz::binding {
namespace {

struct Picked {
  Tensor view;          // after the basic parts of the key
  TensorList indices;   // the advanced parts, by dimension of `view`
  bool advanced = false;
};

int64_t as_integer(PyObject* o) {
  Object index(must(PyNumber_Index(o)));
  long long v = PyLong_AsLongLong(index.get());
  if (v == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    fail(ErrorKind::Index, "index does not fit in 64 bits");
  }
  return v;
}

// Python clamps slice bounds of any size; so does this.
std::optional<int64_t> bound(PyObject* slice, const char* name) {
  Object o(must(PyObject_GetAttrString(slice, name)));
  if (o.get() == Py_None) return std::nullopt;
  if (is_tensor(o.get())) return item_int(tensor_of(o.get()));
  WOOTZ_CHECK(PyIndex_Check(o.get()), ErrorKind::Type, "slice indices must be integers or None or have an __index__ method");
  Object index(must(PyNumber_Index(o.get())));
  Py_ssize_t v = PyNumber_AsSsize_t(index.get(), nullptr);
  if (v == -1 && PyErr_Occurred()) python_error();
  return v;
}

bool is_mask_or_index(PyObject* o) { return is_tensor(o) || PyList_Check(o) || PyObject_CheckBuffer(o); }

// Lists and arrays become tensors through wootz.tensor.
Tensor index_tensor(PyObject* o) {
  if (is_tensor(o)) return tensor_of(o);
  Object module(must(PyImport_ImportModule("wootz")));
  Object made(must(PyObject_CallMethod(module.get(), "tensor", "(O)", o)));
  WOOTZ_CHECK(is_tensor(made.get()), ErrorKind::Type, "index is not a tensor");
  Tensor t = tensor_of(made.get());
  return t.numel() == 0 && is_float(t.dtype()) ? ops::cast(t, DType::Int64) : t;
}

// How many dimensions of the indexed tensor a part of the key uses up.
int consumed(PyObject* part) {
  if (part == Py_None || part == Py_Ellipsis || PyBool_Check(part)) return 0;
  if (is_tensor(part)) {
    Tensor t = tensor_of(part);
    return t.dtype() == DType::Bool ? t.dim() : 1;
  }
  return 1;
}

class Reader {
 public:
  explicit Reader(Tensor t) { p_.view = std::move(t); }

  Picked run(PyObject* key) {
    Object parts = PyTuple_Check(key) ? Object::borrow(key) : Object(must(PyTuple_Pack(1, key)));
    Py_ssize_t n = PyTuple_Size(parts.get());
    int used = 0, ellipses = 0;
    for (Py_ssize_t i = 0; i < n; ++i) {
      PyObject* part = PyTuple_GetItem(parts.get(), i);
      used += consumed(part);
      ellipses += part == Py_Ellipsis;
    }
    WOOTZ_CHECK(ellipses <= 1, ErrorKind::Index, "an index can only have a single ellipsis ('...')");
    WOOTZ_CHECK(used <= p_.view.dim(), ErrorKind::Index, "too many indices for tensor of dimension ", p_.view.dim());
    int hidden = p_.view.dim() - used;
    for (Py_ssize_t i = 0; i < n; ++i) take(PyTuple_GetItem(parts.get(), i), hidden);
    return std::move(p_);
  }

 private:
  void take(PyObject* part, int hidden) {
    if (part == Py_Ellipsis) {
      at_ += hidden;
    } else if (part == Py_None) {
      p_.view = ops::unsqueeze(p_.view, at_++);
    } else if (PyBool_Check(part)) {
      p_.view = ops::unsqueeze(p_.view, at_);
      add(full({1}, DType::Bool, part == Py_True), 1);
    } else if (PySlice_Check(part)) {
      std::optional<int64_t> start = bound(part, "start"), end = bound(part, "stop"), step = bound(part, "step");
      if (start || end || step) p_.view = ops::slice(p_.view, at_, start, end, step.value_or(1));
      ++at_;
    } else if (is_tensor(part) || !PyIndex_Check(part)) {
      take_tensor(part);
    } else {
      p_.view = ops::select(p_.view, at_, as_integer(part));
    }
  }

  void take_tensor(PyObject* part) {
    WOOTZ_CHECK(is_mask_or_index(part), ErrorKind::Index, "only integers, slices (`:`), ellipsis (`...`), None and long, ",
                "byte or bool tensors or lists are valid indices");
    Tensor t = index_tensor(part);
    WOOTZ_CHECK(is_integral(t.dtype()), ErrorKind::Index,
                "tensors used as indices must be long, int, byte or bool tensors, got ", name_of(t.dtype()));
    if (t.dim() == 0 && t.dtype() != DType::Bool && !remote(t)) {
      p_.view = ops::select(p_.view, at_, item_int(t));
      return;
    }
    if (t.dim() == 0 && t.dtype() == DType::Bool) {
      p_.view = ops::unsqueeze(p_.view, at_);
      t = ops::reshape(t, {1});
    }
    add(t, t.dtype() == DType::Bool ? t.dim() : 1);
  }

  void add(const Tensor& t, int dims) {
    while (static_cast<int>(p_.indices.size()) < at_ - masked_) p_.indices.emplace_back();
    p_.indices.push_back(t);
    p_.advanced = true;
    at_ += dims;
    masked_ += dims - 1;  // a mask is one entry of the list for several dimensions
  }

  Picked p_;
  int at_ = 0, masked_ = 0;
};

Tensor value_tensor(PyObject* value, const Tensor& self) {
  if (is_tensor(value)) return tensor_of(value);
  Tensor t = read::scalar(value);
  if (t.defined()) return t;
  Object module(must(PyImport_ImportModule("wootz")));
  Object made(must(PyObject_CallMethod(module.get(), "tensor", "(O)", value)));
  WOOTZ_CHECK(is_tensor(made.get()), ErrorKind::Type, "can't assign this to a tensor of dtype ", name_of(self.dtype()));
  return tensor_of(made.get());
}

}  // namespace

PyObject* get_item(PyObject* self, PyObject* key) {
  if (overridden(self, key)) return call_override("__getitem__", self, key);
  return guarded([&] {
    Tensor t = tensor_of(self);
    if (PyIndex_Check(key) && !is_tensor(key) && !PyBool_Check(key)) return wrap(ops::select(t, 0, as_integer(key)));
    Picked p = Reader(t).run(key);
    if (p.advanced) return wrap(ops::index(p.view, p.indices));
    // A key that changes nothing still makes a new view.
    if (p.view.get() == t.get()) p.view = ops::as_strided(t, t.shape(), t.strides(), t->offset);
    return wrap(p.view);
  });
}

int set_item(PyObject* self, PyObject* key, PyObject* value) {
  if (value && (overridden(self, key) || overridden(value))) {
    Object done(call_override("__setitem__", self, key, value));
    return done ? 0 : -1;
  }
  return guarded_int([&] {
    WOOTZ_CHECK(value, ErrorKind::Type, "Tensor does not support deleting items");
    Tensor t = tensor_of(self);
    Picked p = Reader(t).run(key);
    Tensor v = value_tensor(value, t);
    if (p.advanced) {
      ops::index_put_(p.view, p.indices, v, false);
      return 0;
    }
    // Leading extents of 1 in the value are dropped, as in NumPy.
    while (v.dim() > p.view.dim() && v.shape()[0] == 1) v = ops::squeeze(v, Dims{0});
    ops::copy_(p.view, v);
    return 0;
  });
}

}  // namespace wootz::binding
