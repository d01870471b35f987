// The read pass of a step: the norm of its gradients, and whether they may be used. Nothing is written yet.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/plan.hpp"

namespace fastopt::engine {

Outcome Plan::read_pass(std::span<const Gradient> gradients) {
  Constants<float> f32;
  Constants<double> f64;
  f32.unscale = Factor<float>(unscale_);
  f64.unscale = Factor<double>(unscale_);
  f32.clip_value = f64.clip_value = options_.clip_value > 0;
  f32.limit = value_limit<float>(options_.clip_value);
  f64.limit = value_limit<double>(options_.clip_value);
  blocks_.make(items_, tensors_);
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

}  // namespace fastopt::engine
