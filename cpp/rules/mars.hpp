// MARS. Yuan et al. 2024 (arXiv:2411.10438), Algorithm 2 with the gradient of the step before in the place of one at the new
// batch (section 3.2, MARS-approx): what the gradient changed by, times gamma beta1 / (1 - beta1), is added to it, the sum
// is clipped to norm 1 in each tensor, and AdamW (Algorithm 3) or the sign of the average (Algorithm 4, `lion`) takes it
// from there. As in the authors' code the first change is from 0. Decoupled decay is the engine's.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Mars {
  static constexpr std::string_view name = "mars";
  static constexpr Names<2> flags = {"lion", "amsgrad"};
  static constexpr bool lion = Flags & 1, amsgrad = Flags & 2, valid = !(lion && amsgrad);
  static constexpr std::array states = {State{"exp_avg"}, State{"exp_avg_sq", !lion, true},
                                        State{"last_grad", true, false, Codes::none},
                                        State{"max_exp_avg_sq", amsgrad, true, Codes::none, true}};
  static constexpr Reach reach = {.times = 2, .squared = true};  // the square is summed; gamma is small
  struct Hypers {
    double lr, beta1, beta2, eps, gamma;
  };
  static constexpr Names<5> hypers = {"lr", "beta1", "beta2", "eps", "gamma"};
  template <class T>
  struct Coefs {
    T step, change, clip, clipped_change;  // the last: their product
    Average<T> beta1, beta2;
    T correct2, eps, flush;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t t) {
    return {lion ? h.lr : h.lr / bias_correction(h.beta1, t),
            h.gamma * h.beta1 / (1 - h.beta1),
            1,
            h.gamma * h.beta1 / (1 - h.beta1),
            average(h.beta1),
            average(h.beta2),
            1 / std::sqrt(bias_correction(h.beta2, t)),
            h.eps,
            may_flush(h.eps, false)};
  }

  // Of a gradient that is finite the correction may not be, but the clipped one is: a quarter is summed, and each term is
  // clipped by itself.
  template <class T>
  static constexpr T quarter = T(0.25);
  static constexpr int sums = 1;
  static constexpr bool reduce_writes_states = false, reads_gradient = true, reduce_reads_theta = false;
  static constexpr unsigned reduce_reads = 1u << 2;  // last_grad

  template <class T>
  static void reduce(T, T g, T, T, T last, T, const Coefs<T>& c, T (&x)[sums]) {
    x[0] = quarter<T> * g + quarter<T> * c.change * (g - last);
  }

  static void finish(Coefs<double>& c, const double (&sum)[sums]) {
    constexpr double squared = quarter<double> * quarter<double>;
    if (sum[0] > squared) c.clip = 1 / std::sqrt(sum[0] / squared);
    c.clipped_change = c.clip * c.change;
  }

  template <class T>
  static void update(T& theta, T g, T& m, T& v, T& last, T& v_max, const Coefs<T>& c) {
    const T corrected = c.clip * g + c.clipped_change * (g - last);
    last = g;
    m = lion ? ema(m, corrected, c.beta1) : flushed(ema(m, corrected, c.beta1));
    if constexpr (lion) {
      theta -= c.step * sign(m);
    } else {
      v = flushed_square(ema_squares(v, corrected * corrected, c.beta2), c.flush);
      if constexpr (amsgrad) v_max = max(v_max, v);
      theta -= c.step * m / corrected_root<false>(amsgrad ? v_max : v, c.correct2, c.eps);
    }
  }
};

}  // namespace fastopt::rules
