// Layer norm and RMS norm over contiguous rows, forward and backward (Ba et al. 2016; Zhang & Sennrich 2019).
#include "kernel.cuh"
#include "rows.cuh"

namespace wootz {

struct layer_norm {
  static constexpr bool centred = true;
};
struct rms_norm {
  static constexpr bool centred = false;
};

using layer_norm_backward = layer_norm;
using layer_norm_parameters = layer_norm;
using rms_norm_backward = rms_norm;
using rms_norm_parameters = rms_norm;

// Saves each row's mean (zero if not centred) and reciprocal deviation for the backward pass.
template <class Norm, class T>
__device__ __forceinline__ void norm_rows(const T* x, const T* weight, const T* bias, compute_t<T> eps, T* out,
                                          compute_t<T>* means, compute_t<T>* scales, const Rows& rows) {
  using C = compute_t<T>;
  each_row<lanes<T>>(rows, [&](auto width, i64 r) {
    constexpr int W = decltype(width)::value;
    const T* row = x + r * rows.stride;
    C mean = C(0);
    if (Norm::centred) {
      sweep<W>(row, rows.columns, [&](i64, const C(&value)[W]) {
#pragma unroll
        for (int i = 0; i < W; ++i) mean += value[i];
      });
      mean = sum_row(mean) / static_cast<C>(rows.columns);
    }
    C square = C(0);
    sweep<W>(row, rows.columns, [&](i64, const C(&value)[W]) {
#pragma unroll
      for (int i = 0; i < W; ++i) square += (value[i] - mean) * (value[i] - mean);
    });
    const C scale = C(1) / math::sqrt(sum_row(square) / static_cast<C>(rows.columns) + eps);
    sweep<W>(row, rows.columns, [&](i64 c, const C(&value)[W]) {
      C gain[W], shift[W], y[W];
      if (weight != nullptr) load<W>(weight + c, gain);
      if (bias != nullptr) load<W>(bias + c, shift);
#pragma unroll
      for (int i = 0; i < W; ++i) {
        const C unit = (value[i] - mean) * scale;
        y[i] = (weight != nullptr ? unit * gain[i] : unit) + (bias != nullptr ? shift[i] : C(0));
      }
      store<W>(out + r * rows.columns + c, y);
    });
    if (threadIdx.x == 0) {
      if (Norm::centred) means[r] = mean;
      scales[r] = scale;
    }
  });
}

// dx = scale (h - mean(h) - u mean(h u)) where h = g weight and u is the normalised row; RMS norm drops mean(h).
template <class Norm, class T>
__device__ __forceinline__ void norm_backward_rows(const T* grad, const T* x, const T* weight,
                                                   const compute_t<T>* means, const compute_t<T>* scales, T* dx,
                                                   const Rows& rows) {
  using C = compute_t<T>;
  each_row<lanes<T>>(rows, [&](auto width, i64 r) {
    constexpr int W = decltype(width)::value;
    const C mean = Norm::centred ? means[r] : C(0);
    const C scale = scales[r];
    const T* upstream = grad + r * rows.columns;
    // Hands over h and u for one pack.
    const auto pack = [&](i64 c, const C(&value)[W], C(&h)[W], C(&u)[W]) {
      C gain[W];
      load<W>(upstream + c, h);
      if (weight != nullptr) load<W>(weight + c, gain);
#pragma unroll
      for (int i = 0; i < W; ++i) {
        if (weight != nullptr) h[i] *= gain[i];
        u[i] = (value[i] - mean) * scale;
      }
    };
    C first = C(0), second = C(0);
    sweep<W>(x + r * rows.stride, rows.columns, [&](i64 c, const C(&value)[W]) {
      C h[W], u[W];
      pack(c, value, h, u);
#pragma unroll
      for (int i = 0; i < W; ++i) {
        first += h[i];
        second += h[i] * u[i];
      }
    });
    first = Norm::centred ? sum_row(first) / static_cast<C>(rows.columns) : C(0);
    second = sum_row(second) / static_cast<C>(rows.columns);
    sweep<W>(x + r * rows.stride, rows.columns, [&](i64 c, const C(&value)[W]) {
      C h[W], u[W], result[W];
      pack(c, value, h, u);
#pragma unroll
      for (int i = 0; i < W; ++i) result[i] = scale * (h[i] - first - u[i] * second);
      store<W>(dx + r * rows.columns + c, result);
    });
  });
}

constexpr int parameter_columns = 32;
constexpr int parameter_lines = 8;

// Partial gradients of weight and bias: a block of 32 x 8 threads sums 32 columns over its share of the rows into
// partials[gridDim.y][columns]; a sum over the first dimension finishes them.
template <class Norm, class T>
__device__ __forceinline__ void norm_parameters(const T* grad, const T* x, const compute_t<T>* means,
                                                const compute_t<T>* scales, compute_t<T>* weight_partials,
                                                compute_t<T>* bias_partials, const Rows& rows) {
  using C = compute_t<T>;
  __shared__ C partial[2][parameter_lines][parameter_columns];
  const i64 c = static_cast<i64>(blockIdx.x) * parameter_columns + threadIdx.x;
  C dw = C(0), db = C(0);
  if (c < rows.columns) {
    const i64 step = static_cast<i64>(gridDim.y) * parameter_lines;
#pragma unroll 2
    for (i64 r = static_cast<i64>(blockIdx.y) * parameter_lines + threadIdx.y; r < rows.count; r += step) {
      const C g = widen(grad[r * rows.columns + c]);
      const C mean = Norm::centred ? means[r] : C(0);
      dw += g * (widen(x[r * rows.stride + c]) - mean) * scales[r];
      db += g;
    }
  }
  partial[0][threadIdx.y][threadIdx.x] = dw;
  partial[1][threadIdx.y][threadIdx.x] = db;
  __syncthreads();
  if (threadIdx.y != 0 || c >= rows.columns) return;
  for (int line = 1; line < parameter_lines; ++line) {
    dw += partial[0][line][threadIdx.x];
    db += partial[1][line][threadIdx.x];
  }
  weight_partials[blockIdx.y * rows.columns + c] = dw;
  if (bias_partials != nullptr) bias_partials[blockIdx.y * rows.columns + c] = db;
}

// weight and bias may be null. means is unused, and may be null, in RMS norm.
#define WOOTZ_norm(name, in, out)                                                                                  \
  WOOTZ_KERNEL(norm, name, in, out, 512, const in* x, const in* weight, const in* bias, compute_t<in> eps, out* y, \
               compute_t<in>* means, compute_t<in>* scales, WOOTZ_PLAN Rows rows) {                                \
    norm_rows<name>(x, weight, bias, eps, y, means, scales, rows);                                                 \
  }
#define WOOTZ_norm_backward(name, in, out)                                                               \
  WOOTZ_KERNEL(norm_backward, name, in, out, 512, const in* grad, const in* x, const in* weight,         \
               const compute_t<in>* means, const compute_t<in>* scales, out* dx, WOOTZ_PLAN Rows rows) { \
    norm_backward_rows<name>(grad, x, weight, means, scales, dx, rows);                                  \
  }
#define WOOTZ_norm_parameters(name, in, out)                                                                  \
  WOOTZ_KERNEL(norm_parameters, name, in, out, 256, const in* grad, const in* x, const compute_t<in>* means,  \
               const compute_t<in>* scales, out* weight_partials, out* bias_partials, WOOTZ_PLAN Rows rows) { \
    norm_parameters<name>(grad, x, means, scales, weight_partials, bias_partials, rows);                      \
  }

WOOTZ_STRUCTURES(Rows)

#define WOOTZ_NORM(name)                              \
  WOOTZ_FLOATS(WOOTZ_norm, name)                      \
  WOOTZ_FLOATS(WOOTZ_norm_backward, name##_backward)  \
  WOOTZ_norm_parameters(name##_parameters, f32, f32)  \
  WOOTZ_norm_parameters(name##_parameters, f16, f32)  \
  WOOTZ_norm_parameters(name##_parameters, bf16, f32) \
  WOOTZ_norm_parameters(name##_parameters, f64, f64)

WOOTZ_NORM(layer_norm)
WOOTZ_NORM(rms_norm)

}  // namespace wootz
