#include "vectors/lbfgs.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fastopt::vectors {

using engine::Lanes;

namespace {

// v'a and v'b: v crosses the bus once, as the second reads each piece of it from the first cache.
void two_dots(const double* v, const double* a, const double* b, std::int64_t n, double* out) {
  constexpr std::int64_t piece = 512;
  Lanes first, second;
  for (std::int64_t at = 0; at < n; at += piece) {
    const std::int64_t count = std::min(piece, n - at);
    first.add_products(v + at, a + at, count);
    second.add_products(v + at, b + at, count);
  }
  out[0] = first.total();
  out[1] = second.total();
}

// What the first pass sums: the new pair's own products, then for each older pair, by age.
enum Own { s_y, y_y, s_t, y_t, own_sums };
enum Older { olds_t, olds_y, oldy_t, oldy_y, older_sums };

}  // namespace

History::History(int pairs) : pairs_(static_cast<std::size_t>(pairs) + 1) {
  const std::size_t n = pairs_.size();
  sy_.resize(n * n);
  yy_.resize(n * n);
  sg_.resize(n);
  yg_.resize(n);
  of_s_.resize(n);
  of_y_.resize(n);
  order_.reserve(n);  // push() must not fail when it has moved the iterate
}

int History::free_slot() const {
  int slot = 0;
  while (std::find(order_.begin(), order_.end(), slot) != order_.end()) ++slot;
  return slot;
}

bool History::push(LineVectors& vectors) {
  const std::int64_t size = vectors.size();
  const Vectors v = vectors.vectors();
  const int fresh = free_slot(), older = static_cast<int>(order_.size());
  const Pair pair = pairs_[static_cast<std::size_t>(fresh)];
  const double* sums =
      sums_.run(size, own_sums + older_sums * older, 6 + 2 * older, [&](std::int64_t begin, std::int64_t end, double* out) {
        const std::int64_t n = end - begin;
        const double *x = v.x + begin, *trial = v.trial + begin, *g = v.g + begin, *t = v.trial_g + begin;
        double *s = pair.s + begin, *y = pair.y + begin;
        for (std::int64_t i = 0; i < n; ++i) s[i] = trial[i] - x[i];
        for (std::int64_t i = 0; i < n; ++i) y[i] = t[i] - g[i];
        two_dots(y, s, y, n, out + s_y);
        two_dots(t, s, y, n, out + s_t);
        double* of = out + own_sums;
        for (const int slot : order_) {
          const Pair& old = pairs_[static_cast<std::size_t>(slot)];
          two_dots(old.s + begin, t, y, n, of + olds_t);
          two_dots(old.y + begin, t, y, n, of + oldy_t);
          of += older_sums;
        }
      });
  vectors.accept();
  const double* of = sums + own_sums;
  for (const int slot : order_) {
    sg_[static_cast<std::size_t>(slot)] = of[olds_t];
    yg_[static_cast<std::size_t>(slot)] = of[oldy_t];
    sy(slot, fresh) = of[olds_y];
    yy(slot, fresh) = yy(fresh, slot) = of[oldy_y];
    of += older_sums;
  }
  // s'y against the slope at the start of the step: the same in every unit of x and f
  const double curvature = sums[s_y], least = std::numeric_limits<double>::epsilon() * std::abs(sums[s_t] - sums[s_y]);
  if (!(curvature > least && sums[y_y] > 0)) return false;
  sy(fresh, fresh) = sums[s_y];
  yy(fresh, fresh) = sums[y_y];
  sg_[static_cast<std::size_t>(fresh)] = sums[s_t];
  yg_[static_cast<std::size_t>(fresh)] = sums[y_t];
  order_.push_back(fresh);
  if (size_t(order_.size()) == pairs_.size()) order_.erase(order_.begin());
  return true;
}

// p and gamma q of the file's head, by two triangular solves.
void History::coefficients(double gamma) {
  const int m = size();
  const auto at = [&](int i) { return order_[static_cast<std::size_t>(i)]; };
  const auto of = [](std::vector<double>& v, int i) -> double& { return v[static_cast<std::size_t>(i)]; };
  double w[256], u[256];  // w = inv(R) S'g
  for (int i = m; i-- > 0;) {
    double sum = of(sg_, at(i));
    for (int j = i + 1; j < m; ++j) sum -= sy(at(i), at(j)) * w[j];
    w[i] = sum / sy(at(i), at(i));
  }
  for (int i = 0; i < m; ++i) {
    double sum = 0;
    for (int j = 0; j < m; ++j) sum += yy(at(i), at(j)) * w[j];
    u[i] = sy(at(i), at(i)) * w[i] + gamma * (sum - of(yg_, at(i)));
  }
  for (int i = 0; i < m; ++i) {
    double sum = u[i];
    for (int j = 0; j < i; ++j) sum -= sy(at(j), at(i)) * of(of_s_, j);
    of(of_s_, i) = sum / sy(at(i), at(i));
    of(of_y_, i) = -gamma * w[i];
  }
}

Direction History::direction(LineVectors& vectors) {
  const int newest = order_.back(), m = size();
  double gamma;
  {
    const DefaultEnvironment environment;
    gamma = sy(newest, newest) / yy(newest, newest);
    coefficients(gamma);
  }
  const double* g = vectors.vectors().g;
  return vectors.redirect(2 + 2 * m, [&](double* d, std::int64_t begin, std::int64_t n) {
    const double* t = g + begin;
    for (std::int64_t i = 0; i < n; ++i) d[i] = -gamma * t[i];
    for (int k = 0; k < m; ++k) {
      const Pair& pair = pairs_[static_cast<std::size_t>(order_[static_cast<std::size_t>(k)])];
      const double *s = pair.s + begin, *y = pair.y + begin;
      const double p = of_s_[static_cast<std::size_t>(k)], q = of_y_[static_cast<std::size_t>(k)];
      for (std::int64_t i = 0; i < n; ++i) d[i] = d[i] - (p * s[i] + q * y[i]);
    }
  });
}

}  // namespace fastopt::vectors
