#pragma once
// The driver of point-wise ops: promotion, broadcasting and iteration around one tile kernel.
#include "core/tensor.h"
#include "cpu/kernels.h"

namespace wootz {

// What a result is: of the type computed in, a bool, or for complex numbers one of their parts' type.
enum class ResultRule : uint8_t { Same, Bool, Real };

struct PointOp {
  const char* name;
  cpu::Op op;
  ResultRule rule;
  bool floating;  // integers are computed in the default type
  bool masked;  // the first input is a boolean mask that takes no part in promotion
};

// PyTorch's result type: tensors, 0-d tensors and Python scalars count apart.
DType result_type(const Tensor* const* inputs, int n);
DType default_dtype();
void set_default_dtype(DType t);

Tensor pointwise(const PointOp& op, const Tensor* const* inputs, int n, const double* params, const Tensor& out);

namespace forward {
// t = value, broadcast and cast. The two may overlap.
void assign(const Tensor& t, const Tensor& value);
}  // namespace forward

}  // namespace wootz
