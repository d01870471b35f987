// FTRL-Proximal. McMahan et al. 2013 (KDD, "Ad click prediction"), Algorithm 1: theta is the minimum of all past gradients'
// linear forms, of quadratic terms that grow as Adagrad's sum does, and of L1 and L2 penalties: zeros are exact.
// Two things are done so that it fits among other rules, and change nothing where lr is constant and theta begins at 0: the
// state is lr z of the paper (a schedule then changes steps to come, not theta), and the quadratic term of the paper's beta
// is about the theta of the element's first gradient (not about 0, which would take all but a little of it away).
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Ftrl {
  static constexpr std::string_view name = "ftrl";
  static constexpr Names<0> flags = none;
  // theta is formed of both anew, and has not been met where both are 0
  static constexpr std::array states = {State{.name = "linear", .codes = Codes::none, .exact = true},
                                        State{.name = "sum", .squared = true, .codes = Codes::none, .exact = true}};
  static constexpr Reach reach = {.squared = true};
  static constexpr bool reads_theta = true;
  struct Hypers {
    double lr, beta, lambda1, weight_decay;
  };
  static constexpr Names<4> hypers = {"lr", "beta", "lambda1", "weight_decay"};
  template <class T>
  struct Coefs {
    T lr, beta, l1, l2;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t) {
    return {h.lr, h.beta, h.lr * h.lambda1, h.lr * h.weight_decay};
  }

  template <class T>
  static void update(T& theta, T g, T& linear, T& sum, const Coefs<T>& c) {
    const T z = sum > T(0) || linear != T(0) ? linear : -c.beta * theta;
    const T largest = std::numeric_limits<T>::max();  // with an infinite sum, z and the weight would be infinite as well
    const T before = std::sqrt(sum), square = min(g * g, largest);
    sum = min(sum + square, largest);
    const T after = std::sqrt(sum), both = after + before;
    const T rise = square / (both > T(0) ? both : T(1));  // after - before, without the digits that this would cancel
    linear = z + c.lr * g - rise * theta;
    const T weight = c.beta + after + c.l2;
    const T size = max(std::abs(linear) - c.l1, T(0));
    const T minimum = std::copysign(size, -linear) / weight + T(0);  // zeros are positive
    theta = weight > T(0) ? minimum : theta;                         // nothing is known yet
  }
};

}  // namespace fastopt::rules
