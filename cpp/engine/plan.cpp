#include "engine/plan.hpp"

#include <algorithm>
#include <limits>

#include "engine/environment.hpp"
#include "threads/pool.hpp"

namespace fastopt::engine {
namespace {

constexpr double bytes_per_ns = 64;  // of one thread, between the second-level cache (80) and memory (35), Zen 4

template <class F>
auto computed_in(Dtype parameter, F&& f) {
  return computes_in_double(parameter) ? f(double{}) : f(float{});
}

}  // namespace

int Plan::add_group(const Group& group) {
  groups_.push_back(group);
  any_sums_ |= group.kernel->sums > 0;
  return static_cast<int>(groups_.size()) - 1;
}

int Plan::add_tensor(const Tensor& tensor, int group) {
  tensors_.push_back(tensor);
  group_of_.push_back(group);
  counts_.push_back(0);
  const Kernel& kernel = *groups_[static_cast<std::size_t>(group)].kernel;
  Scalars scalars;
  std::copy_n(kernel.first_scalars, kernel.scalars.size(), scalars.values);
  scalars_.push_back(scalars);
  elements_ += tensor.size;
  if (tensor.ema != nullptr) {  // until the first step: a copy, not what the memory held
    const DefaultEnvironment environment;
    Pass<float> f32;
    Pass<double> f64;
    f32.ema_copy = f64.ema_copy = true;
    computes_in_double(tensor.dtype) ? walk_ema(tensor, f64, 0, tensor.size) : walk_ema(tensor, f32, 0, tensor.size);
  }
  return size() - 1;
}

Outcome Plan::step(std::span<const Gradient> gradients, double grad_scale, bool zero_gradients) {
  const DefaultEnvironment environment;
  unscale_ = grad_scale == 1 ? 1 : 1 / grad_scale;
  clip_by_ = 1;
  collect(gradients);
  if (needs_norm()) {
    const Outcome outcome = read_pass(gradients);
    skipped += outcome.status == Outcome::skipped;
    if (outcome.status != Outcome::applied) return outcome;
  } else {
    norm = -1;
  }
  for (std::size_t i = 0; i < n_prepared_; ++i) fill(prepared_[i], groups_[static_cast<std::size_t>(prepared_[i].group)]);
  if (any_sums_) reduce_phase(gradients);
  update_phase(gradients, zero_gradients);
  if (options_.ema_decay >= 0) average_rest(gradients);
  commit();
  return {};
}

void Plan::collect(std::span<const Gradient> gradients) {
  n_prepared_ = 0;
  items_.clear();
  int prepared = -1;  // of the tensor before: mostly this one's as well
  for (int i = 0; i < size(); ++i) {
    const auto tensor = static_cast<std::size_t>(i);
    if (gradients[tensor].data == nullptr) continue;
    const bool same = prepared >= 0 && prepared_[static_cast<std::size_t>(prepared)].fits(
                                           group_of_[tensor], counts_[tensor] + 1, scalars_[tensor]);
    if (!same) prepared = prepare(i);
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
  const Group& g = groups_[static_cast<std::size_t>(group)];
  g.kernel->prepare(g.hypers, t, p.after.values, p.coefs);
  return static_cast<int>(n_prepared_++);
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
  pass.unscale = unscale_ != 1;
  pass.unscale_by = static_cast<T>(unscale_);
  pass.clip_value = options_.clip_value > 0;
  pass.limit = static_cast<T>(options_.clip_value);
  pass.clip_norm = clip_by_ != 1;  // also when it is NaN
  pass.clip_by = static_cast<T>(clip_by_);
  pass.negate = group.maximize;
  pass.coupled = group.weight_decay != 0 && group.decay_kind == WeightDecay::coupled;
  pass.coupled_by = static_cast<T>(group.weight_decay);
  pass.l1 = group.l1 != 0;
  pass.l1_by = static_cast<T>(group.l1);
  pass.decay = group.weight_decay != 0 && group.decay_kind == WeightDecay::decoupled;
  pass.decay_by = static_cast<T>(1 - lr * group.weight_decay);
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

void Plan::make_cut(Cut& cut) const {
  const bool all = items_.size() == tensors_.size();
  if (all && cut.whole == size()) return;
  cut.whole = all ? size() : -1;
  cut.pieces.clear();
  cut.chunks.assign(1, 0);
  cut.elements = 0;
  std::int64_t filled = 0;
  for (int i = 0; i < static_cast<int>(items_.size()); ++i) {
    const std::int64_t n = tensors_[static_cast<std::size_t>(items_[static_cast<std::size_t>(i)].tensor)].size;
    cut.elements += n;
    for (std::int64_t begin = 0; begin < n; begin += cut.length) {
      cut.pieces.push_back({i, begin, std::min(begin + cut.length, n)});
      filled += cut.pieces.back().end - begin;
      if (filled >= chunk_elements) {
        cut.chunks.push_back(static_cast<int>(cut.pieces.size()));
        filled = 0;
      }
    }
  }
  if (filled > 0) cut.chunks.push_back(static_cast<int>(cut.pieces.size()));
}

// Calls f(index of the piece, piece), from several threads where that pays.
template <class F>
void Plan::for_each_piece(Cut& cut, double bytes_per_element, F&& f) {
  make_cut(cut);
  const double serial_ns = static_cast<double>(cut.elements) * bytes_per_element / bytes_per_ns;
  threads::for_each(static_cast<std::int64_t>(cut.chunks.size()) - 1, serial_ns, [&](std::int64_t chunk, int) {
    const DefaultEnvironment environment;
    const auto c = static_cast<std::size_t>(chunk);
    for (int p = cut.chunks[c]; p < cut.chunks[c + 1]; ++p)
      f(static_cast<std::size_t>(p), cut.pieces[static_cast<std::size_t>(p)]);
  });
}

Outcome Plan::read_pass(std::span<const Gradient> gradients) {
  Pass<float> f32;
  Pass<double> f64;
  f32.unscale = f64.unscale = unscale_ != 1;
  f32.unscale_by = static_cast<float>(f64.unscale_by = unscale_);
  f32.clip_value = f64.clip_value = options_.clip_value > 0;
  f32.limit = static_cast<float>(f64.limit = options_.clip_value);
  std::size_t blocks = 0;
  for (const Item& item : items_)
    blocks += static_cast<std::size_t>((tensors_[static_cast<std::size_t>(item.tensor)].size + sum_block - 1) / sum_block);
  square_sums_.resize(blocks);
  for_each_piece(blocks_, 4, [&](std::size_t index, const Piece& piece) {
    const auto tensor = static_cast<std::size_t>(items_[static_cast<std::size_t>(piece.item)].tensor);
    square_sums_[index] = computes_in_double(tensors_[tensor].dtype)
                              ? square_sum(gradients[tensor], f64, piece.begin, piece.end)
                              : square_sum(gradients[tensor], f32, piece.begin, piece.end);
  });
  SquareSum total;
  for (const SquareSum& sum : square_sums_) total += sum;
  const bool refused = !total.finite && options_.nonfinite != Nonfinite::propagate;
  if (!refused || options_.nonfinite == Nonfinite::skip) norm = total.norm();  // an exception changes nothing
  if (refused) {
    std::size_t bad = 0;
    while (square_sums_[bad].finite) ++bad;
    const int tensor = items_[static_cast<std::size_t>(blocks_.pieces[bad].item)].tensor;
    return {options_.nonfinite == Nonfinite::skip ? Outcome::skipped : Outcome::nonfinite, tensor};
  }
  if (options_.clip_norm > 0) {
    const double factor = options_.clip_norm / (norm + 1e-6);
    clip_by_ = factor < 1 ? factor : factor >= 1 ? 1 : factor;  // NaN stays NaN
  }
  return {};
}

// LARS, LAMB: a barrier between the sums and the update that needs them.
void Plan::reduce_phase(std::span<const Gradient> gradients) {
  const auto all = items_;
  std::erase_if(items_, [&](const Item& item) {
    return groups_[static_cast<std::size_t>(group_of_[static_cast<std::size_t>(item.tensor)])].kernel->sums == 0;
  });
  std::size_t blocks = 0;
  for (const Item& item : items_)
    blocks += static_cast<std::size_t>((tensors_[static_cast<std::size_t>(item.tensor)].size + sum_block - 1) / sum_block);
  rule_sums_.resize(blocks);
  for_each_piece(blocks_, 24, [&](std::size_t index, const Piece& piece) {
    const Item& item = items_[static_cast<std::size_t>(piece.item)];
    const auto tensor = static_cast<std::size_t>(item.tensor);
    computed_in(tensors_[tensor].dtype, [&](auto tag) {
      using T = decltype(tag);
      Lanes lanes[max_sums];
      Walk<T>(tensors_[tensor], gradients[tensor], prepared_[static_cast<std::size_t>(item.prepared)].template pass<T>(),
              false)
          .reduce(piece.begin, piece.end, lanes);
      for (int k = 0; k < max_sums; ++k) rule_sums_[index][static_cast<std::size_t>(k)] = lanes[k].total();
    });
  });
  // each tensor has its own sums, hence its own coefficients
  std::vector<std::array<double, max_sums>> sums(items_.size(), std::array<double, max_sums>{});
  for (std::size_t p = 0; p < blocks_.pieces.size(); ++p)
    for (int k = 0; k < max_sums; ++k)
      sums[static_cast<std::size_t>(blocks_.pieces[p].item)][static_cast<std::size_t>(k)] +=
          rule_sums_[p][static_cast<std::size_t>(k)];
  std::size_t next = 0;
  items_ = all;
  for (Item& item : items_) {
    const Group& group = groups_[static_cast<std::size_t>(group_of_[static_cast<std::size_t>(item.tensor)])];
    if (group.kernel->sums == 0) continue;
    if (n_prepared_ == prepared_.size()) prepared_.emplace_back();
    prepared_[n_prepared_] = Prepared(prepared_[static_cast<std::size_t>(item.prepared)]);
    Prepared& own = prepared_[n_prepared_];
    group.kernel->finish(own.coefs, sums[next++].data());
    fill(own, group);
    item.prepared = static_cast<int>(n_prepared_++);
  }
}

void Plan::update_phase(std::span<const Gradient> gradients, bool zero_gradients) {
  const auto walk = [&](const Item& item, std::int64_t begin, std::int64_t end) {
    const auto tensor = static_cast<std::size_t>(item.tensor);
    computed_in(tensors_[tensor].dtype, [&](auto tag) {
      using T = decltype(tag);
      const Pass<T>& pass = prepared_[static_cast<std::size_t>(item.prepared)].template pass<T>();
      update<T>(tensors_[tensor], gradients[tensor], pass, begin, end, zero_gradients);
    });
  };
  for_each_piece(parts_, 28, [&](std::size_t, const Piece& piece) {
    walk(items_[static_cast<std::size_t>(piece.item)], piece.begin, piece.end);
  });
}

// Tensors that had no gradient: their average moves all the same.
void Plan::average_rest(std::span<const Gradient> gradients) {
  Pass<float> f32;
  Pass<double> f64;
  f32.ema_keep = static_cast<float>(f64.ema_keep = options_.ema_decay);
  f32.ema_take = static_cast<float>(f64.ema_take = 1 - options_.ema_decay);
  for (int i = 0; i < size(); ++i) {
    const Tensor& tensor = tensors_[static_cast<std::size_t>(i)];
    if (gradients[static_cast<std::size_t>(i)].data != nullptr) continue;
    f32.ema_copy = f64.ema_copy = !groups_[static_cast<std::size_t>(group_of(i))].averaged;
    computes_in_double(tensor.dtype) ? walk_ema(tensor, f64, 0, tensor.size) : walk_ema(tensor, f32, 0, tensor.size);
  }
}

void Plan::look_ahead() {
  const DefaultEnvironment environment;
  for (int i = 0; i < size(); ++i) {
    const Tensor& tensor = tensors_[static_cast<std::size_t>(i)];
    const Group& group = groups_[static_cast<std::size_t>(group_of_[static_cast<std::size_t>(i)])];
    if (group.kernel->look_ahead == nullptr || counts_[static_cast<std::size_t>(i)] == 0 || tensor.states[0] == nullptr)
      continue;
    const double distance = group.kernel->look_ahead(group.hypers);
    computed_in(tensor.dtype, [&](auto tag) { walk_along<decltype(tag)>(tensor, -distance); });
  }
}

void Plan::write_ema() {
  const DefaultEnvironment environment;
  for (int i = 0; i < size(); ++i) {
    const Tensor& tensor = tensors_[static_cast<std::size_t>(i)];
    if (!groups_[static_cast<std::size_t>(group_of(i))].averaged) continue;
    computed_in(tensor.dtype, [&](auto tag) {
      const auto* mean = reinterpret_cast<const decltype(tag)*>(tensor.ema);
      dispatch(tensor.dtype,
               [&](auto stored) { store(mean, reinterpret_cast<decltype(stored)*>(tensor.theta), tensor.size); });
    });
  }
}

void Plan::commit() {
  for (const Item& item : items_) {
    const auto tensor = static_cast<std::size_t>(item.tensor);
    ++counts_[tensor];
    scalars_[tensor] = prepared_[static_cast<std::size_t>(item.prepared)].after;
  }
  ++steps;
  for (Group& group : groups_) group.averaged = options_.ema_decay >= 0;
}

}  // namespace fastopt::engine
