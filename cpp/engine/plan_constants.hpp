// For the passes of a step that write.
#pragma once
#include "engine/plan.hpp"

namespace fastopt::engine {

// What is done to a tensor: as to its cohort or, where it is clipped by a norm of its own, a copy that says so.
template <class T>
const Constants<T>& Plan::constants_of(const Item& item, std::optional<Constants<T>>& own) {
  const Constants<T>& shared = at(cohorts_, item.cohort).template constants<T>();
  if (own_clips_.empty() || at(own_clips_, item.tensor).is_one()) return shared;
  own.emplace(shared).clip_norm = Factor<T>(at(own_clips_, item.tensor));
  return *own;
}

}  // namespace fastopt::engine
