// Adadelta. Zeiler 2012 (arXiv:1212.5701), Algorithm 1: the root mean square of past steps over that of past gradients
// gives the rate, so that the step has the unit of theta. As in torch.optim.Adadelta, lr (1 in the paper) scales the step.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Adadelta {
  static constexpr std::string_view name = "adadelta";
  static constexpr Names<0> flags = none;
  static constexpr std::array states = {State{"square_avg"}, State{"acc_delta"}};
  struct Hypers {
    double lr, rho, eps;
  };
  static constexpr Names<3> hypers = {"lr", "rho", "eps"};
  template <class T>
  struct Coefs {
    T lr, rho, rest, eps;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t) { return {h.lr, h.rho, 1 - h.rho, h.eps}; }

  template <class T>
  static void update(T& theta, T g, T& square, T& delta, const Coefs<T>& c) {
    square = ema(square, g * g, c.rho, c.rest);
    const T step = std::sqrt(delta + c.eps) / std::sqrt(square + c.eps) * g;
    delta = ema(delta, step * step, c.rho, c.rest);
    theta -= c.lr * step;
  }
};

}  // namespace fastopt::rules
