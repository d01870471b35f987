// The basis in which a symmetric matrix of statistics is (nearly) diagonal: at first by the eigensolver, later by one step
// of orthogonal iteration from the basis there is (Vyas et al. 2024, arXiv:2409.11321, Algorithm 4). Orthonormal whatever
// the matrix holds; of NaN where that is not finite.
#pragma once
#include <cstdint>

#include "linalg/team.hpp"

namespace fastopt::matrix {

// Entries of working memory for both.
std::int64_t eigenbasis_work(std::int64_t n);

// q (columns: q[i n + j] is entry i of vector j) <- the eigenvectors of a (n x n, symmetric), the largest eigenvalue first,
// the largest entry of each positive. Should the eigensolver have no memory, q is what a refresh makes of the identity.
// order: n entries of working memory.
template <class T>
void first_eigenbasis(const T* a, std::int64_t n, T* q, std::int64_t* order, T* work, const linalg::Team<T>& team);

// q <- the orthonormal columns of a q, sorted before by falling estimates q_j' a q_j of their eigenvalues; order[j] is the
// number that column j had before.
template <class T>
void refresh_eigenbasis(const T* a, std::int64_t n, T* q, std::int64_t* order, T* work, const linalg::Team<T>& team);

}  // namespace fastopt::matrix
