// Adagrad with one sum for each row of a table, of the mean of the row's squares: what embedding tables are trained with
// where a second moment of their own size is too much (Mudigere et al. 2022, arXiv:2104.05158; FBGEMM's
// EXACT_ROWWISE_ADAGRAD, torchrec's RowWiseAdagrad). Where every row is one number it is Adagrad.
#pragma once
#include "rules/rule.hpp"

namespace fastopt::rules {

template <unsigned Flags>
struct RowWiseAdagrad {
  static constexpr std::string_view name = "rowwise_adagrad";
  static constexpr Names<0> flags = none;
  static constexpr std::array<State, 0> states = {};
  static constexpr std::array shaped = {Shaped{"sum", Shape::rows}};
  static constexpr Reach reach = {.squared = true};
  struct Hypers {
    double lr, lr_decay, eps;
  };
  static constexpr Names<3> hypers = {"lr", "lr_decay", "eps"};
  template <class T>
  struct Coefs {
    T lr, eps, root;
  };

  static Coefs<double> prepare(const Hypers& h, std::int64_t t) {
    return {h.lr / (1 + static_cast<double>(t - 1) * h.lr_decay), h.eps, 0};
  }

  template <class T>
  static void row(T mean_square, T& sum, Coefs<T>& c) {
    sum += mean_square;
    c.root = root<false>(sum, c.eps);
  }

  template <class T>
  static void update(T& theta, T g, const Coefs<T>& c) {
    theta -= c.lr * g / c.root;
  }
};

}  // namespace fastopt::rules
