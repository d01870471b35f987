// RMSprop. Tieleman & Hinton 2012 (Coursera, lecture 6e); centered: Graves 2013 (arXiv:1308.0850), equations 38 to 45.
// As in torch.optim.RMSprop: epsilon outside the root unless asked, momentum over the scaled gradient with lr outside, or
// inside the buffer (`step_form`: TensorFlow, Keras, optax), where old velocity keeps the old lr.
// Unlike PyTorch, the variance v - m^2 is cut at 0: rounding can make it negative, and its root NaN.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct RmsProp {
  static constexpr std::string_view name = "rmsprop";
  static constexpr Names<3> flags = {"centered", "momentum", "eps_inside_root"};
  static constexpr bool centered = Flags & 1, momentum = Flags & 2, eps_inside_root = Flags & 4;
  // centered: of the difference of both little may be left, and 1e5 rates are a step once rounding takes that
  static constexpr std::array states = {
      State{"square_avg", true, true, centered ? Codes::none : Codes::positive, false, centered},
      State{.name = "grad_avg", .used = centered, .codes = Codes::none, .exact = true}, State{"momentum_buffer", momentum}};
  static constexpr bool scales_in_loop = !eps_inside_root;
  static constexpr Reach reach = {.squared = true};
  struct Hypers {
    double lr, alpha, eps, momentum, step_form;
  };
  static constexpr Names<5> hypers = {"lr", "alpha", "eps", "momentum", "step_form"};
  template <class T>
  struct Coefs {
    T lr;
    Average<T> alpha;
    T eps;
    Average<T> old;  // of the momentum
    T inside, flush;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t) {
    const bool inside = momentum && h.step_form != 0;
    return {inside ? 1 : h.lr,   average(h.alpha),  h.eps,
            average(h.momentum), inside ? h.lr : 1, may_flush(h.eps, eps_inside_root)};
  }

  template <class T>
  static void update(T& theta, T g, T& v, T& m, T& buffer, const Coefs<T>& c) {
    v = flushed_square(ema_squares(v, g * g, c.alpha), c.flush);
    if constexpr (centered) m = flushed(ema(m, g, c.alpha));
    const T variance = centered ? max(v - m * m, T(0)) : v;
    const T denominator = root<eps_inside_root>(variance, c.eps);
    if constexpr (momentum) {
      buffer = flushed(decayed(buffer, c.old) + c.inside * g / denominator);
      theta -= c.lr * buffer;
    } else {
      theta -= c.lr * g / denominator;
    }
  }
};

}  // namespace fastopt::rules
