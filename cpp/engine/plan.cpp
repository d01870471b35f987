// A step from the outside: what is gathered before it, and what is recorded after.
#include "engine/plan.hpp"

#include <algorithm>
#include <stdexcept>

namespace fastopt::engine {

int Plan::add_group(const Group& group) {
  if (group.decay_kind == WeightDecay::decoupled && group.kernel->decayed_f32 == nullptr)
    throw std::invalid_argument("rule " + std::string(group.kernel->name) + " has a weight decay of its own");
  groups_.push_back(group);
  any_sums_ |= group.kernel->sums > 0;
  any_matrices_ |= bool(group.kernel->transform);
  any_totals_ |= group.kernel->settle != nullptr;
  return static_cast<int>(groups_.size()) - 1;
}

int Plan::add_tensor(const Tensor& tensor, int group, bool start_averages) {
  tensors_.push_back(tensor);
  tensors_.back().in_place = is_in_place(tensor);
  tensors_.back().before_line = before_line(tensor);
  group_of_.push_back(group);
  counts_.push_back(0);
  const Kernel& kernel = *at(groups_, group).kernel;
  Scalars scalars;
  std::copy_n(kernel.first_scalars, kernel.scalars.size(), scalars.values);
  scalars_.push_back(scalars);
  elements_ += tensor.size;
  const bool average = tensor.ema && start_averages;
  if (average || tensor.shadow) start_copies(tensor, average);
  return size() - 1;
}

// Until the first step averages and shadows are copies, not what their memory held. Made by the threads that will walk them:
// the pages then lie beside them, where memory is divided.
void Plan::start_copies(const Tensor& tensor, bool average) {
  const std::int64_t chunk = chunk_of(tensor.size, threads::size());
  threads::for_each((tensor.size + chunk - 1) / chunk, average_rate_.estimate(static_cast<double>(tensor.size)),
                    [&](std::int64_t c, int) {
                      const DefaultEnvironment environment;
                      const std::int64_t begin = c * chunk, end = std::min(begin + chunk, tensor.size);
                      computed_in(tensor.dtype(), [&](auto tag) {
                        Constants<decltype(tag)> constants;
                        constants.ema_copy = true;
                        if (average) walk_average(tensor, constants, begin, end);
                        if (tensor.shadow) write_shadow<decltype(tag)>(tensor, begin, end);
                      });
                    });
}

Outcome Plan::step(std::span<const Gradient> gradients, double grad_scale, bool zero_gradients) {
  const DefaultEnvironment environment;
  unscale_ = grad_scale == 1 ? Scale() : Scale::of(1) / Scale::of(grad_scale);
  clip_by_ = {};
  collect(gradients);
  if (const Outcome outcome = merge_rows(gradients); outcome.status != Outcome::applied) return outcome;
  make_room(gradients);
  if (needs_norm()) {
    const Outcome outcome = read_pass(gradients);
    skipped += outcome.status == Outcome::skipped;
    if (outcome.status != Outcome::applied) return outcome;
  } else {
    norm = -1;
  }
  for (std::size_t i = 0; i < n_cohorts_; ++i) fill(cohorts_[i], at(groups_, cohorts_[i].group));
  if (any_centralized_) centralize(gradients);
  if (any_sums_) reduce_phase(gradients);
  if (any_rows_) start_tables(gradients);
  if (any_cautious_) count_agreeing(gradients);
  update_phase(gradients, zero_gradients);
  if (any_matrices_) matrix_phase(gradients, zero_gradients);
  if (options_.ema_decay >= 0 && !frozen_.empty()) average_frozen();
  commit();
  return {};
}

// All memory is had before the first element is written; from the second step on there is nothing to be had.
void Plan::make_room(std::span<const Gradient> gradients) {
  if (any_matrices_) make_waves();
  parts_.make(any_matrices_ ? element_wise_ : items_);
  if (any_sums_) {
    summed_.clear();
    for (const Item& item : items_)
      if (at(groups_, at(group_of_, item.tensor)).kernel->sums > 0) summed_.push_back(item);
    sum_blocks_.make(summed_);
    rule_sums_.resize(sum_blocks_.pieces.size());
    tensor_sums_.assign(summed_.size(), {});
    if (cohorts_.size() < n_cohorts_ + summed_.size()) cohorts_.resize(n_cohorts_ + summed_.size());
  }
  make_room_for_flags();
  if (options_.ema_decay >= 0) {
    frozen_.clear();
    if (items_.size() < tensors_.size() || any_rows_)
      for (int i = 0; i < size(); ++i)
        if (at(gradients, i).data == nullptr || at(gradients, i).rows != nullptr)
          frozen_.push_back({i, -1, at(tensors_, i).size});
    frozen_parts_.make(frozen_);
  }
}

void Plan::commit() {
  for (const Item& item : items_) {
    const auto tensor = static_cast<std::size_t>(item.tensor);
    ++counts_[tensor];
    if (const Cohort& cohort = at(cohorts_, item.cohort); cohort.has_scalars) scalars_[tensor] = cohort.after;
  }
  if (any_totals_) follow();
  ++steps;
  for (Group& group : groups_) group.averaged = options_.ema_decay >= 0;
}

}  // namespace fastopt::engine
