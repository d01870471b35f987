// AdEMAMix. Pagliardini, Ablin & Grangier 2024 (arXiv:2409.03137), Algorithm 1: Adam whose step is that of two averages of
// the gradient, a fast one and alpha times one that remembers tens of thousands of steps and is not corrected for its start.
// alpha rises linearly, and beta3 from beta1 so that its half-life does, over the first steps (section 3, equations for
// f_alpha and f_beta3). The authors' code adds 1e-8 to each beta in that interpolation, against the logarithm of 0; here
// 1 / log 0 is the 0 that it should be.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct AdEMAMix {
  static constexpr std::string_view name = "ademamix";
  static constexpr Names<0> flags = none;
  // Of an average of ten thousand gradients that are mostly noise, eight bits would leave the noise of their rounding.
  static constexpr std::array states = {State{"exp_avg_fast"}, State{"exp_avg_slow", true, false, Codes::none},
                                        State{"exp_avg_sq", true, true}};
  static constexpr Reach reach = {.squared = true};
  struct Hypers {
    double lr, beta1, beta2, beta3, eps, alpha, alpha_warmup, beta3_warmup;  // warm-ups: their steps, 0 for none
  };
  static constexpr Names<8> hypers = {"lr", "beta1", "beta2", "beta3", "eps", "alpha", "alpha_warmup", "beta3_warmup"};
  template <class T>
  struct Coefs {
    T fast, slow;
    Average<T> beta1, beta2, beta3;
    T correct2, eps, flush;
  };

  // 1 / log(beta) is minus the number of steps in which the average forgets all but 1 / e; between the two ends it is
  // interpolated. 1 - beta is formed from the exponent, with all its digits.
  static Average<double> warming(double from, double to, double step, double steps) {
    const double exponent = steps / ((steps - step) / std::log(from) + step / std::log(to));
    const double beta = std::exp(exponent);
    if (beta < small_beta) return {1 - beta, beta, 0};
    return {-std::expm1(exponent), 1, 1};
  }

  static Coefs<double> prepare(const Hypers& h, std::int64_t t) {
    const double step = static_cast<double>(t);
    const double alpha = step < h.alpha_warmup ? h.alpha * (step / h.alpha_warmup) : h.alpha;
    return {h.lr / bias_correction(h.beta1, t),
            h.lr * alpha,
            average(h.beta1),
            average(h.beta2),
            step < h.beta3_warmup ? warming(h.beta1, h.beta3, step, h.beta3_warmup) : average(h.beta3),
            1 / std::sqrt(bias_correction(h.beta2, t)),
            h.eps,
            may_flush(h.eps, false)};
  }

  template <class T>
  static void update(T& theta, T g, T& fast, T& slow, T& v, const Coefs<T>& c) {
    fast = flushed(ema(fast, g, c.beta1));
    slow = flushed(ema(slow, g, c.beta3));
    v = flushed_square(ema_squares(v, g * g, c.beta2), c.flush);
    theta -= (c.fast * fast + c.slow * slow) / corrected_root<false>(v, c.correct2, c.eps);
  }
};

}  // namespace fastopt::rules
