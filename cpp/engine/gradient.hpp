// A gradient on its way to the rule, as far as nothing but itself is looked at.
#pragma once
#include "engine/block.hpp"
#include "engine/constants.hpp"
#include "engine/tensor.hpp"

namespace fastopt::engine {

// Loaded, times a factor. Both at once where it lies as it is computed with: a copy alone is a call of memcpy, which took as
// long as the rest of a step in the caches.
template <class T>
inline void load_times(const Gradient& g, const Factor<T>& factor, std::int64_t begin, std::int64_t n, T* to) {
  if (factor && g.dense && g.dtype == dtype_of<T>) {
    factor.apply(reinterpret_cast<const T*>(g.data) + begin, to, n);
  } else {
    load_gradient(g, begin, n, to);
    factor.apply(to, n);
  }
}

// Loaded and unscaled: where the read pass and the step begin alike.
template <class T>
inline void raw_gradient(const Gradient& g, const Constants<T>& constants, std::int64_t begin, std::int64_t n, T* to) {
  load_times(g, constants.unscale, begin, n, to);
}

// And clipped: as it is centralised.
template <class T>
inline void clipped_gradient(const Gradient& g, const Constants<T>& constants, std::int64_t begin, std::int64_t n, T* to) {
  if (!constants.unscale && !constants.clip_value) return load_times(g, constants.clip_norm, begin, n, to);
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
