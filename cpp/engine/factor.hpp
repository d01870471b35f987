// A factor that may lie outside the normal numbers of the type it is applied in: 1e-40 or 1e39 for float32. Rounded to the
// type it would lose digits, become 0 or infinity, though its product with a gradient is an ordinary number.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace fastopt::engine {

// mantissa * 2^exponent, |mantissa| in [1/2, 1); or 0, infinity, NaN as `mantissa`.
struct Scale {
  double mantissa = 0.5;
  int exponent = 1;

  static Scale of(double value, int exponent = 0) {
    Scale s;
    s.mantissa = std::frexp(value, &s.exponent);
    s.exponent += exponent;
    return s;
  }
  double value() const { return std::ldexp(mantissa, exponent); }
  bool is_one() const { return mantissa == 0.5 && exponent == 1; }

  // The quotient has the bits of the division of the values, wherever that is a normal number.
  friend Scale operator*(const Scale& a, const Scale& b) { return of(a.mantissa * b.mantissa, a.exponent + b.exponent); }
  friend Scale operator/(const Scale& a, const Scale& b) { return of(a.mantissa / b.mantissa, a.exponent - b.exponent); }
};

// The same as products to be taken one after the other. One, almost always. Else powers of two, which round nothing but
// what ends below the normal numbers, come first where the factor is large and last where it is small.
template <class T>
struct Factor {
  static constexpr int most = 4;
  int count = 0;  // 0: a factor of 1
  T by[most] = {};

  Factor() = default;
  explicit Factor(const Scale& scale) {
    using Limits = std::numeric_limits<T>;
    if (scale.is_one()) return;  // before any call: two of these are made in every step
    const double value = scale.value();
    const bool plain =
        std::abs(value) >= static_cast<double>(Limits::min()) && std::abs(value) <= static_cast<double>(Limits::max());
    if (plain || scale.mantissa == 0 || !std::isfinite(scale.mantissa)) {
      by[count++] = static_cast<T>(plain ? value : scale.mantissa);
      return;
    }
    int exponent = scale.exponent;
    if (exponent < 0) {
      by[count++] = static_cast<T>(scale.mantissa);
      for (; exponent < 0 && count < most; exponent -= std::max(exponent, Limits::min_exponent - 1))
        by[count++] = std::ldexp(T(1), std::max(exponent, Limits::min_exponent - 1));
    } else {
      for (--exponent; exponent > 0 && count < most - 1; exponent -= std::min(exponent, Limits::max_exponent - 1))
        by[count++] = std::ldexp(T(1), std::min(exponent, Limits::max_exponent - 1));
      by[count++] = static_cast<T>(2 * scale.mantissa);
    }
  }

  explicit operator bool() const { return count > 0; }
};

}  // namespace fastopt::engine
