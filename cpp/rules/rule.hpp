// What a rule is.
//
// A rule is the mathematics of one optimizer, on values: no loop, no pointer, no dtype, no thread. It is a class template
// over a set of flags (bits that choose between formulas at compile time, so that no loop contains a switch):
//
//   template <unsigned Flags> struct Rule {
//     static constexpr std::string_view name;              // what Python calls it
//     static constexpr std::array flags;                   // names of the bits of Flags, lowest first
//     static constexpr std::array states;                  // State{name, used, ...}: arrays of the parameter's shape
//     struct Hypers { double lr, ...; };                   // of the group
//     static constexpr std::array hypers;                  // their names, in the order of the struct
//     template <class T> struct Coefs { T ...; };          // what `update` needs, of one type
//     static Coefs<double> prepare(const Hypers&, std::int64_t t);    // once per step in double; t = 1 at the first step
//     template <class T> static void update(T& theta, T g, T& state..., const Coefs<T>&);
//   };
//
// and, where the paper needs them:
//
//     static constexpr bool valid;                         // false: this combination of flags has no meaning
//     static constexpr Reach reach;                        // what becomes of a large gradient, if not just lr times it
//     struct Scalars { double x = x0; };                   // numbers that each tensor carries from step to step;
//     static constexpr std::array scalars;                 //   then prepare(const Hypers&, t, Scalars&)
//     static constexpr bool rows = false;                  // if elements without a gradient must move all the same
//     static Start start(std::size_t state, const Hypers&);// what a state holds before the first step, if not 0
//     static double look_ahead(const Hypers&);             // Nesterov's point is theta - look_ahead * (first state)
//     static constexpr int sums;                           // whole-tensor sums of squares are needed before `update`:
//     template <class T> static void reduce(T theta, T g, T& state..., const Coefs<T>&, T (&x)[sums]);
//     static constexpr bool reduce_writes_states;          // false: `reduce` has no state arguments
//     static void finish(Coefs<double>&, const double (&sum)[sums]);  // sum[i] = sum of x[i]^2 over the tensor
//     static constexpr bool codes_in_loop;                 // true: a loop of its own for states in eight bits, faster and
//                                                          //   a few kilobytes; else they are copied block by block
//     static constexpr bool reads_gradient;                // false: `update` after `reduce` does not look at g
//
// A rule of matrices (Muon) looks at a whole tensor between two passes over its elements. It has, beside the above,
//
//     static constexpr bool matrix = true;
//     static constexpr std::array shaped;                  // Shaped{name, shape, used}: states of other shapes
//     template <class T> static T gather(T theta, T g, T& state..., const Coefs<T>&);  // the element of the matrix
//
// and its `update` is given the element of the transformed matrix as g. What happens between is cpp/matrix/'s, found by the
// rule's name (engine/transform.hpp); neither pass sees the shaped states.
//
// A rule that keeps a number of each row (the first axis; row-wise Adagrad) has, beside the above,
//
//     static constexpr std::array shaped;                  // the first of Shape::rows
//     template <class T> static void row(T mean_square, T& kept, Coefs<T>&);  // of the row's gradient; sets what of the
//                                                          //   coefficients is the row's own, before its `update`s
//
// and one with a flag "row_steps", which counts the steps of each row and prepares with those, has a shaped state of that
// name. Flags that change no loop name the rule whose loops they share: using Loops = Rule<...>.
//
// `update`, `row` and `reduce` may use + - x / sqrt, abs, compare, select and copysign only: these round alike on every CPU
// level, so every level gives the same bits. They take values, never references into arrays (a store to one array would
// force a reload of the others; measured: half the speed). Any other function belongs to `prepare`.
#pragma once
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

namespace fastopt::rules {

// Whether eight bits will do for a state, drawn at random between two codes: for averages of gradients and of their squares.
// Not for sums and maxima, which forget no error, nor for what is subtracted, compared or multiplied from step to step.
enum class Codes : std::uint8_t { none, with_sign, positive };

struct State {
  std::string_view name;
  bool used = true;      // by this combination of flags; unused ones take no memory
  bool squared = false;  // holds squares: in the unit of g^2, beyond what a type of few exponents can hold
  Codes codes = squared ? Codes::positive : Codes::with_sign;
  bool maximum = false;  // rounded to nearest: it would keep the largest of all random errors
};

// What a state of a rule of matrices holds for each of a tensor's matrices (rows x columns): a number for each row, for each
// column, a square matrix of either side, or as many numbers as the matrix. In the type of computation, in C order, behind
// the axes that count matrices; 0 before the first step.
enum class Shape : std::uint8_t { rows, columns, square_of_rows, square_of_columns, matrix };

struct Shaped {
  std::string_view name;
  Shape shape;
  bool used = true;
};

// The largest number that a rule forms of a gradient g at once: `times` |g|, or its square. The policies for non-finite
// gradients look at that number, since a second moment that overflowed freezes its element for ever.
struct Reach {
  int times = 1;
  bool squared = false;
  bool summed = false;  // the square is formed in double whatever the type, and summed over the tensor
};

// A state before the first step: constant + gradient * g + gradient_squared * g^2, elementwise, with the first gradient.
struct Start {
  double constant = 0, gradient = 0, gradient_squared = 0;
};

template <std::size_t N>
using Names = std::array<std::string_view, N>;
inline constexpr Names<0> none{};

// --- words shared by the formulas ---

template <class T>
inline T sign(T x) {  // sign(0) = 0, and NaN stays NaN: with 0 for it, a rule of signs would stop moving in silence
  return std::abs(x) > T(0) ? std::copysign(T(1), x) : x;  // one select; two take twice as long
}

template <class T>
inline T max(T a, T b) {
  return a < b ? b : a;  // a NaN in b is dropped, in a kept: callers put the accumulated value first
}

template <class T>
inline T min(T a, T b) {
  return b < a ? b : a;
}

// Exponentially weighted moving averages are m + (1 - beta) (x - m), with 1 - beta formed in double: a constant is a fixed
// point to the last bit. The rounded weights of beta m + (1 - beta) x do not sum to 1, and it drifts (in float32 at beta =
// 0.9999 by 1.7e-4). For a small beta it is the other way round: little drifts, but m + (1 - beta) (x - m) cancels all but
// beta m of an m that is much larger than x, and with it the digits (at beta = 1e-8 in float32 all of them). Below
// `small_beta` the average is beta m + (1 - beta) x, by the same operations with other coefficients.
template <class T>
struct Average {
  T rest, keep, near;  // keep m + rest (x - near m)
};

inline constexpr double small_beta = 0.0625;

inline Average<double> average(double beta) {
  if (beta < small_beta) return {1 - beta, beta, 0};
  return {1 - beta, 1, 1};
}

// Where x and m are of opposite sign and beyond half the largest number, x - m overflows and the average with it.
template <class T>
inline T ema(T m, T x, const Average<T>& a) {
  return a.keep * m + a.rest * (x - a.near * m);
}

// The same of squares, which overflow far sooner: infinity stays infinity, and is no NaN by infinity - infinity.
template <class T>
inline T ema_squares(T v, T x, const Average<T>& a) {
  return a.keep * v + a.rest * (x - a.near * min(v, std::numeric_limits<T>::max()));
}

// beta m, also where beta is so near to 1 that little of the difference is left once it is rounded: m - (1 - beta) m.
template <class T>
inline T decayed(T m, const Average<T>& a) {
  return a.keep * m - a.rest * (a.near * m);
}

// What decays ends at 0 and not among the subnormal numbers, where it would stay (0.9 times the smallest is the smallest)
// and slow every operation on it down.
template <class T>
inline T flushed(T m) {
  return std::abs(m) < std::numeric_limits<T>::min() ? T(0) : m;
}

// Squares are roots' operands: only where epsilon hides the difference (`allowed` is 1, else 0) may they end at 0.
template <class T>
inline T flushed_square(T v, T allowed) {
  return v < allowed * std::numeric_limits<T>::min() ? T(0) : v;
}

// sqrt(2^-126), the root of float32's smallest normal number, is 1e-19; bias correction may multiply it by some 1e4.
inline double may_flush(double eps, bool eps_inside_root) { return eps >= (eps_inside_root ? 1e-24 : 1e-12) ? 1 : 0; }

// sqrt(v) + eps, or sqrt(v + eps)
template <bool eps_inside_root, class T>
inline T root(T v, T eps) {
  return eps_inside_root ? std::sqrt(v + eps) : std::sqrt(v) + eps;
}

// The same of v corrected for its start at zero: `correct` is 1 / sqrt(1 - beta^t), with epsilon inside 1 / (1 - beta^t).
template <bool eps_inside_root, class T>
inline T corrected_root(T v, T correct, T eps) {
  return eps_inside_root ? std::sqrt(correct * v + eps) : correct * std::sqrt(v) + eps;
}

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
