// Adagrad. Duchi, Hazan & Singer 2011 (JMLR 12), Figure 1 with the diagonal matrix: each coordinate's rate falls with the
// sum of its squared gradients. As in torch.optim.Adagrad: lr / (1 + (t - 1) lr_decay), epsilon outside the root.
// `average` takes the root MEAN square instead: it only scales the sum, which stays the state, by 1 / t.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Adagrad {
  static constexpr std::string_view name = "adagrad";
  static constexpr Names<1> flags = {"eps_inside_root"};
  static constexpr bool eps_inside_root = Flags & 1;
  static constexpr std::array states = {State{"sum", true, true, Codes::none}};
  static constexpr Reach reach = {.squared = true};
  struct Hypers {
    double lr, lr_decay, eps, average;
  };
  static constexpr Names<4> hypers = {"lr", "lr_decay", "eps", "average"};
  template <class T>
  struct Coefs {
    T lr, scale, eps;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t t) {
    const double steps = static_cast<double>(t);
    return {h.lr / (1 + (steps - 1) * h.lr_decay), h.average != 0 ? 1 / steps : 1, h.eps};
  }

  template <class T>
  static void update(T& theta, T g, T& sum, const Coefs<T>& c) {
    sum += g * g;
    theta -= c.lr * g / root<eps_inside_root>(c.scale * sum, c.eps);
  }
};

}  // namespace fastopt::rules
