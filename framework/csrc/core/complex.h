#pragma once
// Complex numbers as two parts side by side, with the plain formulas: no detour for infinities in products.
#include <type_traits>

namespace wootz {

template <class T> struct Complex {
  T re, im;
  Complex() = default;
  constexpr Complex(T r, T i) : re(r), im(i) {}
  template <class S> requires(std::is_arithmetic_v<S>)
  constexpr Complex(S x) : re(static_cast<T>(x)), im(0) {}
  template <class S> requires(!std::is_same_v<S, T>)
  constexpr explicit Complex(Complex<S> x) : re(static_cast<T>(x.re)), im(static_cast<T>(x.im)) {}
  // The real part; that the other one is lost is for the caller to refuse.
  template <class S> requires(std::is_arithmetic_v<S>)
  constexpr explicit operator S() const { return static_cast<S>(re); }

  friend constexpr Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
  friend constexpr Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
  friend constexpr Complex operator-(Complex a) { return {-a.re, -a.im}; }
  friend constexpr Complex operator*(Complex a, Complex b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }
  // Smith's division (1962): scaled by the larger part of the divisor, so that squares do not overflow.
  friend constexpr Complex operator/(Complex a, Complex b) {
    bool wide = (b.re < 0 ? -b.re : b.re) >= (b.im < 0 ? -b.im : b.im);
    if (wide && b.re == 0 && b.im == 0) return {a.re / b.re, a.im / b.re};
    T ratio = wide ? b.im / b.re : b.re / b.im, scale = wide ? b.re + b.im * ratio : b.re * ratio + b.im;
    if (wide) return {(a.re + a.im * ratio) / scale, (a.im - a.re * ratio) / scale};
    return {(a.re * ratio + a.im) / scale, (a.im * ratio - a.re) / scale};
  }
  friend constexpr bool operator==(Complex a, Complex b) { return a.re == b.re && a.im == b.im; }
  friend constexpr bool operator!=(Complex a, Complex b) { return !(a == b); }
};

}  // namespace wootz
