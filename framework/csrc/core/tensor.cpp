#include "core/tensor.h"

#include <cstring>
#include <new>

#include "core/autograd.h"
#include "core/backend.h"
#include "core/pool.h"

namespace wootz {

void TensorImpl::destroy(TensorImpl* t) {
  t->~TensorImpl();
  pool::release(t, sizeof(TensorImpl));
}

Tensor Tensor::make(Ref<Storage> storage, int64_t offset, const Dims& shape, const Dims& strides, DType dtype) {
  auto* t = new (pool::allocate(sizeof(TensorImpl))) TensorImpl;
  t->storage = std::move(storage);
  t->offset = offset;
  t->shape = shape;
  t->strides = strides;
  t->dtype = dtype;
  t->numel = 1;
  for (int64_t n : shape) t->numel *= n;
  t->contiguous = wootz::is_contiguous(shape, strides);
  return Tensor(Ref<TensorImpl>::adopt(t));
}

Tensor Tensor::detached() const { return make(p_->storage, p_->offset, p_->shape, p_->strides, p_->dtype); }

Tensor empty(const Dims& shape, DType dtype) {
  int64_t n = count(shape);
  return Tensor::make(Storage::allocate(static_cast<size_t>(n) * size_of(dtype)), 0, shape, contiguous_strides(shape),
                      dtype);
}

Tensor zeros(const Dims& shape, DType dtype) {
  Tensor t = empty(shape, dtype);
  std::memset(t.bytes(), 0, static_cast<size_t>(t.numel()) * size_of(dtype));
  return t;
}

Tensor full(const Dims& shape, DType dtype, double value) {
  Tensor t = empty(shape, dtype);
  visit(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::fill_n(t.data<T>(), t.numel(), static_cast<T>(value));
  });
  return t;
}

Tensor scalar(double value, DType dtype) { return full(Dims{}, dtype, value); }

namespace {
template <class T> Tensor wrap(T value) {
  Tensor t = empty(Dims{}, dtype_of<T>());
  *t.data<T>() = value;
  t->wrapped = true;
  return t;
}
}  // namespace

Tensor wrapped_scalar(double value) { return wrap(value); }
Tensor wrapped_scalar(int64_t value) { return wrap(value); }
Tensor wrapped_scalar(bool value) { return wrap(value); }
Tensor wrapped_scalar(Complex<double> value) { return wrap(value); }

void take_memory(const Tensor& t, const Tensor& other) {
  t->storage = other->storage;
  t->offset = other->offset;
  t->shape = other->shape;
  t->strides = other->strides;
  t->numel = other->numel;
  t->dtype = other->dtype;
  t->contiguous = other->contiguous;
}

Tensor raw_view(const Tensor& t, const Dims& shape, const Dims& strides, int64_t offset) {
  return Tensor::make(t->storage, offset, shape, strides, t.dtype());
}

Tensor reread(const Tensor& t, DType to) {
  auto had = static_cast<int64_t>(size_of(t.dtype())), wants = static_cast<int64_t>(size_of(to));
  Dims shape = t.shape(), strides = t.strides();
  if (had == wants) return Tensor::make(t->storage, t->offset, shape, strides, to);
  const char* op = "self.dtype cannot be viewed as another size: ";
  WOOTZ_CHECK(!t->storage->batch, ErrorKind::Value, "view(dtype) of another size is not supported inside vmap");
  WOOTZ_CHECK(t.dim() > 0, ErrorKind::Shape, op, "self.dim() cannot be 0 to view ", name_of(t.dtype()), " as ", name_of(to));
  WOOTZ_CHECK(strides.back() == 1 || shape.back() == 1, ErrorKind::Shape, op, "self.stride(-1) must be 1, found ", strides.back());
  bool fits = t->offset * had % wants == 0 && shape.back() * had % wants == 0;
  for (int d = 0; d + 1 < t.dim(); ++d) fits &= strides[d] * had % wants == 0;
  WOOTZ_CHECK(fits, ErrorKind::Shape, op, "the last size, the offset and the other strides of ", text(shape), " in ", name_of(t.dtype()),
              " must be whole numbers of ", name_of(to));
  int last = t.dim() - 1;
  shape[last] = shape[last] * had / wants;
  for (int d = 0; d < last; ++d) strides[d] = strides[d] * had / wants;
  strides[last] = 1;
  return Tensor::make(t->storage, t->offset * had / wants, shape, strides, to);
}

namespace {
void check_real(const Tensor& t) {
  WOOTZ_CHECK(t.numel() == 1, ErrorKind::Shape, "a Tensor with ", t.numel(), " elements cannot be converted to Scalar");
  WOOTZ_CHECK(!is_complex(t.dtype()), ErrorKind::DType, "a complex number cannot be converted to a real one: take .real first");
}
}  // namespace

double item(const Tensor& t) {
  check_real(t);
  if (remote(t)) return item(call_backend("to_device", {t, std::string("cpu")}).at(0));
  return visit(t.dtype(), [&](auto tag) { return static_cast<double>(*t.data<typename decltype(tag)::type>()); });
}

Complex<double> item_complex(const Tensor& t) {
  WOOTZ_CHECK(t.numel() == 1, ErrorKind::Shape, "a Tensor with ", t.numel(), " elements cannot be converted to Scalar");
  if (remote(t)) return item_complex(call_backend("to_device", {t, std::string("cpu")}).at(0));
  if (!is_complex(t.dtype())) return item(t);
  if (t.dtype() == DType::Complex128) return *t.data<Complex<double>>();
  return Complex<double>(*t.data<Complex<float>>());
}

int64_t item_int(const Tensor& t) {
  check_real(t);
  if (remote(t)) return item_int(call_backend("to_device", {t, std::string("cpu")}).at(0));
  return visit(t.dtype(), [&](auto tag) { return static_cast<int64_t>(*t.data<typename decltype(tag)::type>()); });
}

}  // namespace wootz
