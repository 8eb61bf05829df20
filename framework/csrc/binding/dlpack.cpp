// DLPack: tensors as capsules that other libraries take over without copying, and theirs as tensors.
// Structures of version 1.1: https://dmlc.github.io/dlpack/latest/c_api.html
#include "binding/arguments.h"

#include <cstring>

namespace wootz::binding {
namespace {

struct DLDevice {
  int32_t type, id;
};
struct DLType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLType dtype;
  int64_t *shape, *strides;
  uint64_t byte_offset;
};
struct Managed {
  static constexpr const char *kName = "dltensor", *kUsed = "used_dltensor";
  DLTensor tensor;
  void* context;
  void (*deleter)(Managed*);
};
struct Versioned {
  static constexpr const char *kName = "dltensor_versioned", *kUsed = "used_dltensor_versioned";
  uint32_t major, minor;
  void* context;
  void (*deleter)(Versioned*);
  uint64_t flags;
  DLTensor tensor;
};
constexpr uint64_t kReadOnly = 1, kCopied = 2;
constexpr int32_t kCpu = 1, kCuda = 2;
enum Code : uint8_t { kInt, kUInt, kFloat, kOpaque, kBfloat, kComplex, kBool };

// Of the element type's own name, so that a new one needs no entry here.
DLType described(DType t) {
  std::string name = name_of(t);
  auto starts = [&](const char* s) { return name.rfind(s, 0) == 0; };
  uint8_t code = starts("bool") ? kBool : starts("uint") ? kUInt : starts("int") ? kInt : starts("bfloat") ? kBfloat
                 : starts("complex") ? kComplex : kFloat;
  return {code, static_cast<uint8_t>(8 * size_of(t)), 1};
}

DType dtype_named(DLType t) {
  for (int i = 0; i < kDTypes; ++i) {
    DLType d = described(static_cast<DType>(i));
    if (d.code == t.code && d.bits == t.bits && t.lanes == 1) return static_cast<DType>(i);
  }
  fail(ErrorKind::DType, "from_dlpack: no dtype of wootz is DLPack's type code ", static_cast<int>(t.code), " with ",
       static_cast<int>(t.bits), " bits and ", static_cast<int>(t.lanes), " lanes. Convert it to another type first");
}

// Export: the capsule owns one of these until a consumer takes it.

template <class M> struct Holder {
  M managed{};
  Tensor tensor;
  Dims shape, strides;
};

template <class M> void discard(M* m) { delete static_cast<Holder<M>*>(m->context); }

template <class M> void destroy_capsule(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, M::kName)) return;  // a consumer renamed it: the memory is its own now
  auto* m = static_cast<M*>(PyCapsule_GetPointer(capsule, M::kName));
  if (m->deleter) m->deleter(m);
}

template <class M> PyObject* make_capsule(const Tensor& t, bool copied) {
  auto* h = new Holder<M>;
  h->tensor = t;
  h->shape = t.shape();
  h->strides = t.strides();
  bool cpu = t.device().type == DeviceType::Cpu;
  h->managed.tensor = {t.bytes(), {cpu ? kCpu : kCuda, cpu ? 0 : t.device().index}, t.dim(), described(t.dtype()),
                       h->shape.begin(), h->strides.begin(), 0};
  h->managed.context = h;
  h->managed.deleter = discard<M>;
  if constexpr (std::is_same_v<M, Versioned>) {
    h->managed.major = 1;
    h->managed.minor = 1;
    h->managed.flags = copied ? kCopied : 0;
  }
  PyObject* capsule = PyCapsule_New(&h->managed, M::kName, destroy_capsule<M>);
  if (!capsule) discard(&h->managed);
  return must(capsule);
}

PyObject* to_dlpack(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject* o;
    int versioned, copied;
    if (!PyArg_ParseTuple(args, "Opp", &o, &versioned, &copied)) python_error();
    WOOTZ_CHECK(is_tensor(o), ErrorKind::Type, "to_dlpack() takes a Tensor");
    Tensor t = tensor_of(o).detached();
    WOOTZ_CHECK(!t->storage->batch, ErrorKind::Value, "a tensor inside vmap has values for every example, and cannot be exported");
    return versioned ? make_capsule<Versioned>(t, copied != 0) : make_capsule<Managed>(t, copied != 0);
  });
}

// Import: everything the capsule says is checked before it is taken over; one that is refused stays its owner's.

Device device_of(DLDevice d) {
  WOOTZ_CHECK(d.type == kCpu || d.type == kCuda, ErrorKind::Device, "from_dlpack: device type ", d.type,
              " is neither the CPU (1) nor CUDA (2). Move the data to the CPU first");
  WOOTZ_CHECK(d.id >= 0 && d.id < 128, ErrorKind::Device, "from_dlpack: impossible device number ", d.id);
  return {d.type == kCpu ? DeviceType::Cpu : DeviceType::Cuda, static_cast<int8_t>(d.type == kCpu ? 0 : d.id)};
}

Dims read_shape(const DLTensor& d) {
  WOOTZ_CHECK(d.ndim >= 0 && d.ndim <= kMaxDims, ErrorKind::Shape, "from_dlpack: ", d.ndim, " dimensions; tensors have at most ", kMaxDims);
  WOOTZ_CHECK(d.ndim == 0 || d.shape, ErrorKind::Value, "from_dlpack: the capsule has no shape");
  Dims shape;
  for (int32_t i = 0; i < d.ndim; ++i) shape.push(d.shape[i]);
  return shape;
}

Dims read_strides(const DLTensor& d, const Dims& shape) {
  if (!d.strides || is_contiguous(shape, [&] { Dims s; for (int i = 0; i < d.ndim; ++i) s.push(d.strides[i]); return s; }()))
    return contiguous_strides(shape);
  Dims strides;
  __int128 last = 0;
  for (int i = 0; i < d.ndim; ++i) {
    WOOTZ_CHECK(d.strides[i] >= 0 || shape[i] <= 1, ErrorKind::Value, "from_dlpack: a stride is negative, and tensors with negative ",
                "strides are not supported. Make a copy first");
    strides.push(shape[i] <= 1 ? 0 : d.strides[i]);
    last += static_cast<__int128>(std::max<int64_t>(shape[i] - 1, 0)) * strides[i];
  }
  WOOTZ_CHECK(last < (__int128{1} << 58), ErrorKind::Value, "from_dlpack: shape ", text(shape), " with strides ", text(strides),
              " lies outside of any memory");
  return strides;
}

template <class M> void give_back(void* owner) {
  auto* m = static_cast<M*>(owner);
  if (!m->deleter) return;
  if (!Py_IsInitialized()) return m->deleter(m);
  Locked gil;  // producers written in Python free Python objects
  m->deleter(m);
}

template <class M> Tensor take(PyObject* capsule) {
  auto* m = static_cast<M*>(PyCapsule_GetPointer(capsule, M::kName));
  const DLTensor& d = m->tensor;
  DType dtype = dtype_named(d.dtype);
  Device device = device_of(d.device);
  Dims shape = read_shape(d);
  int64_t n = count(shape);
  Dims strides = read_strides(d, shape);
  auto* data = static_cast<char*>(d.data) + d.byte_offset;
  WOOTZ_CHECK(n == 0 || d.data, ErrorKind::Value, "from_dlpack: the capsule has no memory, but shape ", text(shape));
  WOOTZ_CHECK(n == 0 || reinterpret_cast<uintptr_t>(data) % std::min<size_t>(size_of(dtype), 8) == 0, ErrorKind::Value,
              "from_dlpack: the memory is not aligned for ", name_of(dtype));
  size_t bytes = n ? static_cast<size_t>(extent(shape, strides, 0)) * size_of(dtype) : 0;
  if (PyCapsule_SetName(capsule, M::kUsed) != 0) python_error();
  return Tensor::make(Storage::borrow(data, bytes, device, give_back<M>, m), 0, shape, strides, dtype);
}

// (tensor, whether its memory must not be written, whether the producer made a copy)
PyObject* from_dlpack(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    WOOTZ_CHECK(PyCapsule_CheckExact(capsule), ErrorKind::Type, "from_dlpack: expected a capsule from __dlpack__()");
    if (PyCapsule_IsValid(capsule, Managed::kName)) return Py_BuildValue("(NOO)", wrap(take<Managed>(capsule)), Py_False, Py_False);
    if (!PyCapsule_IsValid(capsule, Versioned::kName)) {
      const char* name = PyCapsule_GetName(capsule);
      PyErr_Clear();
      bool used = name && std::strncmp(name, "used_dltensor", 13) == 0;
      fail(ErrorKind::Value, "from_dlpack: ", used ? "the capsule was consumed already; call __dlpack__() again" : "the capsule is named '",
           used ? "" : name ? name : "", used ? "" : "', not 'dltensor' or 'dltensor_versioned'");
    }
    auto* m = static_cast<Versioned*>(PyCapsule_GetPointer(capsule, Versioned::kName));
    WOOTZ_CHECK(m->major == 1, ErrorKind::Value, "from_dlpack: the capsule is of DLPack version ", m->major, ".", m->minor,
                "; this wootz reads version 1. Ask for max_version=(1, 1)");
    uint64_t flags = m->flags;
    return Py_BuildValue("(NOO)", wrap(take<Versioned>(capsule)), flags & kReadOnly ? Py_True : Py_False, flags & kCopied ? Py_True : Py_False);
  });
}

}  // namespace

PyMethodDef dlpack_functions[] = {
    {"to_dlpack", to_dlpack, METH_VARARGS, "(tensor, versioned, copied): a capsule over the tensor's memory."},
    {"from_dlpack", from_dlpack, METH_O, "(tensor over a capsule's memory, read-only, copied); consumes the capsule."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace wootz::binding
