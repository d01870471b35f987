#include "linalg/tridiagonalise.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linalg/symmetric_kernels.hpp"

namespace fastopt::linalg {
namespace {

// Up to this order the matrix stays in the second-level cache, and one fused pass per column (rank-2 update, then the
// product with the next reflection) does the work of symv and of the rank-2k update with half the loads.
template <class T>
constexpr std::int64_t fused_below = sizeof(T) == 8 ? 600 : 840;
constexpr std::int64_t panel = 32;

// One column's pass over the matrix is shared out above this cost, among at most this many: memory feeds no more.
constexpr double worthwhile_ns = 4000;
constexpr std::int64_t most_parts = 4;

// r, r + 1, ... in the lanes of a vector, for masks.
template <class T>
IVec<T> rows_from(std::int64_t r) {
  using Int = typename Bits<T>::Int;
  static constexpr Int lane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  IVec<T> rows;
  std::memcpy(&rows, lane, sizeof rows);
  return rows + Int(r);
}

template <class T>
struct Reduction {
  T* a;
  Shape<T> shape;
  T *d, *e, *tau;
  const Team<T>& team;
  Interrupt interrupt;
  T* private_sums;  // one padded vector for each further participant
  T* z;             // the columns' dot products of a pass

  T* column(std::int64_t k) const { return a + k * shape.ld; }

  // f(first, last, y) on column ranges of equal area that cover [begin, padded), each with its own y; y is their sum.
  template <class F>
  void over_columns(std::int64_t begin, double serial_ns, T* y, F&& f) const {
    const std::int64_t p = shape.padded, parts = serial_ns < worthwhile_ns ? 1 : std::min(team.size(), most_parts);
    std::fill(y + begin, y + p, T(0));
    if (parts == 1) return f(begin, p, y);
    const auto cut = [&](std::int64_t i) {
      const double left = std::sqrt(double(parts - i) / double(parts));
      return p - std::int64_t(left * double(p - begin)) / tile<T> * tile<T>;
    };
    team.each(parts, serial_ns, [&](std::int64_t i, Packs<T>&) {
      const std::int64_t first = i == 0 ? begin : cut(i);
      T* mine = i == 0 ? y : private_sums + (i - 1) * p;
      if (i > 0) std::fill(mine + first, mine + p, T(0));
      f(first, cut(i + 1), mine);
    });
    for (std::int64_t i = 1; i < parts; ++i)
      for (std::int64_t r = cut(i); r < p; ++r) y[r] += private_sums[(i - 1) * p + r];
  }

  // From y + z = A x below row k: y becomes w = tau (y - tau/2 (y'x) x), zero above, so that H A H = A - x w' - w x'.
  void finish(std::int64_t k, const T* x, T* y) const {
    const std::int64_t begin = (k + 1) / tile<T> * tile<T>;
    Vec<T> part = {};
    for (std::int64_t r = begin; r < shape.padded; r += lanes<T>) {
      const Vec<T> yr = load(y + r) + load(z + r);
      store(y + r, yr);
      part += load(x + r) * yr;
    }
    const Vec<T> t = splat(tau[k]), half = splat(T(-0.5) * tau[k] * sum<T>(part));
    for (std::int64_t r = begin; r < shape.padded; r += lanes<T>) store(y + r, t * (load(y + r) + half * load(x + r)));
    for (std::int64_t r = begin; r < begin + tile<T>; r += lanes<T>)
      store(y + r, rows_from<T>(r - k) > 0 ? load(y + r) : Vec<T>{});
  }

  // Column k is up to date: take d, and make of the rest the reflection v that maps it to a multiple of its first entry
  // (v = 1 there, zero above), in x and in the column. Whole vectors again: scalar ends cost more than small columns do.
  void eliminate(std::int64_t k, T* x) const {
    T* c = column(k);
    const std::int64_t begin = (k + 1) / tile<T> * tile<T>;
    const T alpha = c[k + 1];
    d[k] = c[k];
    Vec<T> part = {};
    for (std::int64_t r = begin; r < begin + tile<T>; r += lanes<T>) {
      const Vec<T> v = rows_from<T>(r - k) > 1 ? load(c + r) : Vec<T>{};
      store(x + r, v);
      part += v * v;
    }
    for (std::int64_t r = begin + tile<T>; r < shape.padded; r += lanes<T>) part += load(c + r) * load(c + r);
    const T s = sum<T>(part);
    T scale = 0;
    tau[k] = T(0);
    e[k] = alpha;
    // A tail too small to matter next to the scaled matrix (largest entry near 1) is dropped before its square underflows.
    if (s > std::numeric_limits<T>::min() / std::numeric_limits<T>::epsilon()) {
      const T beta = -std::copysign(std::sqrt(alpha * alpha + s), alpha);
      scale = T(1) / (alpha - beta);
      tau[k] = (beta - alpha) / beta;
      e[k] = beta;
    }
    const Vec<T> factor = splat(scale);
    for (std::int64_t r = begin; r < shape.padded; r += lanes<T>) {
      const Vec<T> v = r >= begin + tile<T>       ? load(c + r) * factor
                       : rows_from<T>(r - k) == 1 ? splat(T(1))
                                                  : load(x + r) * factor;
      store(c + r, v);
      store(x + r, v);
    }
  }

  void fused(std::int64_t first, T* v, T* w, T* x) const {
    const std::int64_t p = shape.padded;
    Buffer<T> sums(p);
    T* y = sums.get();
    std::fill(v, v + p, T(0));
    std::fill(w, w + p, T(0));
    for (std::int64_t k = first; k < shape.n; ++k) {
      const std::int64_t begin = k / tile<T> * tile<T>;
      T* c = column(k);
      const Vec<T> vk = splat(v[k]), wk = splat(w[k]);
      for (std::int64_t r = begin; r < p; r += lanes<T>) store(c + r, load(c + r) - load(v + r) * wk - load(w + r) * vk);
      if (k == shape.n - 1) break;
      eliminate(k, x);
      v[k] = w[k] = T(0);
      const std::int64_t next = (k + 1) / tile<T> * tile<T>;
      over_columns(next, 0.045 * double(p - next) * double(p - next) * sizeof(T) / 8, y,
                   [&](std::int64_t from, std::int64_t to, T* sums_of_part) {
                     fused_update(a, shape.ld, from, to, p, v, w, x, sums_of_part, z);
                   });
      finish(k, x, y);
      std::swap(v, x);
      std::swap(w, y);
    }
    d[shape.n - 1] = column(shape.n - 1)[shape.n - 1];
  }

  // Columns [first, first + panel): u keeps the pairs (v, w) side by side.
  void reduce_panel(std::int64_t first, T* u, T* x) const {
    const std::int64_t p = shape.padded, ld = shape.ld;
    T row[2 * panel], dot[2 * panel];
    for (std::int64_t i = 0; i < panel; ++i) {
      const std::int64_t k = first + i, begin = k / tile<T> * tile<T>;
      for (std::int64_t j = 0; j < i; ++j) row[2 * j] = u[(2 * j + 1) * ld + k], row[2 * j + 1] = u[2 * j * ld + k];
      subtract(u, ld, 2 * i, begin, p, row, column(k));
      eliminate(k, x);
      const std::int64_t next = (k + 1) / tile<T> * tile<T>;
      T *v = u + 2 * i * ld, *y = v + ld;
      std::fill(v + first, v + next, T(0));
      std::copy(x + next, x + p, v + next);
      std::fill(y + first, y + next, T(0));
      over_columns(
          next, 0.1 * double(p - next) * double(p - next) * sizeof(T) / 8, y,
          [&](std::int64_t from, std::int64_t to, T* sums_of_part) { symv(a, ld, from, to, p, x, sums_of_part, z); });
      dots(u, ld, 2 * i, next, p, x, dot);
      for (std::int64_t j = 0; j < i; ++j) std::swap(dot[2 * j], dot[2 * j + 1]);
      subtract(u, ld, 2 * i, next, p, dot, y);
      finish(k, x, y);
    }
  }

  // A -= V W' + W V' on the lower triangle from `first` on.
  void update(std::int64_t first, const T* u, T* swapped) const {
    const std::int64_t ld = shape.ld, m = shape.padded - first;
    for (std::int64_t j = 0; j < panel; ++j) {
      std::copy(u + 2 * j * ld + first, u + 2 * j * ld + shape.padded, swapped + (2 * j + 1) * ld + first);
      std::copy(u + (2 * j + 1) * ld + first, u + (2 * j + 1) * ld + shape.padded, swapped + 2 * j * ld + first);
    }
    team.split(m, 16, 0.05 * double(m) * double(m) * double(2 * panel),
               [&](std::int64_t from, std::int64_t to, Packs<T>& packs) {
                 const std::int64_t k = first + from;
                 product<T>(m - from, to - from, 2 * panel, T(-1), View<T>{u + k, 1, ld}, View<T>{swapped + k, ld, 1},
                            column(k) + k, ld, false, Part::lower, packs);
               });
  }

  void run() const {
    std::int64_t k = 0;
    Buffer<T> vectors(3 * shape.padded);
    T* x = vectors.get();
    if (shape.n > fused_below<T>) {
      Buffer<T> pairs(4 * panel * shape.ld);
      team.reserve_products(shape.n, shape.n, Part::lower);
      for (; shape.n - k > fused_below<T>; k += panel) {
        poll(interrupt);
        reduce_panel(k, pairs.get(), x);
        update(k + panel, pairs.get(), pairs.get() + 2 * panel * shape.ld);
      }
    }
    poll(interrupt);
    fused(k, x + shape.padded, x + 2 * shape.padded, x);
  }
};

}  // namespace

// A distance of a whole page between columns would put all of them into the same few cache sets.
template <class T>
Shape<T>::Shape(std::int64_t order) : n(order), padded(round_up(order, tile<T>)), ld(padded) {
  if (ld * std::int64_t(sizeof(T)) % 512 == 0) ld += 64 / std::int64_t(sizeof(T));
}

template <class T>
void tridiagonalise(T* a, Shape<T> shape, T* d, T* e, T* tau, const Team<T>& team, Interrupt interrupt) {
  if (shape.n == 0) return;
  Buffer<T> sums(most_parts * shape.padded);
  T* z = sums.get() + (most_parts - 1) * shape.padded;
  Reduction<T>{a, shape, d, e, tau, team, interrupt, sums.get(), z}.run();
}

template struct Shape<double>;
template struct Shape<float>;
template void tridiagonalise(double*, Shape<double>, double*, double*, double*, const Team<double>&, Interrupt);
template void tridiagonalise(float*, Shape<float>, float*, float*, float*, const Team<float>&, Interrupt);

}  // namespace fastopt::linalg
