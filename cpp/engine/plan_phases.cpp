// A step from the inside: passes over the tensors, cut into pieces for threads.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/environment.hpp"
#include "engine/plan.hpp"
#include "threads/pool.hpp"

namespace fastopt::engine {
namespace {

template <class F>
auto computed_in(Dtype parameter, F&& f) {
  return computes_in_double(parameter) ? f(double{}) : f(float{});
}

}  // namespace

void Plan::make_cut(Cut& cut, std::span<const Item> items) const {
  const auto same = [](int tensor, const Item& item) { return tensor == item.tensor; };
  if (cut.whole && std::equal(cut.tensors.begin(), cut.tensors.end(), items.begin(), items.end(), same)) return;
  cut.whole = false;
  cut.tensors.clear();
  cut.pieces.clear();
  cut.chunks.assign(1, 0);
  cut.elements = 0;
  for (const Item& item : items) {
    cut.tensors.push_back(item.tensor);
    cut.elements += at(tensors_, item.tensor).size;
  }
  const std::int64_t chunk = chunk_of(cut.elements), length = std::min(cut.length, chunk);
  std::int64_t filled = 0;
  for (int i = 0; i < static_cast<int>(items.size()); ++i) {
    const std::int64_t n = at(tensors_, at(items, i).tensor).size;
    for (std::int64_t begin = 0; begin < n; begin += length) {
      cut.pieces.push_back({i, begin, std::min(begin + length, n)});
      filled += cut.pieces.back().end - begin;
      if (filled >= chunk) {
        cut.chunks.push_back(static_cast<int>(cut.pieces.size()));
        filled = 0;
      }
    }
  }
  if (filled > 0) cut.chunks.push_back(static_cast<int>(cut.pieces.size()));
  cut.whole = true;
}

// Calls f(index of the piece, piece), from several threads where that pays.
template <class F>
void Plan::for_each_piece(const Cut& cut, threads::Rate& rate, F&& f) {
  const auto elements = static_cast<double>(cut.elements);
  const double took = threads::for_each(static_cast<std::int64_t>(cut.chunks.size()) - 1, rate.estimate(elements),
                                        [&](std::int64_t chunk, int) {
                                          const DefaultEnvironment environment;
                                          const auto c = static_cast<std::size_t>(chunk);
                                          for (int p = cut.chunks[c]; p < cut.chunks[c + 1]; ++p)
                                            f(static_cast<std::size_t>(p), at(cut.pieces, p));
                                        });
  rate.measured(elements, took);
}

Outcome Plan::read_pass(std::span<const Gradient> gradients) {
  Pass<float> f32;
  Pass<double> f64;
  f32.unscale = Factor<float>(unscale_);
  f64.unscale = Factor<double>(unscale_);
  f32.clip_value = f64.clip_value = options_.clip_value > 0;
  f32.limit = value_limit<float>(options_.clip_value);
  f64.limit = value_limit<double>(options_.clip_value);
  make_cut(blocks_, items_);
  square_sums_.resize(blocks_.pieces.size());
  for_each_piece(blocks_, read_rate_, [&](std::size_t index, const Piece& piece) {
    const auto tensor = static_cast<std::size_t>(at(items_, piece.item).tensor);
    square_sums_[index] = computes_in_double(tensors_[tensor].dtype)
                              ? square_sum(gradients[tensor], f64, piece.begin, piece.end)
                              : square_sum(gradients[tensor], f32, piece.begin, piece.end);
  });
  SquareSum total;
  for (const SquareSum& sum : square_sums_) total += sum;
  const double size = total.norm();
  if (options_.clip_norm > 0) {
    const double divisor = size + 1e-6;  // infinite also where the norm alone is: then it is nothing to 1e-6
    const Scale factor =
        Scale::of(options_.clip_norm) / (total.finite && std::isinf(divisor) ? total.scaled() : Scale::of(divisor));
    if (!(factor.value() >= 1)) clip_by_ = factor;  // also NaN
  }
  const Outcome outcome = judge(total, clip_by_);
  if (outcome.status == Outcome::applied || outcome.status == Outcome::skipped) norm = size;  // an exception changes nothing
  return outcome;
}

// What the policy for non-finite gradients says: they, and those whose largest multiple or square in the rule
// (rules::Reach) is not finite although they are. Clipped gradients are looked at as the rule will see them.
Outcome Plan::judge(const SquareSum& total, const Scale& clip) const {
  if (options_.nonfinite == Nonfinite::propagate || (total.finite && total.largest == 0)) return {};
  for (std::size_t i = 0; i < square_sums_.size(); ++i) {
    const SquareSum& sum = square_sums_[i];
    const int tensor = at(items_, blocks_.pieces[i].item).tensor;
    const bool over = sum.finite && sum.largest > 0 && overflows(tensor, (Scale::of(sum.largest) * clip).value());
    if (sum.finite && !over) continue;
    if (options_.nonfinite == Nonfinite::skip) return {Outcome::skipped, tensor};
    return {over ? Outcome::overflow : Outcome::nonfinite, tensor};
  }
  return {};
}

bool Plan::overflows(int tensor, double largest) const {
  const rules::Reach& reach = at(groups_, group_of(tensor)).kernel->reach;
  const Tensor& t = at(tensors_, tensor);
  const auto finite = [](auto most) { return most <= std::numeric_limits<decltype(most)>::max(); };
  if (reach.summed) return !finite(largest * largest * static_cast<double>(t.size));
  return !computed_in(t.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T most = static_cast<T>(reach.times) * static_cast<T>(largest);
    return reach.squared ? finite(static_cast<T>(most * most)) : finite(most);
  });
}

// LARS, LAMB: a barrier between the sums and the update that needs them.
void Plan::reduce_phase(std::span<const Gradient> gradients) {
  for_each_piece(sum_blocks_, reduce_rate_, [&](std::size_t index, const Piece& piece) {
    const Item& item = at(summed_, piece.item);
    const auto tensor = static_cast<std::size_t>(item.tensor);
    computed_in(tensors_[tensor].dtype, [&](auto tag) {
      using T = decltype(tag);
      Lanes lanes[max_sums];
      Walk<T>(tensors_[tensor], gradients[tensor], at(prepared_, item.prepared).template pass<T>(), false)
          .reduce(piece.begin, piece.end, lanes);
      for (int k = 0; k < max_sums; ++k) at(rule_sums_[index], k) = lanes[k].total();
    });
  });
  // each tensor has its own sums, hence its own coefficients
  for (std::size_t p = 0; p < sum_blocks_.pieces.size(); ++p)
    for (int k = 0; k < max_sums; ++k) at(at(tensor_sums_, sum_blocks_.pieces[p].item), k) += at(rule_sums_[p], k);
  std::size_t next = 0;
  for (Item& item : items_) {
    const Group& group = at(groups_, at(group_of_, item.tensor));
    if (group.kernel->sums == 0) continue;
    prepared_[n_prepared_] = Prepared(at(prepared_, item.prepared));
    Prepared& own = prepared_[n_prepared_];
    group.kernel->finish(own.coefs, tensor_sums_[next++].data());
    // A trust ratio of norms that are far apart may be beyond float32: the largest step there is, and no infinity.
    if (!computes_in_double(at(tensors_, item.tensor).dtype)) {
      constexpr double most = std::numeric_limits<float>::max();
      for (int c = 0; c < group.kernel->coefs; ++c) own.coefs[c] = std::clamp(own.coefs[c], -most, most);  // NaN stays NaN
    }
    fill(own, group);
    item.prepared = static_cast<int>(n_prepared_++);
  }
}

void Plan::update_phase(std::span<const Gradient> gradients, bool zero_gradients) {
  const auto walk = [&](const Item& item, std::int64_t begin, std::int64_t end) {
    const auto tensor = static_cast<std::size_t>(item.tensor);
    computed_in(tensors_[tensor].dtype, [&](auto tag) {
      using T = decltype(tag);
      const Pass<T>& pass = at(prepared_, item.prepared).template pass<T>();
      update<T>(tensors_[tensor], gradients[tensor], pass, begin, end, zero_gradients);
    });
  };
  for_each_piece(parts_, update_rate_,
                 [&](std::size_t, const Piece& piece) { walk(at(items_, piece.item), piece.begin, piece.end); });
}

// Tensors that had no gradient: their average moves all the same.
void Plan::average_rest() {
  Pass<float> f32;
  Pass<double> f64;
  f32.ema_keep = static_cast<float>(f64.ema_keep = options_.ema_decay);
  f32.ema_take = static_cast<float>(f64.ema_take = 1 - options_.ema_decay);
  Pass<float> copy_f32;
  Pass<double> copy_f64;
  copy_f32.ema_copy = copy_f64.ema_copy = true;
  for_each_piece(rest_parts_, rest_rate_, [&](std::size_t, const Piece& piece) {
    const int i = at(rest_, piece.item).tensor;
    const bool first = !at(groups_, group_of(i)).averaged;
    const Tensor& tensor = at(tensors_, i);
    if (computes_in_double(tensor.dtype))
      walk_ema(tensor, first ? copy_f64 : f64, piece.begin, piece.end);
    else
      walk_ema(tensor, first ? copy_f32 : f32, piece.begin, piece.end);
  });
}

// Calls f(tensor's number, piece) for all tensors, from several threads where that pays.
template <class F>
void Plan::for_each_of_all(F&& f) {
  std::vector<Item> all;
  for (int i = 0; i < size(); ++i) all.push_back({i, -1});
  make_cut(all_parts_, all);
  for_each_piece(all_parts_, rest_rate_,
                 [&](std::size_t, const Piece& piece) { f(at(all_parts_.tensors, piece.item), piece); });
}

void Plan::look_ahead() {
  for_each_of_all([&](int i, const Piece& piece) {
    const Tensor& tensor = at(tensors_, i);
    const Group& group = at(groups_, at(group_of_, i));
    if (group.kernel->look_ahead == nullptr || at(counts_, i) == 0 || tensor.states[0] == nullptr) return;
    const double distance = group.kernel->look_ahead(group.hypers);
    computed_in(tensor.dtype, [&](auto tag) { walk_along<decltype(tag)>(tensor, -distance, piece.begin, piece.end); });
  });
}

void Plan::write_ema() {
  for_each_of_all([&](int i, const Piece& piece) {
    const Tensor& tensor = at(tensors_, i);
    if (!at(groups_, group_of(i)).averaged) return;
    computed_in(tensor.dtype, [&](auto tag) {
      const auto* mean = reinterpret_cast<const decltype(tag)*>(tensor.ema) + piece.begin;
      dispatch(tensor.dtype, [&](auto stored) {
        store(mean, reinterpret_cast<decltype(stored)*>(tensor.theta) + piece.begin, piece.end - piece.begin);
      });
    });
  });
}

}  // namespace fastopt::engine
