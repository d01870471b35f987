// The numbers of a step: formed in double, once for all tensors that share them, and rounded to the type of computation.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <stdexcept>

#include "engine/plan.hpp"

namespace fastopt::engine {

namespace {

double decay_of(const Group& group, WeightDecay kind) { return group.decay_kind == kind ? group.weight_decay : 0; }

}  // namespace

void Plan::collect(std::span<const Gradient> gradients) {
  n_cohorts_ = 0;
  items_.clear();
  if (any_totals_) find_leader();
  int cohort = -1;        // of the tensor before: mostly this one's as well
  bool in_range[2] = {};  // what its numbers were found to be in float32 and float64
  for (int i = 0; i < size(); ++i) {
    const auto tensor = static_cast<std::size_t>(i);
    if (gradients[tensor].data == nullptr) continue;
    if (cohort < 0 || !fits(at(cohorts_, cohort), i)) {
      cohort = cohort_of(i);
      in_range[0] = in_range[1] = false;
    }
    const Cohort& mine = at(cohorts_, cohort);
    const Dtype dtype = tensors_[tensor].dtype();
    if (bool& known = in_range[computes_in_double(dtype)]; !known) {
      check_range(mine, dtype);
      known = true;
    }
    const bool dense = !mine.by_row && gradients[tensor].rows == nullptr;
    items_.push_back(
        {i, cohort, tensors_[tensor].size, mine.by_row ? whole_of(i) : 1, dense ? tensors_[tensor].before_line : 0});
  }
  if (any_totals_) check_shared();
}

// Rows are walked whole; rows that lie apart in memory are all of their tensor.
std::int64_t Plan::whole_of(int tensor) const {
  const Tensor& t = at(tensors_, tensor);
  return t.table.outer == 1 ? t.table.run : t.size;
}

bool Plan::fits(const Cohort& cohort, int tensor) const {
  const auto i = static_cast<std::size_t>(tensor);
  return cohort.group == group_of_[i] && cohort.t == counts_[i] + 1 && cohort.begun == tensors_[i].begun &&
         (!cohort.has_scalars || cohort.before == scalars_before(tensor));
}

// Neighbours mostly share their numbers; a tensor that does not match one of the last few gets its own.
int Plan::cohort_of(int tensor) {
  const auto i = static_cast<std::size_t>(tensor);
  const int group = group_of_[i];
  const std::int64_t t = counts_[i] + 1;
  for (std::size_t back = 1; back <= std::min<std::size_t>(n_cohorts_, 8); ++back)
    if (fits(cohorts_[n_cohorts_ - back], tensor)) return static_cast<int>(n_cohorts_ - back);
  if (n_cohorts_ == cohorts_.size()) cohorts_.emplace_back();
  Cohort& p = cohorts_[n_cohorts_];
  p.group = group;
  p.t = t;
  p.begun = tensors_[i].begun;
  p.before = p.after = scalars_before(tensor);
  const Group& g = at(groups_, group);
  p.has_scalars = !g.kernel->scalars.empty();
  p.by_row = g.kernel->by_row();
  g.kernel->prepare(g.hypers, t, p.after.values, p.coefs);
  const double lr = g.hypers[g.lr];
  p.greatest =
      std::max({decay_of(g, WeightDecay::coupled), lr * decay_of(g, WeightDecay::decoupled), g.l1, lr * g.l1_proximal});
  for (int c = 0; c < g.kernel->coefs; ++c) p.greatest = std::max(p.greatest, std::abs(p.coefs[c]));
  if (g.kernel->row_steps >= 0) {  // corrections are largest of a row's first step
    double first[max_coefs];
    g.kernel->prepare(g.hypers, 1, nullptr, first);
    for (int c = 0; c < g.kernel->coefs; ++c) p.greatest = std::max(p.greatest, std::abs(first[c]));
  }
  return static_cast<int>(n_cohorts_++);
}

// Hyper-parameters are finite, but what is formed of them may not be so in the type of computation: a schedule of 1e39 for
// float32 parameters, or lr / (1 - beta1) from the largest double. The largest of them is what is at fault.
void Plan::check_range(const Cohort& cohort, Dtype dtype) const {
  const bool wide = computes_in_double(dtype);
  const double limit = wide ? std::numeric_limits<double>::max() : static_cast<double>(std::numeric_limits<float>::max());
  if (cohort.greatest <= limit) return;
  const Group& g = at(groups_, cohort.group);
  std::string name = "lr";
  double value = g.hypers[g.lr];
  const auto larger = [&](std::string_view other, double size) {
    if (size > value && std::isfinite(size)) name = other, value = size;
  };
  for (std::size_t h = 0; h < g.kernel->hypers.size(); ++h) larger(g.kernel->hypers[h], g.hypers[h]);
  larger("weight_decay", g.weight_decay);
  larger("l1", g.l1);
  larger("l1_proximal", g.l1_proximal);
  char numbers[96];
  (void)std::snprintf(numbers, sizeof numbers, "%.9g (a number of the step would be %.3g)", value, cohort.greatest);
  throw std::invalid_argument(name + ": expected a value of which the step is formed within " +
                              (wide ? "float64" : "float32") + ", in which " + dtype_name(dtype) +
                              " parameters are computed, got " + numbers);
}

void Plan::fill(Cohort& cohort, const Group& group) const {
  fill_constants(cohort.f32, cohort, group);
  fill_constants(cohort.f64, cohort, group);
}

template <class T>
void Plan::fill_constants(Constants<T>& constants, const Cohort& cohort, const Group& group) const {
  const double lr = group.kernel->fills_first && cohort.t == 1 ? 0 : group.hypers[group.lr];
  constants.kernel = group.kernel;
  constants.hypers = group.hypers;
  for (int i = 0; i < group.kernel->coefs; ++i) constants.coefs[i] = static_cast<T>(cohort.coefs[i]);
  constants.unscale = Factor<T>(unscale_);
  constants.clip_value = options_.clip_value > 0;
  constants.limit = value_limit<T>(options_.clip_value);
  constants.clip_norm = Factor<T>(clip_by_);
  constants.negate = group.maximize;
  constants.coupled_by = static_cast<T>(decay_of(group, WeightDecay::coupled));
  constants.coupled = constants.coupled_by != T(0);
  constants.l1 = group.l1 != 0;
  constants.l1_by = static_cast<T>(group.l1);
  constants.decay_by = static_cast<T>(lr * decay_of(group, WeightDecay::decoupled));
  constants.cautious = group.cautious != 0;
  constants.cautious_decay = group.cautious_weight_decay != 0;
  constants.centralize = group.centralize != 0;
  if (constants.alone() && group.kernel->own_decay != nullptr)
    constants.decay_by = static_cast<T>(group.kernel->own_decay(cohort.coefs));
  constants.decay = constants.decay_by != T(0) && !constants.alone();
  constants.shrink = group.l1_proximal != 0;
  constants.shrink_by = static_cast<T>(lr * group.l1_proximal);
  constants.ema_copy = !group.averaged;
  constants.ema_keep = static_cast<T>(options_.ema_decay);
  constants.ema_take = static_cast<T>(1 - options_.ema_decay);
  constants.dither = mixed(options_.seed, static_cast<std::uint64_t>(cohort.t));
  constants.first = cohort.t == 1 && !cohort.begun;
  constants.row_start = group.row_start;
  constants.set_scales();
  constants.direct = constants.in_loop() && !cohort.by_row;
  if (!constants.first) return;
  for (std::size_t s = 0; s < group.kernel->states.size(); ++s) {
    constants.start[s] = group.kernel->start(s, group.hypers);
    if (group.starts_set[s]) constants.start[s] = {group.starts[s], 0, 0};
    if (group.start_gradient_squared[s]) constants.start[s] = {0, 0, 1};
  }
}

}  // namespace fastopt::engine
