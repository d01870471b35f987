// LaProp. Ziyin, Wang & Ueda 2020 (arXiv:2002.04839), Algorithm 1: momentum of gradients that were divided by their root
// mean square, where Adam divides the momentum. As in the authors' code lr is inside the average, which is corrected by an
// average of the lr so far (a number that each tensor carries), and weight decay, after the step, is no multiple of lr
// unless `fixed_decay` is off. Their step at lr = 0 is the whole average; here it is 0, as the quotient tends to.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct LaProp {
  static constexpr std::string_view name = "laprop";
  static constexpr Names<1> flags = {"amsgrad"};
  static constexpr bool amsgrad = Flags & 1;
  static constexpr std::array states = {State{"exp_avg"}, State{"exp_avg_sq", true, true},
                                        State{"max_exp_avg_sq", amsgrad, true, Codes::none, true}};
  static constexpr Reach reach = {.squared = true};
  struct Hypers {
    double lr, beta1, beta2, eps, weight_decay, fixed_decay;
  };
  static constexpr Names<6> hypers = {"lr", "beta1", "beta2", "eps", "weight_decay", "fixed_decay"};
  struct Scalars {
    double lr_average = 0;
  };
  static constexpr Names<1> scalars = {"exp_avg_lr_1"};
  template <class T>
  struct Coefs {
    T lr;
    Average<T> beta1, beta2;
    T correct2, eps, step, decay, flush;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t t, Scalars& s) {
    s.lr_average = h.beta1 * s.lr_average + (1 - h.beta1) * h.lr;
    return {h.lr,
            average(h.beta1),
            average(h.beta2),
            1 / std::sqrt(bias_correction(h.beta2, t)),
            h.eps,
            s.lr_average > 0 ? h.lr / s.lr_average : 0,
            h.fixed_decay != 0 ? h.weight_decay : h.lr * h.weight_decay,
            may_flush(h.eps, false)};
  }

  static double own_decay(const Coefs<double>& c) { return c.decay; }

  template <class T>
  static void update(T& theta, T g, T& m, T& v, T& v_max, const Coefs<T>& c) {
    v = flushed_square(ema_squares(v, g * g, c.beta2), c.flush);
    if constexpr (amsgrad) v_max = max(v_max, v);
    m = flushed(ema(m, c.lr * g / corrected_root<false>(amsgrad ? v_max : v, c.correct2, c.eps), c.beta1));
    theta -= c.step * m;
    theta -= c.decay * theta;
  }
};

}  // namespace fastopt::rules
