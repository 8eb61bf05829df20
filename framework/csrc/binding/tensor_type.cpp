// The Tensor type: its Python object, attributes, operators and buffer.
#include "binding/arguments.h"
#include "binding/generated.h"
#include "binding/override.h"
#include <structmember.h>  // needs Python.h before it

#include "core/autograd.h"
#include "core/backend.h"
#include "ops.h"

namespace wootz::binding {

PyTypeObject* tensor_type = nullptr;

namespace {

allocfunc allocate_object;
freefunc free_object;

TensorImpl* impl(PyObject* self) { return reinterpret_cast<TensorObject*>(self)->impl; }

PyObject* make_object(PyTypeObject* type, Tensor t) {
  PyObject* self = must(allocate_object(type, 0));
  t->wrapper.store(self, std::memory_order_relaxed);
  reinterpret_cast<TensorObject*>(self)->impl = t.take().leak();
  return self;
}

// Tensor(t) and subclasses' constructors: a new tensor that shares t's memory, a leaf.
PyObject* construct(PyTypeObject* type, PyObject* args, PyObject*) {
  return guarded([&] {
    PyObject* first = PyTuple_Size(args) > 0 ? PyTuple_GetItem(args, 0) : nullptr;
    WOOTZ_CHECK(first && is_tensor(first), ErrorKind::Type, "Tensor() takes a Tensor; use wootz.tensor(data) to make one from data");
    return make_object(type, tensor_of(first).detached());
  });
}

void destroy(PyObject* self) {
  auto* o = reinterpret_cast<TensorObject*>(self);
  PyTypeObject* type = Py_TYPE(self);
  if (o->impl) {
    // Another object may have taken this one's place while it was dying (see `wrap`).
    void* known = self;
    o->impl->wrapper.compare_exchange_strong(known, nullptr, std::memory_order_relaxed);
  }
  if (o->weak) PyObject_ClearWeakRefs(self);
  Ref<TensorImpl>::release(o->impl);
  // Subclasses are collected as garbage and freed otherwise than tensors.
  freefunc release = type == tensor_type ? free_object : reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free));
  release(self);
  Py_DECREF(reinterpret_cast<PyObject*>(type));
}

// Operators. Anything that is no tensor and no number is left to the other operand.

Tensor operand(PyObject* o) { return is_tensor(o) ? tensor_of(o) : read::scalar(o); }

bool large(const Tensor& a) { return a.numel() >= (1 << 15); }

template <class F> PyObject* binary(const char* name, PyObject* a, PyObject* b, F op) {
  if (overridden(a, b)) return call_override(name, a, b);
  return guarded([&]() -> PyObject* {
    Tensor x = operand(a), y = operand(b);
    if (!x.defined() || !y.defined()) return Object::borrow(Py_NotImplemented).release();
    Unlocked unlocked(large(x) || large(y));
    Tensor r = op(x, y);
    unlocked.lock();
    return wrap(std::move(r));
  });
}

template <class F> PyObject* in_place(const char* name, PyObject* a, PyObject* b, F op) {
  if (overridden(a, b)) return call_override(name, a, b);
  return guarded([&]() -> PyObject* {
    Tensor y = operand(b);
    if (!y.defined()) return Object::borrow(Py_NotImplemented).release();
    Tensor x = tensor_of(a);
    Unlocked unlocked(large(x));
    op(x, y);
    unlocked.lock();
    return Object::borrow(a).release();
  });
}

#define WOOTZ_OPERATOR(name, op, expression) \
  PyObject* name(PyObject* a, PyObject* b) { return binary(#op, a, b, [](const Tensor& x, const Tensor& y) { return expression; }); }
#define WOOTZ_INPLACE(name, op, expression) \
  PyObject* name(PyObject* a, PyObject* b) { return in_place(#op, a, b, [](const Tensor& x, const Tensor& y) { expression; }); }
#define WOOTZ_UNARY(name, op)                                 \
  PyObject* name(PyObject* self) {                            \
    if (overridden(self)) return call_override(#op, self);    \
    return guarded([&] { return wrap(ops::op(tensor_of(self))); }); \
  }

WOOTZ_OPERATOR(op_add, add, ops::add(x, y, 1))
WOOTZ_OPERATOR(op_sub, sub, ops::sub(x, y, 1))
WOOTZ_OPERATOR(op_mul, mul, ops::mul(x, y))
WOOTZ_OPERATOR(op_div, div, ops::div(x, y))
WOOTZ_OPERATOR(op_floor_divide, floor_divide, ops::floor_divide(x, y))
WOOTZ_OPERATOR(op_remainder, remainder, ops::remainder(x, y))
WOOTZ_OPERATOR(op_matmul, matmul, ops::matmul(x, y))
WOOTZ_OPERATOR(op_and, bitwise_and, ops::bitwise_and(x, y))
WOOTZ_OPERATOR(op_or, bitwise_or, ops::bitwise_or(x, y))
WOOTZ_OPERATOR(op_xor, bitwise_xor, ops::bitwise_xor(x, y))
WOOTZ_OPERATOR(op_power, pow, ops::pow(x, y))
WOOTZ_INPLACE(op_iadd, add_, ops::add_(x, y, 1))
WOOTZ_INPLACE(op_isub, sub_, ops::sub_(x, y, 1))
WOOTZ_INPLACE(op_imul, mul_, ops::mul_(x, y))
WOOTZ_INPLACE(op_idiv, div_, ops::div_(x, y))
WOOTZ_INPLACE(op_ifloor_divide, floor_divide_, ops::floor_divide_(x, y))
WOOTZ_INPLACE(op_iremainder, remainder_, ops::remainder_(x, y))
WOOTZ_INPLACE(op_iand, bitwise_and_, ops::bitwise_and_(x, y))
WOOTZ_INPLACE(op_ior, bitwise_or_, ops::bitwise_or_(x, y))
WOOTZ_INPLACE(op_ixor, bitwise_xor_, ops::bitwise_xor_(x, y))
WOOTZ_UNARY(op_neg, neg)
WOOTZ_UNARY(op_abs, abs)
WOOTZ_UNARY(op_invert, bitwise_not)
PyObject* op_positive(PyObject* self) { return Object::borrow(self).release(); }
PyObject* op_pow(PyObject* a, PyObject* b, PyObject*) { return op_power(a, b); }
PyObject* op_ipow(PyObject* a, PyObject* b, PyObject*) {
  return in_place("pow_", a, b, [](const Tensor& x, const Tensor& y) { ops::pow_(x, y); });
}

PyObject* compare(PyObject* a, PyObject* b, int op) {
  static const char* const names[] = {"lt", "le", "eq", "ne", "gt", "ge"};  // in the order of Py_LT ... Py_GE
  return binary(names[op], a, b, [op](const Tensor& x, const Tensor& y) {
    switch (op) {
      case Py_LT: return ops::lt(x, y);
      case Py_LE: return ops::le(x, y);
      case Py_GT: return ops::gt(x, y);
      case Py_GE: return ops::ge(x, y);
      case Py_NE: return ops::ne(x, y);
      default: return ops::eq(x, y);
    }
  });
}

Py_hash_t hash(PyObject* self) {
  auto h = static_cast<Py_hash_t>(reinterpret_cast<uintptr_t>(self) >> 4);
  return h == -1 ? -2 : h;
}

Tensor local(PyObject* self) {
  Tensor t = tensor_of(self);
  WOOTZ_CHECK(!t->storage->batch, ErrorKind::Value, "vmap: a tensor inside vmap has one value an example, and cannot become one Python ",
              "number or decide an if. Use wootz.where instead of control flow, and keep .item(), float() and bool() outside");
  return remote(t) ? call_backend("to_device", {t, std::string("cpu")}).at(0) : t;
}

int truth(PyObject* self) {
  return guarded_int([&] {
    Tensor t = local(self);
    WOOTZ_CHECK(t.numel() == 1, ErrorKind::Shape, "Boolean value of Tensor with ", t.numel() ? "more than one value" : "no values",
                " is ambiguous");
    Complex<double> z = item_complex(t);
    return z.re != 0 || z.im != 0;
  });
}

PyObject* integer_object(const Tensor& t) {
  int64_t v = item_int(t);
  return t.dtype() == DType::UInt64 ? PyLong_FromUnsignedLongLong(static_cast<uint64_t>(v)) : PyLong_FromLongLong(v);
}

PyObject* to_float(PyObject* self) { return guarded([&] { return PyFloat_FromDouble(item(local(self))); }); }

PyObject* to_int(PyObject* self) {
  return guarded([&] {
    Tensor t = local(self);
    return is_integral(t.dtype()) ? integer_object(t) : PyLong_FromDouble(item(t));
  });
}

PyObject* to_index(PyObject* self) {
  return guarded([&] {
    Tensor t = local(self);
    WOOTZ_CHECK(is_integral(t.dtype()) && t.numel() == 1, ErrorKind::Type,
                "only integer tensors of a single element can be converted to an index");
    return integer_object(t);
  });
}

PyObject* to_item(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    Tensor t = local(self);
    if (is_float(t.dtype())) return PyFloat_FromDouble(item(t));
    if (is_complex(t.dtype())) {
      Complex<double> z = item_complex(t);
      return PyComplex_FromDoubles(z.re, z.im);
    }
    return t.dtype() == DType::Bool ? PyBool_FromLong(item_int(t) != 0) : integer_object(t);
  });
}

Py_ssize_t length(PyObject* self) {
  TensorImpl* t = impl(self);
  if (!t->shape.empty()) return t->shape[0];
  PyErr_SetString(PyExc_TypeError, "len() of a 0-d tensor");
  return -1;
}

// The buffer protocol: NumPy and others look at the memory itself.
int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  view->obj = nullptr;
  Tensor t = tensor_of(self);
  const char* why = t.requires_grad() ? "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
                    : t->storage->batch ? "can't convert a tensor inside vmap to numpy: it has values for every example."
                    : remote(t)       ? "can't convert a tensor of another device to numpy. Use Tensor.cpu() first."
                    : !info(t.dtype()).format ? "bfloat16 has no format in the buffer protocol; take tensor.float(), or tensor.numpy()"
                                      : nullptr;
  if (!why && (flags & PyBUF_ND) != PyBUF_ND && !t.is_contiguous()) why = "tensor is not contiguous";
  if (!why && (flags & PyBUF_STRIDES) != PyBUF_STRIDES && !t.is_contiguous()) why = "tensor is not contiguous";
  if (why) {
    PyErr_SetString(PyExc_BufferError, why);
    return -1;
  }
  int n = t.dim();
  auto* extents = static_cast<Py_ssize_t*>(PyMem_Malloc(sizeof(Py_ssize_t) * static_cast<size_t>(2 * n + 1)));
  if (!extents) {
    PyErr_NoMemory();
    return -1;
  }
  auto size = static_cast<Py_ssize_t>(size_of(t.dtype()));
  for (int d = 0; d < n; ++d) {
    extents[d] = t.shape()[d];
    extents[n + d] = t.strides()[d] * size;
  }
  view->buf = t.bytes();
  view->len = t.numel() * size;
  view->itemsize = size;
  view->readonly = 0;
  view->ndim = n;
  view->format = flags & PyBUF_FORMAT ? const_cast<char*>(info(t.dtype()).format) : nullptr;
  view->shape = flags & PyBUF_ND ? extents : nullptr;
  view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? extents + n : nullptr;
  view->suboffsets = nullptr;
  view->internal = extents;
  view->obj = Object::borrow(self).release();
  return 0;
}

void release_buffer(PyObject*, Py_buffer* view) { PyMem_Free(view->internal); }

// Attributes.

PyObject* get_shape(PyObject* self, void*) { return dims_tuple(impl(self)->shape); }
PyObject* get_dtype(PyObject* self, void*) { return dtype_object(impl(self)->dtype); }
PyObject* get_ndim(PyObject* self, void*) { return PyLong_FromLong(impl(self)->shape.size()); }
PyObject* get_is_leaf(PyObject* self, void*) { return PyBool_FromLong(tensor_of(self).is_leaf()); }
PyObject* get_requires_grad(PyObject* self, void*) { return PyBool_FromLong(tensor_of(self).requires_grad()); }
PyObject* get_version(PyObject* self, void*) { return PyLong_FromUnsignedLong(tensor_of(self).version()); }
PyObject* get_itemsize(PyObject* self, void*) { return PyLong_FromSize_t(size_of(impl(self)->dtype)); }
PyObject* get_storage_bytes(PyObject* self, void*) { return PyLong_FromSize_t(impl(self)->storage->bytes); }
PyObject* get_is_inference(PyObject* self, void*) { return PyBool_FromLong(impl(self)->storage->inference); }
PyObject* get_base(PyObject* self, void*) { return guarded([&] { return wrap(Tensor(impl(self)->base)); }); }
PyObject* get_grad(PyObject* self, void*) { return guarded([&] { return wrap(Tensor(impl(self)->grad)); }); }
PyObject* get_grad_fn(PyObject* self, void*) {
  return guarded([&] { return wrap_node(edge_of(tensor_of(self)).node); });
}
PyObject* get_device(PyObject* self, void*) {
  Device d = tensor_of(self).device();
  return Py_BuildValue("(si)", name_of(d.type), static_cast<int>(d.index));
}

PyObject* get_transposed(PyObject* self, void*) {
  return guarded([&] {
    Tensor t = tensor_of(self);
    Dims order;
    for (int d = t.dim() - 1; d >= 0; --d) order.push(d);
    if (overridden(self)) return call_override("permute", self, Object(dims_tuple(order)).get());
    return wrap(ops::permute(t, order));
  });
}

PyObject* get_matrix_transposed(PyObject* self, void*) {
  return guarded([&] {
    Tensor t = tensor_of(self);
    WOOTZ_CHECK(t.dim() >= 2, ErrorKind::Shape, "tensor.mT is only supported on matrices or batches of matrices. Got ", t.dim(), "-D tensor.");
    if (overridden(self)) return call_override("transpose", self, Object(PyLong_FromLong(-1)).get(), Object(PyLong_FromLong(-2)).get());
    return wrap(ops::transpose(t, -1, -2));
  });
}

void require_grad(const Tensor& t, bool on) {
  WOOTZ_CHECK(!on || !t->storage->inference || inference_mode(), ErrorKind::Gradient,
              "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.");
  WOOTZ_CHECK(t.is_leaf() || on, ErrorKind::Gradient, "you can only change requires_grad flags of leaf variables. If you want ",
              "to use a computed variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach().");
  WOOTZ_CHECK(!on || is_differentiable(t.dtype()), ErrorKind::Gradient, "only Tensors of complex and floating point dtype can require gradients, got ",
              name_of(t.dtype()));
  if (t.is_leaf()) t->requires_grad = on;
}

int set_requires_grad(PyObject* self, PyObject* value, void*) {
  return guarded_int([&] {
    WOOTZ_CHECK(value && PyBool_Check(value), ErrorKind::Type, "requires_grad must be a bool");
    require_grad(tensor_of(self), value == Py_True);
    return 0;
  });
}

PyObject* requires_grad_(PyObject* self, PyObject* args) {
  return guarded([&]() -> PyObject* {
    int on = 1;
    if (!PyArg_ParseTuple(args, "|p", &on)) python_error();
    require_grad(tensor_of(self), on);
    return Object::borrow(self).release();
  });
}

int set_grad(PyObject* self, PyObject* value, void*) {
  return guarded_int([&] {
    Tensor t = tensor_of(self);
    if (!value || value == Py_None) {
      Tensor old(std::move(t->grad));
      return 0;
    }
    WOOTZ_CHECK(is_tensor(value), ErrorKind::Type, "assigned grad expected to be a Tensor or None");
    Tensor g = tensor_of(value);
    WOOTZ_CHECK(g.get() != t.get(), ErrorKind::Gradient, "can't assign Variable as its own grad");
    WOOTZ_CHECK(g.shape() == t.shape(), ErrorKind::Shape, "assigned grad has data of a different size: ", text(g.shape()),
                ", expected ", text(t.shape()));
    WOOTZ_CHECK(g.dtype() == t.dtype(), ErrorKind::DType, "assigned grad has data of a different type: ", name_of(g.dtype()),
                ", expected ", name_of(t.dtype()));
    WOOTZ_CHECK(g.device() == t.device(), ErrorKind::Device, "assigned grad has data located on a different device");
    Ref<TensorImpl> old = std::exchange(t->grad, g.ref());
    return 0;
  });
}

PyObject* get_data(PyObject* self, void*) { return guarded([&] { return wrap(tensor_of(self).detached()); }); }

// x.data = y: x takes over y's memory and geometry, keeping its identity and its place as a leaf.
int set_data(PyObject* self, PyObject* value, void*) {
  return guarded_int([&] {
    WOOTZ_CHECK(value && is_tensor(value), ErrorKind::Type, "Variable data has to be a tensor");
    Tensor t = tensor_of(self), v = tensor_of(value);
    WOOTZ_CHECK(t.is_leaf(), ErrorKind::Gradient, "data of a computed tensor cannot be replaced");
    WOOTZ_CHECK(!t->requires_grad || is_differentiable(v.dtype()), ErrorKind::Gradient, "only floating point and complex data can require gradients");
    take_memory(t, v);
    return 0;
  });
}

PyGetSetDef getters[] = {
    {"shape", get_shape, nullptr, "The extents, a tuple of ints.", nullptr},
    {"dtype", get_dtype, nullptr, "The type of the elements.", nullptr},
    {"ndim", get_ndim, nullptr, "The number of dimensions.", nullptr},
    {"itemsize", get_itemsize, nullptr, "Bytes an element.", nullptr},
    {"is_leaf", get_is_leaf, nullptr, "Whether no recorded op made it.", nullptr},
    {"requires_grad", get_requires_grad, set_requires_grad, "Whether gradients flow to it.", nullptr},
    {"grad", get_grad, set_grad, "The gradient that backward accumulated, or None.", nullptr},
    {"grad_fn", get_grad_fn, nullptr, "The tape node that made it, or None.", nullptr},
    {"data", get_data, set_data, "The same memory without history.", nullptr},
    {"T", get_transposed, nullptr, "All dimensions in reverse order.", nullptr},
    {"mT", get_matrix_transposed, nullptr, "The last two dimensions exchanged.", nullptr},
    {"_version", get_version, nullptr, "How often its memory was written in place.", nullptr},
    {"_base", get_base, nullptr, "Of a view: the tensor it looks into.", nullptr},
    {"_is_inference", get_is_inference, nullptr, "Whether it was made in inference mode.", nullptr},
    {"_storage_bytes", get_storage_bytes, nullptr, "Bytes of the memory that it looks into.", nullptr},
    {"_device", get_device, nullptr, "(device type, index)", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyObject* numel(PyObject* self, PyObject*) { return PyLong_FromLongLong(impl(self)->numel); }
PyObject* dim(PyObject* self, PyObject*) { return PyLong_FromLong(impl(self)->shape.size()); }
PyObject* data_ptr(PyObject* self, PyObject*) { return PyLong_FromVoidPtr(tensor_of(self).bytes()); }
PyObject* storage_offset(PyObject* self, PyObject*) { return PyLong_FromLongLong(impl(self)->offset); }
PyObject* is_contiguous(PyObject* self, PyObject*) { return PyBool_FromLong(impl(self)->contiguous); }
PyObject* detach(PyObject* self, PyObject*) {
  if (overridden(self)) return call_override("detach", self);
  return guarded([&] { return wrap(tensor_of(self).detached()); });
}
PyObject* contiguous(PyObject* self, PyObject*) {
  if (overridden(self)) return call_override("contiguous", self);
  return guarded([&] {
    Tensor t = tensor_of(self);
    return wrap(t.is_contiguous() ? t : ops::clone(t));
  });
}

PyObject* extent_or_all(const Dims& d, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject* which = Py_None;
    if (!PyArg_ParseTuple(args, "|O", &which)) python_error();
    if (which == Py_None) return dims_tuple(d);
    long long i = PyLong_AsLongLong(which);
    if (i == -1 && PyErr_Occurred()) python_error();
    WOOTZ_CHECK(!d.empty(), ErrorKind::Index, "Dimension specified as ", i, " but tensor has no dimensions");
    return PyLong_FromLongLong(d[wrap_dim(i, d.size())]);
  });
}
PyObject* size(PyObject* self, PyObject* args) { return extent_or_all(impl(self)->shape, args); }
PyObject* stride(PyObject* self, PyObject* args) { return extent_or_all(impl(self)->strides, args); }

PyMethodDef methods[] = {
    {"item", to_item, METH_NOARGS, "The single element as a Python number."},
    {"numel", numel, METH_NOARGS, "The number of elements."},
    {"dim", dim, METH_NOARGS, "The number of dimensions."},
    {"data_ptr", data_ptr, METH_NOARGS, "The address of the first element."},
    {"storage_offset", storage_offset, METH_NOARGS, "Elements from the start of the storage."},
    {"is_contiguous", is_contiguous, METH_NOARGS, "Whether the elements lie densely in row-major order."},
    {"detach", detach, METH_NOARGS, "A view of the same memory without history."},
    {"contiguous", contiguous, METH_NOARGS, "Self when it is contiguous, else a copy that is."},
    {"size", size, METH_VARARGS, "The shape, or the extent of one dimension."},
    {"stride", stride, METH_VARARGS, "The strides in elements, or that of one dimension."},
    {"requires_grad_", requires_grad_, METH_VARARGS, "Sets requires_grad and returns self."},
    WOOTZ_METHODS
    {nullptr, nullptr, 0, nullptr}};

PyMemberDef members[] = {{"__weaklistoffset__", T_PYSSIZET, offsetof(TensorObject, weak), READONLY, nullptr},
                         {nullptr, 0, 0, 0, nullptr}};

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>("An n-dimensional array on a device, with its place in the tape of automatic differentiation.")},
    {Py_tp_new, slot(construct)}, {Py_tp_dealloc, slot(destroy)}, {Py_tp_getset, getters}, {Py_tp_methods, methods},
    {Py_tp_members, members}, {Py_tp_richcompare, slot(compare)}, {Py_tp_hash, slot(hash)},
    {Py_nb_add, slot(op_add)}, {Py_nb_subtract, slot(op_sub)}, {Py_nb_multiply, slot(op_mul)},
    {Py_nb_true_divide, slot(op_div)}, {Py_nb_floor_divide, slot(op_floor_divide)}, {Py_nb_remainder, slot(op_remainder)},
    {Py_nb_matrix_multiply, slot(op_matmul)}, {Py_nb_power, slot(op_pow)}, {Py_nb_and, slot(op_and)}, {Py_nb_or, slot(op_or)},
    {Py_nb_xor, slot(op_xor)}, {Py_nb_negative, slot(op_neg)}, {Py_nb_positive, slot(op_positive)}, {Py_nb_absolute, slot(op_abs)},
    {Py_nb_invert, slot(op_invert)}, {Py_nb_bool, slot(truth)}, {Py_nb_float, slot(to_float)}, {Py_nb_int, slot(to_int)},
    {Py_nb_index, slot(to_index)}, {Py_nb_inplace_add, slot(op_iadd)}, {Py_nb_inplace_subtract, slot(op_isub)},
    {Py_nb_inplace_multiply, slot(op_imul)}, {Py_nb_inplace_true_divide, slot(op_idiv)},
    {Py_nb_inplace_floor_divide, slot(op_ifloor_divide)}, {Py_nb_inplace_remainder, slot(op_iremainder)},
    {Py_nb_inplace_power, slot(op_ipow)}, {Py_nb_inplace_and, slot(op_iand)}, {Py_nb_inplace_or, slot(op_ior)},
    {Py_nb_inplace_xor, slot(op_ixor)}, {Py_mp_length, slot(length)}, {Py_mp_subscript, slot(get_item)},
    {Py_mp_ass_subscript, slot(set_item)}, {Py_bf_getbuffer, slot(get_buffer)}, {Py_bf_releasebuffer, slot(release_buffer)},
    {0, nullptr}};

}  // namespace

PyTypeObject* make_tensor_type(PyObject* module) {
  PyType_Spec spec{"wootz.Tensor", sizeof(TensorObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  tensor_type = reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &spec, nullptr));
  if (!tensor_type) return nullptr;
  allocate_object = reinterpret_cast<allocfunc>(PyType_GetSlot(tensor_type, Py_tp_alloc));
  free_object = reinterpret_cast<freefunc>(PyType_GetSlot(tensor_type, Py_tp_free));
  return tensor_type;
}

PyObject* wrap(Tensor t) {
  if (!t.defined()) return Object::borrow(Py_None).release();
  // A known object without references is being destroyed, and something its destruction runs asks for the tensor.
  auto* known = static_cast<PyObject*>(t->wrapper.load(std::memory_order_relaxed));
  if (known && Py_REFCNT(known) > 0) return Object::borrow(known).release();
  t->wrapped = false;  // a number's tensor that reaches Python is a tensor like any other
  return make_object(tensor_type, std::move(t));
}

PyObject* wrap_as(PyTypeObject* type, Tensor t) { return make_object(type, std::move(t)); }

PyObject* wrap_list(const TensorList& ts) {
  Object out(must(PyTuple_New(static_cast<Py_ssize_t>(ts.size()))));
  for (size_t i = 0; i < ts.size(); ++i) PyTuple_SetItem(out.get(), static_cast<Py_ssize_t>(i), wrap(ts[i]));
  return out.release();
}

PyObject* dims_tuple(const Dims& d) {
  PyObject* t = PyTuple_New(d.size());
  if (!t) return nullptr;
  for (int i = 0; i < d.size(); ++i) PyTuple_SetItem(t, i, PyLong_FromLongLong(d[i]));
  return t;
}

}  // namespace wootz::binding
