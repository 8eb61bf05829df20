// How many operands of different strides are walked together. Filled in by wootz.backend.geometry.
#pragma once
#include "dtypes.cuh"

namespace wootz {

// Dimension 0 is the innermost. A unit is one element, or with `vector` the V neighbours along dimension 0 that 16
// bytes hold; shape[0] and stride[.][0] count units then, and `tail` elements of a one-dimensional layout remain
// after the last whole unit. Strides count elements otherwise; operand 0 is the output.
template <int Operands>
struct Layout {
  u32 units;
  u32 tail;
  int ndim;
  int vector;
  u32 shape[max_dims];
  i64 stride[Operands][max_dims];
};

// Not unrolled: eight copies of a division would be most of a kernel's code.
template <int Operands>
__device__ __forceinline__ void locate(const Layout<Operands>& layout, u32 unit, i64 (&at)[Operands]) {
#pragma unroll
  for (int k = 0; k < Operands; ++k) at[k] = 0;
  const int last = layout.ndim - 1;
#pragma unroll 1
  for (int d = 0; d < last; ++d) {
    const u32 rest = unit / layout.shape[d];
    const i64 index = unit - rest * layout.shape[d];
#pragma unroll
    for (int k = 0; k < Operands; ++k) at[k] += index * layout.stride[k][d];
    unit = rest;
  }
#pragma unroll
  for (int k = 0; k < Operands; ++k) at[k] += static_cast<i64>(unit) * layout.stride[k][last];
}

// An input: an array, or one value in its place when `data` is null (a Python scalar, passed with the launch).
template <class T>
struct Source {
  const T* data;
  compute_t<T> value;

  // A broadcast input has stride 0 along the innermost dimension: one element serves the whole unit.
  template <int W>
  __device__ __forceinline__ void fetch(i64 at, i64 inner_stride, compute_t<T> (&to)[W]) const {
    if (data != nullptr && (W == 1 || inner_stride != 0)) {
      load<W>(data + at, to);
      return;
    }
    const compute_t<T> one = data != nullptr ? widen(data[at]) : value;
#pragma unroll
    for (int i = 0; i < W; ++i) to[i] = one;
  }
};

// Calls `unit(width tag, offsets)` for every unit this thread is given.
template <int V, int Operands, class Unit>
__device__ __forceinline__ void walk(const Layout<Operands>& layout, Unit unit) {
  const u32 total = layout.units + layout.tail;
  i64 at[Operands];
#pragma unroll 1
  for (u32 u = blockIdx.x * blockDim.x + threadIdx.x; u < total; u += gridDim.x * blockDim.x) {
    if (u < layout.units) {
      locate(layout, u, at);
    } else {
#pragma unroll
      for (int k = 0; k < Operands; ++k)
        at[k] = layout.units * layout.stride[k][0] + (layout.stride[k][0] != 0) * (u - layout.units);
    }
    if (layout.vector && u < layout.units)
      unit(Width<V>{}, at);
    else
      unit(Width<1>{}, at);
  }
}

}  // namespace wootz
