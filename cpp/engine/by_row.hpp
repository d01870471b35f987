// Rules that keep something for each row of a table (its first axis), besides or in place of something for each element: a
// second moment, a count of steps. A row is walked as a tensor of its own, with the table's constants but for the
// coefficients that follow from what is kept for it. One thread has it from end to end, so that what is summed over it has
// one order.
#pragma once
#include <array>

#include "engine/constants.hpp"
#include "engine/rows.hpp"
#include "engine/tensor.hpp"

namespace fastopt::engine {

template <class T>
class ByRow {
 public:
  ByRow(const Tensor& table, const Constants<T>& constants)
      : table_(table), constants_(constants), kernel_(*constants.kernel), own_(constants) {}

  // `place`: of the row in memory.
  void update(const Gradient& gradient, std::int64_t place, bool zero_gradients);

 private:
  // Coefficients of some numbers of steps: rows that are met together have often been met as often.
  struct Known {
    std::int64_t t = 0;
    T coefs[max_coefs];
  };
  static constexpr std::size_t known = 16;

  void take_coefs(std::int64_t row);
  T mean_square(const Gradient& gradient, std::int64_t place) const;
  T large_mean_square(const Gradient& gradient, std::int64_t place) const;

  const Tensor& table_;
  const Constants<T>& constants_;
  const Kernel& kernel_;
  Constants<T> own_;  // of the row under way
  std::array<Known, known> known_;
  std::int64_t t_ = 0;  // of which the coefficients are
};

// What is kept of rows before the first step.
template <class T>
void start_rows(const Tensor& table, const Constants<T>& constants, std::int64_t begin, std::int64_t end);

// Elements [begin, end) of a table with a dense gradient: whole rows.
template <class T>
void update_by_row(const Tensor& table, const Gradient& gradient, const Constants<T>& constants, std::int64_t begin,
                   std::int64_t end, bool zero_gradients);

}  // namespace fastopt::engine
