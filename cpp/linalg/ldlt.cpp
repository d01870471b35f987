#include "linalg/ldlt.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linalg/simd.hpp"
#include "linalg/symmetric_kernels.hpp"

namespace fastopt::linalg {
namespace {

constexpr std::int64_t panel = 48;

// Columns below are nothing beside the scaled matrix (load_scaled), and their reciprocals may not exist.
template <class T>
constexpr T tiny = std::numeric_limits<T>::min();

struct Largest {
  std::int64_t at;
  double value;
};

// The largest magnitude of x[begin .. end), and the first place where it stands. Lanes remember the pass, not the place.
template <class T>
Largest largest(const T* x, std::int64_t begin, std::int64_t end) {
  Vec<T> most = {};
  IVec<T> pass = {}, when = {};
  std::int64_t i = begin;
  for (; i + lanes<T> <= end; i += lanes<T>, pass += 1) {
    const Vec<T> v = load(x + i), m = v < Vec<T>{} ? -v : v;
    const auto more = m > most;
    most = more ? m : most;
    when = more ? pass : when;
  }
  T top[lanes<T>];
  typename Bits<T>::Int at[lanes<T>];
  store(top, most);
  std::memcpy(at, &when, sizeof when);
  Largest best{begin, -1.0};
  for (int l = 0; l < lanes<T> && i > begin; ++l) {
    const std::int64_t place = begin + std::int64_t(at[l]) * lanes<T> + l;
    if (double(top[l]) > best.value || (double(top[l]) == best.value && place < best.at)) best = {place, double(top[l])};
  }
  for (; i < end; ++i)
    if (double(std::abs(x[i])) > best.value) best = {i, double(std::abs(x[i]))};
  return best;
}

// The same without x[except].
template <class T>
Largest largest_but(const T* x, std::int64_t begin, std::int64_t end, std::int64_t except) {
  const Largest before = largest(x, begin, except), after = largest(x, except + 1, end);
  return after.value > before.value ? after : before;
}

template <class T>
struct Factorisation {
  Ldlt<T>& f;
  T negligible;
  const Team<T>& team;
  Interrupt interrupt;
  std::int64_t n, ld, first = 0, patience = 0;
  Buffer<T> products;  // L D of the panel, column for column
  Buffer<T> candidates;

  Factorisation(Ldlt<T>& factors, T small, const Team<T>& members, Interrupt ask)
      : f(factors),
        negligible(small),
        team(members),
        interrupt(ask),
        n(f.shape.n),
        ld(f.shape.ld),
        products((panel + 1) * ld),
        candidates(2 * ld) {
    if (n > panel) team.reserve_products(n, n, Part::lower);
  }

  T* w(std::int64_t k) const { return products.get() + (k - first) * ld; }

  // x = column p of what is left at step k, brought up to date by the panel's columns.
  void candidate(std::int64_t k, std::int64_t p, T* x) const {
    const std::int64_t begin = k / tile<T> * tile<T>, count = k - first;
    std::fill(x + begin, x + k, T(0));
    for (std::int64_t t = k; t < p; ++t) x[t] = f.column(t)[p];
    std::copy(f.column(p) + p, f.column(p) + f.shape.padded, x + p);
    T row[panel + 2];
    for (std::int64_t i = 0; i < count; ++i) row[i] = w(first + i)[p];
    std::int64_t even = count;
    if (count % 2 != 0) row[even++] = T(0);  // column k itself, still finite, times nothing
    subtract(f.column(first), ld, even, begin, f.shape.padded, row, x);
  }

  // Index k has been taken out: what stood there moves to p, and the panel's rows change places.
  void exchange(std::int64_t k, std::int64_t p, std::int64_t done) const {
    f.pivots[std::size_t(k)] = p;
    if (p == k) return;
    f.column(p)[p] = f.column(k)[k];
    std::copy(f.column(k) + p + 1, f.column(k) + n, f.column(p) + p + 1);
    for (std::int64_t t = k + 1; t < p; ++t) f.column(t)[p] = f.column(k)[t];
    for (std::int64_t i = first; i < done; ++i) {
      std::swap(f.column(i)[k], f.column(i)[p]);
      std::swap(w(i)[k], w(i)[p]);
    }
  }

  void one(std::int64_t k, std::int64_t p, T* x) const {
    exchange(k, p, k);
    std::swap(x[k], x[p]);
    const T d = x[k];
    f.diagonal[k] = d;
    f.below[k] = T(0);
    (d < T(0) ? f.negative : f.positive) += d != T(0);
    std::copy(x + k, x + f.shape.padded, w(k) + k);
    T* l = f.column(k);
    const T inverse = std::abs(d) < tiny<T> ? T(0) : T(1) / d;
    for (std::int64_t t = k + 1; t < f.shape.padded; ++t) l[t] = x[t] * inverse;
  }

  void two(std::int64_t k, std::int64_t p, std::int64_t r, T* x, T* y) const {
    exchange(k, p, k);
    std::swap(x[k], x[p]);
    std::swap(y[k], y[p]);
    if (r == k) r = p;
    exchange(k + 1, r, k);
    std::swap(x[k + 1], x[r]);
    std::swap(y[k + 1], y[r]);
    const T d21 = x[k + 1], a = y[k + 1] / d21, b = x[k] / d21, c = T(1) / (a * b - T(1)) / d21;
    f.diagonal[k] = x[k];
    f.diagonal[k + 1] = y[k + 1];
    f.below[k] = d21;
    f.below[k + 1] = T(0);
    ++f.negative, ++f.positive;  // |a b| is at most 0.62: the determinant is negative
    std::copy(x + k, x + f.shape.padded, w(k) + k);
    std::copy(y + k, y + f.shape.padded, w(k + 1) + k);
    T *l = f.column(k), *m = f.column(k + 1);
    l[k + 1] = T(0);
    for (std::int64_t i = k + 2; i < f.shape.padded; ++i) {
      l[i] = c * (a * x[i] - y[i]);
      m[i] = c * (b * y[i] - x[i]);
    }
  }

  // One step at k: 1 or 2 columns; 0 if everything in column k is negligible and it is time to look at the rest.
  std::int64_t step(std::int64_t k) {
    // (1 + sqrt(17)) / 8 bounds the growth of both kinds of step alike. A 2 x 2 block is taken when its off-diagonal entry
    // is within `relaxed` of the largest of both its columns, not only when it is that: random matrices of order 1000 then
    // need 1.3 columns per step instead of 1.85.
    constexpr double alpha = 0.6403882032022076, relaxed = 1.5;
    T *x = candidates.get(), *y = x + ld;
    candidate(k, k, x);
    std::int64_t p = k;
    Largest off = largest_but(x, k, n, k);
    const double own = std::abs(double(x[k]));
    if (k >= patience && std::max(own, off.value) <= double(negligible)) return 0;
    if (own >= alpha * off.value || off.value < double(tiny<T>)) return one(k, k, x), 1;
    for (;;) {
      const std::int64_t r = off.at;
      candidate(k, r, y);
      const Largest next = largest_but(y, k, n, r);
      if (std::abs(double(y[r])) >= alpha * next.value) return one(k, r, y), 1;
      if (next.at == p || next.value <= relaxed * off.value) return two(k, p, r, x, y), 2;
      p = r, off = next;
      std::swap(x, y);
    }
  }

  // Columns from `first` on; returns the first that is not done.
  std::int64_t factorise_panel() {
    std::int64_t k = first;
    while (k < n && k - first < panel) {
      const std::int64_t done = step(k);
      if (done == 0) break;
      k += done;
    }
    return k;
  }

  // A -= L (L D)' on the lower triangle from k on. Rows start at a whole vector: what lies above the diagonal is free.
  void update(std::int64_t k) const {
    const std::int64_t m = n - k, depth = k - first, parts = team.size() == 1 ? 1 : 2 * team.size();
    const auto cut = [&](std::int64_t i) {  // into equal areas; whole register tiles are cut nowhere
      return i == parts ? n : k + std::int64_t((1 - std::sqrt(double(parts - i) / double(parts))) * double(m)) / 24 * 24;
    };
    team.each(parts, 0.02 * double(m) * double(m) * double(depth), [&](std::int64_t part, Packs<T>& packs) {
      const std::int64_t from = cut(part), to = cut(part + 1), row = from / tile<T> * tile<T>;
      product<T>(f.shape.padded - row, to - from, depth, T(-1), View<T>{f.column(first) + row, 1, ld},
                 View<T>{products.get() + from, ld, 1}, f.column(from) + row, ld, false, Part::lower, packs);
    });
  }

  bool rest_is_negligible(std::int64_t k) const {
    for (std::int64_t j = k; j < n; ++j)
      if (largest_but(f.column(j), j, n, n - 1).value > double(negligible) || std::abs(f.column(j)[n - 1]) > negligible)
        return false;
    return true;
  }

  void run() {
    while (first < n) {
      poll(interrupt);
      const std::int64_t k = factorise_panel();
      f.panels.push_back(first);
      update(k);
      if (k < n && k - first < panel) {
        if (rest_is_negligible(k)) {
          first = k;
          break;
        }
        patience = k + panel;
      }
      first = k;
    }
    f.rank = first;
    f.panels.push_back(first);
  }
};

}  // namespace

template <class T>
Ldlt<T>::Ldlt(std::int64_t n) : shape(n), a(shape.size()), diagonal(n), below(n), pivots(std::size_t(n)) {}

template <class T>
void factorise(Ldlt<T>& f, T negligible, const Team<T>& team, Interrupt interrupt) {
  f.panels.clear();
  f.negative = f.positive = 0;
  Factorisation<T>(f, negligible, team, interrupt).run();
}

template struct Ldlt<double>;
template struct Ldlt<float>;
template void factorise(Ldlt<double>&, double, const Team<double>&, Interrupt);
template void factorise(Ldlt<float>&, float, const Team<float>&, Interrupt);

}  // namespace fastopt::linalg
