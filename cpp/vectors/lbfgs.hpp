// L-BFGS: the last m pairs s = step, y = change of the gradient, and the direction they make.
//
// The direction -H g comes from the compact form of the inverse matrix (Byrd, Nocedal & Schnabel, Mathematical Programming
// 63, 1994, eq. 3.13) instead of the two loops of Nocedal 1980, which are the same in exact arithmetic: with S, Y the pairs
// as columns in the order of their age, R the upper triangle of S'Y, D its diagonal and gamma = s'y / y'y of the newest,
//     H g = gamma g + S p + gamma Y q,    q = -inv(R) S'g,    p = inv(R)' ((D + gamma Y'Y) (-q) - gamma Y'g).
// Two passes over S and Y instead of two reads and updates per pair: the first takes all products at once, those with the
// new pair included, the second forms d. 4 m + 9 vectors cross the bus, with two loops 8 m.
#pragma once
#include <vector>

#include "vectors/line.hpp"

namespace fastopt::vectors {

class History {
 public:
  explicit History(int pairs);

  // Memory for the next pair: to be given before `push` when wanted.
  bool wants_memory() const { return pairs_[static_cast<std::size_t>(free_slot())].s == nullptr; }
  void give_memory(double* s, double* y) { pairs_[static_cast<std::size_t>(free_slot())] = {s, y}; }
  // The trial point has been accepted: takes the pair that it makes with the iterate, if its curvature s'y is positive
  // beyond rounding (`kept`), and moves the iterate there.
  bool push(LineVectors& vectors);
  // d = -H g at the iterate, after `push`.
  Direction direction(LineVectors& vectors);
  void forget() { order_.clear(); }
  int size() const { return static_cast<int>(order_.size()); }
  int slots() const { return static_cast<int>(pairs_.size()); }

 private:
  struct Pair {
    double *s = nullptr, *y = nullptr;
  };
  std::size_t entry(int i, int j) const { return static_cast<std::size_t>(i) * pairs_.size() + static_cast<std::size_t>(j); }
  double& sy(int i, int j) { return sy_[entry(i, j)]; }
  double& yy(int i, int j) { return yy_[entry(i, j)]; }
  int free_slot() const;
  void coefficients(double gamma);

  std::vector<Pair> pairs_;          // one more than are used: a pair that is refused must not cost another
  std::vector<int> order_;           // slots, oldest first
  std::vector<double> sy_, yy_;      // s_i'y_j for i not younger than j, and y_i'y_j, by slot
  std::vector<double> sg_, yg_;      // s_i'g and y_i'g, by slot
  std::vector<double> of_s_, of_y_;  // p and gamma q, by age
  BlockSums sums_;
};

}  // namespace fastopt::vectors
