// What is missing in an average that began at zero, with all its digits.
#pragma once
#include <bit>
#include <cstdint>

namespace fastopt::rules {

// beta^t and what goes with it, each to a few units in its last place, by repeated squaring: the same bits with every libm.
struct Power {
  double left = 1;     // P = beta^t
  double missing = 0;  // D = 1 - beta^t
  double lag = 0;      // t (1 - beta) - (1 - beta^t), the second-order part of D
};

// From the leading bit of t down: P(2n) = P^2, D(2n) = D (1 + P), lag(2n) = 2 lag + D^2, and for one step more P beta,
// D + (1 - beta) P, lag + (1 - beta) D. Only sums of what is positive, so no digit cancels: whichever of P and D is the
// smaller is carried, the other is 1 minus it.
inline Power power(double beta, std::int64_t t) {
  const double rest = 1 - beta;  // exact from 1/2 on
  Power p;
  for (int bit = std::bit_width(static_cast<std::uint64_t>(t)) - 1; bit >= 0; --bit) {
    const bool one = t >> bit & 1;
    p.lag = 2 * p.lag + p.missing * p.missing;
    if (p.left > 0.5) {
      p.missing *= 1 + p.left;
      p.left = 1 - p.missing;
    } else {
      p.left = p.left < 0x1p-200 ? 0 : p.left * p.left;
      p.missing = 1 - p.left;
    }
    if (!one) continue;
    p.lag += rest * p.missing;
    if (p.left > 0.5) {
      p.missing += rest * p.left;
      p.left = p.missing < 0.5 ? 1 - p.missing : p.left * beta;
    } else {
      p.left *= beta;
      p.missing = 1 - p.left;
    }
  }
  return p;
}

// What is missing in an average that began at zero: 1 - beta^t (Kingma & Ba 2015, section 3).
inline double bias_correction(double beta, std::int64_t t) { return power(beta, t).missing; }

}  // namespace fastopt::rules
