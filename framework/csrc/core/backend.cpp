#include "core/backend.h"

#include <cstring>

#include "core/autocast.h"
#include "core/batch.h"
#include "forward.h"

namespace wootz {
namespace {

TensorList missing(DeviceType type, const char* op, const BoxedList&) {
  fail(ErrorKind::Backend, op, ": no backend for device '", name_of(type),
       "' is loaded; install a wootz wheel built for it (version +cu126, +cu129, +cu130 or +cu135) with its CuPy, and "
       "import wootz.cuda");
}

Backend backends[kDeviceTypes] = {missing, missing};

TensorList unbatchable(DeviceType, const char* op, const BoxedList&) {
  fail(ErrorKind::Backend, op, ": wootz.func is not loaded, and these tensors are vmap's");
}
Backend batching = unbatchable;

bool batched(const Boxed& b) {
  if (auto* t = std::get_if<Tensor>(&b.value)) return t->defined() && (*t)->storage->batch;
  auto* ts = std::get_if<TensorList>(&b.value);
  return ts && std::any_of(ts->begin(), ts->end(), [](const Tensor& t) { return t.defined() && t->storage->batch; });
}

void meet(const char* op, const Tensor& t, std::optional<Device>& found) {
  if (!t.defined()) return;
  Device d = t.device();
  if (d.type == DeviceType::Cpu && t.dim() == 0) return;
  WOOTZ_CHECK(!found || *found == d, ErrorKind::Device, op, ": expected all tensors to be on the same device, but found ",
        found ? text(*found) : "", " and ", text(d));
  found = d;
}

}  // namespace

void set_backend(DeviceType type, Backend backend) { backends[static_cast<int>(type)] = backend ? backend : missing; }

void set_batching(Backend backend) { batching = backend ? backend : unbatchable; }

bool remote(const TensorList& ts) {
  for (const Tensor& t : ts)
    if (remote(t)) return true;
  return false;
}

namespace {

// These carry elements from one device to another; an index may lie on the CPU, as in x[[0, 2]].
bool crosses(const char* op) {
  for (const char* name : {"copy", "assign", "to_device", "index", "index_put"})
    if (std::strcmp(op, name) == 0) return true;
  return false;
}

}  // namespace

TensorList call_backend(const char* op, const BoxedList& arguments) {
  AutocastOff off;  // what a backend puts an op together from is the op
  if (std::any_of(arguments.begin(), arguments.end(), batched)) return batching(DeviceType::Cpu, op, arguments);
  std::optional<Device> device;
  DeviceType type = DeviceType::Cuda;
  if (crosses(op)) return backends[static_cast<int>(type)](type, op, arguments);
  for (const Boxed& b : arguments) {
    if (auto* t = std::get_if<Tensor>(&b.value)) meet(op, *t, device);
    if (auto* ts = std::get_if<TensorList>(&b.value))
      for (const Tensor& t : *ts) meet(op, t, device);
  }
  if (device && device->type != DeviceType::Cpu) type = device->type;
  return backends[static_cast<int>(type)](type, op, arguments);
}

Tensor filled(const Tensor& near, const Dims& shape, DType dtype, double value) {
  if (near->storage->batch) return filled(physical(near), shape, dtype, value);  // a constant is every example's
  if (remote(near)) return call_backend("full", {near, shape, dtype, value}).at(0);
  return value == 0 ? zeros(shape, dtype) : full(shape, dtype, value);
}

void store(const Tensor& t, const Tensor& value) { forward::assign(t, value); }

void store_result(const char* op, const Tensor& t, const Tensor& value) {
  WOOTZ_CHECK(value.shape() == t.shape(), ErrorKind::Shape, op, ": output with shape ", text(t.shape()),
              " doesn't match the broadcast shape ", text(value.shape()));
  WOOTZ_CHECK(info(value.dtype()).category <= info(t.dtype()).category, ErrorKind::DType, op, ": result type ",
              name_of(value.dtype()), " can't be cast to the desired output type ", name_of(t.dtype()));
  store(t, value);
}

Tensor on_device(const Tensor& t, Device device) {
  return t.device() == device ? t : call_backend("to_device", {t, text(device)}).at(0);
}

}  // namespace wootz
