#pragma once
// Circular functions and their inverses on vectors. Coefficients: Cephes (Moshier) and fdlibm (Sun), as published.
#include "cpu/math.h"

namespace wootz::cpu::WOOTZ_ISA {

// Lanes of y where `odd` holds are computed by a scalar function of x instead.
template <class T, class F> WOOTZ_INLINE Vec<T> replace(Vec<T> y, typename Vec<T>::Bits odd, Vec<T> x, F f) {
  using V = Vec<T>;
  V flag = select<T>(odd, V(1), V(0));
  bool any = false;
  for (int i = 0; i < V::size; ++i) any |= flag[i] != 0;
  if (!any) return y;
  T in[V::size], out[V::size];
  x.store(in);
  y.store(out);
  for (int i = 0; i < V::size; ++i)
    if (flag[i] != 0) out[i] = f(in[i]);
  return V::load(out);
}

// Sine and cosine of what is left of x after `quarters` quarter turns; the three-part pi/2 is good for arguments that are
// not `far`.
template <class T> struct Turned { typename Vec<T>::Bits quarters, far; Vec<T> sine, cosine; };
template <class T> WOOTZ_INLINE Turned<T> turned(Vec<T> x) {
  using V = Vec<T>;
  constexpr bool f32 = std::is_same_v<T, float>;
  V limit(f32 ? 8192.0 : 1073741824.0);
  auto far = (abs(x) > limit) | (x != x);
  V safe = select<T>(far, V(0), x);
  V biased = safe * V(0.63661977236758134308) + V(Real<T>::round_magic);
  V n = biased - V(Real<T>::round_magic);
  V r = safe - n * V(f32 ? 1.5703125 : 1.57079632673412561417);
  r = r - n * V(f32 ? 4.83751296997070312e-4 : 6.07710050630396597660e-11);
  r = r - n * V(f32 ? 7.54978995489188216e-8 : 2.02226624879595063154e-21);
  V z = r * r;
  static constexpr double s[] = {1.58969099521155010221e-10, -2.50507602534068634195e-08, 2.75573137070700676789e-06,
      -1.98412698298579493134e-04, 8.33333333332248946124e-03, -1.66666666666666324348e-01};
  static constexpr double c[] = {-1.13596475577881948265e-11, 2.08757232129817482790e-09, -2.75573143513906633035e-07,
      2.48015872894767294178e-05, -1.38888888888741095749e-03, 4.16666666666666019037e-02};
  return {biased.bits() - V(Real<T>::round_magic).bits(), far, r + r * z * poly(z, s), V(1) - z * V(0.5) + z * z * poly(z, c)};
}

// sin (shift 0) or cos (shift 1).
template <class T> WOOTZ_INLINE Vec<T> sine(Vec<T> x, int shift) {
  using I = typename Vec<T>::Int;
  auto t = turned(x);
  typename Vec<T>::Bits k = t.quarters + I(shift);
  Vec<T> y = select<T>((k & I(1)) != 0, t.cosine, t.sine);
  y = select<T>((k & I(2)) != 0, -y, y);
  if (shift == 0) y = select<T>(x == Vec<T>(0), x, y);  // keeps the sign of zero
  return replace(y, t.far, x, [shift](T v) { return static_cast<T>(shift ? std::cos(v) : std::sin(v)); });
}

template <class T> WOOTZ_INLINE Vec<T> tan(Vec<T> x) {
  using I = typename Vec<T>::Int;
  auto t = turned(x);
  auto swapped = (t.quarters & I(1)) != 0;
  Vec<T> y = select<T>(swapped, -t.cosine, t.sine) / select<T>(swapped, t.sine, t.cosine);
  y = select<T>(x == Vec<T>(0), x, y);
  return replace(y, t.far, x, [](T v) { return static_cast<T>(std::tan(v)); });
}

// atan of x in [0, 1].
template <class T> WOOTZ_INLINE Vec<T> atan_unit(Vec<T> x) {
  using V = Vec<T>;
  constexpr bool f32 = std::is_same_v<T, float>;
  auto large = x > V(f32 ? 0.41421356237309504880 : 0.66);
  V u = select<T>(large, (x - V(1)) / (x + V(1)), x), z = u * u, y;
  if constexpr (f32) {
    static constexpr double c[] = {8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1};
    y = poly(z, c) * z * u + u;
  } else {
    static constexpr double p[] = {-8.750608600031904122785e-1, -1.615753718733365076637e1, -7.500855792314704667340e1,
        -1.228866684490136173410e2, -6.485021904942025371773e1};
    static constexpr double q[] = {1, 2.485846490142306297962e1, 1.650270098316988542046e2, 4.328810604912902668951e2,
        4.853903996359136964868e2, 1.945506571482613964425e2};
    y = u * (z * poly(z, p) / poly(z, q)) + u;
  }
  return select<T>(large, V(0.78539816339744830962) + (y + V(3.061616997868383e-17)), y);
}

template <class T> WOOTZ_INLINE Vec<T> atan(Vec<T> x) {
  using V = Vec<T>;
  V a = abs(x), y = atan_unit(select<T>(a > V(1), V(1) / a, a));
  y = select<T>(a > V(1), V(1.57079632679489661923) - (y - V(6.123233995736766e-17)), y);
  return select<T>(x != x, x, copysign(y, x));
}

template <class T> WOOTZ_INLINE Vec<T> atan2(Vec<T> y, Vec<T> x) {
  using V = Vec<T>;
  V a = abs(y), b = abs(x);
  auto steep = a > b;
  V small = select<T>(steep, b, a), large = select<T>(steep, a, b);
  V t = select<T>(small == large, V(1), small / large);  // infinities too
  V r = atan_unit(select<T>(large == V(0), V(0), t));
  r = select<T>(steep, V(1.57079632679489661923) - (r - V(6.123233995736766e-17)), r);
  auto behind = copysign(V(1), x) < V(0);
  r = select<T>(behind, V(3.14159265358979323846) - (r - V(1.2246467991473532e-16)), r);
  return select<T>((x != x) | (y != y), x + y, copysign(r, y));
}

// asin(x) - x over x, from z = x^2 up to 1/4.
template <class T> WOOTZ_INLINE Vec<T> asin_excess(Vec<T> z) {
  static constexpr double p[] = {3.47933107596021167570e-05, 7.91534994289814532176e-04, -4.00555345006794114027e-02,
      2.01212532134862925881e-01, -3.25565818622400915405e-01, 1.66666666666666657415e-01};
  static constexpr double q[] = {7.70381505559019352791e-02, -6.88283971605453293030e-01, 2.02094576023350569471e+00,
      -2.40339491173441421878e+00, 1.0};
  return z * poly(z, p) / poly(z, q);
}

template <class T> WOOTZ_INLINE Vec<T> asin(Vec<T> x) {
  using V = Vec<T>;
  V a = abs(x);
  auto outer = a > V(0.5);
  V z = select<T>(outer, (V(1) - a) * V(0.5), a * a), s = select<T>(outer, sqrt(z), a);
  V y = s + s * asin_excess(z);
  y = select<T>(outer, V(1.57079632679489661923) - (y + y - V(6.123233995736766e-17)), y);
  return copysign(y, x);
}

template <class T> WOOTZ_INLINE Vec<T> acos(Vec<T> x) {
  using V = Vec<T>;
  V a = abs(x);
  auto outer = a > V(0.5);
  V z = select<T>(outer, (V(1) - a) * V(0.5), a * a), s = select<T>(outer, sqrt(z), x);
  V y = s + s * asin_excess(z);
  V inner = V(1.57079632679489661923) - (y - V(6.123233995736766e-17));
  V beyond = select<T>(x < V(0), V(3.14159265358979323846) - (y + y - V(1.2246467991473532e-16)), y + y);
  return select<T>(outer, beyond, inner);
}

}  // namespace wootz::cpu::WOOTZ_ISA
