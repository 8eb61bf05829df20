#pragma once
// Elementary functions on vectors: argument reduction and a polynomial, within a few units in the last place.
// Coefficients: Cephes (Moshier) and fdlibm (Sun), as published.
#include "cpu/vec.h"

namespace wootz::cpu::WOOTZ_ISA {

// c[0] x^n + c[1] x^(n-1) + ... + c[n]
template <class T, size_t N> WOOTZ_INLINE Vec<T> poly(Vec<T> x, const double (&c)[N]) {
  Vec<T> r(c[0]);
  for (size_t i = 1; i < N; ++i) r = r * x + Vec<T>(c[i]);
  return r;
}

template <class T> struct Real;
template <> struct Real<float> {
  static constexpr float round_magic = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  static constexpr int mantissa = 23, bias = 127;
  static constexpr float exp_max = 88.72284f, exp_min = -103.97208f;
};
template <> struct Real<double> {
  static constexpr double round_magic = 6755399441055744.0;
  static constexpr int mantissa = 52, bias = 1023;
  static constexpr double exp_max = 709.782712893384, exp_min = -745.1332191019412;
};

// 2^n for integers in a vector's bits, within the normal range.
template <class T> WOOTZ_INLINE Vec<T> power_of_two(typename Vec<T>::Bits n) {
  return Vec<T>::from_bits((n + Real<T>::bias) << Real<T>::mantissa);
}

template <class T> WOOTZ_INLINE Vec<T> exp(Vec<T> x) {
  using V = Vec<T>;
  V c = select<T>(x > V(Real<T>::exp_max), V(Real<T>::exp_max), x);
  c = select<T>(c < V(Real<T>::exp_min), V(Real<T>::exp_min), c);
  V biased = c * V(1.44269504088896340736) + V(Real<T>::round_magic);
  V n = biased - V(Real<T>::round_magic);
  typename V::Bits k = biased.bits() - V(Real<T>::round_magic).bits();
  V r, p;
  if constexpr (std::is_same_v<T, float>) {
    r = (c - n * V(0.693359375f)) - n * V(-2.12194440e-4f);
    static constexpr double c6[] = {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
                                    4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1};
    p = poly(r, c6) * (r * r) + r + V(1);
  } else {
    r = (c - n * V(6.93145751953125e-1)) - n * V(1.42860682030941723212e-6);
    static constexpr double taylor[] = {1.6059043836821613e-10, 2.08767569878681e-09, 2.505210838544172e-08,
        2.755731922398589e-07, 2.7557319223985893e-06, 2.48015873015873e-05, 1.984126984126984e-04,
        1.388888888888889e-03, 8.333333333333333e-03, 4.1666666666666664e-02, 1.6666666666666666e-01, 0.5, 1.0};
    p = poly(r, taylor) * r + V(1);
  }
  // In two steps, so that results near overflow and below the normal range come out right.
  typename V::Bits half = k >> 1;
  p = p * power_of_two<T>(half) * power_of_two<T>(k - half);
  p = select<T>(x > V(Real<T>::exp_max), V(INFINITY), p);
  p = select<T>(x < V(Real<T>::exp_min), V(0), p);
  return select<T>(x != x, x, p);
}

template <class T> WOOTZ_INLINE Vec<T> log(Vec<T> x) {
  using V = Vec<T>;
  using I = typename V::Int;
  constexpr bool f32 = std::is_same_v<T, float>;
  // Denormals are scaled into the normal range first.
  auto small = x < V(f32 ? 1.17549435e-38 : 2.2250738585072014e-308);
  V scaled = select<T>(small, x * V(f32 ? 33554432.0 : 18014398509481984.0), x);
  typename V::Bits b = scaled.bits();
  constexpr I sqrt_half = f32 ? I(0x3f3504f3) : I(0x3fe6a09e667f3bcdLL);
  typename V::Bits k = (b - sqrt_half) >> Real<T>::mantissa;
  V m = V::from_bits(b - (k << Real<T>::mantissa));
  typename V::Bits shift = small & (V(0).bits() + I(f32 ? 25 : 54));
  k = k - shift;
  V n = (typename V::Native)__builtin_convertvector(k, typename V::Native);
  V f = m - V(1), s = f / (f + V(2)), z = s * s, hfsq = f * f * V(0.5), r;
  if constexpr (f32) {
    static constexpr double c[] = {0.24279078841, 0.28498786688, 0.40000972152, 0.66666662693};
    r = z * poly(z, c);
  } else {
    static constexpr double c[] = {1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01,
        2.222219843214978396e-01, 2.857142874366239149e-01, 3.999999999940941908e-01, 6.666666666666735130e-01};
    r = z * poly(z, c);
  }
  V y = n * V(f32 ? 6.9313812256e-01 : 6.93147180369123816490e-01) -
        ((hfsq - (s * (hfsq + r) + n * V(f32 ? 9.0580006145e-06 : 1.90821492927058770002e-10))) - f);
  y = select<T>(x == V(INFINITY), x, y);
  y = select<T>(x == V(0), V(-INFINITY), y);
  return select<T>((x < V(0)) | (x != x), V(NAN), y);
}

template <class T> WOOTZ_INLINE Vec<T> tanh(Vec<T> x) {
  using V = Vec<T>;
  V a = abs(x), z = x * x, small;
  if constexpr (std::is_same_v<T, float>) {
    static constexpr double c[] = {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1};
    small = poly(z, c) * z * x + x;
  } else {
    static constexpr double p[] = {-9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3};
    static constexpr double q[] = {1, 1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3};
    small = x + x * z * (poly(z, p) / poly(z, q));
  }
  V large = V(1) - V(2) / (exp(a + a) + V(1));
  return select<T>(x != x, x, copysign(select<T>(a < V(0.625), small, large), x));
}

template <class T> WOOTZ_INLINE Vec<T> sigmoid(Vec<T> x) { return Vec<T>(1) / (Vec<T>(1) + exp(-x)); }

template <class T> WOOTZ_INLINE Vec<T> erf(Vec<T> x) {
  using V = Vec<T>;
  static constexpr double t[] = {9.60497373987051638749e0, 9.00260197203842689217e1, 2.23200534594684319226e3,
      7.00332514112805075473e3, 5.55923013010394962768e4};
  static constexpr double u[] = {1, 3.35617141647503099647e1, 5.21357949780152679795e2, 4.59432382970980127987e3,
      2.26290000613890934246e4, 4.92673942608635921086e4};
  static constexpr double p[] = {2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687e0,
      4.86371970985681366614e1, 1.96520832956077098242e2, 5.26445194995477358631e2, 9.34528527171957607540e2,
      1.02755188689515710272e3, 5.57535335369399327526e2};
  static constexpr double q[] = {1, 1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2,
      9.75708501743205489753e2, 1.82390916687909736289e3, 2.24633760818710981792e3, 1.65666309194161350182e3,
      5.57535340817727675546e2};
  V a = abs(x), z = x * x;
  V inner = x * (poly(z, t) / poly(z, u));
  V c = select<T>(a > V(6), V(6), a);  // beyond, erf is 1 to the last place
  V outer = copysign(V(1) - exp(-(c * c)) * (poly(c, p) / poly(c, q)), x);
  return select<T>((a <= V(1)) | (x != x), inner, outer);
}

// sin (shift 0) or cos (shift 1) by quarter turns; the three-part pi/2 is good for the arguments below `limit`.
template <class T> WOOTZ_INLINE Vec<T> sine(Vec<T> x, int shift) {
  using V = Vec<T>;
  using I = typename V::Int;
  constexpr bool f32 = std::is_same_v<T, float>;
  V limit(f32 ? 8192.0 : 1073741824.0);
  auto far = abs(x) > limit;
  V safe = select<T>(far | (x != x), V(0), x);
  V biased = safe * V(0.63661977236758134308) + V(Real<T>::round_magic);
  V n = biased - V(Real<T>::round_magic);
  typename V::Bits k = biased.bits() - V(Real<T>::round_magic).bits() + I(shift);
  V r = safe - n * V(f32 ? 1.5703125 : 1.57079632673412561417);
  r = r - n * V(f32 ? 4.83751296997070312e-4 : 6.07710050630396597660e-11);
  r = r - n * V(f32 ? 7.54978995489188216e-8 : 2.02226624879595063154e-21);
  V z = r * r;
  static constexpr double s[] = {1.58969099521155010221e-10, -2.50507602534068634195e-08, 2.75573137070700676789e-06,
      -1.98412698298579493134e-04, 8.33333333332248946124e-03, -1.66666666666666324348e-01};
  static constexpr double c[] = {-1.13596475577881948265e-11, 2.08757232129817482790e-09, -2.75573143513906633035e-07,
      2.48015872894767294178e-05, -1.38888888888741095749e-03, 4.16666666666666019037e-02};
  V sin_r = r + r * z * poly(z, s);
  V cos_r = V(1) - z * V(0.5) + z * z * poly(z, c);
  V y = select<T>((k & I(1)) != 0, cos_r, sin_r);
  y = select<T>((k & I(2)) != 0, -y, y);
  if (shift == 0) y = select<T>(x == V(0), x, y);  // keeps the sign of zero
  bool any = false;
  V odd = select<T>(far | (x != x), V(1), V(0));
  for (int i = 0; i < V::size; ++i) any |= odd[i] != 0;
  if (!any) return y;
  T in[V::size], out[V::size];
  x.store(in);
  y.store(out);
  for (int i = 0; i < V::size; ++i)
    if (odd[i] != 0) out[i] = static_cast<T>(shift ? std::cos(in[i]) : std::sin(in[i]));
  return V::load(out);
}

}  // namespace wootz::cpu::WOOTZ_ISA
