// AdaBelief. Zhuang et al. 2020 (arXiv:2010.07468), Algorithm 2: Adam whose second moment is that of the gradient about its
// own average, (g - m)^2 with the new m: long steps where the gradient is what was expected.
// As there, epsilon is added to s at every step and again to the corrected root. AMSGrad takes the maximum of the
// uncorrected s, as Adam here (the authors' code too).
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct AdaBelief {
  static constexpr std::string_view name = "adabelief";
  static constexpr Names<1> flags = {"amsgrad"};
  static constexpr bool amsgrad = Flags & 1;
  static constexpr std::array states = {State{"exp_avg"}, State{"exp_avg_var", true, true},
                                        State{"max_exp_avg_var", amsgrad, true, Codes::none, true}};
  static constexpr Reach reach = {.times = 2, .squared = true};  // g - m
  struct Hypers {
    double lr, beta1, beta2, eps;
  };
  static constexpr Names<4> hypers = {"lr", "beta1", "beta2", "eps"};
  template <class T>
  struct Coefs {
    T step;
    Average<T> beta1, beta2;
    T correct2, eps;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t t) {
    const double c1 = bias_correction(h.beta1, t), c2 = bias_correction(h.beta2, t);
    return {h.lr / c1, average(h.beta1), average(h.beta2), 1 / std::sqrt(c2), h.eps};
  }

  template <class T>
  static void update(T& theta, T g, T& m, T& s, T& s_max, const Coefs<T>& c) {
    m = flushed(ema(m, g, c.beta1));
    s = ema_squares(s, (g - m) * (g - m), c.beta2) + c.eps;
    if constexpr (amsgrad) s_max = max(s_max, s);
    theta -= c.step * m / corrected_root<false>(amsgrad ? s_max : s, c.correct2, c.eps);
  }
};

}  // namespace fastopt::rules
