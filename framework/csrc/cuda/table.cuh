// The one list of kernels: K(family, operator, input type, output type) is the symbol operator_input_output.
// From it come the kernels themselves, the description the loader reads out of the binary, and the tests' cases.
#pragma once

#define WOOTZ_FLOATS(K, family, op) \
  K(family, op, f32, f32) K(family, op, f16, f16) K(family, op, bf16, bf16) K(family, op, f64, f64)

#define WOOTZ_COMPARISONS(K, op)                                                                        \
  K(binary, op, f32, boolean) K(binary, op, f16, boolean) K(binary, op, bf16, boolean)                  \
  K(binary, op, f64, boolean) K(binary, op, i64, boolean)

// Half types also reduce to the float partial results of a split reduction.
#define WOOTZ_REDUCTIONS(K, op)                                                                         \
  WOOTZ_FLOATS(K, reduce, op)                                                                           \
  K(reduce, op, f16, f32) K(reduce, op, bf16, f32)

#define WOOTZ_CASTS_TO(K, out)                                                                          \
  K(cast, cast, f32, out) K(cast, cast, f16, out) K(cast, cast, bf16, out) K(cast, cast, f64, out)      \
  K(cast, cast, i64, out) K(cast, cast, i32, out) K(cast, cast, u8, out) K(cast, cast, boolean, out)

#define WOOTZ_KERNELS(K)                                                                                   \
  WOOTZ_FLOATS(K, unary, neg) WOOTZ_FLOATS(K, unary, abs) WOOTZ_FLOATS(K, unary, sign)                     \
  WOOTZ_FLOATS(K, unary, reciprocal) WOOTZ_FLOATS(K, unary, square) WOOTZ_FLOATS(K, unary, exp)            \
  WOOTZ_FLOATS(K, unary, expm1) WOOTZ_FLOATS(K, unary, log) WOOTZ_FLOATS(K, unary, log1p)                  \
  WOOTZ_FLOATS(K, unary, sqrt) WOOTZ_FLOATS(K, unary, rsqrt) WOOTZ_FLOATS(K, unary, tanh)                  \
  WOOTZ_FLOATS(K, unary, sigmoid) WOOTZ_FLOATS(K, unary, relu) WOOTZ_FLOATS(K, unary, gelu)                \
  WOOTZ_FLOATS(K, unary, silu) WOOTZ_FLOATS(K, unary, erf) WOOTZ_FLOATS(K, unary, sin)                     \
  WOOTZ_FLOATS(K, unary, cos) WOOTZ_FLOATS(K, unary, floor) WOOTZ_FLOATS(K, unary, ceil)                   \
  WOOTZ_FLOATS(K, unary, round) WOOTZ_FLOATS(K, clamp, clamp) WOOTZ_FLOATS(K, binary, add)                 \
  WOOTZ_FLOATS(K, binary, sub) WOOTZ_FLOATS(K, binary, mul) WOOTZ_FLOATS(K, binary, div)                   \
  WOOTZ_FLOATS(K, binary, pow) WOOTZ_FLOATS(K, binary, maximum) WOOTZ_FLOATS(K, binary, minimum)           \
  WOOTZ_FLOATS(K, binary, tanh_backward) WOOTZ_FLOATS(K, binary, sigmoid_backward)                         \
  WOOTZ_FLOATS(K, binary, relu_backward) WOOTZ_FLOATS(K, binary, gelu_backward)                            \
  WOOTZ_FLOATS(K, binary, silu_backward) K(binary, add, i64, i64) K(binary, sub, i64, i64)                 \
  K(binary, mul, i64, i64) WOOTZ_COMPARISONS(K, eq) WOOTZ_COMPARISONS(K, ne) WOOTZ_COMPARISONS(K, lt)      \
  WOOTZ_COMPARISONS(K, le) WOOTZ_COMPARISONS(K, gt) WOOTZ_COMPARISONS(K, ge) WOOTZ_FLOATS(K, where, where) \
  K(where, where, i64, i64) WOOTZ_CASTS_TO(K, f32) WOOTZ_CASTS_TO(K, f16) WOOTZ_CASTS_TO(K, bf16)          \
  WOOTZ_CASTS_TO(K, f64) WOOTZ_CASTS_TO(K, i64) WOOTZ_CASTS_TO(K, i32) WOOTZ_CASTS_TO(K, u8)               \
  WOOTZ_CASTS_TO(K, boolean) K(fill, fill, u8, u8) K(fill, fill, u16, u16) K(fill, fill, u32, u32)         \
  K(fill, fill, u64, u64) WOOTZ_REDUCTIONS(K, sum) WOOTZ_REDUCTIONS(K, prod) WOOTZ_REDUCTIONS(K, amax)     \
  WOOTZ_REDUCTIONS(K, amin) WOOTZ_FLOATS(K, softmax, softmax) WOOTZ_FLOATS(K, softmax, log_softmax)        \
  WOOTZ_FLOATS(K, softmax_backward, softmax_backward)                                                      \
  WOOTZ_FLOATS(K, softmax_backward, log_softmax_backward) WOOTZ_FLOATS(K, loss, cross_entropy)             \
  WOOTZ_FLOATS(K, loss_backward, cross_entropy_backward) K(count, count_labels, i64, f32)                  \
  K(count, count_labels, i64, f64) WOOTZ_FLOATS(K, norm, layer_norm) WOOTZ_FLOATS(K, norm, rms_norm)       \
  WOOTZ_FLOATS(K, norm_backward, layer_norm_backward) WOOTZ_FLOATS(K, norm_backward, rms_norm_backward)    \
  K(norm_parameters, layer_norm_parameters, f32, f32) K(norm_parameters, layer_norm_parameters, f16, f32)  \
  K(norm_parameters, layer_norm_parameters, bf16, f32) K(norm_parameters, layer_norm_parameters, f64, f64) \
  K(norm_parameters, rms_norm_parameters, f32, f32) K(norm_parameters, rms_norm_parameters, f16, f32)      \
  K(norm_parameters, rms_norm_parameters, bf16, f32) K(norm_parameters, rms_norm_parameters, f64, f64)     \
  WOOTZ_FLOATS(K, dropout, dropout) WOOTZ_FLOATS(K, sgd, sgd) WOOTZ_FLOATS(K, adam, adam)                  \
  K(random, uniform, f64, f32) K(random, uniform, f64, f64) K(random, normal, f64, f32)                    \
  K(random, normal, f64, f64) K(randint, randint, i64, i64) K(random_mask, random_mask, f64, boolean)
