#include "linalg/lanczos.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "linalg/team.hpp"
#include "threads/pool.hpp"

namespace fastopt::linalg {
namespace {

template <class T>
using Vector = Eigen::Matrix<T, Eigen::Dynamic, 1>;
template <class T>
using Panel = Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>, 0, Eigen::OuterStride<>>;

// Rows whose sums are added up before they meet others: fixed, so that results do not depend on the threads.
constexpr std::int64_t chunk_rows = 4096;

// Rows of all columns that stay in the second-level cache between two uses.
template <class T>
std::int64_t block_rows(std::int64_t columns) {
  const std::int64_t rows = (std::int64_t(1) << 18) / (columns * std::int64_t(sizeof(T)) + 1);
  return std::clamp<std::int64_t>(rows / 64 * 64, 64, 2048);
}

// A pass at about 10 GB/s: what one thread of a desktop reads from memory.
template <class T>
double pass_ns(std::int64_t n, std::int64_t columns) {
  return 0.1 * double(n) * double(columns) * double(sizeof(T));
}

// One pass over V: w <- scale w - V g, and V'w and w'w of what has become of it.
template <class T>
struct Pass {
  const T* v;
  std::int64_t n, columns;
  T* w;
  T scale;
  double* h;
  const T* g = nullptr;
  double squares = 0;
  std::int64_t chunks = (n + chunk_rows - 1) / chunk_rows, width = columns + 1;
  // had before the first pass, so that none fails when w has already been written
  std::vector<double> sums = std::vector<double>(std::size_t(chunks * width));
  std::vector<T> parts = std::vector<T>(std::size_t(chunks * columns));

  // sum: columns + 1 doubles
  void chunk(std::int64_t first, std::int64_t last, bool want_h, double* sum, T* part) const {
    std::fill_n(sum, columns + 1, 0.0);
    const std::int64_t step = block_rows<T>(columns);
    for (std::int64_t from = first; from < last; from += step) {
      const std::int64_t rows = std::min(step, last - from);
      const Panel<T> panel(v + from, rows, columns, Eigen::OuterStride<>(n));
      Eigen::Map<Vector<T>> piece(w + from, rows);
      if (scale != T(1)) piece *= scale;
      if (g) piece.noalias() -= panel * Eigen::Map<const Vector<T>>(g, columns);
      if (want_h) {
        Eigen::Map<Vector<T>> dots(part, columns);
        dots.noalias() = panel.transpose() * piece;
        for (std::int64_t j = 0; j < columns; ++j) sum[j] += double(part[j]);
      }
      sum[columns] += double(piece.squaredNorm());
    }
  }

  void run(bool want_h) {
    threads::try_each(chunks, pass_ns<T>(n, width), threads::size(), [&](std::int64_t c, int) {
      const std::int64_t first = c * chunk_rows;
      chunk(first, std::min(n, first + chunk_rows), want_h, &sums[std::size_t(c * width)], parts.data() + c * columns);
    });
    std::fill_n(h, columns, 0.0);
    squares = 0;
    for (std::int64_t c = 0; c < chunks; ++c) {
      const double* s = &sums[std::size_t(c * width)];
      for (std::int64_t j = 0; j < columns; ++j) h[j] += s[j];
      squares += s[columns];
    }
  }
};

// Threads that a pass over blocks of 256 rows can use.
int helpers(std::int64_t n) { return int(std::min<std::int64_t>(threads::size(), (n + 255) / 256)); }

double largest(const std::vector<double>& h) {
  double m = 0;
  for (const double x : h) m = std::max(m, std::abs(x));
  return m;
}

}  // namespace

template <class T>
double Basis<T>::orthogonalise(T* w, double scale, double* h) const {
  constexpr double eps = std::numeric_limits<T>::epsilon();
  std::vector<double> more(static_cast<std::size_t>(columns_));
  std::vector<T> g(static_cast<std::size_t>(columns_) + 1);
  std::fill_n(h, columns_, 0.0);
  Pass<T> pass{v_.get(), n_, columns_, w, T(scale), more.data()};
  pass.run(true);
  pass.scale = T(1);
  const double before = std::sqrt(pass.squares);
  // Each pass subtracts what the one before has found, and finds what is left: so a third is needed only when the second
  // finds more than rounding.
  for (int round = 0; round < 3; ++round) {
    for (std::int64_t j = 0; j < columns_; ++j) {
      h[j] += more[std::size_t(j)];
      g[std::size_t(j)] = T(more[std::size_t(j)]);
    }
    pass.g = g.data();
    pass.run(round < 2);
    const double after = std::sqrt(pass.squares);
    if (largest(more) <= eps * after || after <= eps * before) break;
  }
  return std::sqrt(pass.squares);
}

template <class T>
void Basis<T>::append(const T* w, double scale) {
  const T factor = T(scale);
  T* to = v_.get() + columns_ * n_;
  for (std::int64_t i = 0; i < n_; ++i) to[i] = factor * w[i];
  ++columns_;
}

template <class T>
void Basis<T>::swap(std::int64_t i, std::int64_t j) {
  std::swap_ranges(v_.get() + i * n_, v_.get() + (i + 1) * n_, v_.get() + j * n_);
}

template <class T>
void Basis<T>::rotate(const double* q, std::int64_t rows, std::int64_t kept) {
  const std::vector<T> factor(q, q + rows * kept);
  const std::int64_t behind = columns_ - rows, block = 256;
  const Team<T> team(helpers(n_));
  team.reserve_all();  // a product that fails would leave half of the rows behind
  team.reserve_scratch(block * kept);
  team.split(n_, block, 0.05 * double(n_) * double(rows) * double(kept),
             [&](std::int64_t first, std::int64_t last, Packs<T>& packs) {
               T* const result = packs.scratch.get();
               for (std::int64_t from = first; from < last; from += block) {
                 const std::int64_t m = std::min(block, last - from);
                 T* v = v_.get() + from;
                 product<T>(m, kept, rows, T(1), View<T>{v, 1, n_}, View<T>{factor.data(), kept, 1}, result, block, true,
                            Part::all, packs);
                 for (std::int64_t j = 0; j < kept; ++j) std::copy_n(result + j * block, m, v + j * n_);
                 for (std::int64_t j = 0; j < behind; ++j) std::copy_n(v + (rows + j) * n_, m, v + (kept + j) * n_);
               }
             });
  columns_ = kept + behind;
}

template <class T>
void Basis<T>::combine(const double* q, std::int64_t rows, std::int64_t count, T* out) const {
  const std::vector<T> factor(q, q + rows * count);
  const Team<T> team(helpers(n_));
  team.reserve_products(n_, count, Part::all);
  team.split(n_, 256, 0.05 * double(n_) * double(rows) * double(count),
             [&](std::int64_t first, std::int64_t last, Packs<T>& packs) {
               product<T>(last - first, count, rows, T(1), View<T>{v_.get() + first, 1, n_},
                          View<T>{factor.data(), count, 1}, out + first, n_, true, Part::all, packs);
             });
}

template class Basis<double>;
template class Basis<float>;

}  // namespace fastopt::linalg
