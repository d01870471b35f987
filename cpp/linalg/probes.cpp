#include "linalg/probes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linalg/simd.hpp"

namespace fastopt::linalg {
namespace {

// A row of a block, in as many vectors as it takes.
struct Row {
  static constexpr int vectors = int(probes) / lanes<double>;
  Vec<double> v[vectors];

  static Row zero() { return Row{}; }
  static Row at(const double* p) {
    Row r;
    for (std::int64_t i = 0; i < vectors; ++i) r.v[i] = load(p + i * lanes<double>);
    return r;
  }
  void put(double* p) const {
    for (std::int64_t i = 0; i < vectors; ++i) store(p + i * lanes<double>, v[i]);
  }
  void add(double s, const Row& x) {
    const Vec<double> sv = splat(s);
    for (int i = 0; i < vectors; ++i) v[i] += sv * x.v[i];
  }
};

// Columns that one pass over the rows takes along.
constexpr int group = 8;

// y[rows begin .. end) += sum_g l_g z_g for `count` columns from l on.
template <int G, class T>
void add_columns(const T* l, std::int64_t ld, std::int64_t begin, std::int64_t end, const Row* z, double* y) {
  Row mine[G];
  for (int g = 0; g < G; ++g) mine[g] = z[g];
  for (std::int64_t r = begin; r < end; ++r) {
    Row sum = Row::at(y + r * probes);
#pragma GCC unroll 8
    for (int g = 0; g < G; ++g) sum.add(double(l[g * ld + r]), mine[g]);
    sum.put(y + r * probes);
  }
}

// z_g += l_g . x over the rows [begin, end).
template <int G, class T>
void add_dots(const T* l, std::int64_t ld, std::int64_t begin, std::int64_t end, const double* x, Row* z) {
  Row sum[G] = {};
  for (std::int64_t r = begin; r < end; ++r) {
    const Row xr = Row::at(x + r * probes);
#pragma GCC unroll 8
    for (int g = 0; g < G; ++g) sum[g].add(double(l[g * ld + r]), xr);
  }
  for (int g = 0; g < G; ++g) z[g].add(1, sum[g]);
}

template <class T>
void columns(const T* l, std::int64_t ld, std::int64_t begin, std::int64_t end, int count, const Row* z, double* y) {
  if (count == group) return add_columns<group>(l, ld, begin, end, z, y);
  for (int g = 0; g < count; ++g) add_columns<1>(l + g * ld, ld, begin, end, z + g, y);
}

template <class T>
void dots(const T* l, std::int64_t ld, std::int64_t begin, std::int64_t end, int count, const double* x, Row* z) {
  if (count == group) return add_dots<group>(l, ld, begin, end, x, z);
  for (int g = 0; g < count; ++g) add_dots<1>(l + g * ld, ld, begin, end, x, z + g);
}

// The walks over L. Forward, a panel's exchanges come before its columns; backward, after them.
template <class T>
struct Walk {
  const Ldlt<T>& f;
  double* x;

  double* row(std::int64_t i) const { return x + i * probes; }
  T entry(std::int64_t i, std::int64_t j) const { return f.column(j)[i]; }
  void exchange(std::int64_t k) const {
    if (f.pivots[std::size_t(k)] != k) std::swap_ranges(row(k), row(k + 1), row(f.pivots[std::size_t(k)]));
  }

  // block(first, count) for groups of columns that do not cross panels.
  template <class F>
  void forward(F&& block) const {
    for (std::size_t p = 0; p + 1 < f.panels.size(); ++p) {
      const std::int64_t first = f.panels[p], last = f.panels[p + 1];
      for (std::int64_t k = first; k < last; ++k) exchange(k);
      for (std::int64_t k = first; k < last; k += group) block(k, int(std::min<std::int64_t>(group, last - k)));
    }
  }
  template <class F>
  void backward(F&& block) const {
    for (std::size_t p = f.panels.size() - 1; p-- > 0;) {
      const std::int64_t first = f.panels[p], last = f.panels[p + 1];
      for (std::int64_t k = first + (last - first - 1) / group * group; k >= first; k -= group)
        block(k, int(std::min<std::int64_t>(group, last - k)));
      for (std::int64_t k = last; k-- > first;) exchange(k);
    }
  }

  // x <- L' P x
  void transposed_product() const {
    forward([&](std::int64_t k, int count) {
      Row z[group];
      for (int g = 0; g < count; ++g) {
        z[g] = Row::at(row(k + g));
        for (int i = g + 1; i < count; ++i) z[g].add(double(entry(k + i, k + g)), Row::at(row(k + i)));
      }
      dots(f.column(k), f.shape.ld, k + count, f.shape.n, count, x, z);
      for (int g = 0; g < count; ++g) z[g].put(row(k + g));
    });
  }

  // x <- P' L x
  void product() const {
    backward([&](std::int64_t k, int count) {
      Row z[group];
      for (int g = 0; g < count; ++g) z[g] = Row::at(row(k + g));
      columns(f.column(k), f.shape.ld, k + count, f.shape.n, count, z, x);
      for (int i = count - 1; i > 0; --i) {
        Row sum = z[i];
        for (int g = 0; g < i; ++g) sum.add(double(entry(k + i, k + g)), z[g]);
        sum.put(row(k + i));
      }
    });
  }

  // x <- L^-1 P x
  void solve() const {
    forward([&](std::int64_t k, int count) {
      Row z[group];
      for (int i = 0; i < count; ++i) {
        Row sum = Row::at(row(k + i));
        for (int g = 0; g < i; ++g) sum.add(double(entry(k + i, k + g)), z[g]);
        sum.put(row(k + i));
        z[i] = Row::zero();
        z[i].add(-1, sum);
      }
      columns(f.column(k), f.shape.ld, k + count, f.shape.n, count, z, x);
    });
  }

  // x <- P' L^-T x
  void transposed_solve() const {
    backward([&](std::int64_t k, int count) {
      Row z[group] = {};
      dots(f.column(k), f.shape.ld, k + count, f.shape.n, count, x, z);
      for (int g = count; g-- > 0;) {
        for (int i = g + 1; i < count; ++i) z[g].add(double(entry(k + i, k + g)), Row::at(row(k + i)));
        Row sum = Row::at(row(k + g));
        sum.add(-1, z[g]);
        sum.put(row(k + g));
      }
    });
  }
};

// f(a, b, c, x0, x1) for each block [a b; b c] of D (one row: b = 0, x1 null).
template <class T, class F>
void blocks(const Ldlt<T>& f, double* x, F&& each) {
  for (std::int64_t k = 0; k < f.rank; ++k) {
    double* x0 = x + k * probes;
    if (f.below[k] == T(0)) {
      each(double(f.diagonal[k]), 0.0, 0.0, x0, static_cast<double*>(nullptr));
    } else {
      each(double(f.diagonal[k]), double(f.below[k]), double(f.diagonal[k + 1]), x0, x0 + probes);
      ++k;
    }
  }
}

template <class T>
void drop_rest(const Ldlt<T>& f, double* x) {
  std::fill(x + f.rank * probes, x + f.shape.n * probes, 0.0);
}

}  // namespace

Block random_block(std::int64_t n) {
  Block w(n * probes);
  const double spread = std::sqrt(12.0) * std::ldexp(1.0, -64);  // of variance 1 from 64 bits
  for (std::int64_t i = 0; i < n * probes; ++i) {
    std::uint64_t z = (std::uint64_t(i) + 1) * 0x9e3779b97f4a7c15u;  // splitmix64 (Steele, Lea and Flood, 2014)
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    w[i] = double(std::int64_t(z ^ (z >> 31))) * spread;
  }
  return w;
}

template <class T>
void multiply(const T* a, Shape<T> shape, const double* w, double* y) {
  const std::int64_t n = shape.n, ld = shape.ld;
  std::fill(y, y + n * probes, 0.0);
  for (std::int64_t k = 0; k < n; k += group) {
    const int count = int(std::min<std::int64_t>(group, n - k));
    Row x[group], z[group];
    for (int g = 0; g < count; ++g) x[g] = Row::at(w + (k + g) * probes), z[g] = Row::at(y + (k + g) * probes);
    for (int i = 0; i < count; ++i)
      for (int g = 0; g < count; ++g) z[i].add(double(a[(k + std::min(i, g)) * ld + k + std::max(i, g)]), x[g]);
    dots(a + k * ld, ld, k + count, n, count, w, z);
    columns(a + k * ld, ld, k + count, n, count, x, y);
    for (int g = 0; g < count; ++g) z[g].put(y + (k + g) * probes);
  }
}

template <class T>
void multiply(const Ldlt<T>& f, double* x) {
  const Walk<T> walk{f, x};
  walk.transposed_product();
  drop_rest(f, x);
  blocks(f, x, [](double a, double b, double c, double* x0, double* x1) {
    for (std::int64_t q = 0; q < probes; ++q) {
      const double u = x0[q], v = x1 ? x1[q] : 0;
      x0[q] = a * u + b * v;
      if (x1) x1[q] = b * u + c * v;
    }
  });
  walk.product();
}

template <class T>
void solve(const Ldlt<T>& f, double* x) {
  const Walk<T> walk{f, x};
  walk.solve();
  drop_rest(f, x);
  blocks(f, x, [](double a, double b, double c, double* x0, double* x1) {
    for (std::int64_t q = 0; q < probes; ++q) {
      if (!x1) {
        x0[q] /= a;
        continue;
      }
      const double p = a / b, r = c / b, t = b * (p * r - 1), u = x0[q], v = x1[q];
      x0[q] = (r * u - v) / t;
      x1[q] = (p * v - u) / t;
    }
  });
  walk.transposed_solve();
}

double norm_bound(std::int64_t rows, const double* x) {
  double most = 0;
  for (std::int64_t q = 0; q < probes; ++q) {
    double s = 0;
    for (std::int64_t i = 0; i < rows; ++i) s += x[i * probes + q] * x[i * probes + q];
    if (!(s <= most)) most = s;  // NaN stays
  }
  return std::isfinite(most) ? probe_factor * std::sqrt(most) : std::numeric_limits<double>::infinity();
}

template void multiply(const double*, Shape<double>, const double*, double*);
template void multiply(const float*, Shape<float>, const double*, double*);
template void multiply(const Ldlt<double>&, double*);
template void multiply(const Ldlt<float>&, double*);
template void solve(const Ldlt<double>&, double*);
template void solve(const Ldlt<float>&, double*);

}  // namespace fastopt::linalg
