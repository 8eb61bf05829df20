#pragma once
// Reading Python arguments: binding them to a signature, then converting each, with errors that name both.
#include "binding/python.h"

#include <optional>
#include <string>

namespace wootz::binding {

struct Param {
  const char* name;
  bool required, keyword_only;
};

struct Function {
  const char* name;
  const Param* params;
  int count;
  int gather;  // the parameter that takes all further positional integers; -1: none
};

struct Where {
  const Function* function;
  int index;
};
std::string text(Where at);

// The arguments of one call in the order of the parameters; null where none was given.
class Bound {
 public:
  Bound(const Function& f, PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* names);
  PyObject* operator[](int i) const { return v_[i]; }

 private:
  static constexpr int kMax = 16;
  PyObject* v_[kMax] = {};
  Object gathered_;
};

namespace read {

Tensor tensor(PyObject* o, Where at);
Tensor tensor_or_scalar(PyObject* o, Where at);
Tensor optional_tensor(PyObject* o, Where at);
TensorList tensor_list(PyObject* o, Where at);
TensorList optional_tensor_list(PyObject* o, Where at);
int64_t integer(PyObject* o, Where at);
std::optional<int64_t> optional_integer(PyObject* o, Where at);
Dims dims(PyObject* o, Where at);
std::optional<Dims> optional_dims(PyObject* o, Where at);
double number(PyObject* o, Where at);
std::optional<double> optional_number(PyObject* o, Where at);
bool boolean(PyObject* o, Where at);
DType dtype(PyObject* o, Where at);
std::optional<DType> optional_dtype(PyObject* o, Where at);
std::string string(PyObject* o, Where at);

// A Python number as a 0-d tensor; undefined when it is none.
Tensor scalar(PyObject* o);

}  // namespace read
}  // namespace wootz::binding
