// The step.
#include "bindings/bound_plan.hpp"

#include "bindings/plan_values.hpp"
#include "bindings/without_gil.hpp"

FASTOPT_BINDINGS_BEGIN

BoundPlan::BoundPlan(double clip_value, double clip_norm, double clip_norm_type, const std::string& clip_norm_per,
                     const std::string& nonfinite, double ema_decay, bool uint16_is_bf16)
    : plan_(read_options(clip_value, clip_norm, clip_norm_type, clip_norm_per, nonfinite, ema_decay)),
      uint16_is_bf16_(uint16_is_bf16) {}

void BoundPlan::step(const py::object& given, const py::object& scale, const py::object& zero, const py::object& asked,
                     std::int64_t at) {
  Held held(lender_);
  auto lock = in_use_.call();
  return_after_fork();
  refuse_elsewhere("step()");
  if (!train_mode())
    throw std::runtime_error("step(): the parameters hold their averages since eval(); call train() before the next step");
  const double grad_scale = read_grad_scale(scale);
  const bool zero_gradients = read_zero_grads(zero);
  if (given.is_none() && !bound_)
    throw py::type_error("grads: missing; pass a list of gradient arrays or bind them once with bind_grads()");
  Rates rates = read_rates(asked, at);
  held.take(check_gradients(given.is_none() ? bound_ : given, parameters_.size()));
  take_gradients(held, zero_gradients);  // the last line before the engine that may run Python
  apply(lock, grad_scale, zero_gradients, rates);
}

bool BoundPlan::apply(InUse::Lock& lock, double grad_scale, bool zero_gradients, Rates& rates) {
  bool applied = false;
  without_gil(plan_.elements() + given_elements_, lock, [&] {
    swap_rates(rates);
    const engine::Outcome outcome = plan_.step(gradients_, grad_scale, zero_gradients);
    applied = outcome.status == engine::Outcome::applied;
    if (applied)
      stepped();
    else
      swap_rates(rates);
    publish();
    // Here, while the plan is in use: what the error tells of is another call's afterwards.
    if (outcome.status == engine::Outcome::nonfinite) raise_nonfinite(outcome);
    if (outcome.status == engine::Outcome::overflow) raise_overflow(outcome.tensor);
    if (outcome.status == engine::Outcome::no_row) raise_no_row(outcome.tensor);
  });
  return applied;
}

void BoundPlan::bind_gradients(const py::object& gradients) {
  Held held(lender_);
  const auto lock = in_use_.call();
  return_after_fork();
  check_gradients(gradients, parameters_.size());
  py::object bound = as_tuple(gradients);  // the caller's list may change
  held.take(check_gradients(bound, parameters_.size()));
  take_gradients(held, false);
  std::swap(bound_, bound);
}

void BoundPlan::swap_rates(Rates& rates) noexcept {
  for (auto& [group, rate] : rates) {
    SavedGroup saved = saved_group(group);
    std::swap(saved.group.hypers[saved.group.lr], rate);
    saved.share_lr();
    keep(group, saved);
  }
}

void BoundPlan::raise_nonfinite(const engine::Outcome& outcome) const {
  const auto& [row, occurrences, overflowed] = outcome.row;
  std::string where;
  if (row >= 0) where = " in row " + std::to_string(row);
  if (overflowed) where += ", to which " + std::to_string(occurrences) + " finite gradients add up";
  throw RefusedGradient(gradient_label(static_cast<std::size_t>(outcome.tensor)) + ": holds NaN or infinity" + where +
                        " (nonfinite=\"raise\"); nothing was changed");
}

void BoundPlan::raise_overflow(int tensor) {
  const bool wide = engine::computes_in_double(plan_.tensor(tensor).dtype());
  throw RefusedGradient(gradient_label(static_cast<std::size_t>(tensor)) +
                        ": is finite, but its square or multiple in the rule overflows " + (wide ? "float64" : "float32") +
                        " (nonfinite=\"raise\"); nothing was changed");
}

void BoundPlan::publish() noexcept {
  published_.steps.store(plan_.steps, std::memory_order_relaxed);
  published_.skipped.store(plan_.skipped, std::memory_order_relaxed);
  published_.norm.store(plan_.norm, std::memory_order_relaxed);
}

FASTOPT_BINDINGS_END
