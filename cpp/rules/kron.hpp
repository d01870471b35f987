// Kron: PSGD with a preconditioner of Kronecker factors that whitens the gradient. Li 2018 (arXiv:1512.04202), Pooladzandi
// and Li 2024 (arXiv:2402.04553, section 3), as kron_torch by E. Walters computes it: an average of gradients, corrected for
// its start, times P = Q'Q, Q = Q_1 x ... x Q_k with an upper triangular or diagonal factor for each side of the tensor.
// What happens between gradient and step is cpp/matrix/kron.cpp's.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct Kron {
  static constexpr std::string_view name = "kron";
  static constexpr Names<1> flags = {"momentum"};
  static constexpr bool matrix = true, averages = Flags & 1;
  static constexpr std::array<State, 0> states{};
  static constexpr std::array shaped = {Shaped{"momentum_buffer", Shape::own, averages}, Shaped{"Q", Shape::own}};
  static constexpr Reach reach = {.times = averages ? 2 : 1};  // g - m; squares are formed of what is brought into range
  // What the transform reads as well. update_probability < 0: by the schedule; memory_save_mode: an index
  // (matrix/factors.hpp).
  struct Hypers {
    double lr, momentum, update_probability, max_size_triangular, min_ndim_triangular, memory_save_mode,
        momentum_into_precond_update, precond_lr, precond_init_scale, balance_prob;
  };
  static constexpr Names<10> hypers = {"lr",
                                       "momentum",
                                       "preconditioner_update_probability",
                                       "max_size_triangular",
                                       "min_ndim_triangular",
                                       "memory_save_mode",
                                       "momentum_into_precond_update",
                                       "precond_lr",
                                       "precond_init_scale",
                                       "balance_prob"};
  struct Scalars {
    double update_counter = 0;  // steps since the preconditioner was updated
  };
  static constexpr Names<1> scalars = {"update_counter"};
  template <class T>
  struct Coefs {
    T step;
  };

  // The share of steps that update the preconditioner: all at first, from step 500 on ever fewer, 3 % in the end.
  static double probability(const Hypers& h, std::int64_t t) {
    if (h.update_probability >= 0) return h.update_probability;
    return std::max(0.03, std::min(1.0, std::exp(-0.001 * (static_cast<double>(t - 1) - 500))));
  }
  static bool updates(const Hypers& h, std::int64_t t, double update_counter) {
    const double p = probability(h, t);
    return p > 0 && update_counter + 1 >= 1 / p;
  }

  static Coefs<double> prepare(const Hypers& h, std::int64_t t, Scalars& s) {
    s.update_counter = updates(h, t, s.update_counter) ? 0 : s.update_counter + 1;
    return {h.lr};
  }

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
