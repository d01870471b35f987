// One merge of divide and conquer: blkdiag(Q1, Q2) (diag(d) + rho z z') blkdiag(Q1, Q2)' becomes Q diag(d) Q'.
#pragma once
#include <cstdint>

#include "linalg/team.hpp"

namespace fastopt::linalg {

// d (n) holds both halves' values, `order` lists their columns ascending within [0, top) and within [top, n), and is
// replaced by the ascending order of the result. q points at the diagonal block (n x n). beta is the torn off-diagonal
// entry.
template <class T>
struct Merge {
  std::int64_t n, top;
  T* d;
  std::int64_t* order;
  T* q;
  std::int64_t ld;
  T beta;
  T* workspace;           // merge_workspace<T>(n) entries, about 1.5 n^2
  std::int64_t* indices;  // merge_indices * n entries
};

template <class T>
std::int64_t merge_workspace(std::int64_t n);
inline constexpr std::int64_t merge_indices = 5;

// Takes n entries of each member's scratch. With that and its products reserved nothing is allocated.
template <class T>
void merge(const Merge<T>& m, const Team<T>& team);

}  // namespace fastopt::linalg
