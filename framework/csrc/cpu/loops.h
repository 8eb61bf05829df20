#pragma once
// Turns an element function into tile kernels. Floating-point functions are given whole vectors, the tail padded, so
// that an element's result never depends on where it lies; integer ones are given scalars and left to the compiler.
#include <cstring>
#include <utility>

#include "cpu/fill.h"
#include "cpu/vec.h"

namespace wootz::cpu::WOOTZ_ISA {

// Runs `body` with the operands' steps as compile-time constants.
template <int N, bool... S, class F> WOOTZ_INLINE void with_steps(const uint8_t* step, F body) {
  if constexpr (sizeof...(S) == N) body(std::integer_sequence<bool, S...>{});
  else if (step[sizeof...(S)]) with_steps<N, S..., true>(step, body);
  else with_steps<N, S..., false>(step, body);
}

template <class T, bool S> struct Lanes {
  const T* p;
  Vec<T> fixed;
  explicit WOOTZ_INLINE Lanes(const char* q) : p(reinterpret_cast<const T*>(q)), fixed(*p) {}
  WOOTZ_INLINE Vec<T> full(int64_t i) const {
    if constexpr (S) return Vec<T>::load(p + i);
    else return fixed;
  }
  WOOTZ_INLINE Vec<T> part(int64_t i, int64_t n) const {
    if constexpr (S) return Vec<T>::load(p + i, n, T(1));
    else return fixed;
  }
};

template <class T, class F, class... L> WOOTZ_INLINE void vector_loop(T* out, int64_t n, F f, L... in) {
  constexpr int w = Vec<T>::size;
  int64_t i = 0;
  for (; i + w <= n; i += w) f(in.full(i)...).store(out + i);
  if (i < n) f(in.part(i, n - i)...).store(out + i, n - i);
}

template <class T, class R, class F, class... P> WOOTZ_INLINE void scalar_loop(R* __restrict out, int64_t n, F f, P... in) {
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<R>(f(in(i)...));
}

template <class T, bool S> struct Items {
  const T* p;
  explicit WOOTZ_INLINE Items(const char* q) : p(reinterpret_cast<const T*>(q)) {}
  WOOTZ_INLINE T operator()(int64_t i) const { return S ? p[i] : p[0]; }
};

template <class T, class R, class F, bool... S, std::size_t... I>
WOOTZ_INLINE void run(char* out, const char* const* in, int64_t n, F f, std::integer_sequence<bool, S...>,
                      std::index_sequence<I...>) {
  if constexpr (std::is_floating_point_v<T> && std::is_same_v<T, R>)
    vector_loop<T>(reinterpret_cast<T*>(out), n, f, Lanes<T, S>(in[I])...);
  else
    scalar_loop<T, R>(reinterpret_cast<R*>(out), n, f, Items<T, S>(in[I])...);
}

// `F(params)` is the element function; R the type it yields.
template <class F, int N, class T, class R>
void kernel(char* out, const char* const* in, const uint8_t* step, int64_t n, const double* params) {
  F f(params);
  with_steps<N>(step, [&](auto steps) WOOTZ_LAMBDA { run<T, R>(out, in, n, f, steps, std::make_index_sequence<N>()); });
}

enum class Types { all, number, floating, integral };
constexpr Types types_all = Types::all, types_number = Types::number, types_float = Types::floating,
                types_integral = Types::integral;

template <class F, int N, bool Predicate, class T> void put(Kernels& k, Op op) {
  using R = std::conditional_t<Predicate, bool, T>;
  k.pointwise[static_cast<int>(op)][static_cast<int>(dtype_of<T>())] = kernel<F, N, T, R>;
}

template <class F, int N, Types W, bool Predicate> void put_all(Kernels& k, Op op) {
  if constexpr (W != Types::integral) {
    put<F, N, Predicate, float>(k, op);
    put<F, N, Predicate, double>(k, op);
  }
  if constexpr (W != Types::floating) {
    put<F, N, Predicate, uint8_t>(k, op);
    put<F, N, Predicate, int8_t>(k, op);
    put<F, N, Predicate, int16_t>(k, op);
    put<F, N, Predicate, int32_t>(k, op);
    put<F, N, Predicate, int64_t>(k, op);
    put<F, N, Predicate, uint64_t>(k, op);
  }
  if constexpr (W == Types::all || W == Types::integral) put<F, N, Predicate, bool>(k, op);
}

// Element functions without parameters derive from this.
struct Plain {
  explicit WOOTZ_INLINE Plain(const double*) {}
};

#define WOOTZ_predicate true
#define WOOTZ_value false
#define WOOTZ_PUT(name, arity, types, kind) \
  put_all<fn::name, arity, types_##types, WOOTZ_##kind>(k, Op::name);

}  // namespace wootz::cpu::WOOTZ_ISA
