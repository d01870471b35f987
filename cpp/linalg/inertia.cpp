#include "linalg/inertia.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linalg/ldlt.hpp"
#include "linalg/probes.hpp"
#include "linalg/simd.hpp"

namespace fastopt::linalg {
namespace {

template <class T>
double frobenius(const T* a, Shape<T> shape) {
  double squares = 0;
  for (std::int64_t j = 0; j < shape.n; ++j) {
    const T* c = a + j * shape.ld;
    Vec<T> part = {};
    std::int64_t i = j + 1;
    T rest = 0;
    for (; i < shape.n && i % lanes<T> != 0; ++i) rest += c[i] * c[i];
    for (; i < shape.n; i += lanes<T>) part += load(c + i) * load(c + i);  // rows from n on are zero
    squares += 2 * (double(rest) + double(sum<T>(part))) + double(c[j]) * double(c[j]);
  }
  return std::sqrt(squares);
}

// A rest with no entry above this times sqrt(n) eps ||A||_F / n is rounding. Gram matrices of rank n / 10 leave 8 at n =
// 300, 32 at 1024, 64 at 2048.
constexpr double negligible = 64;

// Panels are serial, and below this order two threads gain nothing.
constexpr std::int64_t threaded_from = 1000;

template <class T>
struct Count {
  Source<T> source;
  std::int64_t n;
  const Team<T>& team;
  Interrupt interrupt;
  Ldlt<T> f;
  Block w, aw, x;
  int exponent = 0, factorisations = 0;

  Count(Source<T> from, std::int64_t order, const Team<T>& members, Interrupt ask)
      : source(from),
        n(order),
        team(members),
        interrupt(ask),
        f(order),
        w(random_block(order)),
        aw(order * probes),
        x(order * probes) {}

  // Factorises A - shift I and bounds ||A - shift I - P' L D L' P||_2, the rounding of the shift included.
  double factorise_shifted(double shift, double small) {
    if (factorisations > 0) load_scaled(source, f.shape, f.a.get());
    if (shift != 0)
      for (std::int64_t i = 0; i < n; ++i) f.column(i)[i] = T(double(f.column(i)[i]) - shift);
    ++factorisations;
    factorise(f, T(small), team, interrupt);
    std::copy(w.get(), w.get() + n * probes, x.get());
    multiply(f, x.get());
    for (std::int64_t i = 0; i < n * probes; ++i) x[i] = aw[i] - shift * w[i] - x[i];
    return norm_bound(n, x.get());
  }

  // Is every eigenvalue of the factorised leading block further than `distance` from zero? The bound on its inverse B from
  // B^q w is tighter than that from B w, and a solve is next to nothing.
  bool gap_beyond(double distance) {
    if (!(distance < std::numeric_limits<double>::infinity())) return false;
    std::copy(w.get(), w.get() + n * probes, x.get());
    for (int power = 1; power <= 4; ++power) {
      solve(f, x.get());
      if (1 / std::pow(norm_bound(n, x.get()), 1.0 / power) > distance) return true;
    }
    return f.rank == 0;
  }

  Inertia result(std::int64_t negative, std::int64_t positive, double bound) const {
    return {negative, n - negative - positive, positive, std::ldexp(bound, exponent), factorisations};
  }

  Inertia run(double tol) {
    exponent = load_scaled(source, f.shape, f.a.get());
    const double size = frobenius(f.a.get(), f.shape), eps = std::numeric_limits<T>::epsilon();
    const double floor = std::sqrt(double(n)) * eps * size;
    double bound = std::max(std::ldexp(tol, -exponent), floor);
    if (bound >= size) return result(0, 0, bound);
    multiply(f.a.get(), f.shape, w.get(), aw.get());

    const double error = factorise_shifted(0, negligible * floor / double(n));
    const double certain = std::max(bound, error);
    if (gap_beyond(certain + error)) return result(f.negative, f.positive, certain);

    // The shifted matrices lose about as much, so twice that is on the safe side. At lower rank, though, the error is
    // mostly the rest that was left away.
    bound = std::max(bound, f.rank == n ? 2 * error : std::min(2 * error, 8 * floor));
    const double sides[] = {f.negative > 0 || error > bound ? -1.0 : 0.0, f.positive > 0 || error > bound ? 1.0 : 0.0};
    while (bound < size) {
      std::int64_t counted[] = {0, 0};
      double worst = 0;
      for (int side = 0; side < 2 && worst <= bound; ++side) {
        if (sides[side] == 0) continue;
        worst = std::max(worst, factorise_shifted(sides[side] * bound, 0));
        counted[side] = side == 0 ? f.negative : f.positive;
      }
      if (worst <= bound) return result(counted[0], counted[1], bound + worst);
      bound = 2 * worst;
    }
    return result(0, 0, size);
  }
};

}  // namespace

template <class T>
Inertia inertia(Source<T> a, std::int64_t n, double tol, Interrupt interrupt) {
  if (n == 0) return {0, 0, 0, tol, 0};
  const Team<T> team(n < threaded_from ? 1 : threads::size());
  return Count<T>(a, n, team, interrupt).run(tol);
}

template Inertia inertia(Source<double>, std::int64_t, double, Interrupt);
template Inertia inertia(Source<float>, std::int64_t, double, Interrupt);

}  // namespace fastopt::linalg
