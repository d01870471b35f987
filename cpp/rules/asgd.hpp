// Averaged SGD. Polyak & Juditsky 1992, with the rate eta_t = lr / (1 + lambd lr t)^alpha of Bottou (sgd 2.1, 2012) and his
// L2 penalty `lambd`. `ax` is theta until t0 and then the average of the thetas since.
// As in torch.optim.ASGD: a step uses the eta and mu that the step before left, so a new lr acts one step late.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Asgd {
  static constexpr std::string_view name = "asgd";
  static constexpr Names<0> flags = none;
  static constexpr std::array states = {State{.name = "ax", .codes = Codes::none, .exact = true}};
  static constexpr bool rows = false;
  static constexpr bool reads_theta = true;
  struct Hypers {
    double lr, lambd, alpha, t0;
  };
  static constexpr Names<4> hypers = {"lr", "lambd", "alpha", "t0"};
  struct Scalars {
    double eta = 0, mu = 1;  // eta: lr at the tensor's first step
  };
  static constexpr Names<2> scalars = {"eta", "mu"};
  template <class T>
  struct Coefs {
    T eta, decay, mu;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t t, Scalars& s) {
    const double eta = t == 1 ? h.lr : s.eta, steps = static_cast<double>(t);
    const Coefs<double> c = {eta, h.lambd * eta, s.mu};
    s.eta = h.lr / std::pow(1 + h.lambd * h.lr * steps, h.alpha);
    s.mu = steps - h.t0 > 1 ? 1 / (steps - h.t0) : 1;
    return c;
  }

  // theta - decay theta, not (1 - decay) theta: in float32 the factor would keep little of a decay of 1e-6.
  template <class T>
  static void update(T& theta, T g, T& ax, const Coefs<T>& c) {
    theta -= c.decay * theta + c.eta * g;
    const T average = ax + c.mu * (theta - ax);
    ax = c.mu < T(1) ? average : theta;  // at mu = 1 the sum would be theta but for rounding
  }
};

}  // namespace fastopt::rules
