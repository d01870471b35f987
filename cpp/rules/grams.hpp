// Grams. Cao, Li & Song 2024 (arXiv:2412.17107), Algorithm 1: the length of each step is Adam's, its direction the sign of
// the gradient alone. As in the authors' code epsilon stands beside the uncorrected root; without `eps_hat` where Adam has
// it. Decoupled decay is the engine's.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Grams {
  static constexpr std::string_view name = "grams";
  static constexpr Names<0> flags = none;
  static constexpr std::array states = {State{"exp_avg"}, State{"exp_avg_sq", true, true}};
  static constexpr Reach reach = {.squared = true};
  struct Hypers {
    double lr, beta1, beta2, eps, eps_hat;
  };
  static constexpr Names<5> hypers = {"lr", "beta1", "beta2", "eps", "eps_hat"};
  template <class T>
  struct Coefs {
    T step;
    Average<T> beta1, beta2;
    T eps, flush;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t t) {
    const double root2 = std::sqrt(bias_correction(h.beta2, t));
    return {h.lr * root2 / bias_correction(h.beta1, t), average(h.beta1), average(h.beta2),
            h.eps_hat != 0 ? h.eps : h.eps * root2, may_flush(h.eps, false)};
  }

  template <class T>
  static void update(T& theta, T g, T& m, T& v, const Coefs<T>& c) {
    m = flushed(ema(m, g, c.beta1));
    v = flushed_square(ema_squares(v, g * g, c.beta2), c.flush);
    theta -= c.step * std::abs(m) / root<false>(v, c.eps) * sign(g);
  }
};

}  // namespace fastopt::rules
