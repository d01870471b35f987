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
//     static double average_at(const Hypers&);             // theta is (1 - average_at) * (first state) + average_at * x,
//                                                          //   with x the average that counts
//     static constexpr int sums;                           // whole-tensor sums of squares are needed before `update`:
//     template <class T> static void reduce(T theta, T g, T& state..., const Coefs<T>&, T (&x)[sums]);
//     static constexpr bool reduce_reads_theta = false;    // (if so) `reduce` leaves it out
//     static constexpr bool reduce_writes_states;          // false: `reduce` has no state arguments
//     static constexpr unsigned reduce_reads;              //   but if it reads them: `reduce(theta, g, state..., c, x)`
//                                                          //   takes their values; a bit for each that is looked at
//     static void finish(Coefs<double>&, const double (&sum)[sums]);  // sum[i] = sum of x[i]^2 over the tensor
//                                                          //   and, if it wants, the number of its elements
//     static constexpr bool fills_first;                   // true: a tensor's first step only fills its states; nothing
//                                                          //   moves theta, decoupled decay and proximal L1 included
//     static constexpr bool plain_sums = true;             // ... of x[i] itself
//     static constexpr std::array shared;                  // the sums are over all tensors, whose scalars are the same, as
//                                                          //   are hyper-parameters of these names; not `finish` but
//     static void settle(const Hypers&, const double (&sum)[sums], Scalars&);        // once for all of them
//     static void conclude(Coefs<double>&, const double (&sum)[sums], const Scalars&);  // with what that left
//     template <class C, class Use> static auto averages(C& coefs, const Use& use);   // use(those that are Average<T>...):
//                                                          //   a loop of its own for the usual betas (plain_averages.hpp)
//     static constexpr bool scales_in_loop;                // true: loops of their own for gradients that are unscaled and
//                                                          //   clipped, in float32; else they are scaled block by block
//     static constexpr bool codes_in_loop;                 // true: a loop of its own for states in eight bits, faster and
//                                                          //   a few kilobytes; else they are copied block by block
//     static constexpr bool reads_gradient;                // false: `update` after `reduce` does not look at g
//     static constexpr bool reads_theta = true;            // the step depends on where theta is: it is none from zero
//     static double own_decay(const Coefs<double>&);       // what the step takes of theta, of which the rest knows nothing
//     static constexpr bool matrix = true;                 // it looks at matrices: shaped.hpp says what else it has
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
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

#include "rules/averages.hpp"
#include "rules/bias_correction.hpp"
#include "rules/shaped.hpp"

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
  bool exact = false;    // weights are formed of it, or of what it differs from others by: kept as it is computed
  bool small = false;    // what float16 takes for 0 makes another rule of it
};

// The largest number that a rule forms of a gradient g at once: `times` |g|, or its square. The policies for non-finite
// gradients look at that number, since a second moment that overflowed freezes its element for ever.
struct Reach {
  int times = 1;
  bool squared = false;
  bool summed = false;  // the square is formed in double whatever the type, and summed over the tensor
};

// A state before the first step: constant + gradient * g + gradient_squared * g^2 + parameter * theta, elementwise, with the
// first gradient and the parameter as it then is.
struct Start {
  double constant = 0, gradient = 0, gradient_squared = 0, parameter = 0;
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

}  // namespace fastopt::rules
