// RAdam. Liu et al. 2020 (arXiv:1908.03265), Algorithm 2: the adaptive rate is trusted once its variance is bounded (the
// length rho_t of the approximated moving average exceeds `rectify_threshold`), and rectified; before, the step is that of
// momentum alone. As in torch.optim.RAdam: the threshold is 5 (paper 4, others >= 5), and epsilon joins the root before the
// bias correction.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct RAdam {
  static constexpr std::string_view name = "radam";
  static constexpr Names<1> flags = {"eps_inside_root"};
  static constexpr bool eps_inside_root = Flags & 1;
  static constexpr std::array states = {State{"exp_avg"}, State{"exp_avg_sq"}};
  struct Hypers {
    double lr, beta1, beta2, eps, rectify_threshold;
  };
  static constexpr Names<5> hypers = {"lr", "beta1", "beta2", "eps", "rectify_threshold"};
  template <class T>
  struct Coefs {
    T step, beta1, rest1, beta2, rest2, eps, adaptive;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t t) {
    const double c2 = bias_correction(h.beta2, t), limit = 2 / (1 - h.beta2) - 1;
    const double rho = limit - 2 * static_cast<double>(t) * (1 - c2) / c2;
    const bool adaptive = rho > h.rectify_threshold;  // >= 4, so the root below is of a positive number
    const double rectify = adaptive ? std::sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho) * c2) : 1;
    return {
        h.lr * rectify / bias_correction(h.beta1, t), h.beta1, 1 - h.beta1, h.beta2, 1 - h.beta2, h.eps, adaptive ? 1. : 0.};
  }

  template <class T>
  static void update(T& theta, T g, T& m, T& v, const Coefs<T>& c) {
    m = ema(m, g, c.beta1, c.rest1);
    v = ema(v, g * g, c.beta2, c.rest2);
    // the same for all elements: a select of values, which leaves the loop vectorised, and no root is taken times 0
    const T denominator = c.adaptive > T(0) ? root<eps_inside_root>(v, c.eps) : T(1);
    theta -= c.step * m / denominator;
  }
};

}  // namespace fastopt::rules
