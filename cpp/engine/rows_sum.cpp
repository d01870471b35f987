// The gradients of rows that occur several times, added up in the order in which they were given.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/environment.hpp"
#include "engine/prefetch.hpp"
#include "engine/rows.hpp"
#include "threads/pool.hpp"

namespace fastopt::engine {

namespace {

constexpr double sum_ns = 0.2;  // a guess: of an element

}  // namespace

// A row that occurs once is used where it lies, if it can be.
template <class T>
const T* Rows::in_place(std::int64_t occurrence) const {
  return reinterpret_cast<const T*>(given.values.data + occurrence * in_place_stride_);
}

namespace {

// Bytes from row to row of values that lie there as rows of T; else 0.
template <class T>
std::int64_t stride_of_rows(const GivenRows& given) {
  const Gradient& g = given.values;
  constexpr auto item = static_cast<std::int64_t>(sizeof(T));
  if (g.dtype != dtype_of<T>) return 0;
  if (g.dense) return given.width * item;
  const bool rows = g.axes == 2 && g.shape[1] == given.width && g.strides[1] == item;
  const bool aligned = reinterpret_cast<std::uintptr_t>(g.data) % sizeof(T) == 0 && g.strides[0] % item == 0;
  return rows && aligned ? g.strides[0] : 0;
}

}  // namespace

template <class T>
void Rows::add_up() {
  in_place_stride_ = stride_of_rows<T>(given);
  const bool used_in_place = in_place_stride_ != 0 || given.width == 0;
  row_.resize(static_cast<std::size_t>(count_));
  gradient_.resize(static_cast<std::size_t>(count_));
  if (!used_in_place || count_ < given.count)
    sums_.at_least(static_cast<std::size_t>(given.count * given.width) * sizeof(T));
  long_.resize(static_cast<std::size_t>(given.count / longest + 1));
  n_long_ = 0;
  const std::int64_t chunks = static_cast<std::int64_t>(begin_.size());
  if (chunks == 0) return;
  const std::int64_t length = length_of_chunks();
  const std::int64_t columns = std::min(given.width, summed_at_once),
                     bands = (given.width + columns - 1) / std::max<std::int64_t>(columns, 1);
  const std::int64_t summed = used_in_place ? given.count - count_ : given.count;
  const auto work = static_cast<double>(summed * given.width + 8 * given.count);
  threads::for_each(chunks * std::max<std::int64_t>(bands, 1), sum_ns * work, [&](std::int64_t task, int) {
    const DefaultEnvironment environment;
    const std::int64_t chunk = task % chunks, column = task / chunks * columns, first = chunk * length;
    add_up<T>(first, std::min(first + length, given.count), column, std::min(columns, given.width - column),
              begin_[static_cast<std::size_t>(chunk)]);
  });
  // of rows with many occurrences, the sums of their parts
  threads::for_each(n_long_, sum_ns / longest * work, [&](std::int64_t k, int) {
    const DefaultEnvironment environment;
    const std::int64_t first = long_[static_cast<std::size_t>(k)], end = end_of(first);
    T* const total = slot<T>(first);
    for (std::int64_t part = first + longest; part < end; part += longest) {
      const T* const more = slot<T>(part);
      for (std::int64_t j = 0; j < given.width; ++j) total[j] += more[j];
    }
  });
}

// What begins among the occurrences [begin, end): rows, the first of them number `next`, and parts of rows. Some columns.
template <class T>
void Rows::add_up(std::int64_t begin, std::int64_t end, std::int64_t column, std::int64_t columns, std::int64_t next) {
  std::int64_t i = begin;
  while (i < end) {
    const std::int64_t first = begins(i) ? i : first_of(i), last = end_of(i);
    const bool alone = last == first + 1 && in_place_stride_ != 0;
    if (alone) ask_ahead<T>(i, column, columns);
    if (i == first && column == 0) {
      const auto k = static_cast<std::size_t>(next++);
      row_[k] = row_of(key(i));
      gradient_[k] = reinterpret_cast<const char*>(alone ? in_place<T>(occurrence_of(key(i))) : slot<T>(i));
      if (last - first > longest) long_[static_cast<std::size_t>(n_long_++)] = i;
    }
    if (!alone)
      for (std::int64_t part = first + (i - first + longest - 1) / longest * longest; part < std::min(last, end);
           part += longest)
        sum<T>(part, std::min(part + longest, last), column, columns);
    i = last;
  }
}

// For what is added some occurrences later: those lie anywhere. What is not added is asked for when it is used.
template <class T>
void Rows::ask_ahead(std::int64_t i, std::int64_t column, std::int64_t columns) const {
  constexpr std::int64_t ahead = 12;
  const std::int64_t later = i + ahead;
  if (in_place_stride_ == 0 || later + 1 >= given.count || (begins(later) && begins(later + 1))) return;
  ask_for_row(reinterpret_cast<const char*>(in_place<T>(occurrence_of(key(later))) + column),
              columns * static_cast<std::int64_t>(sizeof(T)));
}

// One part of a row: in the order in which the occurrences were given.
template <class T>
void Rows::sum(std::int64_t begin, std::int64_t end, std::int64_t column, std::int64_t columns) {
  T* const total = slot<T>(begin) + column;
  ask_ahead<T>(begin, column, columns);
  load_gradient(given.values, occurrence_of(key(begin)) * given.width + column, columns, total);
  constexpr std::int64_t block = 1024;
  alignas(64) T buffer[block];
  for (std::int64_t i = begin + 1; i < end; ++i) {
    const std::int64_t occurrence = occurrence_of(key(i));
    ask_ahead<T>(i, column, columns);
    for (std::int64_t at = 0; at < columns; at += block) {
      const std::int64_t n = std::min(block, columns - at);
      const T* more = buffer;
      if (in_place_stride_ != 0)
        more = in_place<T>(occurrence) + column + at;
      else
        load_gradient(given.values, occurrence * given.width + column + at, n, buffer);
      for (std::int64_t j = 0; j < n; ++j) total[at + j] += more[j];
    }
  }
}

RowNotFinite Rows::not_finite(bool in_double) const { return in_double ? not_finite<double>() : not_finite<float>(); }

template <class T>
RowNotFinite Rows::not_finite() const {
  const auto finite = [](T x) { return std::abs(x) <= std::numeric_limits<T>::max(); };
  RowNotFinite found;
  for (std::int64_t k = 0, i = 0; k < count_; ++k, i += found.occurrences) {
    found.occurrences = end_of(i) - i;
    if (std::all_of(gradient<T>(k), gradient<T>(k) + given.width, finite)) continue;
    found.row = row(k);
    found.overflowed = found.occurrences > 1;
    std::vector<T> one(static_cast<std::size_t>(given.width));
    for (std::int64_t j = i; j < i + found.occurrences; ++j) {
      load_gradient(given.values, occurrence_of(key(j)) * given.width, given.width, one.data());
      found.overflowed &= std::all_of(one.begin(), one.end(), finite);
    }
    return found;
  }
  return {};
}

template void Rows::add_up<float>();
template void Rows::add_up<double>();

}  // namespace fastopt::engine
