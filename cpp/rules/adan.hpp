// Adan. Xie et al. 2022 (arXiv:2208.06677), Algorithm 1: Nesterov's momentum in a form that needs no look-ahead, from the
// average m of gradients and v of their differences. The betas here are decays, 1 - beta of the paper, as in the authors'
// code; so is the start: all averages begin at 0 and are corrected for it (paper: m and n begin at g and g^2), and the first
// difference is 0. Decay is proximal, theta / (1 + lr weight_decay), after the step.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Adan {
  static constexpr std::string_view name = "adan";
  static constexpr Names<0> flags = none;
  static constexpr std::array states = {State{"exp_avg"}, State{"exp_avg_diff"}, State{"exp_avg_sq", true, true},
                                        State{"prev_grad", true, false, Codes::none}};
  static constexpr Reach reach = {.times = 3, .squared = true};  // g + beta2 (g - previous)
  struct Hypers {
    double lr, beta1, beta2, beta3, eps, weight_decay;
  };
  static constexpr Names<6> hypers = {"lr", "beta1", "beta2", "beta3", "eps", "weight_decay"};
  template <class T>
  struct Coefs {
    T step_m, step_v, ahead;
    Average<T> beta1, beta2, beta3;
    T correct3, eps, shrink, flush;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t t) {
    const double decay = h.lr * h.weight_decay;
    return {h.lr / bias_correction(h.beta1, t),
            h.lr * h.beta2 / bias_correction(h.beta2, t),
            h.beta2,
            average(h.beta1),
            average(h.beta2),
            average(h.beta3),
            1 / std::sqrt(bias_correction(h.beta3, t)),
            h.eps,
            decay / (1 + decay),
            may_flush(h.eps, false)};
  }

  static double own_decay(const Coefs<double>& c) { return c.shrink; }

  static Start start(std::size_t state, const Hypers&) { return {0, states[state].name == "prev_grad" ? 1. : 0., 0}; }

  template <class T>
  static void update(T& theta, T g, T& m, T& v, T& n, T& previous, const Coefs<T>& c) {
    const T change = g - previous, ahead = g + c.ahead * change;
    previous = g;
    m = flushed(ema(m, g, c.beta1));
    v = flushed(ema(v, change, c.beta2));
    n = flushed_square(ema_squares(n, ahead * ahead, c.beta3), c.flush);
    theta -= (c.step_m * m + c.step_v * v) / corrected_root<false>(n, c.correct3, c.eps);
    theta -= c.shrink * theta;  // 1 / (1 + d) = 1 - d / (1 + d): in float32 the factor itself would lose a small d
  }
};

}  // namespace fastopt::rules
