// The numbers of a plan: of its groups, its tensors, its steps.
#include "bindings/bound_plan.hpp"

#include <algorithm>

#include "bindings/plan_values.hpp"
#include "bindings/without_gil.hpp"

FASTOPT_BINDINGS_BEGIN

std::size_t BoundPlan::tensor_index(int tensor) const {
  if (tensor < 0 || tensor >= plan_.size())
    throw py::index_error("tensor: expected 0 to " + std::to_string(plan_.size() - 1) + ", got " + std::to_string(tensor));
  return static_cast<std::size_t>(tensor);
}

std::size_t BoundPlan::group_index(int group) const {
  if (group < 0 || group >= static_cast<int>(native_.size()))
    throw py::index_error("group: expected 0 to " + std::to_string(native_.size() - 1) + ", got " + std::to_string(group));
  return static_cast<std::size_t>(group);
}

SavedGroup BoundPlan::saved_group(int index) noexcept {
  const NativeGroup& native = engine::at(native_, index);
  SavedGroup saved{plan_.group(native.first), {}, native.lr_ratio, native.scheduled};
  if (native.other >= 0) saved.other = plan_.group(native.other);
  return saved;
}

void BoundPlan::keep(int index, const SavedGroup& saved) noexcept {
  NativeGroup& native = engine::at(native_, index);
  plan_.group(native.first) = saved.group;
  if (native.other >= 0) plan_.group(native.other) = *saved.other;
  native.lr_ratio = saved.lr_ratio;
  native.scheduled = saved.scheduled;
}

SavedGroup BoundPlan::read_group(int index, const py::dict& hypers, bool maximize, bool scheduled) {
  group_index(index);
  SavedGroup saved = saved_group(index);
  assign(saved.group, saved.other ? &*saved.other : nullptr, saved.lr_ratio, hypers);
  saved.group.maximize = maximize;
  if (saved.other) saved.other->maximize = maximize;
  saved.scheduled = scheduled;
  saved.share_lr();
  return saved;
}

void BoundPlan::set_group(int index, const py::dict& hypers, bool maximize, bool scheduled, const py::list& given) {
  Mirrors mirrors(given);
  const auto lock = in_use_.within();
  const SavedGroup saved = read_group(index, hypers, maximize, scheduled);
  mirrors.write();
  keep(index, saved);
}

void BoundPlan::set_hypers(int index, const py::dict& hypers) {
  const auto lock = in_use_.within();
  group_index(index);
  const SavedGroup now = saved_group(index);
  keep(index, read_group(index, hypers, now.group.maximize, now.scheduled));
}

double BoundPlan::lr(int group) {
  const auto lock = in_use_.within();
  group_index(group);
  const engine::Group g = saved_group(group).group;
  return g.hypers[g.lr];
}

std::int64_t BoundPlan::count(int tensor) {
  const auto lock = in_use_.within();
  tensor_index(tensor);
  return plan_.count(tensor);
}

void BoundPlan::set_count(int tensor, std::int64_t count) {
  const auto lock = in_use_.within();
  tensor_index(tensor);
  plan_.count(tensor) = read_count("count", count);
}

std::vector<double> BoundPlan::scalars(int tensor) {
  const auto lock = in_use_.within();
  tensor_index(tensor);
  const double* values = plan_.scalars(tensor);
  return {values, values + plan_.group(plan_.group_of(tensor)).kernel->scalars.size()};
}

void BoundPlan::set_scalars(int tensor, const std::vector<double>& values) {
  const auto lock = in_use_.within();
  tensor_index(tensor);
  check_length("scalars", values.size(), plan_.group(plan_.group_of(tensor)).kernel->scalars.size());
  std::copy(values.begin(), values.end(), plan_.scalars(tensor));
}

std::vector<bool> BoundPlan::averaged() {
  const auto lock = in_use_.within();
  std::vector<bool> begun;
  begun.reserve(native_.size());
  for (const NativeGroup& group : native_) begun.push_back(plan_.group(group.first).averaged);
  return begun;
}

void BoundPlan::write_shadows() {
  auto lock = in_use_.within();
  refuse_elsewhere("write_shadows()");
  recheck_parameters();
  without_gil(plan_.elements(), lock, [&] { plan_.write_shadows(); });
}

std::uint64_t BoundPlan::seed() {
  const auto lock = in_use_.within();
  return plan_.options().seed;
}

void BoundPlan::set_seed(std::uint64_t seed) {
  const auto lock = in_use_.within();
  plan_.set_seed(seed);
}

void BoundPlan::set_steps(std::int64_t n) {
  const auto lock = in_use_.within();
  plan_.steps = read_count("steps", n);
  publish();
}

void BoundPlan::set_skipped(std::int64_t n) {
  const auto lock = in_use_.within();
  plan_.skipped = read_count("skipped", n);
  publish();
}

FASTOPT_BINDINGS_END
