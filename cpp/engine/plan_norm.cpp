// The read pass of a step: the norm of its gradients, and whether they may be used. Nothing is written yet.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/plan.hpp"
#include "engine/rows.hpp"

namespace fastopt::engine {

namespace {

template <class T>
Magnitude magnitude_of_rows(const Rows& rows, const Constants<T>& constants, NormType type, std::int64_t begin,
                            std::int64_t end) {
  alignas(64) T buffer[sum_block];
  gather(rows, begin, end, buffer);
  Gradient gathered;
  gathered.data = reinterpret_cast<char*>(buffer);
  gathered.dtype = dtype_of<T>;
  return magnitude(gathered, constants, type, 0, end - begin);
}

}  // namespace

Outcome Plan::read_pass(std::span<const Gradient> gradients) {
  Constants<float> f32;
  Constants<double> f64;
  f32.unscale = Factor<float>(unscale_);
  f64.unscale = Factor<double>(unscale_);
  f32.clip_value = f64.clip_value = options_.clip_value > 0;
  f32.limit = value_limit<float>(options_.clip_value);
  f64.limit = value_limit<double>(options_.clip_value);
  blocks_.make(items_);
  magnitudes_.resize(blocks_.pieces.size());
  if (options_.clip_norm_per_tensor) own_clips_.assign(tensors_.size(), Scale());
  for_each_piece(blocks_, read_rate_, [&](std::size_t index, const Piece& piece) {
    const auto tensor = static_cast<std::size_t>(at(items_, piece.item).tensor);
    const auto read = [&](const auto& constants) {
      if (gradients[tensor].rows != nullptr)
        return magnitude_of_rows(*gradients[tensor].rows, constants, options_.clip_norm_type, piece.begin, piece.end);
      return magnitude(gradients[tensor], constants, options_.clip_norm_type, piece.begin, piece.end);
    };
    magnitudes_[index] = computes_in_double(tensors_[tensor].dtype()) ? read(f64) : read(f32);
  });
  const Magnitude total = gather();
  Outcome outcome = judge(total);
  if (outcome.status == Outcome::nonfinite && at(gradients, outcome.tensor).rows != nullptr)
    outcome.row = at(gradients, outcome.tensor).rows->not_finite(computes_in_double(at(tensors_, outcome.tensor).dtype()));
  if (outcome.status == Outcome::applied || outcome.status == Outcome::skipped)
    norm = total.norm(options_.clip_norm_type).value();  // an exception changes nothing
  return outcome;
}

// The magnitude of all gradients, from that of their blocks, and the factors by which they are clipped.
Magnitude Plan::gather() {
  Magnitude total;
  for (std::size_t i = 0; i < magnitudes_.size();) {
    const int item = blocks_.pieces[i].item;
    Magnitude own;
    for (; i < magnitudes_.size() && blocks_.pieces[i].item == item; ++i) {
      own += magnitudes_[i];
      total += magnitudes_[i];
    }
    if (options_.clip_norm_per_tensor) at(own_clips_, at(items_, item).tensor) = clip_of(own);
  }
  if (!options_.clip_norm_per_tensor) clip_by_ = clip_of(total);
  return total;
}

Scale Plan::clip_of(const Magnitude& m) const {
  if (options_.clip_norm == 0) return {};
  const Scale norm = m.norm(options_.clip_norm_type);
  const double divisor = norm.value() + 1e-6;  // infinite also where the norm alone is: then it is nothing to 1e-6
  const Scale factor = Scale::of(options_.clip_norm) / (std::isinf(divisor) ? norm : Scale::of(divisor));
  return factor.value() >= 1 ? Scale() : factor;  // also NaN
}

// What the policy for non-finite gradients says: they, and those whose largest multiple or square in the rule
// (rules::Reach) is not finite although they are. Clipped gradients are looked at as the rule will see them.
Outcome Plan::judge(const Magnitude& total) const {
  if (options_.nonfinite == Nonfinite::propagate || (total.finite && total.risky == 0)) return {};
  for (std::size_t i = 0; i < magnitudes_.size(); ++i) {
    const Magnitude& m = magnitudes_[i];
    const int tensor = at(items_, blocks_.pieces[i].item).tensor;
    const bool over = m.finite && m.risky > 0 && overflows(tensor, (Scale::of(m.risky) * clip(tensor)).value());
    if (m.finite && !over) continue;
    if (options_.nonfinite == Nonfinite::skip) return {Outcome::skipped, tensor};
    return {over ? Outcome::overflow : Outcome::nonfinite, tensor};
  }
  return {};
}

bool Plan::overflows(int tensor, double largest) const {
  const Group& group = at(groups_, group_of(tensor));
  const rules::Reach& reach = group.kernel->reach;
  const Tensor& t = at(tensors_, tensor);
  if (group.centralize != 0 && t.rows > 0) largest *= 2;  // less a mean of the other sign
  const auto finite = [](auto most) { return most <= std::numeric_limits<decltype(most)>::max(); };
  if (reach.summed) return !finite(largest * largest * static_cast<double>(t.size));
  return !computed_in(t.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T most = static_cast<T>(reach.times) * static_cast<T>(largest);
    return reach.squared ? finite(static_cast<T>(most * most)) : finite(most);
  });
}

}  // namespace fastopt::engine
