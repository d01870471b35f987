// The rows of a table that a step touches, walked in ascending order. Where the next one lies no prefetcher of a processor
// can guess, so the walk asks for each a few rows ahead.
#include <algorithm>

#include "engine/rows.hpp"
#include "engine/walk.hpp"

namespace fastopt::engine {

namespace {

// Calls f(number of the row, first column, end) for the elements [begin, end).
template <class F>
void for_each_row(std::int64_t width, std::int64_t begin, std::int64_t end, F&& f) {
  for (std::int64_t k = begin / width; k * width < end; ++k)
    f(k, std::max<std::int64_t>(begin - k * width, 0), std::min(end - k * width, width));
}

// Asks for the beginnings of rows: of a long one the rest comes by itself.
struct Ask {
  static constexpr std::int64_t ahead = 1024, most = 512;  // bytes of an array: in rows that are under way, of a row
  const char* arrays[max_states + 1];
  std::int64_t row_bytes[max_states + 1];
  int count = 0;

  void add(const char* array, Dtype dtype, std::int64_t width) {
    if (array == nullptr) return;
    arrays[count] = array;
    row_bytes[count++] = width * static_cast<std::int64_t>(item_size(dtype));
  }
  void row(std::int64_t row) const {
    for (int a = 0; a < count; ++a) lines(arrays[a] + row * row_bytes[a], row_bytes[a]);
  }
  static void lines([[maybe_unused]] const char* from, [[maybe_unused]] std::int64_t bytes) {
#if defined(__GNUC__)
    for (std::int64_t i = 0; i < std::min(bytes, most); i += Prefetch::line) __builtin_prefetch(from + i);
#endif
  }
};

}  // namespace

template <class T>
void gather(const Rows& rows, std::int64_t begin, std::int64_t end, T* to) {
  for_each_row(rows.width(), begin, end, [&](std::int64_t k, std::int64_t first, std::int64_t last) {
    to = std::copy(rows.gradient<T>(k) + first, rows.gradient<T>(k) + last, to);
  });
}

template <class T>
void update_rows(const Tensor& table, const Rows& rows, const Constants<T>& constants, std::int64_t begin,
                 std::int64_t end) {
  const std::int64_t width = rows.width();
  Ask ask;
  ask.add(table.theta, table.dtype, width);
  for (const char* state : table.states) ask.add(state, table.state_dtype, width);
  const auto row_bytes = width * static_cast<std::int64_t>(sizeof(T));
  const std::int64_t ahead = std::max<std::int64_t>(Ask::ahead / row_bytes, 1);
  const auto ask_for = [&](std::int64_t k) {
    if (k >= rows.count()) return;
    ask.row(rows.row(k));
    Ask::lines(reinterpret_cast<const char*>(rows.gradient<T>(k)), row_bytes);
  };
  for (std::int64_t k = begin / width; k < begin / width + ahead; ++k) ask_for(k);

  Tensor row = table;
  row.ema = nullptr;  // averages of all rows move, in a pass of their own
  Gradient gradient;
  gradient.dtype = dtype_of<T>;
  for_each_row(width, begin, end, [&](std::int64_t k, std::int64_t first, std::int64_t last) {
    ask_for(k + ahead);
    const std::int64_t offset = rows.row(k) * width;
    row.theta = table.theta + offset * static_cast<std::int64_t>(item_size(table.dtype));
    for (int s = 0; s < max_states; ++s)
      if (table.states[s] != nullptr)
        row.states[s] = table.states[s] + offset * static_cast<std::int64_t>(item_size(table.state_dtype));
    gradient.data = const_cast<char*>(reinterpret_cast<const char*>(rows.gradient<T>(k)));
    update<T>(row, gradient, constants, first, last, false);
  });
}

template <class T>
void start_states(const Tensor& table, const Constants<T>& constants, std::int64_t begin, std::int64_t end) {
  alignas(64) T block[block_size<T>];
  for (int s = 0; s < max_states; ++s) {
    if (table.states[s] == nullptr) continue;
    std::fill_n(block, block_size<T>, static_cast<T>(constants.start[s].constant));
    for (std::int64_t at = begin; at < end; at += block_size<T>)
      dispatch(table.state_dtype, [&](auto tag) {
        store(block, reinterpret_cast<decltype(tag)*>(table.states[s]) + at, std::min(block_size<T>, end - at));
      });
  }
}

template void gather(const Rows&, std::int64_t, std::int64_t, float*);
template void gather(const Rows&, std::int64_t, std::int64_t, double*);
template void update_rows(const Tensor&, const Rows&, const Constants<float>&, std::int64_t, std::int64_t);
template void update_rows(const Tensor&, const Rows&, const Constants<double>&, std::int64_t, std::int64_t);
template void start_states(const Tensor&, const Constants<float>&, std::int64_t, std::int64_t);
template void start_states(const Tensor&, const Constants<double>&, std::int64_t, std::int64_t);

}  // namespace fastopt::engine
