#include "linalg/eigh.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "linalg/back_transform.hpp"
#include "linalg/divide_conquer.hpp"
#include "linalg/ql.hpp"
#include "linalg/sturm.hpp"
#include "linalg/team.hpp"
#include "linalg/tridiagonalise.hpp"

namespace fastopt::linalg {
namespace {

template <class T>
struct Reduced {
  Shape<T> shape;
  Buffer<T> a, t;
  int exponent;
  T *d, *e, *tau;

  Reduced(Source<T> source, std::int64_t n, const Team<T>& team, Interrupt interrupt)
      : shape(n), a(shape.size()), t(3 * n), d(t.get()), e(d + n), tau(e + n) {
    exponent = load_scaled(source, shape, a.get());
    tridiagonalise(a.get(), shape, d, e, tau, team, interrupt);
    e[n - 1] = T(0);
  }
};

template <class T>
void unscale(T* w, std::int64_t n, int exponent) {
  if (exponent != 0)
    for (std::int64_t i = 0; i < n; ++i) w[i] = std::ldexp(w[i], exponent);
}

// Below this order waking somebody costs more than it gives, and on a busy machine much more.
int threads_for(std::int64_t n) { return n < 512 ? 1 : threads::size(); }

// T = Z diag(d) Z'. Divide and conquer on T scaled to norm about 1; should a leaf fail, one QL iteration on the whole.
template <class T>
void tridiagonal_vectors(Reduced<T>& r, std::int64_t n, T* z, const Team<T>& team, Interrupt interrupt) {
  Buffer<T> copy(2 * n);
  std::copy(r.d, r.d + 2 * n, copy.get());
  if (divide_conquer(r.d, r.e, n, z, n, team, interrupt)) return;
  std::copy(copy.get(), copy.get() + 2 * n, r.d);
  for (std::int64_t j = 0; j < n; ++j) {
    std::fill_n(z + j * n, n, T(0));
    z[j * n + j] = T(1);
  }
  if (!ql(r.d, r.e, n, z, n, n)) throw std::runtime_error("eigh: the tridiagonal eigenproblem did not converge");
}

}  // namespace

template <class T>
void eigvalsh(Source<T> a, std::int64_t n, T* w, Interrupt interrupt) {
  if (n == 0) return;
  const Team<T> team(threads_for(n));
  const Reduced<T> r(a, n, team, interrupt);
  sturm_values(r.d, r.e, n, w, team, interrupt);
  unscale(w, n, r.exponent);
}

template <class T>
void eigh(Source<T> a, std::int64_t n, T* w, T* v, Interrupt interrupt) {
  eigh(a, n, w, v, Team<T>(threads_for(n)), interrupt);
}

template <class T>
void eigh(Source<T> a, std::int64_t n, T* w, T* v, const Team<T>& team, Interrupt interrupt) {
  if (n == 0) return;
  Reduced<T> r(a, n, team, interrupt);
  tridiagonal_vectors(r, n, v, team, interrupt);
  back_transform(r.a.get(), r.shape, r.tau, v, n, team, interrupt);
  std::copy(r.d, r.d + n, w);
  unscale(w, n, r.exponent);
}

template void eigvalsh(Source<double>, std::int64_t, double*, Interrupt);
template void eigvalsh(Source<float>, std::int64_t, float*, Interrupt);
template void eigh(Source<double>, std::int64_t, double*, double*, Interrupt);
template void eigh(Source<float>, std::int64_t, float*, float*, Interrupt);
template void eigh(Source<double>, std::int64_t, double*, double*, const Team<double>&, Interrupt);
template void eigh(Source<float>, std::int64_t, float*, float*, const Team<float>&, Interrupt);

}  // namespace fastopt::linalg
