// Adam with one second moment for each row of a table, the average of the mean of the row's squares: FBGEMM's
// PARTIAL_ROWWISE_ADAM. Decay is decoupled, by the engine. With `row_steps` each row counts its own steps, and its averages
// are corrected for those.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct RowWiseAdam {
  static constexpr std::string_view name = "rowwise_adam";
  static constexpr Names<1> flags = {"row_steps"};
  using Loops = RowWiseAdam<0>;
  static constexpr std::array states = {State{"exp_avg"}};
  static constexpr std::array shaped = {Shaped{"exp_avg_sq", Shape::rows},
                                        Shaped{"row_steps", Shape::rows, (Flags & 1) != 0}};
  static constexpr Reach reach = {.squared = true};
  struct Hypers {
    double lr, beta1, beta2, eps;
  };
  static constexpr Names<4> hypers = {"lr", "beta1", "beta2", "eps"};
  template <class T>
  struct Coefs {
    T step;
    Average<T> beta1, beta2;
    T correct2, eps, flush, root;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t t) {
    const double c1 = bias_correction(h.beta1, t), c2 = bias_correction(h.beta2, t);
    return {h.lr / c1, average(h.beta1), average(h.beta2), 1 / std::sqrt(c2), h.eps, may_flush(h.eps, false), 0};
  }

  template <class T>
  static void row(T mean_square, T& v, Coefs<T>& c) {
    v = flushed_square(ema_squares(v, mean_square, c.beta2), c.flush);
    c.root = corrected_root<false>(v, c.correct2, c.eps);
  }

  template <class T>
  static void update(T& theta, T g, T& m, const Coefs<T>& c) {
    m = flushed(ema(m, g, c.beta1));
    theta -= c.step * m / c.root;
  }
};

}  // namespace fastopt::rules
