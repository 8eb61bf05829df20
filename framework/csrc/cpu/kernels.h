#pragma once
// The table of CPU kernels. Each instruction set fills one; the core picks a table at run time.
#include <cstdint>

#include "core/dtype.h"

namespace wootz::cpu {

#include "kernels.inc"

// One tile instruction: n elements, operands either dense (step 1) or one repeated element (step 0).
using Loop = void (*)(char* out, const char* const* in, const uint8_t* step, int64_t n, const double* params);
using Convert = void (*)(const char* from, char* to, int64_t n);

enum class Reduction : uint8_t { sum, prod, amax, amin, any, all };
constexpr int kReductions = 6;
// out[o, i] = reduce over r of x[o, r, i]; rows [first, last) of `o`. `stride` is the distance between outer slices.
using Reduce = void (*)(const char* x, char* out, int64_t first, int64_t last, int64_t stride, int64_t n, int64_t inner);
// Index of the largest (smallest) of each contiguous row of n; NaN wins, the first of equals wins.
using ArgReduce = void (*)(const char* x, int64_t* out, int64_t rows, int64_t n);

// C[m, n] (+)= A B with any strides of A and B, in elements; `bias` (n) is added when given.
struct Gemm {
  int64_t m, n, k;
  const void* a; int64_t a_row, a_col;
  const void* b; int64_t b_row, b_col;
  void* c; int64_t c_row;
  const void* bias;
  bool accumulate;
};

struct CrossEntropy {
  const void* logits;
  const int64_t* target;
  void* loss;       // per row; null when only the gradient is wanted
  void* gradient;   // rows of softmax minus target, times scale[row]; null when only the loss is wanted
  const void* scale;
  int64_t classes, ignore;
  double smoothing;
};

struct SgdStep { double lr, momentum, dampening, weight_decay; bool nesterov, maximize, first; };
struct AdamStep { double lr, beta1, beta2, eps, weight_decay, bias1, bias2; bool decoupled, amsgrad, maximize; };

template <class T> struct FloatKernels {
  void (*gemm)(const Gemm&);
  void (*softmax)(const T* x, T* y, int64_t rows, int64_t n);
  void (*log_softmax)(const T* x, T* y, int64_t rows, int64_t n);
  void (*softmax_backward)(const T* g, const T* y, T* out, int64_t rows, int64_t n);
  void (*log_softmax_backward)(const T* g, const T* y, T* out, int64_t rows, int64_t n);
  void (*logsumexp)(const T* x, T* out, int64_t rows, int64_t n);
  void (*cross_entropy)(const CrossEntropy&, int64_t first, int64_t last);
  void (*layer_norm)(const T* x, const T* weight, const T* bias, T* y, T* mean, T* rstd, int64_t rows, int64_t n, double eps);
  void (*sgd)(T* p, const T* g, T* buffer, int64_t n, const SgdStep&);
  void (*adam)(T* p, const T* g, T* m, T* v, T* vmax, int64_t n, const AdamStep&);
};

struct Kernels {
  const char* isa;
  Loop pointwise[kOps][kDTypes];
  Convert convert[kDTypes][kDTypes];
  Reduce reduce[kReductions][kDTypes];
  ArgReduce argmax[kDTypes], argmin[kDTypes];
  FloatKernels<float> f32;
  FloatKernels<double> f64;
  template <class T> const FloatKernels<T>& real() const {
    if constexpr (sizeof(T) == 4) return f32;
    else return f64;
  }
};

// The table of this processor's best instruction set, or of the one that WOOTZ_ISA names.
const Kernels& kernels();

}  // namespace wootz::cpu
