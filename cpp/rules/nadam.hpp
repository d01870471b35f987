// NAdam. Dozat 2016 (ICLR workshop), Algorithm 8: Adam with Nesterov's momentum under a schedule of momenta,
// mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2). Both terms of the step are divided by what their weights sum to, which
// takes the product of all mu so far: a number that each tensor carries.
// As in torch.optim.NAdam: epsilon is added to the corrected root.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct NAdam {
  static constexpr std::string_view name = "nadam";
  static constexpr Names<1> flags = {"eps_inside_root"};
  static constexpr bool eps_inside_root = Flags & 1;
  static constexpr std::array states = {State{"exp_avg"}, State{"exp_avg_sq"}};
  struct Hypers {
    double lr, beta1, beta2, eps, momentum_decay;
  };
  static constexpr Names<5> hypers = {"lr", "beta1", "beta2", "eps", "momentum_decay"};
  struct Scalars {
    double mu_product = 1;
  };
  static constexpr Names<1> scalars = {"mu_product"};
  template <class T>
  struct Coefs {
    T step_g, step_m, beta1, rest1, beta2, rest2, correct2, eps;
  };

  static double momentum(const Hypers& h, std::int64_t t) {
    return h.beta1 * (1 - 0.5 * std::pow(0.96, static_cast<double>(t) * h.momentum_decay));
  }

  static Coefs<double> prepare(const Hypers& h, std::int64_t t, Scalars& s) {
    const double mu = momentum(h, t), next = momentum(h, t + 1), c2 = bias_correction(h.beta2, t);
    s.mu_product *= mu;
    return {h.lr * (1 - mu) / (1 - s.mu_product),
            h.lr * next / (1 - s.mu_product * next),
            h.beta1,
            1 - h.beta1,
            h.beta2,
            1 - h.beta2,
            eps_inside_root ? 1 / c2 : 1 / std::sqrt(c2),
            h.eps};
  }

  template <class T>
  static void update(T& theta, T g, T& m, T& v, const Coefs<T>& c) {
    m = ema(m, g, c.beta1, c.rest1);
    v = ema(v, g * g, c.beta2, c.rest2);
    theta -= (c.step_g * g + c.step_m * m) / corrected_root<eps_inside_root>(v, c.correct2, c.eps);
  }
};

}  // namespace fastopt::rules
