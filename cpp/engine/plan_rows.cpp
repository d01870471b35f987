// Gradients of some rows only, in a step.
#include <algorithm>

#include "engine/by_row.hpp"
#include "engine/plan.hpp"
#include "engine/rows.hpp"

namespace fastopt::engine {

std::string Plan::refuses_rows(int tensor, std::int64_t width) const {
  const Group& group = at(groups_, group_of(tensor));
  const std::string rule(group.kernel->name);
  if (group.kernel->sums > 0) return rule + " sums over the whole parameter";
  if (group.kernel->transform) return rule + " transforms the whole matrix";
  if (!group.kernel->rows) return rule + " averages every element's path";
  if (group.kernel->fills_first) return rule + " begins with the first gradient of every row";
  for (std::size_t s = 0; s < group.kernel->states.size(); ++s) {
    const rules::Start start = group.kernel->start(s, group.hypers);
    const bool set = group.starts_set[s];
    if (group.kernel->states[s].used &&
        ((!set && (start.gradient != 0 || start.gradient_squared != 0)) || group.start_gradient_squared[s]))
      return rule + " begins with the first gradient of every row (state " + std::string(group.kernel->states[s].name) + ")";
  }
  for (const Stored& state : at(tensors_, tensor).states)
    if (state && is_code(state.encoding) && width % code_group != 0)
      return "states in eight bits have a scale for " + std::to_string(code_group) +
             " elements, and no row may share one with another: a row has " + std::to_string(width) + " elements";
  return {};
}

// From then on an item is as large as what it touches.
Outcome Plan::merge_rows(std::span<const Gradient> gradients) {
  any_rows_ = false;
  for (Item& item : items_) {
    Rows* const rows = at(gradients, item.tensor).rows;
    if (rows == nullptr) continue;
    any_rows_ = true;
    if (!rows->merge(computes_in_double(at(tensors_, item.tensor).dtype()))) return {Outcome::no_row, item.tensor};
    item.size = rows->size();
  }
  return {};
}

// Before the first step there is nothing in the states, also of rows that will be touched much later: once, a pass over the
// whole table.
void Plan::start_tables(std::span<const Gradient> gradients) {
  for (const Item& item : items_) {
    const Tensor& tensor = at(tensors_, item.tensor);
    const Cohort& cohort = at(cohorts_, item.cohort);
    if (at(gradients, item.tensor).rows == nullptr || cohort.begun || cohort.t > 1) continue;
    if (cohort.f32.kernel->by_row()) {
      const std::int64_t count = tensor.table.count;
      computes_in_double(tensor.dtype()) ? start_rows(tensor, cohort.f64, 0, count)
                                         : start_rows(tensor, cohort.f32, 0, count);
    }
    const std::int64_t chunk = chunk_of(tensor.size, threads::size()), chunks = (tensor.size + chunk - 1) / chunk;
    threads::for_each(chunks, average_rate_.estimate(static_cast<double>(tensor.size)), [&](std::int64_t c, int) {
      const std::int64_t begin = c * chunk, end = std::min(begin + chunk, tensor.size);
      if (computes_in_double(tensor.dtype()))
        start_states(tensor, cohort.f64, begin, end);
      else
        start_states(tensor, cohort.f32, begin, end);
    });
  }
}

}  // namespace fastopt::engine
