// Who shares all numbers of a step.
#pragma once
#include "engine/constants.hpp"
#include "engine/group.hpp"

namespace fastopt::engine {

struct Scalars {
  double values[max_scalars] = {};
  bool operator==(const Scalars&) const = default;
};
// Tensors of one group with one step count and the same scalars share all numbers of a step.
struct Cohort {
  int group = -1;
  std::int64_t t = 0;
  bool begun = false;
  bool has_scalars = false;  // of the rule; else nobody looks at these:
  Scalars before, after;
  double coefs[max_coefs] = {};
  double greatest = 0;  // magnitude of a number that `fill_constants` rounds to the type of computation
  Constants<float> f32;
  Constants<double> f64;
  bool by_row = false;  // as the group's rule is
  template <class T>
  Constants<T>& constants() {
    if constexpr (sizeof(T) == 4)
      return f32;
    else
      return f64;
  }
};

}  // namespace fastopt::engine
