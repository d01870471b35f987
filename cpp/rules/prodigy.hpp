// Prodigy. Mishchenko & Defazio 2023 (arXiv:2306.06101), Algorithm 4: Adam whose rate is an estimate d of the distance from
// the start theta_0 to the solution, d_hat = sum of weight <g, theta_0 - theta> / |s|_1, both sums over all parameters. As
// in the authors' code: weights have a factor d / d0, so that the numbers stay in reach; epsilon has the factor d of the
// coming estimate, the step that of the last; bias correction counts the steps of the optimizer (`k`), not of a tensor. The
// first phase updates m, v and s and forms the sums; the second forms the step from m and v. A group with lr = 0 rests: its
// averages stand still, it is in no sum and does not move (the authors' moves it along an average that was there). Where no
// gradient but 0 was seen, nothing moves.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Prodigy {
  static constexpr std::string_view name = "prodigy";
  static constexpr Names<0> flags = none;
  // p0 is subtracted and the sum of |s| a denominator, which random rounding would make too large.
  static constexpr std::array states = {State{"exp_avg"}, State{"exp_avg_sq", true, true},
                                        State{.name = "s", .codes = Codes::none, .small = true},
                                        State{.name = "p0", .codes = Codes::none, .exact = true}};
  static constexpr Reach reach = {.squared = true};
  static constexpr bool reads_theta = true;  // through where it began
  struct Hypers {
    double lr, beta1, beta2, beta3, eps, weight_decay, use_bias_correction, safeguard_warmup, d0, d_coef, growth_rate;
  };
  static constexpr Names<11> hypers = {
      "lr", "beta1",  "beta2",      "beta3", "eps", "weight_decay", "use_bias_correction", "safeguard_warmup",
      "d0", "d_coef", "growth_rate"};
  static constexpr Names<8> shared = {"beta1", "beta2",  "beta3",      "use_bias_correction", "safeguard_warmup",
                                      "d0",    "d_coef", "growth_rate"};
  struct Scalars {
    double d = 0, d_max = 0, d_numerator = 0, k = 0;  // d, d_max: d0 before the first step
  };
  static constexpr Names<4> scalars = {"d", "d_max", "d_numerator", "k"};
  template <class T>
  struct Coefs {
    T d;
    Average<T> beta1, beta2, beta3;
    T weight, step, decay, eps, flush;
  };

  static Start start(std::size_t state, const Hypers&) { return {.parameter = state == 3 ? 1. : 0.}; }

  static double rate(const Hypers& h, double k, double d) {
    const auto t = static_cast<std::int64_t>(k);
    if (h.use_bias_correction == 0) return d * h.lr;
    return d * h.lr * std::sqrt(bias_correction(h.beta2, t)) / bias_correction(h.beta1, t);
  }

  static Coefs<double> prepare(const Hypers& h, std::int64_t, Scalars& s) {
    if (s.d == 0) s.d = s.d_max = h.d0;
    const double step = rate(h, s.k + 1, s.d);
    const bool rests = h.lr == 0;
    const Average<double> standing = {0, 1, 1};
    return {s.d,
            rests ? standing : average(h.beta1),
            rests ? standing : average(h.beta2),
            rests ? standing : average(h.beta3),
            rests ? 0 : s.d / h.d0 * (h.safeguard_warmup != 0 ? s.d : step),
            step,
            h.weight_decay * step,
            h.eps,
            may_flush(s.d * h.eps, false)};
  }

  static constexpr int sums = 2;
  static constexpr bool plain_sums = true, reduce_writes_states = true, reads_gradient = false;

  template <class T>
  static void reduce(T theta, T g, T& m, T& v, T& s, T& p0, const Coefs<T>& c, T (&x)[sums]) {
    m = flushed(ema(m, c.d * g, c.beta1));
    v = flushed_square(ema_squares(v, c.d * c.d * (g * g), c.beta2), c.flush);
    s = flushed(decayed(s, c.beta3) + c.weight * g);
    x[0] = g * (p0 - theta);
    x[1] = std::abs(s);
  }

  // With a sum that is not finite the estimate stays: numbers that a checkpoint can hold, whatever becomes of the elements.
  static void settle(const Hypers& h, const double (&sum)[sums], Scalars& s) {
    if (sum[1] == 0) return;
    s.k += 1;
    const double numerator = h.beta3 * s.d_numerator + s.d / h.d0 * rate(h, s.k, s.d) * sum[0];
    const double d_hat = h.d_coef * numerator / sum[1];
    if (!std::isfinite(numerator) || !std::isfinite(d_hat)) return;
    s.d_numerator = numerator;
    if (s.d == h.d0) s.d = max(s.d, d_hat);
    s.d_max = max(s.d_max, d_hat);
    s.d = min(s.d_max, s.d * h.growth_rate);
  }

  static void conclude(Coefs<double>& c, const double (&sum)[sums], const Scalars& s) {
    c.eps *= s.d;
    if (sum[1] == 0) c.step = c.decay = 0;
  }

  template <class T>
  static void update(T& theta, T, T& m, T& v, T&, T&, const Coefs<T>& c) {
    theta -= c.decay * theta;
    theta -= c.step * m / (std::sqrt(v) + c.eps);
  }
};

}  // namespace fastopt::rules
