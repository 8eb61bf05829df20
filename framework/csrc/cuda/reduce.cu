// Reductions over any set of dimensions, deterministic: a fixed tree in each block, and a second launch over the
// partial results where one reduction was split over several blocks.
#include "kernel.cuh"
#include "math.cuh"

namespace wootz {

// `kept` dimensions give the outputs, `reduced` ones what is folded into each; dimension 0 is the innermost.
// A block has `outputs_per_block` x `threads_per_output` threads; `output_step` and `fold_step` say which of the
// two runs along neighbouring threads (the one whose memory is contiguous). `chunk` elements go to each gridDim.y.
struct Reduction {
  u32 outputs;
  u32 outputs_per_block;
  u32 threads_per_output;
  u32 output_step;
  u32 fold_step;
  int kept_ndim;
  int reduced_ndim;
  int vector;
  i64 length;
  i64 chunk;
  u32 kept_shape[max_dims];
  u32 reduced_shape[max_dims];
  i64 kept_stride[max_dims];
  i64 reduced_stride[max_dims];
};

__device__ __forceinline__ i64 offset_of(u32 index, int ndim, const u32 (&shape)[max_dims],
                                         const i64 (&stride)[max_dims]) {
  i64 at = 0;
#pragma unroll 1
  for (int d = 0; d < ndim - 1; ++d) {
    const u32 rest = index / shape[d];
    at += static_cast<i64>(index - rest * shape[d]) * stride[d];
    index = rest;
  }
  return ndim == 0 ? 0 : at + index * stride[ndim - 1];
}

// This thread's share of the elements from..to of one output, at `x + place(index)`. There are at least W threads.
template <class F, int W, class T, class Place>
__device__ __forceinline__ compute_t<T> fold_line(const T* x, i64 from, i64 to, u32 thread, u32 threads,
                                                  Place place) {
  using C = compute_t<T>;
  C folded[W];
#pragma unroll
  for (int j = 0; j < W; ++j) folded[j] = F::template start<C>();
  const i64 whole = from + (to - from) / W * W;
#pragma unroll 2
  for (i64 i = from + static_cast<i64>(thread) * W; i < whole; i += static_cast<i64>(threads) * W) {
    C value[W];
    load<W>(x + place(i), value);
#pragma unroll
    for (int j = 0; j < W; ++j) folded[j] = F::join(folded[j], value[j]);
  }
  if (W > 1 && whole + thread < to) folded[0] = F::join(folded[0], widen(x[place(whole + thread)]));
#pragma unroll
  for (int k = W / 2; k > 0; k /= 2) {
#pragma unroll
    for (int j = 0; j < k; ++j) folded[j] = F::join(folded[j], folded[j + k]);
  }
  return folded[0];
}

// out[gridDim.y][outputs] = scale * fold(x); a mean is a sum whose scale is 1 / length.
template <class F, class In, class Out>
__device__ __forceinline__ void reduce(const In* x, Out* out, compute_t<In> scale, const Reduction& plan) {
  using C = compute_t<In>;
  __shared__ C partial[256];
  const u32 lane = threadIdx.x / plan.output_step % plan.outputs_per_block;
  const u32 thread = threadIdx.x / plan.fold_step % plan.threads_per_output;
  const u32 output = blockIdx.x * plan.outputs_per_block + lane;
  C folded = F::template start<C>();
  if (output < plan.outputs) {
    const i64 from = blockIdx.y * plan.chunk;
    const i64 to = from + plan.chunk < plan.length ? from + plan.chunk : plan.length;
    const In* line = x + offset_of(output, plan.kept_ndim, plan.kept_shape, plan.kept_stride);
    const u32 threads = plan.threads_per_output;
    if (plan.vector)
      folded = fold_line<F, lanes<In>>(line, from, to, thread, threads, [](i64 i) { return i; });
    else
      folded = fold_line<F, 1>(line, from, to, thread, threads, [&](i64 i) {
        return plan.reduced_ndim == 1
                   ? i * plan.reduced_stride[0]
                   : offset_of(static_cast<u32>(i), plan.reduced_ndim, plan.reduced_shape, plan.reduced_stride);
      });
  }
  C* mine = partial + threadIdx.x;
  *mine = folded;
  __syncthreads();
  for (u32 k = plan.threads_per_output / 2; k > 0; k /= 2) {
    if (thread < k) *mine = F::join(*mine, mine[k * plan.fold_step]);
    __syncthreads();
  }
  if (thread == 0 && output < plan.outputs)
    out[static_cast<i64>(blockIdx.y) * plan.outputs + output] = narrow<Out>::from(*mine * scale);
}

#define WOOTZ_reduce(name, in, out)                                                                               \
  WOOTZ_KERNEL(reduce, name, in, out, 256, const in* x, out* y, compute_t<in> scale, WOOTZ_PLAN Reduction plan) { \
    reduce<fold::name>(x, y, scale, plan);                                                                        \
  }

WOOTZ_STRUCTURES(Reduction)

// A fold from its start and an expression that joins a and b; half types also reduce to the float partial results of a
// split reduction.
#define WOOTZ_REDUCTION(name, first, expression)         \
  namespace fold {                                       \
  struct name {                                          \
    template <class C>                                   \
    static __device__ __forceinline__ C start() {        \
      return first;                                      \
    }                                                    \
    template <class C>                                   \
    static __device__ __forceinline__ C join(C a, C b) { \
      return expression;                                 \
    }                                                    \
  };                                                     \
  }                                                      \
  WOOTZ_FLOATS(WOOTZ_reduce, name)                       \
  WOOTZ_reduce(name, f16, f32)                           \
  WOOTZ_reduce(name, bf16, f32)

WOOTZ_REDUCTION(sum, C(0), a + b)
WOOTZ_REDUCTION(prod, C(1), a * b)
WOOTZ_REDUCTION(amax, lowest<C>(), math::maximum(a, b))
WOOTZ_REDUCTION(amin, highest<C>(), math::minimum(a, b))

// Of integers; and whether any bool, or every one, is true.
WOOTZ_reduce(sum, i64, i64)
WOOTZ_reduce(prod, i64, i64)
WOOTZ_reduce(amax, i64, i64)
WOOTZ_reduce(amin, i64, i64)
WOOTZ_reduce(amax, boolean, boolean)
WOOTZ_reduce(amin, boolean, boolean)

}  // namespace wootz
