// Element types, their compute types, and 16-byte packs of them.
#pragma once
#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

// Plans stay in constant memory where they are indexed by a variable; before sm_70 there is no way to say so.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 700
#define WOOTZ_PLAN const __grid_constant__
#else
#define WOOTZ_PLAN const
#endif

namespace wootz {

using i64 = long long;
using u64 = unsigned long long;
using i32 = int;
using i16 = short;
using i8 = signed char;
using u32 = unsigned int;
using u16 = unsigned short;
using u8 = unsigned char;
using u128 = uint4;
using f32 = float;
using f64 = double;
using f16 = __half;
using bf16 = __nv_bfloat16;
struct boolean {
  u8 byte;
};

constexpr int warp_size = 32;
constexpr int vector_bytes = 16;
constexpr int max_row_block = 512;
constexpr int max_dims = 8;

// Half types compute in float: they are storage formats here.
template <class T>
struct compute {
  using type = T;
};
template <>
struct compute<f16> {
  using type = f32;
};
template <>
struct compute<bf16> {
  using type = f32;
};
template <>
struct compute<boolean> {
  using type = u8;
};
template <class T>
using compute_t = typename compute<T>::type;

template <class T>
__device__ __forceinline__ compute_t<T> widen(T x) {
  return x;
}
template <>
__device__ __forceinline__ f32 widen(f16 x) {
  return __half2float(x);
}
template <>
__device__ __forceinline__ f32 widen(bf16 x) {
  return __bfloat162float(x);
}
template <>
__device__ __forceinline__ u8 widen(boolean x) {
  return x.byte != 0;
}

// A narrowing conversion from any arithmetic type, rounding once.
template <class To>
struct narrow {
  template <class From>
  static __device__ __forceinline__ To from(From x) {
    return static_cast<To>(x);
  }
};
template <>
struct narrow<f16> {
  static __device__ __forceinline__ f16 from(f64 x) { return __double2half(x); }
  static __device__ __forceinline__ f16 from(f32 x) { return __float2half_rn(x); }
  template <class Integer>
  static __device__ __forceinline__ f16 from(Integer x) {
    return __float2half_rn(static_cast<f32>(x));
  }
};
template <>
struct narrow<bf16> {
  static __device__ __forceinline__ bf16 from(f64 x) { return __double2bfloat16(x); }
  static __device__ __forceinline__ bf16 from(f32 x) { return __float2bfloat16_rn(x); }
  template <class Integer>
  static __device__ __forceinline__ bf16 from(Integer x) {
    return __float2bfloat16_rn(static_cast<f32>(x));
  }
};
template <>
struct narrow<boolean> {
  template <class From>
  static __device__ __forceinline__ boolean from(From x) {
    return {static_cast<u8>(x != From(0))};
  }
};

// NVRTC comes without <cmath>'s macros.
template <class C>
__device__ __forceinline__ C infinity() {
  return static_cast<C>(__int_as_float(0x7f800000));
}
template <class C>
__device__ __forceinline__ C not_a_number() {
  return static_cast<C>(__int_as_float(0x7fffffff));
}

// What every other value is greater, or smaller, than or equal to.
template <class C>
__device__ __forceinline__ C highest() {
  return infinity<C>();
}
template <class C>
__device__ __forceinline__ C lowest() {
  return -infinity<C>();
}
template <>
__device__ __forceinline__ i64 highest() {
  return 0x7fffffffffffffffll;
}
template <>
__device__ __forceinline__ i64 lowest() {
  return -0x7fffffffffffffffll - 1;
}
template <>
__device__ __forceinline__ u8 highest() {
  return 255;
}
template <>
__device__ __forceinline__ u8 lowest() {
  return 0;
}

template <class T>
constexpr int lanes = vector_bytes / sizeof(T);

// A number of elements as a type, for functions that differ by it.
template <int W>
struct Width {
  static constexpr int value = W;
};

// N elements moved by one access; the caller has checked the alignment.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T item[N];
};

template <int Bytes>
struct raw;
template <>
struct raw<1> {
  using type = u8;
};
template <>
struct raw<2> {
  using type = u16;
};
template <>
struct raw<4> {
  using type = u32;
};
template <>
struct raw<8> {
  using type = uint2;
};
template <>
struct raw<16> {
  using type = uint4;
};

template <int N, class T>
__device__ __forceinline__ void load(const T* from, compute_t<T> (&to)[N]) {
  using Word = typename raw<sizeof(T) * N>::type;
  union Both {
    Word word;
    Pack<T, N> pack;
    __device__ Both() {}
  } both;
  both.word = *reinterpret_cast<const Word*>(from);
#pragma unroll
  for (int i = 0; i < N; ++i) to[i] = widen(both.pack.item[i]);
}

template <int N, class T, class C>
__device__ __forceinline__ void store(T* to, const C (&from)[N]) {
  using Word = typename raw<sizeof(T) * N>::type;
  union Both {
    Word word;
    Pack<T, N> pack;
    __device__ Both() {}
  } both;
#pragma unroll
  for (int i = 0; i < N; ++i) both.pack.item[i] = narrow<T>::from(from[i]);
  *reinterpret_cast<Word*>(to) = both.word;
}

}  // namespace wootz
