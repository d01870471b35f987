// LARS. You, Gitman & Ginsburg 2017 (arXiv:1708.03888), Algorithm 1: momentum SGD in which each tensor has a rate of its
// own, trust_coefficient |theta| / (|g| + weight_decay |theta| + eps), with the Euclidean norms of the whole tensor. Where
// one of the two norms is 0 that rate is 1 (the paper would never move a tensor that starts at 0). lr is inside the
// velocity, as in the paper.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Lars {
  static constexpr std::string_view name = "lars";
  static constexpr Names<0> flags = none;
  static constexpr std::array states = {State{"momentum_buffer"}};
  static constexpr Reach reach = {.squared = true, .summed = true};
  static constexpr bool reads_theta = true;
  struct Hypers {
    double lr, momentum, weight_decay, trust_coefficient, eps;
  };
  static constexpr Names<5> hypers = {"lr", "momentum", "weight_decay", "trust_coefficient", "eps"};
  template <class T>
  struct Coefs {
    T step;
    Average<T> momentum;
    T weight_decay, trust_coefficient, eps;  // the last two only for `finish`
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t) {
    return {h.lr, average(h.momentum), h.weight_decay, h.trust_coefficient, h.eps};
  }

  static constexpr int sums = 2;
  static constexpr bool reduce_writes_states = false, reads_gradient = true;

  template <class T>
  static void reduce(T theta, T g, const Coefs<T>&, T (&x)[sums]) {
    x[0] = theta;
    x[1] = g;
  }

  static void finish(Coefs<double>& c, const double (&sum)[sums]) {
    const double size = std::sqrt(sum[0]), slope = std::sqrt(sum[1]);
    if (size != 0 && slope != 0) c.step *= c.trust_coefficient * size / (slope + c.weight_decay * size + c.eps);
  }

  template <class T>
  static void update(T& theta, T g, T& v, const Coefs<T>& c) {
    v = flushed(decayed(v, c.momentum) + c.step * (g + c.weight_decay * theta));
    theta -= v;
  }
};

}  // namespace fastopt::rules
