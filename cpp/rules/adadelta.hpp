// Adadelta. Zeiler 2012 (arXiv:1212.5701), Algorithm 1: the root mean square of past steps over that of past gradients
// gives the rate, so that the step has the unit of theta. As in torch.optim.Adadelta, lr (1 in the paper) scales the step.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Adadelta {
  static constexpr std::string_view name = "adadelta";
  static constexpr Names<0> flags = none;
  static constexpr std::array states = {State{"square_avg", true, true}, State{"acc_delta", true, true}};
  static constexpr Reach reach = {.squared = true};
  struct Hypers {
    double lr, rho, eps;
  };
  static constexpr Names<3> hypers = {"lr", "rho", "eps"};
  template <class T>
  struct Coefs {
    T lr;
    Average<T> rho;
    T eps, flush;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t) {
    return {h.lr, average(h.rho), h.eps, may_flush(h.eps, true)};
  }

  template <class T>
  static void update(T& theta, T g, T& square, T& delta, const Coefs<T>& c) {
    square = flushed_square(ema_squares(square, g * g, c.rho), c.flush);
    const T step = std::sqrt(delta + c.eps) / std::sqrt(square + c.eps) * g;
    delta = flushed_square(ema_squares(delta, step * step, c.rho), c.flush);
    theta -= c.lr * step;
  }
};

}  // namespace fastopt::rules
