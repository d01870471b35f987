// Standard normal numbers as a function of 64 random bits: half of the method of Box and Muller (Ann. Math. Stat. 29(2),
// 1958), sqrt(-2 ln u) cos(2 pi w). The logarithm and the cosine are polynomials here, so that every CPU level gives the
// same bits and loops vectorise: those of the C library do neither.
#pragma once
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

#include "engine/dither.hpp"

namespace fastopt::matrix {

namespace normal {

inline constexpr std::uint64_t one = std::bit_cast<std::uint64_t>(1.0);
inline constexpr std::uint64_t mantissa = (std::uint64_t{1} << 52) - 1;

// ln u for normal u > 0: u = 2^e m with m between the roots of 1/2 and 2, and ln m = 2 artanh((m - 1) / (m + 1)).
inline double logarithm(double u) {
  constexpr double ln2 = 0.69314718055994530942, two_to_52 = 4503599627370496.0;
  constexpr std::uint64_t least = std::bit_cast<std::uint64_t>(0.70710678118654752440);
  const std::uint64_t shifted = std::bit_cast<std::uint64_t>(u) + (one - least);
  const double m = std::bit_cast<double>((shifted & mantissa) + least);
  const double e = std::bit_cast<double>((shifted >> 52) | std::bit_cast<std::uint64_t>(two_to_52)) - (two_to_52 + 1023);
  const double s = (m - 1) / (m + 1), s2 = s * s;
  double sum = 1.0 / 23;  // s^2 < 0.03: the next term is below 2^-60
  for (int k = 21; k > 0; k -= 2) sum = sum * s2 + 1.0 / k;
  return e * ln2 + 2 * s * sum;
}

// cos x for |x| <= pi / 2 by its series.
inline double cosine(double x) {
  const double x2 = x * x;
  double sum = 1;
  for (int k = 24; k > 0; k -= 2) sum = 1 - sum * x2 / (k * (k - 1));
  return sum;
}

}  // namespace normal

// The upper 32 bits give u, 31 of the others the angle up to pi / 2, the last the sign.
inline double normal_of(std::uint64_t bits) {
  using namespace normal;
  const double u = std::bit_cast<double>(one | (bits >> 32 << 20)) - (1 - 0x1p-33);
  const double w = std::bit_cast<double>(one | ((bits >> 1 & 0x7fffffff) << 21)) - (1 - 0x1p-32);
  const double size = std::sqrt(-2 * logarithm(u)) * cosine(1.57079632679489661923 * w);
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(size) ^ bits << 63);
}

}  // namespace fastopt::matrix
