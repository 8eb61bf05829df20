#include "binding/python.h"

#include <new>

namespace wootz::binding {
namespace {

// Names in wootz.errors; the built-in ones are used where Python has the very thing.
const char* library_name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Shape: return "ShapeError";
    case ErrorKind::DType: return "DTypeError";
    case ErrorKind::Gradient: return "GradientError";
    case ErrorKind::Device: return "DeviceError";
    case ErrorKind::Backend: return "BackendError";
    default: return nullptr;
  }
}

PyObject* built_in(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Index: return PyExc_IndexError;
    case ErrorKind::Value: return PyExc_ValueError;
    case ErrorKind::Type: return PyExc_TypeError;
    case ErrorKind::Memory: return PyExc_MemoryError;
    case ErrorKind::Overflow: return PyExc_OverflowError;
    default: return PyExc_RuntimeError;
  }
}

void raise(const Error& e) {
  if (e.kind == ErrorKind::Python) return;
  if (const char* name = library_name(e.kind)) {
    Object module(PyImport_ImportModule("wootz.errors"));
    Object type(module ? PyObject_GetAttrString(module.get(), name) : nullptr);
    if (type) PyErr_SetString(type.get(), e.what());
    return;
  }
  PyErr_SetString(built_in(e.kind), e.what());
}

}  // namespace

void raise_current() noexcept {
  try {
    throw;
  } catch (const Error& e) {
    raise(e);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  } catch (...) {
    PyErr_SetString(PyExc_RuntimeError, "unknown error in the native module");
  }
}

}  // namespace wootz::binding
