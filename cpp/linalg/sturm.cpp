#include "linalg/sturm.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "linalg/determinant.hpp"
#include "linalg/ql.hpp"
#include "threads/pool.hpp"

namespace fastopt::linalg {
namespace {

constexpr int unroll = 4;
template <class T>
constexpr std::int64_t batch = unroll * lanes<T>;

// Roots inside brackets, one per lane, by Chandrupatla's method (Advances in Engineering Software 28, 1997): inverse
// quadratic interpolation where its own test says that it is safe, bisection elsewhere. [a, b] brackets, c is the point before.
template <class T>
struct Brackets {
  using Int = typename Bits<T>::Int;
  explicit Brackets(std::int64_t n) : count(0), memory(7 * n), integers(4 * n) {
    T* p = memory.get();
    for (T** q : {&a, &b, &c, &fa, &fb, &fc, &checked}) *q = p, p += n;
    Int* i = integers.get();
    for (Int** q : {&ea, &eb, &ec, &index}) *q = i, i += n;
  }
  void move(std::int64_t from, std::int64_t to) {
    for (T* q : {a, b, c, fa, fb, fc, checked}) q[to] = q[from];
    for (Int* q : {ea, eb, ec, index}) q[to] = q[from];
  }
  std::int64_t count;
  Buffer<T> memory;
  Buffer<Int> integers;
  T *a, *b, *c, *fa, *fb, *fc, *checked;
  Int *ea, *eb, *ec, *index;
};

template <class T>
inline IVec<T> load_int(const typename Bits<T>::Int* p) {
  IVec<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
inline void store_int(typename Bits<T>::Int* p, const IVec<T>& v) {
  std::memcpy(p, &v, sizeof v);
}
// 2^k for k <= 0, 2^(1 - bias) at the least.
template <class T>
inline Vec<T> power(IVec<T> k) {
  const IVec<T> least = IVec<T>{} + typename Bits<T>::Int(1 - Bits<T>::bias);
  k = k > least ? k : least;
  return std::bit_cast<Vec<T>>((k + Bits<T>::bias) << Bits<T>::mantissa);
}
template <class T>
inline Vec<T> magnitude(const Vec<T>& v) {
  return v < Vec<T>{} ? -v : v;
}

template <class T>
class Block {
 public:
  using Int = typename Bits<T>::Int;
  // d and e are scaled: the Gershgorin interval lies in [-1, 1].
  Block(const T* diagonal, const T* e, std::int64_t order, Interrupt ask)
      : d(diagonal), n(order), squares(order), interrupt(ask), brackets(round_up(order, batch<T>)) {
    for (std::int64_t i = 0; i + 1 < n; ++i) squares[i] = e[i] * e[i];
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
    if (used <= lanes<T>) return determinants<1, Count, T>(d, squares.get(), n, x, {f, e}, counts);
    if (used <= 2 * lanes<T>) return determinants<2, Count, T>(d, squares.get(), n, x, {f, e}, counts);
    determinants<unroll, Count, T>(d, squares.get(), n, x, {f, e}, counts);
  }
  double cost(std::int64_t points) const { return 0.3 * double(points) * double(n); }

  // The points at x, in order; x is padded to whole batches.
  void evaluate_all(std::vector<T>& x, std::vector<Point>& points) const {
    const std::int64_t count = std::int64_t(x.size()), chunks = round_up(count, batch<T>) / batch<T>;
    x.resize(std::size_t(chunks * batch<T>), x.back());
    points.resize(std::size_t(count));
    threads::for_each(chunks, cost(count), [&](std::int64_t chunk, int) {
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

  // Where each lane looks next: a + t (b - a).
  void propose(std::int64_t i, bool check, T* x) const {
    const auto& s = brackets;
    const Vec<T> a = load(s.a + i), b = load(s.b + i), c = load(s.c + i), one = splat(T(1)), half = splat(T(0.5));
    const IVec<T> ea = load_int<T>(s.ea + i), eb = load_int<T>(s.eb + i), ec = load_int<T>(s.ec + i);
    const IVec<T> ab = ea > eb ? ea : eb, most = ab > ec ? ab : ec;
    const Vec<T> fa = load(s.fa + i) * power<T>(ea - most), fb = load(s.fb + i) * power<T>(eb - most),
                 fc = load(s.fc + i) * power<T>(ec - most);
    const Vec<T> width = magnitude<T>(b - a), least = tolerance / width;
    const Vec<T> xi = (a - b) / (c - b), phi = (fa - fb) / (fc - fb);
    const Vec<T> ra = fa / (fc - fa);
    const Vec<T> quadratic = fa / (fb - fa) * (fc / (fb - fc)) + (c - a) / (b - a) * ra * (fb / (fc - fb));
    const Vec<T> secant = fa / (fa - fb);
    Vec<T> t = (phi * phi < xi) & ((one - phi) * (one - phi) < one - xi) ? quadratic : half;
    t = c == a ? secant : t;
    if (check) {  // the bracket must at least halve in every four steps
      const Vec<T> checked = load(s.checked + i);
      t = width > half * checked ? half : t;
      store(s.checked + i, width);
    }
    t = (t > least) & (t < one) ? t : least;
    t = t < one - least ? t : one - least;
    store(x, a + t * (b - a));
  }

  void update(std::int64_t i, const T* x, const T* f, const Int* e) {
    auto& s = brackets;
    const Vec<T> fx = load(f), fa = load(s.fa + i), fb = load(s.fb + i), a = load(s.a + i), b = load(s.b + i);
    const IVec<T> ea = load_int<T>(s.ea + i), eb = load_int<T>(s.eb + i);
    const IVec<T> same = (bits<T>(fx) ^ bits<T>(fa)) >= 0;
    store(s.c + i, same ? a : b), store(s.fc + i, same ? fa : fb), store_int<T>(s.ec + i, same ? ea : eb);
    store(s.b + i, same ? b : a), store(s.fb + i, same ? fb : fa), store_int<T>(s.eb + i, same ? eb : ea);
    store(s.a + i, load(x)), store(s.fa + i, fx), store_int<T>(s.ea + i, load_int<T>(e));
  }

  void refine(T* values) {
    auto& s = brackets;
    for (int round = 0; s.count > 0; ++round) {
      poll(interrupt);
      const std::int64_t chunks = round_up(s.count, batch<T>) / batch<T>;
      for (std::int64_t i = s.count; i < chunks * batch<T>; ++i) s.move(s.count - 1, i);
      threads::for_each(chunks, cost(s.count), [&](std::int64_t chunk, int) {
        T x[batch<T>], f[batch<T>];
        Int e[batch<T>];
        const std::int64_t first = chunk * batch<T>, used = std::min(batch<T>, s.count - first);
        for (int i = 0; i < used; i += lanes<T>) propose(first + i, round % 4 == 3, x + i);
        evaluate<false>(x, f, e, nullptr, used);
        for (int i = 0; i < used; i += lanes<T>) update(first + i, x + i, f + i, e + i);
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
  Interrupt interrupt;
  Brackets<T> brackets;
  T low, high;
};

}  // namespace

template <class T>
void sturm_values(const T* d, const T* e, std::int64_t n, T* values, Interrupt interrupt) {
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
      Block<T>(sd + first, se + first, m, interrupt).solve(values + first);
    }
    several |= first > 0;
    first = i + 1;
  }
  if (several) std::sort(values, values + n);
  for (std::int64_t i = 0; i < n; ++i) values[i] = std::ldexp(values[i], shift);
}

template void sturm_values(const double*, const double*, std::int64_t, double*, Interrupt);
template void sturm_values(const float*, const float*, std::int64_t, float*, Interrupt);

}  // namespace fastopt::linalg
