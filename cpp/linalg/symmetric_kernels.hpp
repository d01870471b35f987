// The passes over memory of the tridiagonalisation: y = A x from one triangle, the same fused with a rank-2 update, and
// the thin products with the panel. All work on whole vectors: the working matrix is padded with zeros to a multiple of
// `tile` rows, and its diagonal tiles hold both triangles, so no loop has a ragged end.
#pragma once
#include <cstdint>

#include "linalg/simd.hpp"

namespace fastopt::linalg {

template <class T>
inline constexpr std::int64_t tile = lanes<T> < 4 ? 4 : lanes<T>;

// Columns per pass: as many as the registers hold (x_j and one dot product each; the fused pass also v_j and w_j).
inline constexpr int symv_columns = vector_bytes == 64 ? 8 : 4;
inline constexpr int fused_columns = vector_bytes == 64 ? 4 : 2;

// y[rows below] += A x and z[g] = A_g . x for G columns starting at a, over rows [begin, end).
template <int G, class T>
inline void symv_below(const T* a, std::int64_t ld, std::int64_t begin, std::int64_t end, const T* x, T* y, const T* xj,
                       T* z) {
  Vec<T> scale[G], dot[G] = {};
#pragma GCC unroll 8
  for (int g = 0; g < G; ++g) scale[g] = splat(xj[g]);
  for (std::int64_t r = begin; r < end; r += lanes<T>) {
    const Vec<T> xr = load(x + r);
    Vec<T> yr = load(y + r);
#pragma GCC unroll 8
    for (int g = 0; g < G; ++g) {
      const Vec<T> ar = load(a + g * ld + r);
      yr += ar * scale[g];
      dot[g] += ar * xr;
    }
    store(y + r, yr);
  }
  store_sums<G, T>(dot, z);
}

// y + z = A x for the columns [begin, end) of the stored triangle (multiples of tile), rows up to `rows`: y gets what the
// columns contribute to the rows, z each column's dot product. (Added to y at once, their narrow stores would stall the wide
// loads of the next group.)
template <class T>
inline void symv(const T* a, std::int64_t ld, std::int64_t begin, std::int64_t end, std::int64_t rows, const T* x, T* y,
                 T* z) {
  constexpr int G = symv_columns < tile<T> ? symv_columns : int(tile<T>);
  for (std::int64_t j = begin; j < end; j += tile<T>) {
    for (std::int64_t r = j; r < j + tile<T>; r += lanes<T>) {
      Vec<T> yr = load(y + r);
#pragma GCC unroll 16
      for (int g = 0; g < tile<T>; ++g) yr += load(a + (j + g) * ld + r) * splat(x[j + g]);
      store(y + r, yr);
    }
#pragma GCC unroll 4
    for (int g = 0; g < tile<T>; g += G) symv_below<G>(a + (j + g) * ld, ld, j + tile<T>, rows, x, y, x + j + g, z + j + g);
  }
}

// A -= v w' + w v' and y + z = A x in one pass over G columns, rows [begin, end).
template <int G, bool Dots, class T>
inline void fused_columns_pass(T* a, std::int64_t ld, std::int64_t begin, std::int64_t end, const T* v, const T* w,
                               const T* x, T* y, T* z, std::int64_t j) {
  Vec<T> vj[G], wj[G], xj[G], dot[G] = {};
#pragma GCC unroll 8
  for (int g = 0; g < G; ++g) vj[g] = splat(v[j + g]), wj[g] = splat(w[j + g]), xj[g] = splat(x[j + g]);
  for (std::int64_t r = begin; r < end; r += lanes<T>) {
    const Vec<T> vr = load(v + r), wr = load(w + r), xr = load(x + r);
    Vec<T> yr = load(y + r);
#pragma GCC unroll 8
    for (int g = 0; g < G; ++g) {
      T* p = a + g * ld + r;
      const Vec<T> ar = load(p) - vr * wj[g] - wr * vj[g];
      store(p, ar);
      yr += ar * xj[g];
      if constexpr (Dots) dot[g] += ar * xr;
    }
    store(y + r, yr);
  }
  if constexpr (Dots) store_sums<G, T>(dot, z + j);
}

// The same for the columns [begin, end) of the stored triangle (multiples of tile).
template <class T>
inline void fused_update(T* a, std::int64_t ld, std::int64_t begin, std::int64_t end, std::int64_t rows, const T* v,
                         const T* w, const T* x, T* y, T* z) {
  constexpr int G = fused_columns;
  for (std::int64_t j = begin; j < end; j += tile<T>)
#pragma GCC unroll 8
    for (int g = 0; g < tile<T>; g += G) {
      fused_columns_pass<G, false>(a + (j + g) * ld, ld, j, j + tile<T>, v, w, x, y, z, j + g);
      fused_columns_pass<G, true>(a + (j + g) * ld, ld, j + tile<T>, rows, v, w, x, y, z, j + g);
    }
}

// out[j] = U_j . x for `count` columns.
template <class T>
inline void dots(const T* u, std::int64_t ld, std::int64_t count, std::int64_t begin, std::int64_t end, const T* x, T* out) {
  constexpr int G = 4;
  std::int64_t j = 0;
  for (; j + G <= count; j += G, u += G * ld) {
    Vec<T> dot[G] = {};
    for (std::int64_t r = begin; r < end; r += lanes<T>) {
      const Vec<T> xr = load(x + r);
#pragma GCC unroll 8
      for (int g = 0; g < G; ++g) dot[g] += load(u + g * ld + r) * xr;
    }
    for (int g = 0; g < G; ++g) out[j + g] = sum<T>(dot[g]);
  }
  for (; j < count; ++j, u += ld) {
    Vec<T> dot = {};
    for (std::int64_t r = begin; r < end; r += lanes<T>) dot += load(u + r) * load(x + r);
    out[j] = sum<T>(dot);
  }
}

// y -= U c for `count` (even) columns.
template <class T>
inline void subtract(const T* u, std::int64_t ld, std::int64_t count, std::int64_t begin, std::int64_t end, const T* c,
                     T* y) {
  constexpr int G = 8;
  std::int64_t j = 0;
  for (; j + G <= count; j += G, u += G * ld) {
    Vec<T> cj[G];
#pragma GCC unroll 8
    for (int g = 0; g < G; ++g) cj[g] = splat(c[j + g]);
    for (std::int64_t r = begin; r < end; r += lanes<T>) {
      Vec<T> yr = load(y + r);
#pragma GCC unroll 8
      for (int g = 0; g < G; ++g) yr -= load(u + g * ld + r) * cj[g];
      store(y + r, yr);
    }
  }
  for (; j < count; j += 2, u += 2 * ld) {
    const Vec<T> c0 = splat(c[j]), c1 = splat(c[j + 1]);
    for (std::int64_t r = begin; r < end; r += lanes<T>)
      store(y + r, load(y + r) - load(u + r) * c0 - load(u + ld + r) * c1);
  }
}

}  // namespace fastopt::linalg
