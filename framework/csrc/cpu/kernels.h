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

// A convolution over three spatial dimensions (leading ones are 1), everything contiguous: x [batch, groups * inputs,
// extent], weight [groups * outputs, inputs, kernel], y [batch, groups * outputs, out].
// The kernels pad x to `size` and sort its rows by phase: first every stride-th element, then those after them, `phase` of
// each, so that the elements which neighbouring outputs read are neighbours.
struct Conv {
  int64_t batch, groups, inputs, outputs, phase;
  int64_t extent[3], padding[3], size[3], kernel[3], stride[3], dilation[3], out[3];
  void *x, *weight, *y;
  const void* bias;  // [groups * outputs], or null
};

// `groups` sets of elements that are normalised together, each of `segments` runs of `length`.
struct NormGroups { int64_t groups, segments, length, group_stride, segment_stride; };

// Scaled dot products: heads of q [queries, width], k [keys, width], v [keys, value_width] at any strides, in elements.
struct Attention {
  int64_t batch, heads, queries, keys, width, value_width;
  struct Operand { void* p; int64_t batch, head, row, column; };
  Operand q, k, v;
  Operand mask;      // [queries, keys] by head: added to the products, or null
  void *out, *lse;   // contiguous [batch, heads, queries, value_width] and [batch, heads, queries]
  const void* grad;  // of out; of lse through `delta`
  void *delta, *dq, *dk, *dv;
  double scale;
  bool causal;
  double p;  // of dropping out; element (batch, head, query, key) of a draw decides
  uint64_t seed, draw;
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
  // The three products of a convolution: y from x and weight, x from y and weight, weight from x and y. For the last, by parts, x
  // is [batch, size, groups * inputs], its rows as they were, and weight [parts, groups * outputs, kernel, inputs], one part for each share of the batch.
  void (*conv_forward)(const Conv&);
  void (*conv_input)(const Conv&);
  void (*conv_weight)(const Conv&, int64_t parts);
  // (x - mean) / sqrt(var + eps) of each row of n, times weight [n], plus bias [n]; the mean counts as 0 if not centred.
  void (*norm_rows)(const T* x, const T* weight, const T* bias, T* y, int64_t rows, int64_t n, double eps, bool centred);
  // The gradient for x, and the sums over the rows of those for weight and bias (null when not wanted).
  void (*norm_rows_backward)(const T* g, const T* x, const T* weight, T* dx, T* dweight, T* dbias, int64_t rows, int64_t n,
                             double eps, bool centred);
  // For groups [first, last): mean and (biased) variance, y = (x - centre[group]) * scale + shift by [group, segment],
  // sums by [group, segment] of g and g (x - centre), and dx = a g + b (x - centre) + c.
  void (*group_moments)(const T* x, const NormGroups&, T* mean, T* var, int64_t first, int64_t last, bool centred);
  void (*group_apply)(const T* x, const NormGroups&, const T* centre, const T* scale, const T* shift, T* y, int64_t first, int64_t last);
  void (*group_sums)(const T* g, const T* x, const NormGroups&, const T* centre, T* sum, T* product, int64_t first, int64_t last);
  void (*group_combine)(const T* g, const T* x, const NormGroups&, const T* centre, const T* a, const T* b, const T* c, T* dx,
                        int64_t first, int64_t last);
  void (*attention)(const Attention&);
  void (*attention_backward)(const Attention&);
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

// Adds the kernels of complex numbers, which are the same for every instruction set.
void fill_complex(Kernels& k);

// The table of this processor's best instruction set, or of the one that WOOTZ_ISA names.
const Kernels& kernels();

}  // namespace wootz::cpu
