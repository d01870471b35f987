#include "linalg/merge.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linalg/secular.hpp"

namespace fastopt::linalg {
namespace {

// Where a column of Q is not zero; deflated columns take no part in the products.
enum Kind : std::int64_t { upper, dense, lower, deflated };

// A vector in memory that is there already.
class List {
 public:
  List() = default;
  explicit List(std::int64_t* memory) : data_(memory) {}
  void push_back(std::int64_t x) { data_[size_++] = x; }
  std::int64_t size() const { return size_; }
  std::int64_t operator[](std::int64_t i) const { return data_[i]; }

 private:
  std::int64_t *data_ = nullptr, size_ = 0;
};

template <class T>
class Merger {
 public:
  Merger(const Merge<T>& merge, const Team<T>& workers)
      : m(merge), team(workers), n(m.n), padded(round_up(n, lanes<T>)), stride(padded) {
    T* p = m.workspace;
    for (T** v : {&z, &pole, &weight, &root, &zhat}) *v = p, p += padded + lanes<T>;
    distance = p;
    half = distance + stride * n;
    std::int64_t* i = m.indices;
    for (List* list : {&kept, &dropped, &grouped}) *list = List(i), i += n;
    sorted = i;
    kind = i + n;
  }

  void run() {
    tear();
    deflate();
    if (k() > 0) {
      roots();
      recompute_z();
      vectors();
    }
    multiply(0, m.top, upper);
    multiply(m.top, n - m.top, lower);
    collect();
  }

 private:
  T* column(std::int64_t j) const { return m.q + j * m.ld; }
  std::int64_t k() const { return kept.size(); }

  // z = Q' u / sqrt(2) with u = (0 .. 0 1, +-1 0 .. 0): the last row of Q1 and the first of Q2.
  void tear() {
    const T scale = T(1) / std::sqrt(T(2)), second = std::copysign(scale, m.beta);
    for (std::int64_t j = 0; j < m.top; ++j) z[j] = scale * column(j)[m.top - 1], kind[j] = upper;
    for (std::int64_t j = m.top; j < n; ++j) z[j] = second * column(j)[m.top], kind[j] = lower;
    rho = 2 * std::abs(m.beta);
  }

  // Columns that need no work: a negligible z_j, or two values so close that a rotation makes one of their z vanish.
  void deflate() {
    auto less = [&](std::int64_t a, std::int64_t b) { return m.d[a] < m.d[b]; };
    std::merge(m.order, m.order + m.top, m.order + m.top, m.order + n, sorted, less);
    T largest = 0;
    for (std::int64_t j = 0; j < n; ++j) largest = std::max({largest, std::abs(m.d[j]), std::abs(z[j])});
    const T tolerance = 4 * std::numeric_limits<T>::epsilon() * largest;
    std::int64_t last = -1;
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t j = sorted[i];
      if (rho * std::abs(z[j]) <= tolerance) {
        drop(j);
        continue;
      }
      if (last >= 0 && !rotate_away(last, j, tolerance)) kept.push_back(last);
      last = j;
    }
    if (last >= 0) kept.push_back(last);
  }

  void drop(std::int64_t j) {
    kind[j] = deflated;
    dropped.push_back(j);
  }

  bool rotate_away(std::int64_t p, std::int64_t j, T tolerance) {
    const T size = std::hypot(z[p], z[j]), c = z[j] / size, s = z[p] / size, gap = m.d[j] - m.d[p];
    if (std::abs(gap * c * s) > tolerance) return false;
    z[j] = size;
    z[p] = T(0);
    T *x = column(p), *y = column(j);
    for (std::int64_t i = 0; i < n; ++i) {
      const T xi = x[i], yi = y[i];
      x[i] = c * xi - s * yi;
      y[i] = c * yi + s * xi;
    }
    const T moved = m.d[p] * c * c + m.d[j] * s * s;
    m.d[j] = m.d[p] * s * s + m.d[j] * c * c;
    m.d[p] = moved;
    if (kind[p] != kind[j]) kind[j] = dense;
    drop(p);
    return true;
  }

  void roots() {
    const std::int64_t width = round_up(k(), lanes<T>);
    T total = 0;
    for (std::int64_t j = 0; j < width; ++j) {
      pole[j] = j < k() ? m.d[kept[j]] : T(0);
      weight[j] = j < k() ? rho * z[kept[j]] * z[kept[j]] : T(0);
      total += weight[j];
    }
    // twice the bound, so that no padding pole ever meets a root
    for (std::int64_t j = k(); j < width; ++j) pole[j] = pole[k() - 1] + 2 * total + std::abs(pole[k() - 1]) + T(1);
    const Secular<T> equation{pole, weight, k(), width, total * (1 + 4 * std::numeric_limits<T>::epsilon())};
    team.split(k(), 1, 3.0 * double(k()) * double(k()) + 300.0 * double(k()),
               [&](std::int64_t a, std::int64_t b, Packs<T>&) {
                 for (std::int64_t i = a; i < b; ++i) root[i] = secular_root(equation, i, distance + i * stride);
               });
  }

  // The z for which the computed roots are exact: z_j^2 = prod_i (root_i - d_j) / prod_{i != j} (d_i - d_j).
  void recompute_z() {
    team.split(k(), lanes<T>, 0.8 * double(k()) * double(k()), [&](std::int64_t a, std::int64_t b, Packs<T>&) {
      for (std::int64_t j = a; j < b; ++j) zhat[j] = T(1);
      for (std::int64_t i = 0; i < k(); ++i) {
        const T* from = distance + i * stride;
        const T di = pole[i];
        const std::int64_t before = std::clamp(i, a, b), after = std::clamp(i + 1, a, b);
        for (std::int64_t j = a; j < before; ++j) zhat[j] *= from[j] / (pole[j] - di);
        if (before < after) zhat[i] *= from[i];
        for (std::int64_t j = after; j < b; ++j) zhat[j] *= from[j] / (pole[j] - di);
      }
      for (std::int64_t j = a; j < b; ++j) zhat[j] = std::copysign(std::sqrt(std::abs(zhat[j])), z[kept[j]]);
    });
  }

  // Vector i is zhat_j / (d_j - root_i), normalised; its rows in the order upper, dense, lower.
  void vectors() {
    for (const Kind wanted : {upper, dense, lower})
      for (std::int64_t j = 0; j < k(); ++j)
        if (kind[kept[j]] == wanted) {
          grouped.push_back(j);
          ++size[wanted];
        }
    team.reserve_scratch(k());
    team.split(k(), 1, 1.5 * double(k()) * double(k()), [&](std::int64_t a, std::int64_t b, Packs<T>& packs) {
      T* v = packs.scratch.get();
      for (std::int64_t i = a; i < b; ++i) {
        T* c = distance + i * stride;
        Vec<T> part = {};
        std::int64_t j = 0;
        for (; j + lanes<T> <= k(); j += lanes<T>) {
          const Vec<T> x = load(zhat + j) / load(c + j);
          part += x * x;
          store(v + j, x);
        }
        T norm = sum<T>(part);
        for (; j < k(); ++j) v[j] = zhat[j] / c[j], norm += v[j] * v[j];
        const T scale = T(1) / std::sqrt(norm);
        for (j = 0; j < k(); ++j) c[j] = scale * v[grouped[j]];
      }
    });
  }

  // Rows [first, first + rows) of Q times the vectors: only the columns that are not zero there (`mine` and dense).
  void multiply(std::int64_t first, std::int64_t rows, Kind mine) {
    if (rows == 0) return;
    const std::int64_t skip = mine == upper ? 0 : size[upper];
    const std::int64_t depth = size[mine] + size[dense], dropped_count = dropped.size();
    auto gather = [&](std::int64_t from, std::int64_t to) { std::copy_n(column(from) + first, rows, half + to * rows); };
    for (std::int64_t j = 0; j < depth; ++j) gather(kept[grouped[skip + j]], j);
    for (std::int64_t j = 0; j < dropped_count; ++j) gather(dropped[j], depth + j);
    const T* rest = half + depth * rows;
    if (depth == 0)
      for (std::int64_t j = 0; j < k(); ++j) std::fill_n(column(j) + first, rows, T(0));
    else
      team.split(
          k(), 8, 0.05 * double(rows) * double(depth) * double(k()), [&](std::int64_t a, std::int64_t b, Packs<T>& packs) {
            product<T>(rows, b - a, depth, T(1), View<T>{half, 1, rows}, View<T>{distance + a * stride + skip, 1, stride},
                       column(a) + first, m.ld, true, Part::all, packs);
          });
    for (std::int64_t j = 0; j < dropped_count; ++j) std::copy_n(rest + j * rows, rows, column(k() + j) + first);
  }

  // Values in the order of the new columns: roots, then what was dropped.
  void collect() {
    for (std::int64_t j = 0; j < dropped.size(); ++j) root[k() + j] = m.d[dropped[j]];
    std::copy(root, root + n, m.d);
    for (std::int64_t j = 0; j < n; ++j) m.order[j] = j;
    auto less = [&](std::int64_t a, std::int64_t b) { return m.d[a] < m.d[b]; };
    std::sort(m.order + k(), m.order + n, less);
    std::inplace_merge(m.order, m.order + k(), m.order + n, less);
  }

  const Merge<T>& m;
  const Team<T>& team;
  std::int64_t n, padded, stride;
  T *z, *pole, *weight, *root, *zhat, *distance, *half;
  T rho = 0;
  List kept, dropped, grouped;
  std::int64_t *sorted, *kind;
  std::int64_t size[3] = {};
};

}  // namespace

template <class T>
std::int64_t merge_workspace(std::int64_t n) {
  const std::int64_t padded = round_up(n, lanes<T>);
  return 5 * (padded + lanes<T>)+padded * n + (n + 1) / 2 * n;
}

template <class T>
void merge(const Merge<T>& m, const Team<T>& team) {
  Merger<T>(m, team).run();
}

template std::int64_t merge_workspace<double>(std::int64_t);
template std::int64_t merge_workspace<float>(std::int64_t);
template void merge(const Merge<double>&, const Team<double>&);
template void merge(const Merge<float>&, const Team<float>&);

}  // namespace fastopt::linalg
