// Muon. Jordan et al. 2024 (kellerjordan.github.io/posts/muon), as torch.optim.Muon computes it but in the type of
// computation and not in bfloat16: momentum as an average, Nesterov's as the average of it and g, the matrix orthogonalised
// (cpp/matrix/muon.cpp), theta -= lr x. With `normalize` NorMuon (Li et al. 2025, arXiv:2510.05491): rows of the
// orthogonalised matrix are divided by the root of their average square over the steps, its norm is kept.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Muon {
  static constexpr std::string_view name = "muon";
  static constexpr Names<1> flags = {"normalize"};
  static constexpr bool matrix = true, normalize = Flags & 1;
  static constexpr std::array states = {State{"momentum_buffer"}};
  static constexpr std::array shaped = {Shaped{"second_momentum", Shape::rows, normalize}};
  static constexpr Reach reach = {.times = 2};  // g - m
  // From `nesterov` on what the transform reads (cpp/matrix/muon.hpp): words as numbers.
  struct Hypers {
    double lr, momentum, nesterov, eps, ns_steps, a, b, c, polar_express, exact, adjust, beta2;
  };
  static constexpr Names<12> hypers = {"lr", "momentum", "nesterov",      "eps",   "ns_steps", "a",
                                       "b",  "c",        "polar_express", "exact", "adjust",   "beta2"};
  template <class T>
  struct Coefs {
    T step;
    Average<T> momentum, nesterov;
  };

  // Without Nesterov's the average of the buffer and g is the buffer.
  static Coefs<double> prepare(const Hypers& h, std::int64_t) {
    const Average<double> momentum = average(h.momentum);
    return {h.lr, momentum, h.nesterov != 0 ? momentum : Average<double>{0, 1, 1}};
  }

  template <class T>
  static T gather(T, T g, T& m, const Coefs<T>& c) {
    m = flushed(ema(m, g, c.momentum));
    return ema(m, g, c.nesterov);
  }

  template <class T>
  static void update(T& theta, T x, T&, const Coefs<T>& c) {
    theta -= c.step * x;
  }
};

}  // namespace fastopt::rules
