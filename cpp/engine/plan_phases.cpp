// A step from the inside: passes over the tensors, cut into pieces for threads.
#include <algorithm>

#include "engine/environment.hpp"
#include "engine/plan.hpp"
#include "threads/pool.hpp"

namespace fastopt::engine {
namespace {

constexpr double bytes_per_ns = 64;  // of one thread, between the second-level cache (80) and memory (35), Zen 4

template <class F>
auto computed_in(Dtype parameter, F&& f) {
  return computes_in_double(parameter) ? f(double{}) : f(float{});
}

}  // namespace

void Plan::make_cut(Cut& cut) const {
  const bool all = items_.size() == tensors_.size();
  if (all && cut.whole == size()) return;
  cut.whole = -1;  // until it is done: memory may run out in the middle
  cut.pieces.clear();
  cut.chunks.assign(1, 0);
  cut.elements = 0;
  std::int64_t filled = 0;
  for (int i = 0; i < static_cast<int>(items_.size()); ++i) {
    const std::int64_t n = at(tensors_, at(items_, i).tensor).size;
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
  if (all) cut.whole = size();
}

// Calls f(index of the piece, piece), from several threads where that pays.
template <class F>
void Plan::for_each_piece(Cut& cut, double bytes_per_element, F&& f) {
  make_cut(cut);
  const double serial_ns = static_cast<double>(cut.elements) * bytes_per_element / bytes_per_ns;
  threads::for_each(static_cast<std::int64_t>(cut.chunks.size()) - 1, serial_ns, [&](std::int64_t chunk, int) {
    const DefaultEnvironment environment;
    const auto c = static_cast<std::size_t>(chunk);
    for (int p = cut.chunks[c]; p < cut.chunks[c + 1]; ++p) f(static_cast<std::size_t>(p), at(cut.pieces, p));
  });
}

Outcome Plan::read_pass(std::span<const Gradient> gradients) {
  Pass<float> f32;
  Pass<double> f64;
  f32.unscale = f64.unscale = unscale_ != 1;
  f32.unscale_by = static_cast<float>(f64.unscale_by = unscale_);
  f32.clip_value = f64.clip_value = options_.clip_value > 0;
  f32.limit = static_cast<float>(f64.limit = options_.clip_value);
  make_cut(blocks_);
  square_sums_.resize(blocks_.pieces.size());
  for_each_piece(blocks_, 4, [&](std::size_t index, const Piece& piece) {
    const auto tensor = static_cast<std::size_t>(at(items_, piece.item).tensor);
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
    const int tensor = at(items_, blocks_.pieces[bad].item).tensor;
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
  std::erase_if(items_, [&](const Item& item) { return at(groups_, at(group_of_, item.tensor)).kernel->sums == 0; });
  make_cut(blocks_);
  rule_sums_.resize(blocks_.pieces.size());
  // nothing may fail once a state is written
  std::vector<std::array<double, max_sums>> sums(items_.size(), std::array<double, max_sums>{});
  prepared_.reserve(n_prepared_ + items_.size());

  for_each_piece(blocks_, 24, [&](std::size_t index, const Piece& piece) {
    const Item& item = at(items_, piece.item);
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
  for (std::size_t p = 0; p < blocks_.pieces.size(); ++p)
    for (int k = 0; k < max_sums; ++k) at(at(sums, blocks_.pieces[p].item), k) += at(rule_sums_[p], k);
  std::size_t next = 0;
  items_ = all;
  for (Item& item : items_) {
    const Group& group = at(groups_, at(group_of_, item.tensor));
    if (group.kernel->sums == 0) continue;
    if (n_prepared_ == prepared_.size()) prepared_.emplace_back();
    prepared_[n_prepared_] = Prepared(at(prepared_, item.prepared));
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
      const Pass<T>& pass = at(prepared_, item.prepared).template pass<T>();
      update<T>(tensors_[tensor], gradients[tensor], pass, begin, end, zero_gradients);
    });
  };
  for_each_piece(parts_, 28, [&](std::size_t, const Piece& piece) { walk(at(items_, piece.item), piece.begin, piece.end); });
}

// Tensors that had no gradient: their average moves all the same.
void Plan::average_rest(std::span<const Gradient> gradients) {
  Pass<float> f32;
  Pass<double> f64;
  f32.ema_keep = static_cast<float>(f64.ema_keep = options_.ema_decay);
  f32.ema_take = static_cast<float>(f64.ema_take = 1 - options_.ema_decay);
  for (int i = 0; i < size(); ++i) {
    const Tensor& tensor = at(tensors_, i);
    if (at(gradients, i).data != nullptr) continue;
    f32.ema_copy = f64.ema_copy = !at(groups_, group_of(i)).averaged;
    computes_in_double(tensor.dtype) ? walk_ema(tensor, f64, 0, tensor.size) : walk_ema(tensor, f32, 0, tensor.size);
  }
}

void Plan::look_ahead() {
  const DefaultEnvironment environment;
  for (int i = 0; i < size(); ++i) {
    const Tensor& tensor = at(tensors_, i);
    const Group& group = at(groups_, at(group_of_, i));
    if (group.kernel->look_ahead == nullptr || at(counts_, i) == 0 || tensor.states[0] == nullptr) continue;
    const double distance = group.kernel->look_ahead(group.hypers);
    computed_in(tensor.dtype, [&](auto tag) { walk_along<decltype(tag)>(tensor, -distance); });
  }
}

void Plan::write_ema() {
  const DefaultEnvironment environment;
  for (int i = 0; i < size(); ++i) {
    const Tensor& tensor = at(tensors_, i);
    if (!at(groups_, group_of(i)).averaged) continue;
    computed_in(tensor.dtype, [&](auto tag) {
      const auto* mean = reinterpret_cast<const decltype(tag)*>(tensor.ema);
      dispatch(tensor.dtype,
               [&](auto stored) { store(mean, reinterpret_cast<decltype(stored)*>(tensor.theta), tensor.size); });
    });
  }
}

}  // namespace fastopt::engine
