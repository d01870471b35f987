// ADOPT. Taniguchi et al. 2024 (arXiv:2411.02853), Algorithm 2: each gradient is divided by the root of a second moment that
// does not know it yet, clipped, and only then averaged: this converges for every beta2. As in the authors' code the first
// gradient makes the second moment and nothing moves, the divisor is at least epsilon, and step t clips at
// (t - 1)^clip_exp. A negative clip_exp clips nothing.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Adopt {
  static constexpr std::string_view name = "adopt";
  static constexpr Names<0> flags = none;
  static constexpr std::array states = {State{"exp_avg"}, State{"exp_avg_sq", true, true}};
  static constexpr Reach reach = {.squared = true};
  static constexpr bool fills_first = true;
  struct Hypers {
    double lr, beta1, beta2, eps, clip_exp;
  };
  static constexpr Names<5> hypers = {"lr", "beta1", "beta2", "eps", "clip_exp"};
  template <class T>
  struct Coefs {
    T lr;
    Average<T> beta1, beta2;
    T limit, eps, flush;
  };

  // The first step is one like the others, with an average that takes all of g^2 and a quotient that is clipped to 0.
  static Coefs<double> prepare(const Hypers& h, std::int64_t t) {
    const double flush = may_flush(h.eps, false);
    if (t == 1) return {0, average(h.beta1), average(0), 0, 1, flush};
    const double most = std::numeric_limits<float>::max();
    const double limit = h.clip_exp < 0 ? most : min(std::pow(static_cast<double>(t - 1), h.clip_exp), most);
    return {h.lr, average(h.beta1), average(h.beta2), limit, h.eps, flush};
  }

  template <class T>
  static void update(T& theta, T g, T& m, T& v, const Coefs<T>& c) {
    const T scaled = g / max(std::sqrt(v), c.eps);
    m = flushed(ema(m, min(max(scaled, -c.limit), c.limit), c.beta1));
    v = flushed_square(ema_squares(v, g * g, c.beta2), c.flush);
    theta -= c.lr * m;
  }
};

}  // namespace fastopt::rules
