// Schedule-Free RAdam. The authors of Schedule-Free (Defazio et al. 2024, arXiv:2405.15682) give it in their code: the
// rectification of RAdam (Liu et al. 2020, arXiv:1908.03265) as the warm-up of the rate. While the variance of the adaptive
// rate is unbounded (rho_t <= 4) the direction is the gradient itself, and the rate 0 or, without `silent_sgd_phase`, lr.
#pragma once
#include "rules/radam.hpp"
#include "rules/schedule_free.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct ScheduleFreeRAdam {
  static constexpr std::string_view name = "schedule_free_radam";
  static constexpr Names<0> flags = none;
  static constexpr std::array states = {schedule_free::z, State{"exp_avg_sq", true, true}};
  static constexpr Reach reach = {.squared = true};
  static constexpr bool rows = false;        // y moves towards z in every step
  static constexpr bool reads_theta = true;  // the step is an interpolation
  struct Hypers {
    double lr, beta1, beta2, eps, weight_decay, r, weight_lr_power, silent_sgd_phase;
  };
  static constexpr Names<8> hypers = {"lr",           "beta1", "beta2",           "eps",
                                      "weight_decay", "r",     "weight_lr_power", "silent_sgd_phase"};
  using Scalars = schedule_free::Scalars;
  static constexpr auto scalars = schedule_free::scalars;
  template <class T>
  struct Coefs {
    T weight, step_y, step_z;
    Average<T> beta2;
    T correct2, eps, weight_decay, adaptive, flush;
  };

  static Start start(std::size_t state, const Hypers&) { return schedule_free::start(state); }
  static double average_at(const Hypers& h) { return h.beta1; }

  static Coefs<double> prepare(const Hypers& h, std::int64_t t, Scalars& s) {
    const double rest = 1 - h.beta2, limit = (1 + h.beta2) / rest;
    const Power p = power(h.beta2, t);
    const double rho = RAdam<0>::length(rest, limit, p, static_cast<double>(t));
    const bool adaptive = rho > 4;
    const double rectify = adaptive ? std::sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
                                    : (h.silent_sgd_phase != 0 ? 0 : 1);
    const auto steps = schedule_free::steps(h.lr * rectify, h.beta1, h.r, h.weight_lr_power, t, s);
    return {steps.weight,
            steps.y,
            steps.z,
            average(h.beta2),
            1 / std::sqrt(p.missing),
            h.eps,
            h.weight_decay,
            adaptive ? 1. : 0.,
            may_flush(h.eps, false)};
  }

  template <class T>
  static void update(T& y, T g, T& z, T& v, const Coefs<T>& c) {
    v = flushed_square(ema_squares(v, g * g, c.beta2), c.flush);
    const T denominator = c.adaptive > T(0) ? corrected_root<false>(v, c.correct2, c.eps) : T(1);
    schedule_free::move(y, z, g / denominator + c.weight_decay * y, c.weight, c.step_y, c.step_z);
  }
};

}  // namespace fastopt::rules
