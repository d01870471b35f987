// Rprop. Riedmiller & Braun 1993, without weight backtracking (iRprop-: Igel & Husken 2000), as in torch.optim.Rprop: the
// sign of the gradient times a step size of each coordinate's own, which grows while the sign holds and shrinks when it
// changes; then that coordinate rests for a step. The signs are multiplied, not the gradients, whose product underflows.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Rprop {
  static constexpr std::string_view name = "rprop";
  static constexpr Names<0> flags = none;
  static constexpr std::array states = {State{"prev"}, State{"step_size"}};
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

  // Sums of 0 or 1 times each choice: of the seven ways to write this tried, GCC 12 vectorised only this one at all levels.
  template <class T>
  static void update(T& theta, T g, T& previous, T& step_size, const Coefs<T>& c) {
    const T way = sign(g), agreement = way * sign(previous);
    const T same = max(T(0), agreement), turned = max(T(0), -agreement);  // 1 or 0; both 0 where one is NaN
    const T factor = same * c.grow + turned * c.shrink + (T(1) - same - turned);
    step_size = min(max(step_size * factor, c.smallest), c.largest);
    previous = turned > T(0) ? T(0) : g;
    theta -= (T(1) - turned) * way * step_size;
  }
};

}  // namespace fastopt::rules
