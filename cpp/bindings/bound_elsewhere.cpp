// Parameters that hold other values for a while: the look-ahead point, or averages.
#include "bindings/bound_plan.hpp"

#include <algorithm>

#include "bindings/without_gil.hpp"

FASTOPT_BINDINGS_BEGIN

namespace {

// Calls f(address, bytes) for all that makes up the values of a parameter.
template <class F>
void for_each_part(const engine::Tensor& t, F&& f) {
  const auto size = static_cast<std::size_t>(t.size);
  f(t.theta.data, size * engine::item_size(t.theta.encoding));
  if (t.theta.second != nullptr) f(t.theta.second, size * engine::second_size(t.theta.encoding));
  if (t.shadow) f(t.shadow.data, size * engine::item_size(t.shadow.encoding));
}

const char* method(BoundPlan::Place place) {
  switch (place) {
    case BoundPlan::Place::lookahead: return "lookahead()";
    case BoundPlan::Place::averages: return "ema_weights()";
    default: return "averaged_weights()";
  }
}

std::size_t bytes(const engine::Tensor& t) {
  std::size_t total = 0;
  for_each_part(t, [&](const char*, std::size_t n) { total += n; });
  return total;
}

}  // namespace

void BoundPlan::refuse_elsewhere(const std::string& what) const {
  if (!is_elsewhere()) return;
  throw std::runtime_error(what + " inside `with optimizer." + method(place_) +
                           "`: the parameters are not at their own place");
}

void BoundPlan::exchange(bool train) {
  auto lock = in_use_.call();
  return_after_fork();
  refuse_elsewhere(train ? "train()" : "eval()");
  if (train == train_mode()) return;
  recheck_parameters();
  plan_.cut_all();
  train_mode_ = train;
  without_gil(plan_.elements(), lock, [&] { plan_.exchange(!train); });
}

void BoundPlan::set_train_mode(bool train) {
  const auto lock = in_use_.within();
  train_mode_ = train;
}

void BoundPlan::move_to(Place place, const py::object& asked, std::int64_t at) {
  auto lock = in_use_.call();
  return_after_fork();
  refuse_elsewhere(method(place));
  bool begun = place != Place::averages;
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
  mode_at_home_ = train_mode();
  if (place == Place::exchanged) train_mode_ = false;
  without_gil(plan_.elements(), lock, [&] {
    char* copy = home_.get();
    for (int i = 0; i < plan_.size(); ++i)
      for_each_part(plan_.tensor(i), [&](const char* part, std::size_t n) { copy = std::copy_n(part, n, copy); });
    swap_rates(rates);
    if (place == Place::lookahead) plan_.look_ahead();
    if (place == Place::averages) plan_.write_ema();
    if (place == Place::exchanged && mode_at_home_) plan_.exchange(true);
    swap_rates(rates);  // they are the coming step's, which has not been made
  });
}

// Needs no lock: until the place is home again, nothing else touches the parameters.
void BoundPlan::move_home() {
  if (!is_elsewhere()) return;
  std::string changed;
  const char* copy = home_.get();
  for (int i = 0; i < plan_.size(); copy += bytes(plan_.tensor(i++))) {
    const auto t = static_cast<std::size_t>(i);
    bool same = watched_[t].parameter.matches(watched_[t].owner);
    if (watched_[t].shadowed) same = same && parameters_[t]->seen_shadow.matches(parameters_[t]->shadow.ptr());
    const char* from = copy;
    if (same)
      for_each_part(plan_.tensor(i), [&](char* part, std::size_t n) {
        std::copy_n(from, n, part);
        from += n;
      });
    else if (changed.empty())
      changed = parameters_[t]->label;
  }
  home_.reset();
  train_mode_ = mode_at_home_;
  place_.store(Place::home, std::memory_order_release);
  if (!changed.empty())
    throw py::value_error(changed +
                          ": was resized, reshaped or given another dtype while it held other values; its own are lost");
}

// A fork by another thread: nobody in this process will leave the block that has the parameters elsewhere.
void BoundPlan::return_after_fork() {
  if (is_elsewhere() && !of_this_process(moved_by_) && !same_thread(moved_by_, this_thread())) move_home();
}

FASTOPT_BINDINGS_END
