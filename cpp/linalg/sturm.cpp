#include "linalg/sturm.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "linalg/brackets.hpp"
#include "linalg/ql.hpp"

namespace fastopt::linalg {
namespace {

constexpr int unroll = 4;
template <class T>
constexpr std::int64_t batch = unroll * lanes<T>;

template <class T>
class Block {
 public:
  using Int = typename Bits<T>::Int;
  // d and e are scaled: the Gershgorin interval lies in [-1, 1].
  Block(const T* diagonal, const T* e, std::int64_t order, const Team<T>& workers, Interrupt ask)
      : d(diagonal), n(order), squares(order), team(workers), interrupt(ask), brackets(round_up(order, batch<T>)) {
    for (std::int64_t i = 0; i + 1 < n; ++i) squares[i] = e[i] * e[i];
    rescaling_stops(squares.get(), n, stops);
    low = high = d[0];
    for (std::int64_t i = 0; i < n; ++i) {
      const T r = (i > 0 ? std::abs(e[i - 1]) : T(0)) + (i + 1 < n ? std::abs(e[i]) : T(0));
      low = std::min(low, d[i] - r);
      high = std::max(high, d[i] + r);
    }
    const T margin = T(4) * eps;
    low -= margin;
    high += margin;
  }

  void solve(T* values) {
    isolate(values);
    refine(values);
  }

 private:
  struct Point {
    T x, f;
    Int e, count;
  };
  struct Interval {
    Point lo, hi;
  };
  static constexpr T eps = std::numeric_limits<T>::epsilon(), tolerance = eps;

  template <bool Count>
  void evaluate(const T* x, T* f, Int* e, Int* counts, std::int64_t used) const {
    if (used <= lanes<T>) return determinants<1, Count, T>(d, squares.get(), stops, x, {f, e}, counts);
    if (used <= 2 * lanes<T>) return determinants<2, Count, T>(d, squares.get(), stops, x, {f, e}, counts);
    determinants<unroll, Count, T>(d, squares.get(), stops, x, {f, e}, counts);
  }
  double cost(std::int64_t points) const { return 0.3 * double(points) * double(n); }

  // The points at x, in order; x is padded to whole batches.
  void evaluate_all(std::vector<T>& x, std::vector<Point>& points) const {
    const std::int64_t count = std::int64_t(x.size()), chunks = round_up(count, batch<T>) / batch<T>;
    x.resize(std::size_t(chunks * batch<T>), x.back());
    points.resize(std::size_t(count));
    team.each(chunks, cost(count), [&](std::int64_t chunk, Packs<T>&) {
      T f[batch<T>];
      Int e[batch<T>], counts[batch<T>];
      const std::int64_t first = chunk * batch<T>, used = std::min(batch<T>, count - first);
      evaluate<true>(x.data() + first, f, e, counts, used);
      for (std::int64_t i = 0; i < used; ++i)
        points[std::size_t(first + i)] = {x[std::size_t(first + i)], f[i], e[i], counts[i]};
    });
  }

  // An interval that holds one root goes to the brackets, a tiny one is done, any other is to be cut again.
  void place(const Interval& v, std::vector<Interval>& open, T* values) {
    const Int inside = v.hi.count - v.lo.count;
    if (inside <= 0) return;
    if (v.hi.x - v.lo.x <= 2 * tolerance) {
      std::fill(values + v.lo.count, values + v.hi.count, v.lo.x + (v.hi.x - v.lo.x) / 2);
      return;
    }
    if (inside > 1 || std::signbit(v.lo.f) == std::signbit(v.hi.f)) return open.push_back(v);
    const std::int64_t i = brackets.count++;
    auto& s = brackets;
    s.a[i] = s.c[i] = v.lo.x, s.fa[i] = s.fc[i] = v.lo.f, s.ea[i] = s.ec[i] = v.lo.e;
    s.b[i] = v.hi.x, s.fb[i] = v.hi.f, s.eb[i] = v.hi.e;
    s.checked[i] = 2 * (v.hi.x - v.lo.x);
    s.index[i] = v.lo.count;
  }

  void isolate(T* values) {
    std::vector<T> x;
    std::vector<Point> points;
    std::vector<Interval> open, next;
    const std::int64_t grid = round_up(n + 2, batch<T>) - 1;
    for (std::int64_t i = 0; i <= grid; ++i) x.push_back(i == grid ? high : low + (high - low) * (T(i) / T(grid)));
    evaluate_all(x, points);
    points.front().count = 0;
    points[std::size_t(grid)].count = Int(n);
    for (std::int64_t i = 0; i < grid; ++i) {
      Point &p = points[std::size_t(i)], &q = points[std::size_t(i + 1)];
      q.count = std::clamp(q.count, p.count, Int(n));
      place({p, q}, open, values);
    }
    while (!open.empty()) {
      poll(interrupt);
      x.clear();
      for (const Interval& v : open) x.push_back(v.lo.x + (v.hi.x - v.lo.x) / 2);
      evaluate_all(x, points);
      next.clear();
      for (std::size_t i = 0; i < open.size(); ++i) {
        const Interval& v = open[i];
        Point p = points[i];
        p.count = std::clamp(p.count, v.lo.count, v.hi.count);
        place({v.lo, p}, next, values);
        place({p, v.hi}, next, values);
      }
      open.swap(next);
    }
  }

  void refine(T* values) {
    auto& s = brackets;
    for (int round = 0; s.count > 0; ++round) {
      poll(interrupt);
      const std::int64_t chunks = round_up(s.count, batch<T>) / batch<T>;
      for (std::int64_t i = s.count; i % lanes<T> != 0; ++i) s.move(s.count - 1, i);  // whole vectors are proposed
      team.each(chunks, cost(s.count), [&](std::int64_t chunk, Packs<T>&) {
        T x[batch<T>] = {}, f[batch<T>];  // whole vectors are evaluated, used or not
        Int e[batch<T>];
        const std::int64_t first = chunk * batch<T>, used = std::min(batch<T>, s.count - first);
        for (int i = 0; i < used; i += lanes<T>) s.propose(first + i, round % 4 == 3, x + i, tolerance);
        evaluate<false>(x, f, e, nullptr, used);
        for (int i = 0; i < used; i += lanes<T>) s.update(first + i, x + i, f + i, e + i);
      });
      std::int64_t kept = 0;
      for (std::int64_t i = 0; i < s.count; ++i) {
        if (std::abs(s.b[i] - s.a[i]) > 2 * tolerance) {
          if (kept != i) s.move(i, kept);
          ++kept;
        } else {
          values[s.index[i]] = s.a[i] + (s.b[i] - s.a[i]) / 2;
        }
      }
      s.count = kept;
    }
  }

  const T* d;
  std::int64_t n;
  Buffer<T> squares;
  std::vector<std::int64_t> stops;
  const Team<T>& team;
  Interrupt interrupt;
  Brackets<T> brackets;
  T low, high;
};

}  // namespace

template <class T>
void sturm_values(const T* d, const T* e, std::int64_t n, T* values, const Team<T>& team, Interrupt interrupt) {
  if (n == 0) return;
  T norm = 0;
  for (std::int64_t i = 0; i < n; ++i)
    norm = std::max(norm, std::abs(d[i]) + (i > 0 ? std::abs(e[i - 1]) : T(0)) + (i + 1 < n ? std::abs(e[i]) : T(0)));
  if (norm == T(0)) return std::fill(values, values + n, T(0)), void();
  int shift;
  std::frexp(norm, &shift);
  Buffer<T> memory(2 * n);
  T *sd = memory.get(), *se = sd + n;
  for (std::int64_t i = 0; i < n; ++i) sd[i] = std::ldexp(d[i], -shift);
  for (std::int64_t i = 0; i + 1 < n; ++i) se[i] = std::ldexp(e[i], -shift);
  se[n - 1] = T(0);
  bool several = false;
  for (std::int64_t first = 0, i = 0; i < n; ++i) {
    if (i + 1 < n && std::abs(se[i]) > std::numeric_limits<T>::epsilon() / 8) continue;
    const std::int64_t m = i + 1 - first;
    if (m <= 4) {
      std::copy(sd + first, sd + first + m, values + first);
      se[i] = T(0);
      ql(values + first, se + first, m, static_cast<T*>(nullptr), 0, 0);
    } else {
      Block<T>(sd + first, se + first, m, team, interrupt).solve(values + first);
    }
    several |= first > 0;
    first = i + 1;
  }
  if (several) std::sort(values, values + n);
  for (std::int64_t i = 0; i < n; ++i) values[i] = std::ldexp(values[i], shift);
}

template void sturm_values(const double*, const double*, std::int64_t, double*, const Team<double>&, Interrupt);
template void sturm_values(const float*, const float*, std::int64_t, float*, const Team<float>&, Interrupt);

}  // namespace fastopt::linalg
