// The step, and the numbers around it.
#include "bindings/bound_plan.hpp"

#include <algorithm>
#include <cmath>

#include "bindings/away.hpp"
#include "bindings/plan_values.hpp"

FASTOPT_BINDINGS_BEGIN

namespace {

engine::Options options(double clip_value, double clip_norm, const std::string& nonfinite, double ema_decay) {
  if (!(clip_value >= 0)) throw py::value_error("clip_value: expected a number >= 0 (0: none)");
  if (!(clip_norm >= 0)) throw py::value_error("clip_norm: expected a number >= 0 (0: none)");
  if (!(ema_decay <= 1)) throw py::value_error("ema_decay: expected a number <= 1 (< 0: none)");
  engine::Options o;
  o.clip_value = clip_value;
  o.clip_norm = clip_norm;
  o.ema_decay = ema_decay;
  o.nonfinite = read_nonfinite(nonfinite);
  return o;
}

// Arguments are taken as objects, so that the message names the argument and not a C++ signature.
double read_grad_scale(const py::object& given) {
  bool number = PyNumber_Check(given.ptr()) && !PyBool_Check(given.ptr());
  double scale = 0;
  if (number) {
    scale = PyFloat_AsDouble(given.ptr());
    number = PyErr_Occurred() == nullptr || PyErr_ExceptionMatches(PyExc_OverflowError);
    PyErr_Clear();
  }
  if (!number) throw py::type_error("grad_scale: expected a positive finite number, got " + describe(given.ptr()));
  if (!(scale > 0) || !std::isfinite(scale) || !std::isfinite(1 / scale))
    throw py::value_error("grad_scale: expected a positive finite number with a finite inverse, got " +
                          py::repr(given).cast<std::string>());
  return scale;
}

bool read_zero_grads(const py::object& given) {
  if (!PyBool_Check(given.ptr())) throw py::type_error("zero_grads: expected True or False, got " + describe(given.ptr()));
  return given.ptr() == Py_True;
}

std::size_t bytes(const engine::Tensor& t) { return static_cast<std::size_t>(t.size) * engine::item_size(t.dtype); }

}  // namespace

BoundPlan::BoundPlan(double clip_value, double clip_norm, const std::string& nonfinite, double ema_decay,
                     bool uint16_is_bf16)
    : plan_(options(clip_value, clip_norm, nonfinite, ema_decay)), uint16_is_bf16_(uint16_is_bf16) {}

Busy::Lock BoundPlan::lock() { return Busy::Lock(busy_); }
Busy::Lock BoundPlan::within() { return Busy::Lock::within(busy_); }

void BoundPlan::step(const py::object& given, const py::object& scale, const py::object& zero, const py::object& asked,
                     std::int64_t at) {
  Held held(kept_);
  Busy::Lock lock(busy_);
  return_after_fork();
  refuse_elsewhere("step()");
  const double grad_scale = read_grad_scale(scale);
  const bool zero_gradients = read_zero_grads(zero);
  if (given.is_none() && !bound_)
    throw py::type_error("grads: missing; pass a list of gradient arrays or bind them once with bind_grads()");
  Rates rates = read_rates(asked, at);
  held.take(check_gradients(given.is_none() ? bound_ : given, parameters_.size()));
  take_gradients(held, zero_gradients);  // the last line before the engine that may run Python
  engine::Outcome outcome;
  away(plan_.elements(), lock, [&] {
    swap_rates(rates);
    outcome = plan_.step(gradients_, grad_scale, zero_gradients);
    if (outcome.status != engine::Outcome::applied) swap_rates(rates);
    publish();
  });
  if (outcome.status == engine::Outcome::nonfinite) raise_nonfinite(outcome.tensor);
  if (outcome.status == engine::Outcome::overflow) raise_overflow(outcome.tensor);
}

void BoundPlan::bind_gradients(const py::object& gradients) {
  Held held(kept_);
  const auto lock = this->lock();
  return_after_fork();
  check_gradients(gradients, parameters_.size());
  py::object bound = as_tuple(gradients);  // the caller's list may change
  held.take(check_gradients(bound, parameters_.size()));
  take_gradients(held, false);
  std::swap(bound_, bound);
}

// Every scheduled group needs its rate, asked for this very step; a group that was given a constant meanwhile needs none.
BoundPlan::Rates BoundPlan::read_rates(const py::object& asked, std::int64_t at) const {
  Rates rates;
  if (!asked.is_none())
    for (const auto& [group, rate] : read_numbers<int>(py::dict(asked)))
      if (scheduled_[group_index(group)]) rates.emplace_back(group, rate);
  std::size_t wanted = 0;
  for (const bool scheduled : scheduled_) wanted += scheduled;
  if (rates.size() != wanted || (wanted > 0 && at != plan_.steps))
    throw std::runtime_error(
        "this optimizer is in use: another thread has stepped, or assigned a schedule, while the schedules were asked");
  return rates;
}

void BoundPlan::swap_rates(Rates& rates) noexcept {
  for (auto& [group, rate] : rates) {
    engine::Group& g = plan_.group(group);
    std::swap(g.hypers[g.lr], rate);
  }
}

void BoundPlan::raise_nonfinite(int tensor) const {
  throw RefusedGradient(gradient_label(static_cast<std::size_t>(tensor)) +
                        ": holds NaN or infinity (nonfinite=\"raise\"); nothing was changed");
}

void BoundPlan::raise_overflow(int tensor) {
  const bool wide = engine::computes_in_double(plan_.tensor(tensor).dtype);
  throw RefusedGradient(gradient_label(static_cast<std::size_t>(tensor)) +
                        ": is finite, but its square or multiple in the rule overflows " + (wide ? "float64" : "float32") +
                        " (nonfinite=\"raise\"); nothing was changed");
}

// --- the parameters elsewhere for a while ---

void BoundPlan::refuse_elsewhere(const std::string& what) const {
  if (!is_elsewhere()) return;
  throw std::runtime_error(what + " inside `with optimizer." +
                           (place_ == Place::lookahead ? "lookahead()" : "ema_weights()") +
                           "`: the parameters are not at their own place");
}

void BoundPlan::go(Place place, const py::object& asked, std::int64_t at) {
  auto lock = this->lock();
  return_after_fork();
  refuse_elsewhere(place == Place::lookahead ? "lookahead()" : "ema_weights()");
  bool begun = place == Place::lookahead;
  for (int i = 0; i < plan_.groups(); ++i) begun |= plan_.group(i).averaged;
  if (!begun) throw std::runtime_error("ema_weights(): there is no average before the first step");
  Rates rates;
  if (place == Place::lookahead) rates = read_rates(asked, at);
  recheck_parameters();
  std::size_t total = 0;
  for (int i = 0; i < plan_.size(); ++i) total += bytes(plan_.tensor(i));
  home_ = std::make_unique_for_overwrite<char[]>(total);
  moved_by_ = this_thread();
  place_ = place;
  away(plan_.elements(), lock, [&] {
    char* copy = home_.get();
    for (int i = 0; i < plan_.size(); copy += bytes(plan_.tensor(i++)))
      std::copy_n(plan_.tensor(i).theta, bytes(plan_.tensor(i)), copy);
    swap_rates(rates);
    place == Place::lookahead ? plan_.look_ahead() : plan_.write_ema();
    swap_rates(rates);  // they are the coming step's, which has not been made
  });
}

// Needs no lock: until the place is home again, nothing else touches the parameters.
void BoundPlan::put_back() {
  if (!is_elsewhere()) return;
  std::string changed;
  const char* copy = home_.get();
  for (int i = 0; i < plan_.size(); copy += bytes(plan_.tensor(i++))) {
    const auto t = static_cast<std::size_t>(i);
    if (watched_[t].parameter.matches(watched_[t].owner))
      std::copy_n(copy, bytes(plan_.tensor(i)), plan_.tensor(i).theta);
    else if (changed.empty())
      changed = parameters_[t]->label;
  }
  home_.reset();
  place_.store(Place::home, std::memory_order_release);
  if (!changed.empty())
    throw py::value_error(changed +
                          ": was resized, reshaped or given another dtype while it held other values; its own are lost");
}

// A fork by another thread: nobody in this process will leave the block that has the parameters elsewhere.
void BoundPlan::return_after_fork() {
  if (is_elsewhere() && !of_this_process(moved_by_) && !same_thread(moved_by_, this_thread())) put_back();
}

// --- numbers ---

std::size_t BoundPlan::tensor_index(int tensor) const {
  if (tensor < 0 || tensor >= plan_.size())
    throw py::index_error("tensor: expected 0 to " + std::to_string(plan_.size() - 1) + ", got " + std::to_string(tensor));
  return static_cast<std::size_t>(tensor);
}

std::size_t BoundPlan::group_index(int group) const {
  if (group < 0 || group >= plan_.groups())
    throw py::index_error("group: expected 0 to " + std::to_string(plan_.groups() - 1) + ", got " + std::to_string(group));
  return static_cast<std::size_t>(group);
}

BoundPlan::SavedGroup BoundPlan::read_group(int index, const py::dict& hypers, bool maximize, bool scheduled) {
  group_index(index);
  SavedGroup saved{plan_.group(index), scheduled};
  assign(saved.group, hypers);
  saved.group.maximize = maximize;
  return saved;
}

void BoundPlan::set_group(int index, const py::dict& hypers, bool maximize, bool scheduled, const py::list& given) {
  Mirrors mirrors(given);
  const auto lock = within();
  const SavedGroup saved = read_group(index, hypers, maximize, scheduled);
  mirrors.write();
  plan_.group(index) = saved.group;
  scheduled_[group_index(index)] = scheduled;
}

void BoundPlan::set_hypers(int index, const py::dict& hypers) {
  const auto lock = within();
  const SavedGroup saved = read_group(index, hypers, plan_.group(static_cast<int>(group_index(index))).maximize, false);
  plan_.group(index) = saved.group;
}

double BoundPlan::lr(int group) {
  const auto lock = within();
  group_index(group);
  const engine::Group& g = plan_.group(group);
  return g.hypers[g.lr];
}

std::int64_t BoundPlan::count(int tensor) {
  const auto lock = within();
  tensor_index(tensor);
  return plan_.count(tensor);
}

void BoundPlan::set_count(int tensor, std::int64_t count) {
  const auto lock = within();
  tensor_index(tensor);
  plan_.count(tensor) = read_count("count", count);
}

std::vector<double> BoundPlan::scalars(int tensor) {
  const auto lock = within();
  tensor_index(tensor);
  const double* values = plan_.scalars(tensor);
  return {values, values + plan_.group(plan_.group_of(tensor)).kernel->scalars.size()};
}

void BoundPlan::set_scalars(int tensor, const std::vector<double>& values) {
  const auto lock = within();
  tensor_index(tensor);
  check_length("scalars", values.size(), plan_.group(plan_.group_of(tensor)).kernel->scalars.size());
  std::copy(values.begin(), values.end(), plan_.scalars(tensor));
}

std::vector<bool> BoundPlan::averaged() {
  const auto lock = within();
  std::vector<bool> begun;
  for (int i = 0; i < plan_.groups(); ++i) begun.push_back(plan_.group(i).averaged);
  return begun;
}

void BoundPlan::set_steps(std::int64_t n) {
  const auto lock = within();
  plan_.steps = read_count("steps", n);
  publish();
}

void BoundPlan::set_skipped(std::int64_t n) {
  const auto lock = within();
  plan_.skipped = read_count("skipped", n);
  publish();
}

void BoundPlan::publish() noexcept {
  published_.steps.store(plan_.steps, std::memory_order_relaxed);
  published_.skipped.store(plan_.skipped, std::memory_order_relaxed);
  published_.norm.store(plan_.norm, std::memory_order_relaxed);
}

FASTOPT_BINDINGS_END
