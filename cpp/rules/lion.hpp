// Lion. Chen et al. 2023 (arXiv:2302.06675), Algorithm 2: the sign of one average of the gradients is the step, another is
// kept. The sign of 0 is 0, so what has never seen a gradient does not move. Decoupled decay is the engine's.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Lion {
  static constexpr std::string_view name = "lion";
  static constexpr Names<0> flags = none;
  static constexpr std::array states = {State{"exp_avg"}};
  struct Hypers {
    double lr, beta1, beta2;
  };
  static constexpr Names<3> hypers = {"lr", "beta1", "beta2"};
  template <class T>
  struct Coefs {
    T lr, beta1, rest1, beta2, rest2;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t) { return {h.lr, h.beta1, 1 - h.beta1, h.beta2, 1 - h.beta2}; }

  template <class T>
  static void update(T& theta, T g, T& m, const Coefs<T>& c) {
    theta -= c.lr * sign(ema(m, g, c.beta1, c.rest1));
    m = ema(m, g, c.beta2, c.rest2);
  }
};

}  // namespace fastopt::rules
