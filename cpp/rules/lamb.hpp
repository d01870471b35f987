// LAMB. You et al. 2020 (arXiv:1904.00962), Algorithm 2 with phi the identity: the step r of Adam, decay included, scaled in
// each tensor to a length of lr |theta|. Where |theta| or |r| is 0 the trust ratio is 1, as in the authors' code.
// The first phase updates m and v and sums theta^2 and r^2; the second forms r again from m and v: 16 bytes per element
// (f32) instead of storing r and reading it back, with the gradient not read again.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Lamb {
  static constexpr std::string_view name = "lamb";
  static constexpr Names<0> flags = none;
  static constexpr std::array states = {State{"exp_avg"}, State{"exp_avg_sq", true, true}};
  static constexpr Reach reach = {.squared = true};
  static constexpr bool reads_theta = true;
  struct Hypers {
    double lr, beta1, beta2, eps, weight_decay;
  };
  static constexpr Names<5> hypers = {"lr", "beta1", "beta2", "eps", "weight_decay"};
  template <class T>
  struct Coefs {
    T step;
    Average<T> beta1, beta2;
    T correct1, correct2, eps, weight_decay, flush;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t t) {
    return {h.lr,
            average(h.beta1),
            average(h.beta2),
            1 / bias_correction(h.beta1, t),
            1 / std::sqrt(bias_correction(h.beta2, t)),
            h.eps,
            h.weight_decay,
            may_flush(h.eps, false)};
  }

  template <class T>
  static T direction(T theta, T m, T v, const Coefs<T>& c) {
    return c.correct1 * m / corrected_root<false>(v, c.correct2, c.eps) + c.weight_decay * theta;
  }

  static constexpr int sums = 2;
  static constexpr bool reduce_writes_states = true, reads_gradient = false;

  template <class T>
  static void reduce(T theta, T g, T& m, T& v, const Coefs<T>& c, T (&x)[sums]) {
    m = flushed(ema(m, g, c.beta1));
    v = flushed_square(ema_squares(v, g * g, c.beta2), c.flush);
    x[0] = theta;
    x[1] = direction(theta, m, v, c);
  }

  static void finish(Coefs<double>& c, const double (&sum)[sums]) {
    if (sum[0] != 0 && sum[1] != 0) c.step *= std::sqrt(sum[0]) / std::sqrt(sum[1]);
  }

  template <class T>
  static void update(T& theta, T, T& m, T& v, const Coefs<T>& c) {
    theta -= c.step * direction(theta, m, v, c);
  }
};

}  // namespace fastopt::rules
