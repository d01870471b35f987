// A gradient on its way to the rule, as far as nothing but itself is looked at.
#pragma once
#include "engine/block.hpp"
#include "engine/constants.hpp"
#include "engine/tensor.hpp"

namespace fastopt::engine {

// Loaded and unscaled: where the read pass and the step begin alike.
template <class T>
inline void raw_gradient(const Gradient& g, const Constants<T>& constants, std::int64_t begin, std::int64_t n, T* to) {
  load_gradient(g, begin, n, to);
  constants.unscale.apply(to, n);
}

// And clipped: as it is centralised.
template <class T>
inline void clipped_gradient(const Gradient& g, const Constants<T>& constants, std::int64_t begin, std::int64_t n, T* to) {
  raw_gradient(g, constants, begin, n, to);
  if (constants.clip_value) block::clip(to, n, constants.limit);
  constants.clip_norm.apply(to, n);
}

// Less the means of their rows: elements [at, at + n).
template <class T>
inline void take_means(const Tensor& tensor, const Constants<T>& constants, std::int64_t at, std::int64_t n, T* g) {
  for_each_row_part(tensor, at, n, [&](std::int64_t row, std::int64_t from, std::int64_t count, bool one) {
    const double* const means = constants.means + (row - constants.first_row);
    if (one)
      block::subtract(g + from, static_cast<T>(*means), count);
    else
      for (std::int64_t i = 0; i < count; ++i) g[from + i] -= static_cast<T>(means[i]);
  });
}

}  // namespace fastopt::engine
