// Cross-entropy of logits against class indices, forward and backward, alone or in one launch.
#include "kernel.cuh"
#include "exponentials.cuh"

namespace wootz {

// With smoothing s over K classes the target distribution is (1 - s) onehot + s / K (Szegedy et al. 2016).
// A label outside [0, K) that is not `ignore_index` sets *fault to its row + 1 and makes the row's loss NaN.
template <class C>
struct Target {
  const i64* labels;
  i64 ignore_index;
  C smoothing;
  i64* fault;
};

// The gradient of the loss: one value, or one a row (stride 1), over *divisor where the reduction was a mean.
template <class C>
struct LossGradient {
  const C* value;
  i64 stride;
  const C* divisor;

  __device__ __forceinline__ C of(i64 row) const {
    const C g = value != nullptr ? value[row * stride] : C(1);
    return divisor != nullptr ? g / *divisor : g;
  }
};

template <class C>
__device__ __forceinline__ bool is_fault(const Target<C>& target, i64 row, i64 classes) {
  const i64 label = target.labels[row];
  return label != target.ignore_index && (label < 0 || label >= classes);
}

template <int W, class T>
__device__ __forceinline__ void loss_row(const T* row, i64 r, const Rows& rows, const Target<compute_t<T>>& target,
                                         compute_t<T> lse, compute_t<T>* losses) {
  using C = compute_t<T>;
  const i64 label = target.labels[r];
  C total = C(0);
  if (target.smoothing != C(0)) {
    sweep<W>(row, rows.columns, [&](i64, const C(&x)[W]) {
#pragma unroll
      for (int i = 0; i < W; ++i) total += lse - x[i];
    });
    total = sum_row(total);
  }
  if (threadIdx.x != 0) return;
  if (is_fault(target, r, rows.columns)) {
    *target.fault = r + 1;
    losses[r] = not_a_number<C>();
    return;
  }
  if (label == target.ignore_index) {
    losses[r] = C(0);
    return;
  }
  const C spread = target.smoothing / static_cast<C>(rows.columns);
  losses[r] = (C(1) - target.smoothing) * (lse - widen(row[label])) + spread * total;
}

template <int W, class T>
__device__ __forceinline__ void loss_gradient_row(const T* row, i64 r, const Rows& rows,
                                                  const Target<compute_t<T>>& target, compute_t<T> lse,
                                                  const LossGradient<compute_t<T>>& gradient, T* dx) {
  using C = compute_t<T>;
  const i64 label = target.labels[r];
  const C g = label == target.ignore_index ? C(0) : gradient.of(r);
  const C spread = target.smoothing / static_cast<C>(rows.columns);
  sweep<W>(row, rows.columns, [&](i64 c, const C(&x)[W]) {
    C result[W];
#pragma unroll
    for (int i = 0; i < W; ++i) {
      const C wanted = (c + i == label ? C(1) - target.smoothing : C(0)) + spread;
      // An ignored row's gradient is zero whatever its logits hold.
      result[i] = label == target.ignore_index ? C(0) : g * (math::exp(x[i] - lse) - wanted);
    }
    store<W>(dx + r * rows.columns + c, result);
  });
}

template <class T>
__device__ __forceinline__ void cross_entropy(const T* x, compute_t<T>* losses, compute_t<T>* lse, T* dx,
                                              const Target<compute_t<T>>& target,
                                              const LossGradient<compute_t<T>>& gradient, const Rows& rows) {
  each_row<lanes<T>>(rows, [&](auto width, i64 r) {
    constexpr int W = decltype(width)::value;
    const T* row = x + r * rows.stride;
    const compute_t<T> log_total = logsumexp(exponentials<W>(row, rows.columns));
    loss_row<W>(row, r, rows, target, log_total, losses);
    if (threadIdx.x == 0) lse[r] = log_total;
    if (dx != nullptr) loss_gradient_row<W>(row, r, rows, target, log_total, gradient, dx);
  });
}

template <class T>
__device__ __forceinline__ void cross_entropy_backward(const T* x, const compute_t<T>* lse, T* dx,
                                                       const Target<compute_t<T>>& target,
                                                       const LossGradient<compute_t<T>>& gradient,
                                                       const Rows& rows) {
  each_row<lanes<T>>(rows, [&](auto width, i64 r) {
    constexpr int W = decltype(width)::value;
    loss_gradient_row<W>(x + r * rows.stride, r, rows, target, lse[r], gradient, dx);
  });
}

// How many labels count towards a mean; one block.
template <class C>
__device__ __forceinline__ void count_labels(const i64* labels, i64 count, i64 ignore_index, C* out) {
  u64 mine = 0;
  for (i64 i = threadIdx.x; i < count; i += blockDim.x) mine += labels[i] != ignore_index;
  mine = sum_row(mine);
  if (threadIdx.x == 0) *out = static_cast<C>(mine);
}

// losses and lse hold one value a row; dx may be null, else it gets the gradient in the same launch.
#define WOOTZ_loss(name, in, out)                                                                                   \
  WOOTZ_KERNEL(loss, name, in, out, 512, const in* x, const i64* labels, compute_t<in>* losses, compute_t<in>* lse, \
               out* dx, const compute_t<in>* gradient, i64 gradient_stride, const compute_t<in>* divisor,           \
               i64 ignore_index, compute_t<in> smoothing, i64* fault, WOOTZ_PLAN Rows rows) {                       \
    name(x, losses, lse, dx, {labels, ignore_index, smoothing, fault}, {gradient, gradient_stride, divisor}, rows); \
  }
#define WOOTZ_loss_backward(name, in, out)                                                                           \
  WOOTZ_KERNEL(loss_backward, name, in, out, 512, const in* x, const i64* labels, const compute_t<in>* lse, out* dx, \
               const compute_t<in>* gradient, i64 gradient_stride, const compute_t<in>* divisor, i64 ignore_index,   \
               compute_t<in> smoothing, WOOTZ_PLAN Rows rows) {                                                      \
    name(x, lse, dx, {labels, ignore_index, smoothing, nullptr}, {gradient, gradient_stride, divisor}, rows);        \
  }
#define WOOTZ_count(name, in, out)                                                                     \
  WOOTZ_KERNEL(count, name, in, out, 512, const in* labels, i64 count, i64 ignore_index, out* total) { \
    name(labels, count, ignore_index, total);                                                          \
  }

WOOTZ_STRUCTURES(Rows)

WOOTZ_FLOATS(WOOTZ_loss, cross_entropy)
WOOTZ_FLOATS(WOOTZ_loss_backward, cross_entropy_backward)
WOOTZ_count(count_labels, i64, f32)
WOOTZ_count(count_labels, i64, f64)

}  // namespace wootz
