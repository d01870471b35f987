#include "vectors/line.hpp"

#include <algorithm>
#include <cmath>

namespace fastopt::vectors {

using engine::largest;

Direction LineVectors::steepest(double scale) {
  return redirect(2, [&](double* d, std::int64_t begin, std::int64_t n) {
    const double* g = v_.g + begin;
    for (std::int64_t i = 0; i < n; ++i) d[i] = -scale * g[i];
  });
}

void LineVectors::step(double alpha) {
  sums_.run(n_, 0, 3, [&](std::int64_t begin, std::int64_t end, double*) {
    const double *x = v_.x, *d = v_.d;
    double* trial = v_.trial;
    for (std::int64_t i = begin; i < end; ++i) trial[i] = x[i] + alpha * d[i];
  });
}

// trial_g = g, slope and size of it, and whatever else is to be summed while the block is in the cache.
template <class F>
double LineVectors::take_blocks(const double* g, int count, double streams, F&& more) {
  largest_.resize(static_cast<std::size_t>(sum_blocks(n_)));
  const double* sums = sums_.run(n_, count, streams, [&](std::int64_t begin, std::int64_t end, double* out) {
    const std::int64_t n = end - begin;
    double* t = v_.trial_g + begin;
    std::copy_n(g + begin, n, t);
    out[0] = dot(t, v_.d + begin, n);
    largest_[static_cast<std::size_t>(begin / sum_block)] = largest(t, n);
    more(t, begin, n, out);
  });
  return sums[0];
}

Taken LineVectors::take(const double* g) {
  const double slope = take_blocks(g, 1, 3, [](const double*, std::int64_t, std::int64_t, double*) {});
  return {slope, *std::max_element(largest_.begin(), largest_.end())};
}

Taken LineVectors::take(const double* g, Products& products) {
  const double slope = take_blocks(g, 7, 4, [&](const double* t, std::int64_t begin, std::int64_t n, double* out) {
    alignas(64) double y[sum_block];
    const double *old = v_.g + begin, *d = v_.d + begin;
    for (std::int64_t i = 0; i < n; ++i) y[i] = t[i] - old[i];
    out[1] = dot(t, t, n);
    out[2] = dot(t, old, n);
    out[3] = dot(y, y, n);
    out[4] = dot(y, t, n);
    out[5] = dot(y, d, n);
    out[6] = dot(old, old, n);
  });
  const double* sums = sums_.totals();
  products = {sums[1], sums[2], sums[3], sums[4], sums[5], sums[6]};
  return {slope, *std::max_element(largest_.begin(), largest_.end())};
}

Direction LineVectors::conjugate(double beta) {
  return redirect(3, [&](double* d, std::int64_t begin, std::int64_t n) {
    const double* g = v_.g + begin;
    for (std::int64_t i = 0; i < n; ++i) d[i] = beta * d[i] - g[i];
  });
}

}  // namespace fastopt::vectors
