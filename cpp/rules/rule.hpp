// What a rule is.
//
// A rule is the mathematics of one optimizer, on values: no loop, no pointer, no dtype, no thread. It is a class template
// over a set of flags (bits that choose between formulas at compile time, so that no loop contains a switch):
//
//   template <unsigned Flags> struct Rule {
//     static constexpr std::string_view name;              // what Python calls it
//     static constexpr std::array flags;                   // names of the bits of Flags, lowest first
//     static constexpr std::array states;                  // State{name, used}: arrays of the parameter's shape
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
//     struct Scalars { double x = x0; };                   // numbers that each tensor carries from step to step;
//     static constexpr std::array scalars;                 //   then prepare(const Hypers&, t, Scalars&)
//     static Start start(std::size_t state, const Hypers&);// what a state holds before the first step, if not 0
//     static double look_ahead(const Hypers&);             // Nesterov's point is theta - look_ahead * (first state)
//     static constexpr int sums;                           // whole-tensor sums of squares are needed before `update`:
//     template <class T> static void reduce(T theta, T g, T& state..., const Coefs<T>&, T (&x)[sums]);
//     static constexpr bool reduce_writes_states;          // false: `reduce` has no state arguments
//     static void finish(Coefs<double>&, const double (&sum)[sums]);  // sum[i] = sum of x[i]^2 over the tensor
//     static constexpr bool reads_gradient;                // false: `update` after `reduce` does not look at g
//
// `update` and `reduce` may use + - x / sqrt, abs, compare, select and copysign only: these round alike on every CPU level,
// so every level gives the same bits. They take values, never references into arrays (a store to one array would force a
// reload of the others; measured: half the speed). Any other function belongs to `prepare`.
#pragma once
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fastopt::rules {

struct State {
  std::string_view name;
  bool used = true;  // by this combination of flags; unused ones take no memory
};

// A state before the first step: constant + gradient * g + gradient_squared * g^2, elementwise, with the first gradient.
struct Start {
  double constant = 0, gradient = 0, gradient_squared = 0;
};

template <std::size_t N>
using Names = std::array<std::string_view, N>;
inline constexpr Names<0> none{};

// --- words shared by the formulas ---

// Exponentially weighted moving average; `rest` is 1 - beta, formed in double.
template <class T>
inline T ema(T average, T x, T beta, T rest) {
  return beta * average + rest * x;
}

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

// beta^t by repeated squaring: the same bits with every libm.
inline double power(double beta, std::int64_t t) {
  double result = 1;
  for (; t > 0; t >>= 1, beta *= beta)
    if (t & 1) result *= beta;
  return result;
}

// What is missing in an average that began at zero: 1 - beta^t (Kingma & Ba 2015, section 3).
inline double bias_correction(double beta, std::int64_t t) { return 1 - power(beta, t); }

}  // namespace fastopt::rules
