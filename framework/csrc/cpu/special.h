#pragma once
// Gamma's and the error function's relatives on vectors, computed in float64 for either type: the rounding to float32 at
// the end then hides every error of the formulas.
#include "cpu/trigonometry.h"

namespace wootz::cpu::WOOTZ_ISA {

using Doubles = Vec<double>;

// A function of float64 vectors, of a vector of any type.
template <class F> WOOTZ_INLINE Doubles in_double(Doubles x, F f) { return f(x); }
template <class F> WOOTZ_INLINE Vec<float> in_double(Vec<float> x, F f) {
  typedef float Half __attribute__((vector_size(WOOTZ_VECTOR_BYTES / 2)));
  float lanes[Vec<float>::size];
  x.store(lanes);
  for (int i = 0; i < Vec<float>::size; i += Doubles::size) {
    Half part;
    std::memcpy(&part, lanes + i, sizeof part);
    Doubles y = f(Doubles(__builtin_convertvector(part, Doubles::Native)));
    part = __builtin_convertvector(y.v, Half);
    std::memcpy(lanes + i, &part, sizeof part);
  }
  return Vec<float>::load(lanes);
}

WOOTZ_INLINE bool any(Doubles::Bits mask) {
  int64_t bits = 0;
  for (int i = 0; i < Doubles::size; ++i) bits |= mask[i];
  return bits != 0;
}

// How far x is from the nearest integer.
WOOTZ_INLINE Doubles off_integer(Doubles x) {
  Doubles magic(4503599627370496.0), a = abs(x);  // 2^52
  Doubles whole = select<double>(a < magic, (a + magic) - magic, a);
  return copysign(a - whole, x * (a - whole));
}

// B(2k) / (2k (2k - 1)), the last first: Stirling's series in 1 / z^2.
WOOTZ_INLINE Doubles stirling(Doubles z) {
  static constexpr double c[] = {-3617.0 / 122400, 1.0 / 156, -691.0 / 360360, 1.0 / 1188, -1.0 / 1680, 1.0 / 1260, -1.0 / 360, 1.0 / 12};
  Doubles inverse = Doubles(1) / z;
  return poly(inverse * inverse, c) * inverse;
}

// log |gamma(x)| for x >= 1/2: a polynomial about 2, where the function is zero; from 2.5 on Stirling's series at 8 and
// more, to which the recurrence leads.
WOOTZ_INLINE Doubles lgamma_right(Doubles x) {
  // lgamma(2 + y) / y for |y| <= 1/2 (minimax, fitted in 50 digits)
  static constexpr double c[] = {-3.085985478390577084e-8, 6.4725698400647237363e-8, -9.5581781016351950431e-8,
      2.0193835401136914384e-7, -4.5081682254468382908e-7, 9.5842070485949861417e-7, -2.0389077825677104694e-6,
      4.3742234810820478287e-6, -9.4395262020588178626e-6, 0.00002050729199656382497, -0.000044926233820610824575,
      0.000099457506687881399144, -0.00022315475858818616017, 0.00050966952502419547814, -0.0011927539116998527338,
      0.0028905103307344045693, -0.0073855510286740247879, 0.020580808427784630426, -0.067352301053198094998,
      0.32246703342411321795, 0.42278433509846713939};
  auto near = x < Doubles(2.5), low = x < Doubles(1.5);
  Doubles y = select<double>(low, x - Doubles(1), x - Doubles(2));
  Doubles product(1), z = x;
  for (int i = 0; i < 6; ++i) {
    auto below = z < Doubles(8);
    product = select<double>(below, product * z, product);
    z = select<double>(below, z + Doubles(1), z);
  }
  Doubles first = log(select<double>(near, x, z)), second = log(product);
  Doubles about = y * poly(y, c) - select<double>(low, first, Doubles(0));
  Doubles far = (z - Doubles(0.5)) * first - z + Doubles(0.91893853320467274178) + stirling(z) - second;
  far = select<double>(x > Doubles(1e17), x * (first - Doubles(1)), far);  // also infinity, which the terms cancel to NaN
  return select<double>(near, about, far);
}

template <class T> WOOTZ_INLINE Vec<T> lgamma(Vec<T> value) {
  return in_double(value, [](Doubles x) WOOTZ_LAMBDA {
    auto left = x < Doubles(0.5);
    Doubles y = lgamma_right(select<double>(left, Doubles(1) - x, x));
    if (any(left)) {
      Doubles sin_pi = abs(sine(off_integer(x) * Doubles(3.14159265358979323846), 0));
      y = select<double>(left, Doubles(1.14472988584940017414) - log(sin_pi) - y, y);
    }
    y = select<double>(abs(x) == Doubles(INFINITY), Doubles(INFINITY), y);
    return select<double>(x != x, x, y);
  });
}

// The derivative of lgamma: its asymptotic series from 10 on, the recurrence below (as one fraction), reflection left of 1/2.
template <class T> WOOTZ_INLINE Vec<T> digamma(Vec<T> value) {
  return in_double(value, [](Doubles x) WOOTZ_LAMBDA {
    static constexpr double c[] = {-3617.0 / 8160, 1.0 / 12, -691.0 / 32760, 1.0 / 132, -1.0 / 240, 1.0 / 252, -1.0 / 120, 1.0 / 12};
    auto left = x < Doubles(0.5);
    Doubles z = select<double>(left, Doubles(1) - x, x), over(0), under(1);
    for (int i = 0; i < 10; ++i) {
      auto below = z < Doubles(10);
      over = select<double>(below, over * z + under, over);
      under = select<double>(below, under * z, under);
      z = select<double>(below, z + Doubles(1), z);
    }
    Doubles inverse = Doubles(1) / z, square = inverse * inverse;
    Doubles y = log(z) - Doubles(0.5) * inverse - square * poly(square, c) - over / under;
    if (any(left)) {
      Doubles part = off_integer(x);
      Doubles reflected = y - Doubles(3.14159265358979323846) / tan(part * Doubles(3.14159265358979323846));
      reflected = select<double>(part == Doubles(0), Doubles(NAN), reflected);  // the poles
      reflected = select<double>(x == Doubles(0), copysign(Doubles(INFINITY), -x), reflected);
      y = select<double>(left, reflected, y);
    }
    return select<double>(x != x, x, y);
  });
}

// The n-th derivative of digamma at x: (-1)^(n + 1) n! times Hurwitz' zeta function of n + 1, by Euler and Maclaurin's
// formula from 10 on and by its terms below.
inline double polygamma(double n, double x) {
  constexpr int most = 10000;
  static constexpr double bernoulli[] = {1.0 / 6, -1.0 / 30, 1.0 / 42, -1.0 / 30, 5.0 / 66, -691.0 / 2730, 7.0 / 6, -3617.0 / 510,
      43867.0 / 798, -174611.0 / 330};
  double s = n + 1, total = 0;
  for (int k = 0; x < 10 && k < most; ++k, x += 1) total += std::pow(x, -s);
  total += std::pow(x, -n) / n + 0.5 * std::pow(x, -s);
  double factor = s, power = std::pow(x, -s - 1), part = 2;
  for (int k = 1; k <= 10; ++k) {
    total += bernoulli[k - 1] / part * factor * power;
    factor *= (s + 2 * k - 1) * (s + 2 * k);
    power /= x * x;
    part *= (2 * k + 1) * (2 * k + 2);
  }
  double sign = std::fmod(n, 2) == 0 ? -1 : 1;
  return sign * std::tgamma(n + 1) * total;
}

// exp(-a^2) for a >= 0, of which the square is not rounded: a = head + rest with a head of few digits.
WOOTZ_INLINE Doubles gaussian(Doubles a) {
  Doubles magic(52776558133248.0);  // 1.5 * 2^45: leaves seven binary places
  Doubles head = (a + magic) - magic, rest = a - head;
  return exp(-(head * head)) * exp(-(rest * (a + head)));
}

// 1 - erf(x), accurate where that is small (Cody's fractions, as Cephes has them).
template <class T> WOOTZ_INLINE Vec<T> erfc(Vec<T> value) {
  return in_double(value, [](Doubles x) WOOTZ_LAMBDA {
    static constexpr double p[] = {2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687e0,
        4.86371970985681366614e1, 1.96520832956077098242e2, 5.26445194995477358631e2, 9.34528527171957607540e2,
        1.02755188689515710272e3, 5.57535335369399327526e2};
    static constexpr double q[] = {1, 1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2,
        9.75708501743205489753e2, 1.82390916687909736289e3, 2.24633760818710981792e3, 1.65666309194161350182e3,
        5.57535340817727675546e2};
    static constexpr double r[] = {5.64189583547755073984e-1, 1.27536670759978104416e0, 5.01905042251180477414e0,
        6.16021097993053585195e0, 7.40974269950448939160e0, 2.97886665372100240670e0};
    static constexpr double s[] = {1, 2.26052863220117276590e0, 9.39603524938001434673e0, 1.20489539808096656605e1,
        1.70814450747565897222e1, 9.60896809063285878198e0, 3.36907645100081516050e0};
    Doubles a = abs(x);
    Doubles c = select<double>(a > Doubles(30), Doubles(30), a);  // beyond, nothing is left
    auto far = c >= Doubles(8);
    Doubles fraction = poly(c, p) / poly(c, q);
    if (any(far)) fraction = select<double>(far, poly(c, r) / poly(c, s), fraction);
    Doubles tail = gaussian(c) * fraction;
    Doubles outer = select<double>(x < Doubles(0), Doubles(2) - tail, tail);
    return select<double>((a < Doubles(1)) | (x != x), Doubles(1) - erf(x), outer);
  });
}

// The y with erf(y) = x: Wichura's fractions for the normal distribution's quantiles (AS 241, 1988).
template <class T> WOOTZ_INLINE Vec<T> erfinv(Vec<T> value) {
  static constexpr double centre_p[] = {2.5090809287301226727e+3, 3.3430575583588128105e+4,
      6.7265770927008700853e+4, 4.5921953931549871457e+4, 1.3731693765509461125e+4, 1.9715909503065514427e+3,
      1.3314166789178437745e+2, 3.3871328727963666080e+0};
  static constexpr double centre_q[] = {5.2264952788528545610e+3, 2.8729085735721942674e+4,
      3.9307895800092710610e+4, 2.1213794301586595867e+4, 5.3941960214247511077e+3, 6.8718700749205790830e+2,
      4.2313330701600911252e+1, 1.0};
  static constexpr double near_p[] = {7.74545014278341407640e-4, 2.27238449892691845833e-2,
      2.41780725177450611770e-1, 1.27045825245236838258e+0, 3.64784832476320460504e+0, 5.76949722146069140550e+0,
      4.63033784615654529590e+0, 1.42343711074968357734e+0};
  static constexpr double near_q[] = {1.05075007164441684324e-9, 5.47593808499534494600e-4,
      1.51986665636164571966e-2, 1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e+0,
      2.05319162663775882187e+0, 1.0};
  static constexpr double far_p[] = {2.01033439929228813265e-7, 2.71155556874348757815e-5,
      1.24266094738807843860e-3, 2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e+0,
      5.46378491116411436990e+0, 6.65790464350110377720e+0};
  static constexpr double far_q[] = {2.04426310338993978564e-15, 1.42151175831644588870e-7,
      1.84631831751005468180e-5, 7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
      5.99832206555887937690e-1, 1.0};
  return in_double(value, [](Doubles x) WOOTZ_LAMBDA {
    Doubles a = abs(x), half = a * Doubles(0.5);
    auto outer = half > Doubles(0.425);
    Doubles centre = Doubles(0.180625) - half * half;
    Doubles y = half * (poly(centre, centre_p) / poly(centre, centre_q));
    if (any(outer)) {
      Doubles r = sqrt(-log((Doubles(1) - a) * Doubles(0.5)));
      auto far = r > Doubles(5);
      Doubles near = r - Doubles(1.6), beyond = r - Doubles(5);
      Doubles tail = poly(near, near_p) / poly(near, near_q);
      if (any(far)) tail = select<double>(far, poly(beyond, far_p) / poly(beyond, far_q), tail);
      y = select<double>(outer, tail, y);
    }
    y = select<double>(a == Doubles(1), Doubles(INFINITY), y * Doubles(0.70710678118654752440));
    return select<double>((a > Doubles(1)) | (x != x), Doubles(NAN), copysign(y, x));
  });
}

}  // namespace wootz::cpu::WOOTZ_ISA
