// The rows of a table that a step touches, walked in ascending order. Where the next one lies no prefetcher of a processor
// can guess, so the walk asks for each a few rows ahead.
#include <algorithm>
#include <optional>

#include "engine/by_row.hpp"
#include "engine/rows.hpp"
#include "engine/update.hpp"

namespace fastopt::engine {

namespace {

// Calls f(number of the row, first column, end) for the elements [begin, end).
template <class F>
void for_each_row(std::int64_t width, std::int64_t begin, std::int64_t end, F&& f) {
  for (std::int64_t k = begin / width; k * width < end; ++k)
    f(k, std::max<std::int64_t>(begin - k * width, 0), std::min(end - k * width, width));
}

// Asks for rows of all of a table's arrays.
class Ask {
 public:
  static constexpr std::int64_t ahead = 4096;  // bytes of a row's gradient, in rows that are under way
  // Rows that are asked for in one go. To ask a processor has to find the page, which in a large table takes as long as the
  // memory does, and it holds up what comes behind: a whole row's instructions in between, and no two are looked for at
  // once.
  static constexpr std::int64_t together = 8;

  Ask(const Tensor& table, std::int64_t width) {
    add(table.theta, width);
    add(table.shadow, width);
    for (const Stored& state : table.states) add(state, width);
    const std::int64_t number = computes_in_double(table.dtype()) ? sizeof(double) : sizeof(float);
    for (const void* of_rows : table.shaped)
      if (of_rows != nullptr) arrays_[count_++] = {static_cast<const char*>(of_rows), number};
  }
  void row(std::int64_t row) const {
    for (int a = 0; a < count_; ++a) ask_for_row(arrays_[a].data + row * arrays_[a].row_bytes, arrays_[a].row_bytes);
  }

 private:
  struct Array {
    const char* data;
    std::int64_t row_bytes;
  };

  void add(const Stored& s, std::int64_t width) {
    if (!s) return;
    arrays_[count_++] = {s.data, width * static_cast<std::int64_t>(item_size(s.encoding))};
    if (s.second == nullptr) return;
    const auto second = static_cast<std::int64_t>(second_size(s.encoding));
    arrays_[count_++] = {s.second, is_code(s.encoding) ? width / code_group * 4 : width * second};
  }

  Array arrays_[Prefetch::max_arrays + max_shaped];
  int count_ = 0;
};

}  // namespace

template <class T>
void gather(const Rows& rows, std::int64_t begin, std::int64_t end, T* to) {
  for_each_row(rows.width(), begin, end, [&](std::int64_t k, std::int64_t first, std::int64_t last) {
    to = std::copy(rows.gradient<T>(k) + first, rows.gradient<T>(k) + last, to);
  });
}

namespace {

// Of a whole row, also where another thread walks the rest of it.
template <class T>
double mean_of_row(const T* row, std::int64_t width, const Constants<T>& constants) {
  Gradient gradient;
  gradient.data = reinterpret_cast<char*>(const_cast<T*>(row));
  gradient.dtype = dtype_of<T>;
  double sum = 0;
  alignas(64) T g[block_size<T>];
  for (std::int64_t at = 0; at < width; at += block_size<T>) {
    const std::int64_t n = std::min(block_size<T>, width - at);
    sum += sum_of(clipped_gradient(gradient, constants, at, n, g).get(), n);
  }
  return sum / static_cast<double>(width);
}

// Calls f(tensor, gradient, constants, row, begin, end) for the elements of the table that [begin, end) of its rows'
// gradients are for, row by row.
template <class T, class F>
void for_each_touched(const Tensor& table, const Rows& rows, const Constants<T>& constants, std::int64_t begin,
                      std::int64_t end, F&& f) {
  const std::int64_t width = rows.width();
  const Ask ask(table, width);
  const auto row_bytes = width * static_cast<std::int64_t>(sizeof(T));
  const std::int64_t ahead = std::max<std::int64_t>(Ask::ahead / row_bytes, 1);
  const auto ask_for_place = [&](std::int64_t k) {
    if (k >= rows.count()) return;
    ask.row(rows.row(k));
    ask_for_row(reinterpret_cast<const char*>(rows.gradient<T>(k)), row_bytes);
  };
  const std::int64_t first_row = begin / width, together = std::min(ahead, Ask::together);
  for (std::int64_t k = first_row; k < first_row + ahead; ++k) ask_for_place(k);

  Tensor alone = table;
  alone.ema = {};  // averages of all rows move, in a pass of their own
  alone.in_place = is_in_place(alone);
  Gradient gradient;
  gradient.dtype = dtype_of<T>;
  double mean = 0;
  Constants<T> own = constants;
  if (own.centralize) own.means = &mean;
  for_each_row(width, begin, end, [&](std::int64_t k, std::int64_t first, std::int64_t last) {
    if ((k - first_row) % together == 0)
      for (std::int64_t j = k + ahead; j < k + ahead + together; ++j) ask_for_place(j);
    const std::int64_t offset = rows.row(k) * width;
    // such that the table's element is met by its own
    gradient.data = reinterpret_cast<char*>(reinterpret_cast<std::uintptr_t>(rows.gradient<T>(k)) -
                                            static_cast<std::uintptr_t>(offset) * sizeof(T));
    own.first_row = rows.row(k);
    if (own.centralize) mean = mean_of_row(rows.gradient<T>(k), width, constants);
    f(alone, gradient, own, rows.row(k), offset + first, offset + last);
  });
}

}  // namespace

template <class T>
void update_rows(const Tensor& table, const Rows& rows, const Constants<T>& constants, std::int64_t begin,
                 std::int64_t end) {
  std::optional<ByRow<T>> by_row;
  for_each_touched(table, rows, constants, begin, end,
                   [&](const Tensor& tensor, const Gradient& gradient, const Constants<T>& own, std::int64_t row,
                       std::int64_t first, std::int64_t last) {
                     if (constants.kernel->by_row()) {
                       if (!by_row) by_row.emplace(tensor, constants);
                       return by_row->update(gradient, row, false);
                     }
                     for_each_run_of_dither(first, last, [&](std::int64_t from, std::int64_t to) {
                       update<T>(tensor, gradient, own, from, to, false);
                     });
                   });
}

// Not of rules that keep numbers of rows: steps that are looked at alone are refused there.
template <class T>
std::int64_t agreeing_rows(const Tensor& table, const Rows& rows, const Constants<T>& constants, std::int64_t begin,
                           std::int64_t end) {
  std::int64_t count = 0;
  for_each_touched(table, rows, constants, begin, end,
                   [&](const Tensor& tensor, const Gradient& gradient, const Constants<T>& own, std::int64_t,
                       std::int64_t first, std::int64_t last) {
                     for_each_run_of_dither(first, last, [&](std::int64_t from, std::int64_t to) {
                       count += Walk<T>(tensor, gradient, own, false).agreeing(from, to);
                     });
                   });
  return count;
}

template <class T>
void start_states(const Tensor& table, const Constants<T>& constants, std::int64_t begin, std::int64_t end) {
  alignas(64) T block[block_size<T>];
  for (int s = 0; s < max_states; ++s) {
    if (!table.states[s]) continue;
    std::fill_n(block, block_size<T>, static_cast<T>(constants.start[s].constant));
    const Dither dither(constants.dither, table.number, static_cast<std::uint64_t>(s));
    for (std::int64_t at = begin; at < end; at += block_size<T>)
      store(table.states[s], at, std::min(block_size<T>, end - at), block, dither);
  }
}

template void gather(const Rows&, std::int64_t, std::int64_t, float*);
template void gather(const Rows&, std::int64_t, std::int64_t, double*);
template void update_rows(const Tensor&, const Rows&, const Constants<float>&, std::int64_t, std::int64_t);
template void update_rows(const Tensor&, const Rows&, const Constants<double>&, std::int64_t, std::int64_t);
template std::int64_t agreeing_rows(const Tensor&, const Rows&, const Constants<float>&, std::int64_t, std::int64_t);
template std::int64_t agreeing_rows(const Tensor&, const Rows&, const Constants<double>&, std::int64_t, std::int64_t);
template void start_states(const Tensor&, const Constants<float>&, std::int64_t, std::int64_t);
template void start_states(const Tensor&, const Constants<double>&, std::int64_t, std::int64_t);

}  // namespace fastopt::engine
