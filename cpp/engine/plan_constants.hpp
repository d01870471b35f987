// For the passes of a step that write.
#pragma once
#include "engine/plan.hpp"

namespace fastopt::engine {

// What is done to a tensor: as to its cohort or, where numbers of its own come in, a copy that says so.
template <class T>
const Constants<T>& Plan::constants_of(const Item& item, std::optional<Constants<T>>& own) {
  const Constants<T>& shared = at(cohorts_, item.cohort).template constants<T>();
  const bool clipped = !own_clips_.empty() && !at(own_clips_, item.tensor).is_one();
  if (!clipped && !shared.cautious && !shared.centralize) return shared;
  own.emplace(shared);
  if (clipped) own->clip_norm = Factor<T>(at(own_clips_, item.tensor));
  if (shared.cautious) own->magnify = static_cast<T>(at(magnify_, item.tensor));
  if (shared.centralize) {
    own->centralize = at(tensors_, item.tensor).rows > 0;
    if (own->centralize) own->means = row_means_.data() + at(means_at_, item.tensor);
  }
  own->set_scales();
  return *own;
}

}  // namespace fastopt::engine
