// Small matrices, one per lane. The matrices that a lane could not do are named, with the reason.
#pragma once
#include <cstdint>

#include "linalg/stack.hpp"

namespace fastopt::linalg {

enum class LaneResult : unsigned char { done, not_finite, not_converged };

// The order up to which a lane serves. From about 64 on, lanes no longer beat one matrix after the other: a group leaves the
// caches (docs/design/eigensolver.md has the table).
inline constexpr int lane_order = 48;

// The number of matrices that one call of lane_solve takes at most.
template <class T>
int lane_group();

// Matrices first .. first + count - 1 of the stack, 1 <= count <= lane_group<T>(), 1 <= n <= lane_order. Writes their
// results, save where `results` (count entries) says that there are none. work: n * n * lane_group<T>() entries, 64-byte
// aligned; n * n are enough for one matrix.
template <class T>
void lane_solve(const Stack<T>& stack, std::int64_t first, int count, T* work, LaneResult* results);

}  // namespace fastopt::linalg
