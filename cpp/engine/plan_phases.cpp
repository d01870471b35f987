// A step from the inside: passes that write, cut into pieces for threads.
#include <algorithm>
#include <limits>

#include "engine/by_row.hpp"
#include "engine/plan_constants.hpp"
#include "engine/rows.hpp"
#include "engine/update.hpp"

namespace fastopt::engine {

// A trust ratio of norms that are far apart, say, may be beyond float32: the largest step there is, and no infinity.
void Plan::keep_in_range(Cohort& cohort) {
  constexpr double most = std::numeric_limits<float>::max();
  for (double& c : cohort.coefs) c = std::clamp(c, -most, most);  // NaN stays NaN
}

// LARS, LAMB: a barrier between the sums and the update that needs them.
void Plan::reduce_phase(std::span<const Gradient> gradients) {
  for_each_piece(sum_blocks_, reduce_rate_, [&](std::size_t index, const Piece& piece) {
    const Item& item = at(summed_, piece.item);
    const auto tensor = static_cast<std::size_t>(item.tensor);
    computed_in(tensors_[tensor].dtype(), [&](auto tag) {
      using T = decltype(tag);
      std::optional<Constants<T>> own;
      Lanes lanes[max_sums];
      Walk<T>(tensors_[tensor], gradients[tensor], constants_of(item, own), false).reduce(piece.begin, piece.end, lanes);
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
    const double* const sums = tensor_sums_[next++].data();
    if (group.kernel->finish == nullptr) continue;  // settle_totals
    cohorts_[n_cohorts_] = Cohort(at(cohorts_, item.cohort));
    Cohort& own = cohorts_[n_cohorts_];
    group.kernel->finish(own.coefs, sums, at(tensors_, item.tensor).size);
    if (!computes_in_double(at(tensors_, item.tensor).dtype())) keep_in_range(own);
    fill(own, group);
    item.cohort = static_cast<int>(n_cohorts_++);
  }
  if (any_totals_) settle_totals();
}

void Plan::update_phase(std::span<const Gradient> gradients, bool zero_gradients) {
  const bool alike = own_clips_.empty() && !zero_gradients;
  const auto walk = [&](const Item& item, std::int64_t begin, std::int64_t end) {
    const auto tensor = static_cast<std::size_t>(item.tensor);
    computed_in(tensors_[tensor].dtype(), [&](auto tag) {
      using T = decltype(tag);
      const Constants<T>& shared = at(cohorts_, item.cohort).template constants<T>();
      // the common case, which many small tensors must not pay for the others
      if (alike && shared.direct && goes_in_place<T>(tensors_[tensor], gradients[tensor]))
        return update_in_place(tensors_[tensor], gradients[tensor], shared, begin, end);
      std::optional<Constants<T>> own;
      if (gradients[tensor].rows != nullptr) {
        Constants<T> constants = constants_of(item, own);
        constants.first = false;  // start_tables has been there
        return update_rows(tensors_[tensor], *gradients[tensor].rows, constants, begin, end);
      }
      const Constants<T>& constants = constants_of(item, own);
      const auto step = constants.kernel->by_row() ? update_by_row<T> : update<T>;
      step(tensors_[tensor], gradients[tensor], constants, begin, end, zero_gradients);
    });
  };
  for_each_piece(parts_, update_rate_,
                 [&](std::size_t, const Piece& piece) { walk(at(items_, piece.item), piece.begin, piece.end); });
}

// Tensors without a gradient, or with one of some rows only: their average moves everywhere all the same.
void Plan::average_frozen() {
  Constants<float> f32;
  Constants<double> f64;
  f32.ema_keep = static_cast<float>(f64.ema_keep = options_.ema_decay);
  f32.ema_take = static_cast<float>(f64.ema_take = 1 - options_.ema_decay);
  Constants<float> copy_f32;
  Constants<double> copy_f64;
  copy_f32.ema_copy = copy_f64.ema_copy = true;
  for_each_piece(frozen_parts_, average_rate_, [&](std::size_t, const Piece& piece) {
    const int i = at(frozen_, piece.item).tensor;
    const bool first = !at(groups_, group_of(i)).averaged;
    const Tensor& tensor = at(tensors_, i);
    if (computes_in_double(tensor.dtype()))
      walk_average(tensor, first ? copy_f64 : f64, piece.begin, piece.end);
    else
      walk_average(tensor, first ? copy_f32 : f32, piece.begin, piece.end);
  });
}

}  // namespace fastopt::engine
