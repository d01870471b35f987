// Adamax. Kingma & Ba 2015 (arXiv:1412.6980), Algorithm 2: Adam with the infinity norm of past gradients.
// As in torch.optim.Adamax, epsilon joins |g| inside the maximum (the paper has none: 0/0 while all gradients are 0), or
// the maximum afterwards (`eps_after_max`: Keras, TensorFlow).
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Adamax {
  static constexpr std::string_view name = "adamax";
  static constexpr Names<1> flags = {"eps_after_max"};
  static constexpr bool eps_after_max = Flags & 1;
  static constexpr std::array states = {State{"exp_avg"}, State{.name = "exp_inf", .codes = Codes::positive, .small = true}};
  static constexpr Reach reach = {.times = 2};  // g - m
  struct Hypers {
    double lr, beta1, beta2, eps;
  };
  static constexpr Names<4> hypers = {"lr", "beta1", "beta2", "eps"};
  template <class T>
  struct Coefs {
    T step;
    Average<T> beta1, beta2;
    T eps, flush;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t t) {
    return {h.lr / bias_correction(h.beta1, t), average(h.beta1), average(h.beta2), h.eps, may_flush(h.eps, false)};
  }

  template <class T>
  static void update(T& theta, T g, T& m, T& u, const Coefs<T>& c) {
    m = flushed(ema(m, g, c.beta1));
    if constexpr (eps_after_max) {
      u = flushed_square(max(decayed(u, c.beta2), std::abs(g)), c.flush);
      theta -= c.step * m / (u + c.eps);
    } else {
      u = max(decayed(u, c.beta2), std::abs(g) + c.eps);
      theta -= c.step * m / u;
    }
  }
};

}  // namespace fastopt::rules
