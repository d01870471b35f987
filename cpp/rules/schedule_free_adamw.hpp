// Schedule-Free AdamW. Defazio et al. 2024 (arXiv:2405.15682), Algorithm 1 with Adam's second moment, bias-corrected, under
// the gradient; as in the authors' code decay is of y and joins the direction: d = g / (sqrt(v) + eps) + weight_decay y.
#pragma once
#include "rules/schedule_free.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct ScheduleFreeAdamW {
  static constexpr std::string_view name = "schedule_free_adamw";
  static constexpr Names<0> flags = none;
  static constexpr std::array states = {schedule_free::z, State{"exp_avg_sq", true, true}};
  static constexpr Reach reach = {.squared = true};
  static constexpr bool rows = false;        // y moves towards z in every step
  static constexpr bool reads_theta = true;  // the step is an interpolation
  struct Hypers {
    double lr, beta1, beta2, eps, weight_decay, warmup_steps, r, weight_lr_power;
  };
  static constexpr Names<8> hypers = {"lr", "beta1", "beta2", "eps", "weight_decay", "warmup_steps", "r", "weight_lr_power"};
  using Scalars = schedule_free::Scalars;
  static constexpr auto scalars = schedule_free::scalars;
  template <class T>
  struct Coefs {
    T weight, step_y, step_z;
    Average<T> beta2;
    T correct2, eps, weight_decay, flush;
  };

  static Start start(std::size_t state, const Hypers&) { return schedule_free::start(state); }
  static double average_at(const Hypers& h) { return h.beta1; }

  static Coefs<double> prepare(const Hypers& h, std::int64_t t, Scalars& s) {
    const double lr = schedule_free::warmed_up(h.lr, h.warmup_steps, t);
    const auto steps = schedule_free::steps(lr, h.beta1, h.r, h.weight_lr_power, t, s);
    return {steps.weight,
            steps.y,
            steps.z,
            average(h.beta2),
            1 / std::sqrt(bias_correction(h.beta2, t)),
            h.eps,
            h.weight_decay,
            may_flush(h.eps, false)};
  }

  template <class T>
  static void update(T& y, T g, T& z, T& v, const Coefs<T>& c) {
    v = flushed_square(ema_squares(v, g * g, c.beta2), c.flush);
    const T direction = g / corrected_root<false>(v, c.correct2, c.eps) + c.weight_decay * y;
    schedule_free::move(y, z, direction, c.weight, c.step_y, c.step_z);
  }
};

}  // namespace fastopt::rules
