// Adafactor. Shazeer and Stern 2018 (arXiv:1804.04235), Algorithms 4 and 5, as torch.optim.Adafactor computes by default, or
// as the authors' and transformers' (`added`, `scaled_decay`). Everything between the gradient and the clipped update is
// cpp/matrix/adafactor.cpp's; decay by the plain rate is here.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Adafactor {
  static constexpr std::string_view name = "adafactor";
  static constexpr Names<1> flags = {"beta1"};
  static constexpr bool matrix = true, averages = Flags & 1;
  static constexpr std::array<State, 0> states{};
  static constexpr std::array shaped = {Shaped{"row_var", Shape::own}, Shaped{"col_var", Shape::own},
                                        Shaped{"variance", Shape::own}, Shaped{"exp_avg", Shape::own, averages}};
  static constexpr Reach reach = {.squared = true};
  // What the transform reads as well (cpp/matrix/adafactor.cpp).
  struct Hypers {
    double lr, beta2_decay, eps1, eps2, d, weight_decay, beta1, relative_step, scale_parameter, warmup_init, added,
        scaled_decay;
  };
  static constexpr Names<12> hypers = {
      "lr",          "beta2_decay", "eps1",        "eps2", "d", "weight_decay", "beta1", "relative_step", "scale_parameter",
      "warmup_init", "added",       "scaled_decay"};
  template <class T>
  struct Coefs {
    T decay;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t) { return {h.scaled_decay != 0 ? 0 : h.lr * h.weight_decay}; }

  template <class T>
  static T gather(T, T g, const Coefs<T>&) {
    return g;
  }

  template <class T>
  static void update(T& theta, T x, const Coefs<T>& c) {
    theta -= c.decay > T(0) ? c.decay * theta : T(0);
    theta -= x;
  }
};

}  // namespace fastopt::rules
