// Schedule-Free SGD. Defazio et al. 2024 (arXiv:2405.15682), Algorithm 1 with the gradient itself as direction.
#pragma once
#include "rules/schedule_free.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct ScheduleFreeSgd {
  static constexpr std::string_view name = "schedule_free_sgd";
  static constexpr Names<0> flags = none;
  static constexpr std::array states = {schedule_free::z};
  static constexpr bool rows = false;        // y moves towards z in every step
  static constexpr bool reads_theta = true;  // the step is an interpolation
  struct Hypers {
    double lr, momentum, warmup_steps, r, weight_lr_power;
  };
  static constexpr Names<5> hypers = {"lr", "momentum", "warmup_steps", "r", "weight_lr_power"};
  using Scalars = schedule_free::Scalars;
  static constexpr auto scalars = schedule_free::scalars;
  template <class T>
  struct Coefs {
    T weight, step_y, step_z;
  };

  static Start start(std::size_t state, const Hypers&) { return schedule_free::start(state); }
  static double average_at(const Hypers& h) { return h.momentum; }

  static Coefs<double> prepare(const Hypers& h, std::int64_t t, Scalars& s) {
    const double lr = schedule_free::warmed_up(h.lr, h.warmup_steps, t);
    const auto steps = schedule_free::steps(lr, h.momentum, h.r, h.weight_lr_power, t, s);
    return {steps.weight, steps.y, steps.z};
  }

  template <class T>
  static void update(T& y, T g, T& z, const Coefs<T>& c) {
    schedule_free::move(y, z, g, c.weight, c.step_y, c.step_z);
  }
};

}  // namespace fastopt::rules
