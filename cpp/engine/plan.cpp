// A step from the outside: what is prepared before it, and what is recorded after.
#include "engine/plan.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "engine/environment.hpp"
#include "threads/pool.hpp"

namespace fastopt::engine {
int Plan::add_group(const Group& group) {
  if (group.decay_kind == WeightDecay::decoupled && group.kernel->decayed_f32 == nullptr)
    throw std::invalid_argument("rule " + std::string(group.kernel->name) + " has a weight decay of its own");
  groups_.push_back(group);
  any_sums_ |= group.kernel->sums > 0;
  return static_cast<int>(groups_.size()) - 1;
}

int Plan::add_tensor(const Tensor& tensor, int group) {
  tensors_.push_back(tensor);
  group_of_.push_back(group);
  counts_.push_back(0);
  const Kernel& kernel = *at(groups_, group).kernel;
  Scalars scalars;
  std::copy_n(kernel.first_scalars, kernel.scalars.size(), scalars.values);
  scalars_.push_back(scalars);
  elements_ += tensor.size;
  if (tensor.ema != nullptr) start_average(tensor);
  return size() - 1;
}

// Until the first step an average is a copy, not what its memory held. Made by the threads that will walk it: its pages then
// lie beside them, where memory is divided.
void Plan::start_average(const Tensor& tensor) {
  Pass<float> f32;
  Pass<double> f64;
  f32.ema_copy = f64.ema_copy = true;
  const std::int64_t chunk = chunk_of(tensor.size);
  threads::for_each((tensor.size + chunk - 1) / chunk, rest_rate_.estimate(static_cast<double>(tensor.size)),
                    [&](std::int64_t c, int) {
                      const DefaultEnvironment environment;
                      const std::int64_t begin = c * chunk, end = std::min(begin + chunk, tensor.size);
                      if (computes_in_double(tensor.dtype))
                        walk_ema(tensor, f64, begin, end);
                      else
                        walk_ema(tensor, f32, begin, end);
                    });
}

Outcome Plan::step(std::span<const Gradient> gradients, double grad_scale, bool zero_gradients) {
  const DefaultEnvironment environment;
  unscale_ = grad_scale == 1 ? Scale() : Scale::of(1) / Scale::of(grad_scale);
  clip_by_ = {};
  collect(gradients);
  make_room(gradients);
  if (needs_norm()) {
    const Outcome outcome = read_pass(gradients);
    skipped += outcome.status == Outcome::skipped;
    if (outcome.status != Outcome::applied) return outcome;
  } else {
    norm = -1;
  }
  for (std::size_t i = 0; i < n_prepared_; ++i) fill(prepared_[i], at(groups_, prepared_[i].group));
  if (any_sums_) reduce_phase(gradients);
  update_phase(gradients, zero_gradients);
  if (options_.ema_decay >= 0 && items_.size() < tensors_.size()) average_rest();
  commit();
  return {};
}

// All memory is had before the first element is written; from the second step on there is nothing to be had.
void Plan::make_room(std::span<const Gradient> gradients) {
  make_cut(parts_, items_);
  if (any_sums_) {
    summed_.clear();
    for (const Item& item : items_)
      if (at(groups_, at(group_of_, item.tensor)).kernel->sums > 0) summed_.push_back(item);
    make_cut(sum_blocks_, summed_);
    rule_sums_.resize(sum_blocks_.pieces.size());
    tensor_sums_.assign(summed_.size(), {});
    if (prepared_.size() < n_prepared_ + summed_.size()) prepared_.resize(n_prepared_ + summed_.size());
  }
  if (options_.ema_decay >= 0 && items_.size() < tensors_.size()) {
    rest_.clear();
    for (int i = 0; i < size(); ++i)
      if (at(gradients, i).data == nullptr) rest_.push_back({i, -1});
    make_cut(rest_parts_, rest_);
  }
}

namespace {
double decay_of(const Group& group, WeightDecay kind) { return group.decay_kind == kind ? group.weight_decay : 0; }
}  // namespace

void Plan::collect(std::span<const Gradient> gradients) {
  n_prepared_ = 0;
  items_.clear();
  int prepared = -1;  // of the tensor before: mostly this one's as well
  for (int i = 0; i < size(); ++i) {
    const auto tensor = static_cast<std::size_t>(i);
    if (gradients[tensor].data == nullptr) continue;
    const bool same =
        prepared >= 0 && at(prepared_, prepared).fits(group_of_[tensor], counts_[tensor] + 1, scalars_[tensor]);
    if (!same) prepared = prepare(i);
    check_range(at(prepared_, prepared), tensors_[tensor].dtype);
    items_.push_back({i, prepared});
  }
}

// Neighbours mostly share their numbers; a tensor that does not match one of the last few gets its own.
int Plan::prepare(int tensor) {
  const auto i = static_cast<std::size_t>(tensor);
  const int group = group_of_[i];
  const std::int64_t t = counts_[i] + 1;
  for (std::size_t back = 1; back <= std::min<std::size_t>(n_prepared_, 8); ++back) {
    const Prepared& p = prepared_[n_prepared_ - back];
    if (p.fits(group, t, scalars_[i])) return static_cast<int>(n_prepared_ - back);
  }
  if (n_prepared_ == prepared_.size()) prepared_.emplace_back();
  Prepared& p = prepared_[n_prepared_];
  p.group = group;
  p.t = t;
  p.before = p.after = scalars_[i];
  const Group& g = at(groups_, group);
  g.kernel->prepare(g.hypers, t, p.after.values, p.coefs);
  const double lr = g.hypers[g.lr];
  p.greatest =
      std::max({decay_of(g, WeightDecay::coupled), lr * decay_of(g, WeightDecay::decoupled), g.l1, lr * g.l1_proximal});
  for (int c = 0; c < g.kernel->coefs; ++c) p.greatest = std::max(p.greatest, std::abs(p.coefs[c]));
  return static_cast<int>(n_prepared_++);
}

// Hyper-parameters are finite, but what is formed of them may not be so in the type of computation: a schedule of 1e39 for
// float32 parameters, or lr / (1 - beta1) from the largest double. The largest of them is what is at fault.
void Plan::check_range(const Prepared& prepared, Dtype dtype) const {
  const bool wide = computes_in_double(dtype);
  const double limit = wide ? std::numeric_limits<double>::max() : static_cast<double>(std::numeric_limits<float>::max());
  if (prepared.greatest <= limit) return;
  const Group& g = at(groups_, prepared.group);
  std::string name = "lr";
  double value = g.hypers[g.lr];
  const auto larger = [&](std::string_view other, double size) {
    if (size > value) name = other, value = size;
  };
  for (std::size_t h = 0; h < g.kernel->hypers.size(); ++h) larger(g.kernel->hypers[h], g.hypers[h]);
  larger("weight_decay", g.weight_decay);
  larger("l1", g.l1);
  larger("l1_proximal", g.l1_proximal);
  char numbers[96];
  std::snprintf(numbers, sizeof numbers, "%.9g (a number of the step would be %.3g)", value, prepared.greatest);
  throw std::invalid_argument(name + ": expected a value of which the step is formed within " +
                              (wide ? "float64" : "float32") + ", in which " + dtype_name(dtype) +
                              " parameters are computed, got " + numbers);
}

void Plan::fill(Prepared& prepared, const Group& group) const {
  fill_pass(prepared.f32, prepared, group);
  fill_pass(prepared.f64, prepared, group);
}

template <class T>
void Plan::fill_pass(Pass<T>& pass, const Prepared& prepared, const Group& group) const {
  const double lr = group.hypers[group.lr];
  pass.kernel = group.kernel;
  for (int i = 0; i < group.kernel->coefs; ++i) pass.coefs[i] = static_cast<T>(prepared.coefs[i]);
  pass.unscale = Factor<T>(unscale_);
  pass.clip_value = options_.clip_value > 0;
  pass.limit = value_limit<T>(options_.clip_value);
  pass.clip_norm = Factor<T>(clip_by_);
  pass.negate = group.maximize;
  pass.coupled_by = static_cast<T>(decay_of(group, WeightDecay::coupled));
  pass.coupled = pass.coupled_by != T(0);
  pass.l1 = group.l1 != 0;
  pass.l1_by = static_cast<T>(group.l1);
  pass.decay_by = static_cast<T>(lr * decay_of(group, WeightDecay::decoupled));
  pass.decay = pass.decay_by != T(0);
  pass.shrink = group.l1_proximal != 0;
  pass.shrink_by = static_cast<T>(lr * group.l1_proximal);
  pass.ema_copy = !group.averaged;
  pass.ema_keep = static_cast<T>(options_.ema_decay);
  pass.ema_take = static_cast<T>(1 - options_.ema_decay);
  pass.first = prepared.t == 1;
  if (!pass.first) return;
  for (std::size_t s = 0; s < group.kernel->states.size(); ++s) {
    pass.start[s] = group.kernel->start(s, group.hypers);
    if (group.starts_set[s]) pass.start[s] = {group.starts[s], 0, 0};
    if (group.start_gradient_squared[s]) pass.start[s] = {0, 0, 1};
  }
}

void Plan::commit() {
  for (const Item& item : items_) {
    const auto tensor = static_cast<std::size_t>(item.tensor);
    ++counts_[tensor];
    scalars_[tensor] = at(prepared_, item.prepared).after;
  }
  ++steps;
  for (Group& group : groups_) group.averaged = options_.ema_decay >= 0;
}

}  // namespace fastopt::engine
