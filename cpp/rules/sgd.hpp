// Stochastic gradient descent with momentum (Polyak 1964) and Nesterov's acceleration in the form of Sutskever et al. 2013,
// section 2, shifted as in torch.optim.SGD: theta is the look-ahead point.
//
// The three forms of momentum found in the literature are one formula, v = mu v + c g; theta -= a v:
//   "gradient"  c = 1 - dampening     a = lr    (PyTorch; at the first step c = 1: v starts as g itself)
//   "step"      c = lr (1 - damp.)    a = 1     (Keras, scikit-learn: old velocity keeps the old lr)
//   "average"   c = (1-mu)(1-damp.)   a = lr    (an average of gradients: "gradient" with lr (1 - mu))
// and Nesterov's step is theta -= a (c g + mu v).
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Sgd {
  static constexpr std::string_view name = "sgd";
  static constexpr Names<4> flags = {"momentum", "nesterov", "step_form", "average_form"};
  static constexpr bool momentum = Flags & 1, nesterov = Flags & 2, step_form = Flags & 4, average_form = Flags & 8;
  static constexpr bool valid = momentum ? !(step_form && average_form) : Flags == 0;
  static constexpr std::array states = {State{"momentum_buffer", momentum}};
  static constexpr bool scales_in_loop = true;
  struct Hypers {
    double lr, momentum, dampening;
  };
  static constexpr Names<3> hypers = {"lr", "momentum", "dampening"};
  template <class T>
  struct Coefs {
    T a, c, mu;
    Average<T> old;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t t) {
    const double damped = t == 1 ? 1 : 1 - h.dampening;
    const Average<double> old = average(h.momentum);
    if (!momentum) return {h.lr, 1, 0, old};
    if (step_form) return {1, h.lr * damped, h.momentum, old};
    if (average_form) return {h.lr, (1 - h.momentum) * damped, h.momentum, old};
    return {h.lr, damped, h.momentum, old};
  }

  static double look_ahead(const Hypers& h) { return step_form ? h.momentum : h.lr * h.momentum; }

  template <class T>
  static void update(T& theta, T g, T& v, const Coefs<T>& c) {
    if constexpr (!momentum) {
      theta -= c.a * g;
    } else {
      // with 1 - mu as a number of its own: a mean of equal gradients stays, and mu near 1 keeps its digits
      v = flushed(average_form ? c.old.keep * v + (c.c * g - c.old.rest * (c.old.near * v)) : decayed(v, c.old) + c.c * g);
      theta -= c.a * (nesterov ? c.c * g + c.mu * v : v);
    }
  }
};

}  // namespace fastopt::rules
