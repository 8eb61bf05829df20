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

// x = 2^n m with m between sqrt(1/2) and sqrt(2): n and the three terms of log(m) = f - (half - rest), apart.
template <class T> struct LogParts { Vec<T> n, f, half, rest; };
template <class T> WOOTZ_INLINE LogParts<T> log_parts(Vec<T> x) {
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
  V f = m - V(1), s = f / (f + V(2)), z = s * s, half = f * f * V(0.5), r;
  if constexpr (f32) {
    static constexpr double c[] = {0.24279078841, 0.28498786688, 0.40000972152, 0.66666662693};
    r = z * poly(z, c);
  } else {
    static constexpr double c[] = {1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01,
        2.222219843214978396e-01, 2.857142874366239149e-01, 3.999999999940941908e-01, 6.666666666666735130e-01};
    r = z * poly(z, c);
  }
  return {n, f, half, s * (half + r)};
}

// What a logarithm is where it is not a number's.
template <class T> WOOTZ_INLINE Vec<T> log_edges(Vec<T> x, Vec<T> y) {
  using V = Vec<T>;
  y = select<T>(x == V(INFINITY), x, y);
  y = select<T>(x == V(0), V(-INFINITY), y);
  return select<T>((x < V(0)) | (x != x), V(NAN), y);
}

template <class T> WOOTZ_INLINE Vec<T> log(Vec<T> x) {
  using V = Vec<T>;
  constexpr bool f32 = std::is_same_v<T, float>;
  auto p = log_parts(x);
  V y = p.n * V(f32 ? 6.9313812256e-01 : 6.93147180369123816490e-01) -
        ((p.half - (p.rest + p.n * V(f32 ? 9.0580006145e-06 : 1.90821492927058770002e-10))) - p.f);
  return log_edges(x, y);
}

// Exact at powers of two.
template <class T> WOOTZ_INLINE Vec<T> log2(Vec<T> x) {
  using V = Vec<T>;
  auto p = log_parts(x);
  V log_m = p.f - (p.half - p.rest);
  return log_edges(x, p.n + (log_m * V(1.44269504088896340736)));
}

// log(1 + x): the logarithm of the rounded sum, and what the rounding took.
template <class T> WOOTZ_INLINE Vec<T> log1p(Vec<T> x) {
  using V = Vec<T>;
  V u = V(1) + x, y = log(u) - ((u - V(1)) - x) / u;
  y = select<T>((u == V(INFINITY)) | (u == V(0)), log(u), y);
  return select<T>(abs(x) < V(std::is_same_v<T, float> ? 1e-8 : 1e-17), x, y);
}

// exp(x) - 1: 2^n (exp(r) - 1) + (2^n - 1), halves at first so that the largest do not overflow.
template <class T> WOOTZ_INLINE Vec<T> expm1(Vec<T> x) {
  using V = Vec<T>;
  constexpr bool f32 = std::is_same_v<T, float>;
  V c = select<T>(x > V(Real<T>::exp_max), V(Real<T>::exp_max), x);
  c = select<T>(c < V(f32 ? -20 : -40), V(f32 ? -20 : -40), c);
  V biased = c * V(1.44269504088896340736) + V(Real<T>::round_magic);
  V n = biased - V(Real<T>::round_magic);
  typename V::Bits k = biased.bits() - V(Real<T>::round_magic).bits();
  V r, p;
  if constexpr (f32) {
    r = (c - n * V(0.693359375f)) - n * V(-2.12194440e-4f);
    static constexpr double c6[] = {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
                                    4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1};
    p = poly(r, c6) * (r * r) + r;
  } else {
    r = (c - n * V(6.93147180369123816490e-01)) - n * V(1.90821492927058770002e-10);
    static constexpr double taylor[] = {1.6059043836821613e-10, 2.08767569878681e-09, 2.505210838544172e-08,
        2.755731922398589e-07, 2.7557319223985893e-06, 2.48015873015873e-05, 1.984126984126984e-04,
        1.388888888888889e-03, 8.333333333333333e-03, 4.1666666666666664e-02, 1.6666666666666666e-01, 0.5};
    p = poly(r, taylor) * (r * r) + r;
  }
  V half = power_of_two<T>(k - 1);
  V y = (p * half + (half - V(0.5))) * V(2);
  y = select<T>(x > V(Real<T>::exp_max), V(INFINITY), y);
  y = select<T>(x == V(0), x, y);
  return select<T>(x != x, x, y);
}

// exp(a) / 2 for a so large that exp(-a) is nothing beside it.
template <class T> WOOTZ_INLINE Vec<T> half_exp(Vec<T> a) {
  Vec<T> root = exp(a * Vec<T>(0.5));
  return (root * Vec<T>(0.5)) * root;
}

template <class T> WOOTZ_INLINE Vec<T> sinh(Vec<T> x) {
  using V = Vec<T>;
  V limit(std::is_same_v<T, float> ? 88 : 709), a = abs(x), e = expm1(select<T>(a > limit, limit, a));
  V y = select<T>(a > limit, half_exp(a), V(0.5) * (e + e / (e + V(1))));
  return select<T>(x != x, x, copysign(y, x));
}

template <class T> WOOTZ_INLINE Vec<T> cosh(Vec<T> x) {
  using V = Vec<T>;
  V limit(std::is_same_v<T, float> ? 88 : 709), a = abs(x), e = exp(select<T>(a > limit, limit, a));
  V y = select<T>(a > limit, half_exp(a), V(0.5) * e + V(0.5) / e);
  return select<T>(x != x, x, y);
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

}  // namespace wootz::cpu::WOOTZ_ISA
