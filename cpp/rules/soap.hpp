// SOAP: Adam in the eigenbases of Shampoo's statistics. Vyas et al. 2024 (arXiv:2409.11321), Algorithm 3, as the authors'
// code computes: the first gradient only fills the statistics, so that no gradient is projected on a basis that it has
// shaped, and Adam's t is one behind; decay comes after the step. What happens in between is cpp/matrix/soap.cpp's.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Soap {
  static constexpr std::string_view name = "soap";
  static constexpr Names<0> flags = none;
  static constexpr bool matrix = true, fills_first = true;
  static constexpr std::array<State, 0> states{};
  static constexpr std::array shaped = {Shaped{"exp_avg", Shape::own}, Shaped{"exp_avg_sq", Shape::own},
                                        Shaped{"GG", Shape::own}, Shaped{"Q", Shape::own}};
  static constexpr Reach reach = {.squared = true};
  // What the transform reads as well (cpp/matrix/soap.cpp).
  struct Hypers {
    double lr, beta1, beta2, shampoo_beta, eps, weight_decay, precondition_frequency, max_precond_dim, merge_dims,
        precondition_1d, normalize_grads, correct_bias;
  };
  static constexpr Names<12> hypers = {"lr",
                                       "beta1",
                                       "beta2",
                                       "shampoo_beta",
                                       "eps",
                                       "weight_decay",
                                       "precondition_frequency",
                                       "max_precond_dim",
                                       "merge_dims",
                                       "precondition_1d",
                                       "normalize_grads",
                                       "correct_bias"};
  template <class T>
  struct Coefs {
    T step, decay;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t t) {
    if (t == 1) return {0, 0};
    const double missing1 = bias_correction(h.beta1, t - 1), missing2 = bias_correction(h.beta2, t - 1);
    return {h.correct_bias != 0 ? h.lr * std::sqrt(missing2) / missing1 : h.lr, h.lr * h.weight_decay};
  }

  template <class T>
  static T gather(T, T g, const Coefs<T>&) {
    return g;
  }

  template <class T>
  static void update(T& theta, T x, const Coefs<T>& c) {
    theta -= c.step * x;
    theta -= c.decay > T(0) ? c.decay * theta : T(0);
  }
};

}  // namespace fastopt::rules
