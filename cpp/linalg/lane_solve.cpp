#include "linalg/lane_solve.hpp"

#include "linalg/lane_jacobi.hpp"
#include "linalg/lane_load.hpp"
#include "linalg/lane_ql.hpp"
#include "linalg/lane_reduce.hpp"

namespace fastopt::linalg {
namespace {

template <int N>
using Order = std::integral_constant<int, N>;

// Jacobi is the faster one up to order 4 (float64 values and vectors, nanoseconds per matrix, AVX-512: 61 and 97 against 62
// and 95; AVX2: 86 and 143 against 122 and 315; SSE2: 150 and 238 against 182 and 259), tridiagonal and QL from 5 on.
// z (by rows) <- z times the vectors of T.
template <class T, class X>
Mask<T, X> vectors(X* d, X* e, int n, X* z) {
  if constexpr (!std::is_same_v<X, T>) {
    return lane_vectors<T>(d, e, n, [&](int first, const X* c, const X* s) { lane_rotate_all(z, n, first, c, s); });
  } else {
    alignas(64) T columns[lane_order * round_up(lane_order, lanes<T>)];
    const std::int64_t ld = round_up(n, lanes<T>);
    for (int j = 0; j < n; ++j) {
      for (int i = 0; i < n; ++i) columns[j * ld + i] = z[i * n + j];
      for (std::int64_t i = n; i < ld; ++i) columns[j * ld + i] = T(0);
    }
    const auto lost =
        lane_vectors<T>(d, e, n, [&](int first, const T* c, const T* s) { rotate_columns(columns, ld, n, first, c, s); });
    for (int j = 0; j < n; ++j)
      for (int i = 0; i < n; ++i) z[i * n + j] = columns[j * ld + i];
    return lost;
  }
}

template <bool Vectors, class T, class X, class N>
Mask<T, X> eigen(X* a, N n, X* d) {
  if constexpr (!std::is_same_v<N, int>) {
    return lane_jacobi<N::value, Vectors, T>(a, d);
  } else {
    X e[lane_order], tau[lane_order];
    lane_tridiagonalise<T>(a, n, d, e, tau);
    if constexpr (!Vectors) return lane_values<T>(d, e, n);
    lane_orthogonal<T>(a, n, tau);
    return vectors<T>(d, e, n, a);
  }
}

template <class T, class X, class N>
void gather(const Stack<T>& stack, std::int64_t first, int count, X* a, N n) {
  constexpr int W = width<T, X>;
  const T* from[W];
  std::int64_t row = stack.row, column = stack.column;
  if (!stack.lower) std::swap(row, column);
  for (int l = 0; l < W; ++l) from[l] = l < count ? stack.matrix(first + l).a : from[0];
  lane_gather(from, row, column, n, reinterpret_cast<T*>(a));
}

template <class T, class X, class N>
void scatter_vectors(const Stack<T>& stack, std::int64_t first, int l, const X* z, const typename Bits<T>::Int* order, N n) {
  constexpr int W = width<T, X>;
  const T* from = reinterpret_cast<const T*>(z) + l;
  T* to = stack.v + (first + l) * n * n;
  const int entry = stack.rows ? 1 : n, vector = stack.rows ? n : 1;
  for (int j = 0; j < n; ++j) {
    const int k = int(order[j * W + l]);
    for (int i = 0; i < n; ++i) to[j * vector + i * entry] = from[(i * n + k) * W];
  }
}

template <bool Vectors, class T, class X, class N>
void group(const Stack<T>& stack, std::int64_t first, int count, X* a, LaneResult* results, N n) {
  using Int = typename Lane<T, X>::Int;
  constexpr int W = width<T, X>;
  X d[lane_order];
  Int order[lane_order];
  Scales<T, W> scales;
  gather<T>(stack, first, count, a, n);
  lane_scale<T>(a, n, scales);
  const auto failed = eigen<Vectors, T>(a, n, d);
  for (int j = 0; j < n; ++j) order[j] = Lane<T, X>::every(j);
  lane_sort<T>(d, Vectors ? order : nullptr, n);
  X back, back_first;
  std::memcpy(&back, scales.back, sizeof back);
  std::memcpy(&back_first, scales.back_first, sizeof back);
  for (int j = 0; j < n; ++j) d[j] = d[j] * back * back_first;
  const T* values = reinterpret_cast<const T*>(d);
  const X wrong = select(failed, Lane<T, X>::all(1), X{});
  for (int l = 0; l < count; ++l) {
    const bool lost = reinterpret_cast<const T*>(&wrong)[l] != T(0);
    results[l] = scales.bad[l] ? LaneResult::not_finite : lost ? LaneResult::not_converged : LaneResult::done;
    if (results[l] != LaneResult::done) continue;
    for (int j = 0; j < n; ++j) stack.w[(first + l) * n + j] = values[j * W + l];
    if constexpr (Vectors) scatter_vectors<T>(stack, first, l, a, reinterpret_cast<const typename Bits<T>::Int*>(order), n);
  }
}

template <bool Vectors, class T, class X>
void any_order(const Stack<T>& stack, std::int64_t first, int count, T* work, LaneResult* results) {
  X* a = reinterpret_cast<X*>(work);
  switch (stack.n) {
    case 2: return group<Vectors, T>(stack, first, count, a, results, Order<2>());
    case 3: return group<Vectors, T>(stack, first, count, a, results, Order<3>());
    case 4: return group<Vectors, T>(stack, first, count, a, results, Order<4>());
    default: return group<Vectors, T>(stack, first, count, a, results, int(stack.n));
  }
}

template <class T, class X>
void of_width(const Stack<T>& stack, std::int64_t first, int count, T* work, LaneResult* results) {
  if (stack.v)
    any_order<true, T, X>(stack, first, count, work, results);
  else
    any_order<false, T, X>(stack, first, count, work, results);
}

}  // namespace

template <class T>
int lane_group() {
  return 2 * lanes<T>;
}

template <class T>
void lane_solve(const Stack<T>& stack, std::int64_t first, int count, T* work, LaneResult* results) {
  if (count > lanes<T>)
    of_width<T, Two<Vec<T>>>(stack, first, count, work, results);
  else if (count > 1)
    of_width<T, Vec<T>>(stack, first, count, work, results);
  else
    of_width<T, T>(stack, first, count, work, results);
}

template int lane_group<double>();
template int lane_group<float>();
template void lane_solve(const Stack<double>&, std::int64_t, int, double*, LaneResult*);
template void lane_solve(const Stack<float>&, std::int64_t, int, float*, LaneResult*);

}  // namespace fastopt::linalg
