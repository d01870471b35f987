// What the Schedule-Free rules share. Defazio et al. 2024 (arXiv:2405.15682), Algorithm 1: three sequences, of which z takes
// the steps, x is an average of the z so far, and y, between the two, is where gradients are taken:
//   y = (1 - beta) z + beta x.
// As in the authors' code x is not kept: theta is y while training, and x = y + (1 - 1 / beta) (z - y) on demand. With d the
// step's direction, in the variables y and z, and c the weight of the newest z in the average,
//   y <- y + c (z - y) - lr (1 - beta (1 - c)) d,    z <- z - lr d.
// c is that of an average of z with weights t^r lr_max^p, lr_max the largest rate so far. The sum of the weights and lr_max
// are numbers of a tensor here, of a group there: the same unless some tensors lack a gradient at times.
#pragma once
#include <limits>

#include "rules/rule.hpp"

namespace fastopt::rules::schedule_free {

struct Scalars {
  double weight_sum = 0, lr_max = 0;
};
inline constexpr Names<2> scalars = {"weight_sum", "lr_max"};

inline constexpr State z = {.name = "z", .codes = Codes::none, .exact = true};

// Of the coming step: the weight c of z, the step of y and that of z.
struct Steps {
  double weight, y, z;
};

inline Steps steps(double lr, double beta, double r, double power, std::int64_t t, Scalars& s) {
  s.lr_max = max(s.lr_max, lr);
  const double weight = std::pow(static_cast<double>(t), r) * std::pow(s.lr_max, power);
  s.weight_sum += weight;
  double c = s.weight_sum > 0 ? weight / s.weight_sum : 0;                        // no rate but 0 so far
  if (!std::isfinite(s.weight_sum)) c = std::numeric_limits<double>::infinity();  // which the plan refuses
  return {c, lr * ((1 - beta) + beta * c), lr};
}

// The rate rises in equal parts until step number `steps`.
inline double warmed_up(double lr, double steps, std::int64_t t) {
  return static_cast<double>(t) < steps ? lr * (static_cast<double>(t) / steps) : lr;
}

// States begin where theta is.
inline Start start(std::size_t state) { return {.parameter = state == 0 ? 1. : 0.}; }

template <class T>
inline void move(T& y, T& z, T direction, T weight, T step_y, T step_z) {
  y += weight * (z - y) - step_y * direction;
  z -= step_z * direction;
}

}  // namespace fastopt::rules::schedule_free
