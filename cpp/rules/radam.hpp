// RAdam. Liu et al. 2020 (arXiv:1908.03265), Algorithm 2: the adaptive rate is trusted once its variance is bounded (the
// length rho_t of the approximated moving average exceeds `rectify_threshold`), and rectified; before, the step is that of
// momentum alone. As in torch.optim.RAdam: the threshold is 5 (paper 4, others >= 5), and epsilon joins the root before the
// bias correction; without `eps_hat` after it, as in optax.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct RAdam {
  static constexpr std::string_view name = "radam";
  static constexpr Names<1> flags = {"eps_inside_root"};
  static constexpr bool eps_inside_root = Flags & 1;
  static constexpr std::array states = {State{"exp_avg"}, State{"exp_avg_sq", true, true}};
  static constexpr Reach reach = {.squared = true};
  struct Hypers {
    double lr, beta1, beta2, eps, eps_hat, rectify_threshold;
  };
  static constexpr Names<6> hypers = {"lr", "beta1", "beta2", "eps", "eps_hat", "rectify_threshold"};
  template <class T>
  struct Coefs {
    T step;
    Average<T> beta1, beta2;
    T eps, adaptive, flush;
  };

  // rho_t = limit - 2 t beta^t / (1 - beta^t). Early on both terms are large and nearly equal; with their leading parts
  // taken out, 2 t - 1 - 2 lag / ((1 - beta) (1 - beta^t)) is the same (it tends to t as beta tends to 1).
  static double length(double rest, double limit, const Power& p, double t) {
    if (p.missing < 0.5) return 2 * t - 1 - 2 * p.lag / (rest * p.missing);
    return limit - 2 * t * p.left / p.missing;
  }

  static Coefs<double> prepare(const Hypers& h, std::int64_t t) {
    const double rest = 1 - h.beta2, limit = (1 + h.beta2) / rest;
    const Power p = power(h.beta2, t);
    const double rho = length(rest, limit, p, static_cast<double>(t)), c2 = p.missing;
    const bool adaptive = rho > h.rectify_threshold;  // >= 4, so the root below is of a positive number
    const double rectify = adaptive ? std::sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho) * c2) : 1;
    return {h.lr * rectify / bias_correction(h.beta1, t),
            average(h.beta1),
            average(h.beta2),
            h.eps_hat != 0 ? h.eps : h.eps * (eps_inside_root ? c2 : std::sqrt(c2)),
            adaptive ? 1. : 0.,
            may_flush(h.eps, eps_inside_root)};
  }

  template <class T>
  static void update(T& theta, T g, T& m, T& v, const Coefs<T>& c) {
    m = flushed(ema(m, g, c.beta1));
    v = flushed_square(ema_squares(v, g * g, c.beta2), c.flush);
    // the same for all elements: a select of values, which leaves the loop vectorised, and no root is taken times 0
    const T denominator = c.adaptive > T(0) ? root<eps_inside_root>(v, c.eps) : T(1);
    theta -= c.step * m / denominator;
  }
};

}  // namespace fastopt::rules
