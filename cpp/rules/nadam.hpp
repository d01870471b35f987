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
  static constexpr std::array states = {State{"exp_avg"}, State{"exp_avg_sq", true, true}};
  static constexpr bool scales_in_loop = !eps_inside_root;
  static constexpr Reach reach = {.squared = true};
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
    T step_g, step_m;
    Average<T> beta1, beta2;
    T correct2, eps, flush;
  };

  struct Momentum {
    double mu, rest;  // rest = 1 - mu, of which no digit cancels
  };
  static Momentum momentum(const Hypers& h, std::int64_t t) {
    const double warm = 0.5 * std::pow(0.96, static_cast<double>(t) * h.momentum_decay);
    return {h.beta1 * (1 - warm), (1 - h.beta1) + h.beta1 * warm};
  }

  // 1 - p mu is (1 - p) + p (1 - mu), again without a difference of what is nearly equal.
  static Coefs<double> prepare(const Hypers& h, std::int64_t t, Scalars& s) {
    const Momentum now = momentum(h, t), next = momentum(h, t + 1);
    const double c2 = bias_correction(h.beta2, t), missing = (1 - s.mu_product) + s.mu_product * now.rest;
    s.mu_product *= now.mu;
    return {h.lr * now.rest / missing,
            h.lr * next.mu / (missing + s.mu_product * next.rest),
            average(h.beta1),
            average(h.beta2),
            eps_inside_root ? 1 / c2 : 1 / std::sqrt(c2),
            h.eps,
            may_flush(h.eps, eps_inside_root)};
  }

  template <class T>
  static void update(T& theta, T g, T& m, T& v, const Coefs<T>& c) {
    m = flushed(ema(m, g, c.beta1));
    v = flushed_square(ema_squares(v, g * g, c.beta2), c.flush);
    theta -= (c.step_g * g + c.step_m * m) / corrected_root<eps_inside_root>(v, c.correct2, c.eps);
  }
};

}  // namespace fastopt::rules
