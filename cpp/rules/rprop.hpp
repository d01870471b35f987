// Rprop. Riedmiller & Braun 1993, without weight backtracking (iRprop-: Igel & Husken 2000), as in torch.optim.Rprop: the
// sign of the gradient times a step size of each coordinate's own, which grows while the sign holds and shrinks when it
// changes; then that coordinate rests for a step. One gradient is multiplied by the sign of the other: the product of both
// underflows.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Rprop {
  static constexpr std::string_view name = "rprop";
  static constexpr Names<0> flags = none;
  static constexpr std::array states = {State{.name = "prev", .codes = Codes::none, .small = true},
                                        State{.name = "step_size", .codes = Codes::none, .small = true}};
  struct Hypers {
    double lr, shrink, grow, smallest, largest;
  };
  static constexpr Names<5> hypers = {"lr", "shrink", "grow", "smallest", "largest"};
  template <class T>
  struct Coefs {
    T shrink, grow, smallest, largest;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t) { return {h.shrink, h.grow, h.smallest, h.largest}; }

  static Start start(std::size_t state, const Hypers& h) { return {states[state].name == "step_size" ? h.lr : 0, 0, 0}; }

  // The factor is a sum of 0 or 1 times each choice: where selects choose between coefficients, GCC 12 leaves the loop
  // scalar for double at v4 (it takes them out of a vector inside the loop).
  template <class T>
  static void update(T& theta, T g, T& previous, T& step_size, const Coefs<T>& c) {
    const T way = sign(g), agreement = way * previous;
    const T same = agreement > T(0) ? T(1) : T(0), turned = agreement < T(0) ? T(1) : T(0);
    const T factor = same * c.grow + turned * c.shrink + (T(1) - same - turned);
    step_size = min(max(step_size * factor, c.smallest), c.largest);
    previous = turned > T(0) ? T(0) : g;
    theta -= (turned > T(0) ? T(0) : way) * step_size;
  }
};

}  // namespace fastopt::rules
