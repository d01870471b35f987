// StableAdamW. Wortsman et al. 2023 (arXiv:2304.13013), Algorithm 2: AdamW with Adafactor's update clipping. Each tensor's
// rate, decay included, is divided by the root mean square of g / max(sqrt(v), eps) where that exceeds 1: where gradients
// suddenly are larger than v knows. As there the betas carry the correction for the start.
// The first phase updates m and v, the second forms the step of them, as LAMB does.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct StableAdamW {
  static constexpr std::string_view name = "stableadamw";
  static constexpr Names<0> flags = none;
  static constexpr std::array states = {State{"exp_avg"}, State{"exp_avg_sq", true, true}};
  static constexpr Reach reach = {.squared = true};
  struct Hypers {
    double lr, beta1, beta2, eps, weight_decay;
  };
  static constexpr Names<5> hypers = {"lr", "beta1", "beta2", "eps", "weight_decay"};
  template <class T>
  struct Coefs {
    T step;
    Average<T> beta1, beta2;
    T eps, weight_decay, flush;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t t) {
    return {h.lr, mean_so_far(h.beta1, t), mean_so_far(h.beta2, t), h.eps, h.weight_decay, may_flush(h.eps, false)};
  }

  static constexpr int sums = 1;
  static constexpr bool reduce_writes_states = true, reads_gradient = false, reduce_reads_theta = false;

  template <class T>
  static void reduce(T, T g, T& m, T& v, const Coefs<T>& c, T (&x)[sums]) {
    m = flushed(ema(m, g, c.beta1));
    v = flushed_square(ema_squares(v, g * g, c.beta2), c.flush);
    x[0] = g / max(std::sqrt(v), c.eps);
  }

  static void finish(Coefs<double>& c, const double (&sum)[sums], std::int64_t n) {
    const double mean = sum[0] / static_cast<double>(n);
    if (mean > 1) c.step /= std::sqrt(mean);
  }

  static double own_decay(const Coefs<double>& c) { return c.step * c.weight_decay; }

  template <class T>
  static void update(T& theta, T, T& m, T& v, const Coefs<T>& c) {
    theta -= c.step * (m / root<false>(v, c.eps) + c.weight_decay * theta);
  }
};

}  // namespace fastopt::rules
