#include "matrix/triangular.hpp"

#include <algorithm>

namespace fastopt::matrix {
namespace {

// Wide enough for the kernel of products, and what is computed of the zeros below the diagonal is little.
constexpr std::int64_t multiplied = 128;   // rows of a factor at a time
constexpr std::int64_t solved = 64;        // rows that are solved at a time, the rest of the work being products
constexpr std::int64_t run_of_rows = 512;  // elements of each that one thread goes on with

template <class T>
void divide(T* x, std::int64_t n, T by) {
  for (std::int64_t i = 0; i < n; ++i) x[i] /= by;
}

template <class T>
void subtract(T* x, std::int64_t n, T times, const T* y) {
  for (std::int64_t i = 0; i < n; ++i) x[i] -= times * y[i];
}

// y[first, last) (+)= alpha sum over j in [from, to) of q[., j] x[j], or of q[j, .].
template <class T>
struct Panel {
  std::int64_t first, last, from, to;
  T alpha;
  bool set;

  void run(const T* x, const Side& side, const T* q, bool transposed, T* y, const Team<T>& team) const {
    const std::int64_t n = side.length, after = side.after, rows = last - first, sum = to - from;
    const T* const of = transposed ? q + from * n + first : q + first * n + from;
    const std::int64_t along = transposed ? 1 : n, over = transposed ? n : 1;  // strides of the panel's index, the sum's
    if (after == 1) {
      multiply(team, rows, side.before, sum, alpha, View<T>{of, along, over}, View<T>{x + from, 1, n}, y + first, n, set);
      return;
    }
    const double flops = 2 * double(after) * double(rows) * double(sum);
    for_stack(side.before, flops, team, [&](std::int64_t b, const Team<T>& members) {
      const std::int64_t at = b * n * after;
      multiply(members, after, rows, sum, alpha, View<T>{x + at + from * after, 1, after}, View<T>{of, over, along},
               y + at + first * after, after, set);
    });
  }
};

// Rows [first, last) of y q = x, those before them having been taken off.
template <class T>
void solve_rows(T* x, const Side& side, const T* q, std::int64_t first, std::int64_t last, const Team<T>& team) {
  const std::int64_t n = side.length, after = side.after;
  const double flops = double(side.before) * double(after) * double((last - first) * (last - first));
  if (after == 1) {
    team.split(side.before, 1, ns_per_flop * 4 * flops, [&](std::int64_t begin, std::int64_t end, linalg::Packs<T>&) {
      for (T* row = x + begin * n; row < x + end * n; row += n)
        for (std::int64_t k = first; k < last; ++k) {
          const T y = row[k] /= q[k * n + k];
          subtract(row + k + 1, last - k - 1, y, q + k * n + k + 1);
        }
    });
    return;
  }
  const std::int64_t runs = (after + run_of_rows - 1) / run_of_rows;
  team.split(side.before * runs, 1, ns_per_flop * 4 * flops, [&](std::int64_t begin, std::int64_t end, linalg::Packs<T>&) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t at = i % runs * run_of_rows, count = std::min(run_of_rows, after - at);
      T* const of = x + i / runs * n * after + at;
      for (std::int64_t k = first; k < last; ++k) {
        T* const y = of + k * after;
        const T* const row = q + k * n;
        divide(y, count, row[k]);
        for (std::int64_t j = k + 1; j < last; ++j) subtract(of + j * after, count, row[j], y);
      }
    }
  });
}

}  // namespace

template <class T>
void multiply_upper(const T* x, const Side& side, const T* q, bool transposed, T* y, const Team<T>& team) {
  for (std::int64_t i = 0; i < side.length; i += multiplied) {
    const std::int64_t end = std::min(i + multiplied, side.length);
    Panel<T>{i, end, transposed ? 0 : i, transposed ? end : side.length, T(1), true}.run(x, side, q, transposed, y, team);
  }
}

template <class T>
void solve_upper(T* x, const Side& side, const T* q, const Team<T>& team) {
  for (std::int64_t j = 0; j < side.length; j += solved) {
    const std::int64_t end = std::min(j + solved, side.length);
    if (j > 0) Panel<T>{j, end, 0, j, T(-1), false}.run(x, side, q, true, x, team);
    solve_rows(x, side, q, j, end, team);
  }
}

template <class T>
void multiply_diagonal(T* x, const Side& side, const T* q, bool inverse, const Team<T>& team) {
  const std::int64_t n = side.length, after = side.after;
  team.split(side.before * n, std::max<std::int64_t>(1, 4096 / after), 0.5 * double(side.before * n * after),
             [&](std::int64_t begin, std::int64_t end, linalg::Packs<T>&) {
               for (std::int64_t row = begin, i = begin % n; row < end; ++row, i = i + 1 == n ? 0 : i + 1) {
                 T* const of = x + row * after;
                 const T by = q[i];
                 if (inverse)
                   divide(of, after, by);
                 else
                   for (std::int64_t c = 0; c < after; ++c) of[c] *= by;
               }
             });
}

template void multiply_upper(const float*, const Side&, const float*, bool, float*, const Team<float>&);
template void multiply_upper(const double*, const Side&, const double*, bool, double*, const Team<double>&);
template void solve_upper(float*, const Side&, const float*, const Team<float>&);
template void solve_upper(double*, const Side&, const double*, const Team<double>&);
template void multiply_diagonal(float*, const Side&, const float*, bool, const Team<float>&);
template void multiply_diagonal(double*, const Side&, const double*, bool, const Team<double>&);

}  // namespace fastopt::matrix
