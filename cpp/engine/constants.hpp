// The numbers and switches of a step, in the type of computation.
#pragma once
#include <algorithm>
#include <limits>

#include "engine/factor.hpp"
#include "engine/kernels.hpp"

namespace fastopt::engine {

// What a step does to the tensors of one group with one step count, in the type of computation.
template <class T>
struct Constants {
  const Kernel* kernel = nullptr;
  const double* hypers = nullptr;  // of the group
  T coefs[max_coefs] = {};
  bool clip_value = false, negate = false, coupled = false, l1 = false, decay = false, shrink = false, first = false,
       ema_copy = false, cautious = false, cautious_decay = false, centralize = false;
  T limit = 0, magnify = 1, coupled_by = 0, l1_by = 0, decay_by = 0, shrink_by = 0, ema_keep = 0, ema_take = 0;
  Factor<T> unscale, clip_norm;
  rules::Start start[max_states] = {};
  std::uint64_t dither = 0;       // of seed and step
  const double* means = nullptr;  // of the tensor's rows, from `first_row` on, where gradients are centralised
  std::int64_t first_row = 0;
  double row_start = 0;  // of what is kept of a row
  bool direct = false;   // in_loop(), and rows are not walked one by one
  bool scales = false;   // all that is done to the gradient are products that the rule's loop may take

  // There is nothing to do but what a rule's loop does.
  bool in_loop() const { return (!changes_gradient() || scales) && !shrink && !first && !alone(); }
  Operands<T> operands() const { return {decay_by, unscale ? unscale.by[0] : T(1), clip_norm ? clip_norm.by[0] : T(1)}; }
  // Nothing comes in between the two products, or looks at the gradient after them but the rule.
  void set_scales() {
    scales = kernel->template scales<T>() && !first && !alone() && unscale.count <= 1 && clip_norm.count <= 1 &&
             (unscale || clip_norm) && !(clip_value || centralize || negate || coupled || l1);
  }
  // The rule's step is formed alone, and then looked at.
  bool alone() const { return cautious || cautious_decay; }
  // Of the last pass of a rule of matrices: the gradient has been read, and states have begun.
  Constants after_transform() const {
    Constants c = *this;
    c.clip_value = c.centralize = c.negate = c.coupled = c.l1 = c.first = false;
    c.scales = false;
    c.unscale = c.clip_norm = Factor<T>();
    c.means = nullptr;
    return c;
  }
  bool changes_gradient() const { return unscale || clip_value || clip_norm || centralize || negate || coupled || l1; }
};

// Beyond the type's largest number nothing finite is clipped, and infinity to that number.
template <class T>
inline T value_limit(double limit) {
  return static_cast<T>(std::min(limit, static_cast<double>(std::numeric_limits<T>::max())));
}

}  // namespace fastopt::engine
