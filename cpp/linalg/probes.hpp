// Norms of matrices that are only known through their products, bounded from above with a probability.
//
// The entries of `probes` vectors w are independent, uniform and of variance 1: sqrt(12) times the unit cube. No section of
// that cube has an area above sqrt(2) (K. Ball, Proc. AMS 97, 1986), so for a unit vector u the density of u'w is at most
// sqrt(2 / 12), P(|u'w| < 1 / theta) <= 0.817 / theta, and whatever the matrix B is,
//     ||B||_2 <= theta max_w ||B w||_2   but for a probability of (0.817 / theta)^probes: 3.0e-6 for theta = 4, 8 probes.
// (The same argument for Gaussian vectors: Halko, Martinsson and Tropp, SIAM Review 53(2), 2011, lemma 4.1.)
#pragma once
#include <cstdint>

#include "linalg/ldlt.hpp"
#include "linalg/workspace.hpp"

namespace fastopt::linalg {

inline constexpr std::int64_t probes = 8;
inline constexpr double probe_factor = 4;

// n rows of `probes` doubles, in float64 for float32 matrices too: there the products are then exact enough to be nothing.
using Block = Buffer<double>;

Block random_block(std::int64_t n);

// y = A w, A being the lower triangle that load_scaled has made.
template <class T>
void multiply(const T* a, Shape<T> shape, const double* w, double* y);

// x <- P' L D L' P x and, on the leading block alone, x <- (L D L')^-1 x (rows from the rank on are dropped).
template <class T>
void multiply(const Ldlt<T>& f, double* x);
template <class T>
void solve(const Ldlt<T>& f, double* x);

// probe_factor times the largest 2-norm among the columns of x.
double norm_bound(std::int64_t rows, const double* x);

}  // namespace fastopt::linalg
