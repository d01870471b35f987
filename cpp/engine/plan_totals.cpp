// Rules whose sums are over all tensors (Prodigy): one estimate, so the same scalars for everybody.
#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include "engine/plan.hpp"

namespace fastopt::engine {

// Who has stepped tells who has not: a tensor that was added, thawed or not saved goes on from where the others are.
void Plan::find_leader() {
  leader_ = -1;
  for (int i = 0; i < size() && leader_ < 0; ++i)
    if (at(groups_, group_of(i)).kernel->settle != nullptr && at(counts_, i) > 0) leader_ = i;
}

const Scalars& Plan::scalars_before(int tensor) const {
  const bool common = leader_ >= 0 && at(groups_, group_of(tensor)).kernel->settle != nullptr;
  return at(scalars_, common ? leader_ : tensor);
}

// Groups whose rate is 0 rest; the others agree in it and in what the estimate is formed of.
void Plan::check_shared() const {
  const Group* first = nullptr;
  for (std::size_t c = 0; c < n_cohorts_; ++c) {
    const Group& g = at(groups_, cohorts_[c].group);
    if (g.kernel->settle == nullptr || g.hypers[g.lr] == 0) continue;
    if (first == nullptr) first = &g;
    const auto agree = [&](std::string_view name, std::size_t h) {
      if (g.hypers[h] == first->hypers[h]) return;
      throw std::invalid_argument(std::string(name) + ": expected the same value in all groups" +
                                  (name == "lr" ? " whose lr is not 0" : "") + ", since " + std::string(g.kernel->name) +
                                  " sums over all parameters, got " + std::to_string(first->hypers[h]) + " and " +
                                  std::to_string(g.hypers[h]));
    };
    for (std::size_t h = 0; h < g.kernel->hypers.size(); ++h)
      if (static_cast<int>(h) == g.lr || std::ranges::count(g.kernel->shared, g.kernel->hypers[h]) > 0)
        agree(g.kernel->hypers[h], h);
  }
}

// From the sums of the tensors to the numbers of the update.
void Plan::settle_totals() {
  double total[max_sums] = {};
  const Group* active = nullptr;
  for (std::size_t i = 0; i < summed_.size(); ++i) {
    const Group& g = at(groups_, group_of(summed_[i].tensor));
    if (g.kernel->settle == nullptr || g.hypers[g.lr] == 0) continue;
    active = &g;
    for (int k = 0; k < max_sums; ++k) at(total, k) += at(tensor_sums_[i], k);
  }
  for (std::size_t c = 0; c < n_cohorts_; ++c) {
    Cohort& cohort = cohorts_[c];
    const Group& g = at(groups_, cohort.group);
    if (g.kernel->settle == nullptr) continue;
    if (active != nullptr) g.kernel->settle(active->hypers, total, cohort.after.values);
    g.kernel->conclude(cohort.coefs, total, cohort.after.values);
    keep_in_range(cohort);
    fill(cohort, g);
  }
}

// Also who had no gradient.
void Plan::follow() {
  const Scalars* settled = nullptr;
  for (const Item& item : items_)
    if (at(groups_, group_of(item.tensor)).kernel->settle != nullptr) settled = &at(cohorts_, item.cohort).after;
  if (settled == nullptr) return;
  for (int i = 0; i < size(); ++i)
    if (at(groups_, group_of(i)).kernel->settle != nullptr) at(scalars_, i) = *settled;
}

}  // namespace fastopt::engine
