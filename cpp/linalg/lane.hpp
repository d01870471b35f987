// Many small matrices at once: each lane of a vector belongs to a matrix of its own, so the algorithms of this family of
// files are written as for one matrix, on X instead of numbers. X is a number, a vector, or two vectors: the chains of
// divisions and roots in a QL sweep are bound by latency, and two independent ones take hardly longer than one.
//
// What differs between matrices (who has converged, where a matrix splits) is a mask, and select() in place of if.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "linalg/simd.hpp"

namespace fastopt::linalg {

template <class V>
struct Two {
  V a, b;
};

// Masks of one lane are bool, and `bool & bool` is an int: what comes of masks stays one.
#define FASTOPT_LANE_OPERATOR(op)                                                      \
  template <class V>                                                                   \
  inline auto operator op(const Two<V>& x, const Two<V>& y) {                          \
    using R = std::conditional_t<std::is_same_v<V, bool>, bool, decltype(x.a op y.a)>; \
    return Two<R>{R(x.a op y.a), R(x.b op y.b)};                                       \
  }
FASTOPT_LANE_OPERATOR(+)
FASTOPT_LANE_OPERATOR(-)
FASTOPT_LANE_OPERATOR(*)
FASTOPT_LANE_OPERATOR(/)
FASTOPT_LANE_OPERATOR(<)
FASTOPT_LANE_OPERATOR(<=)
FASTOPT_LANE_OPERATOR(==)
FASTOPT_LANE_OPERATOR(&)
FASTOPT_LANE_OPERATOR(|)
#undef FASTOPT_LANE_OPERATOR
template <class V>
inline Two<V> operator-(const Two<V>& x) {
  return {-x.a, -x.b};
}

// Entry types of X: Int counts, Mask is what a comparison gives.
template <class T, class X>
struct Lane {  // X = Vec<T>
  using Int = IVec<T>;
  static X all(T x) { return splat(x); }
  static Int every(int i) { return typename Bits<T>::Int(i) + Int{}; }
};
template <class T>
struct Lane<T, Two<Vec<T>>> {
  using Int = Two<IVec<T>>;
  static Two<Vec<T>> all(T x) { return {splat(x), splat(x)}; }
  static Int every(int i) { return {Lane<T, Vec<T>>::every(i), Lane<T, Vec<T>>::every(i)}; }
};
#if defined(__GNUC__) && !defined(FASTOPT_SCALAR)
template <class T>
struct Lane<T, T> {
  using Int = typename Bits<T>::Int;
  static T all(T x) { return x; }
  static Int every(int i) { return i; }
};
#endif
template <class T, class X>
using Mask = decltype(X{} < X{});
template <class T, class X>
inline constexpr int width = int(sizeof(X) / sizeof(T));  // NOLINT(bugprone-sizeof-expression): 1 where X is T

template <class M, class X>
inline X select(const M& mask, const X& yes, const X& no) {
  return mask ? yes : no;
}
template <class M, class V>
inline Two<V> select(const Two<M>& mask, const Two<V>& yes, const Two<V>& no) {
  return {select(mask.a, yes.a, no.a), select(mask.b, yes.b, no.b)};
}

// The compiler makes one vector instruction of the loop.
template <class T, class X>
inline X root(const X& x) {
  T each[width<T, X>];
  std::memcpy(each, &x, sizeof x);
  for (int l = 0; l < width<T, X>; ++l) each[l] = std::sqrt(each[l]);
  X out;
  std::memcpy(&out, each, sizeof x);
  return out;
}
template <class X>
inline X magnitude(const X& x) {
  return select(x < X{}, -x, x);
}

inline bool any(bool m) { return m; }
#if defined(__GNUC__) && !defined(FASTOPT_SCALAR)
template <class T>
inline bool any_lane(const IVec<T>& m) {
  std::int64_t words[sizeof m / 8], together = 0;
  std::memcpy(words, &m, sizeof m);
  for (std::int64_t w : words) together |= w;
  return together != 0;
}
inline bool any(const IVec<double>& m) { return any_lane<double>(m); }
inline bool any(const IVec<float>& m) { return any_lane<float>(m); }
#endif
template <class M>
inline bool any(const Two<M>& m) {
  return any(M(m.a | m.b));
}

// Squares below this are not full numbers any more; what is smaller is zero beside a matrix of norm 1.
template <class T>
inline constexpr T square_floor = std::numeric_limits<T>::min() / std::numeric_limits<T>::epsilon();

}  // namespace fastopt::linalg
