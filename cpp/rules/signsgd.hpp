// SignSGD and, with momentum, Signum. Bernstein et al. 2018 (arXiv:1802.04434), Algorithms 1 and 2 (2: `Signum`): the sign
// of the gradient, or of its moving average, times lr. The sign of 0 is 0.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct SignSgd {
  static constexpr std::string_view name = "signsgd";
  static constexpr Names<1> flags = {"momentum"};
  static constexpr bool momentum = Flags & 1;
  static constexpr std::array states = {State{"momentum_buffer", momentum}};
  static constexpr Reach reach = {.times = momentum ? 2 : 1};  // g - m
  struct Hypers {
    double lr, momentum;
  };
  static constexpr Names<2> hypers = {"lr", "momentum"};
  template <class T>
  struct Coefs {
    T lr;
    Average<T> momentum;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t) { return {h.lr, average(h.momentum)}; }

  template <class T>
  static void update(T& theta, T g, T& m, const Coefs<T>& c) {
    if constexpr (momentum) m = ema(m, g, c.momentum);
    theta -= c.lr * sign(momentum ? m : g);
  }
};

}  // namespace fastopt::rules
