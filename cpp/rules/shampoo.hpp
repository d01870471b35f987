// Shampoo. Gupta, Koren and Singer 2018 (arXiv:1802.09568), Algorithm 2: the gradient, or an average of gradients, is
// multiplied along each of k sides by the inverse 2k-th root of that side's statistics. Grafting (Anil et al. 2020,
// arXiv:2002.09018) gives the step the length of SGD's or Adam's. What happens between gradient and step is
// cpp/matrix/shampoo.cpp's.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Shampoo {
  static constexpr std::string_view name = "shampoo";
  static constexpr Names<2> flags = {"momentum", "graft_adam"};
  static constexpr bool matrix = true, averages = Flags & 1, adam = Flags & 2;
  static constexpr std::array<State, 0> states{};
  static constexpr std::array shaped = {Shaped{"exp_avg", Shape::own, averages}, Shaped{"exp_avg_sq", Shape::own, adam},
                                        Shaped{"statistics", Shape::own}, Shaped{"roots", Shape::own}};
  static constexpr Reach reach = {.squared = true};
  // What the transform reads as well (cpp/matrix/shampoo.cpp).
  struct Hypers {
    double lr, momentum, epsilon, beta2, update_freq, block_size, grafting, graft_beta2, graft_eps;
  };
  static constexpr Names<9> hypers = {"lr",         "momentum", "epsilon",     "beta2",    "update_freq",
                                      "block_size", "grafting", "graft_beta2", "graft_eps"};
  template <class T>
  struct Coefs {
    T step;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t) { return {h.lr}; }

  template <class T>
  static T gather(T, T g, const Coefs<T>&) {
    return g;
  }

  template <class T>
  static void update(T& theta, T x, const Coefs<T>& c) {
    theta -= c.step * x;
  }
};

}  // namespace fastopt::rules
