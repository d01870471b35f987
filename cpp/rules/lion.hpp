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
  static constexpr bool scales_in_loop = true, codes_in_loop = true;
  static constexpr Reach reach = {.times = 2};  // g - m
  struct Hypers {
    double lr, beta1, beta2;
  };
  static constexpr Names<3> hypers = {"lr", "beta1", "beta2"};
  template <class T>
  struct Coefs {
    T lr;
    Average<T> beta1, beta2;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t) { return {h.lr, average(h.beta1), average(h.beta2)}; }

  template <class T>
  static void update(T& theta, T g, T& m, const Coefs<T>& c) {
    theta -= c.lr * sign(ema(m, g, c.beta1));
    m = ema(m, g, c.beta2);
  }
};

}  // namespace fastopt::rules
