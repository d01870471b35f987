// Rows of a table, from what is given to distinct ones with one gradient each.
#include "engine/rows.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "engine/environment.hpp"
#include "threads/pool.hpp"

namespace fastopt::engine {

namespace {

constexpr std::int64_t sorted_at_once = 8192;     // occurrences that one thread claims
constexpr std::int64_t summed_at_once = 1 << 14;  // elements
constexpr std::int64_t digits = 256;
constexpr double sort_ns = 2, sum_ns = 0.2;  // guesses: of an occurrence in one pass, of an element

std::int64_t load_index(const char* from, bool wide) {  // at any address
  if (wide) {
    std::int64_t index;
    std::memcpy(&index, from, sizeof index);
    return index;
  }
  std::int32_t index;
  std::memcpy(&index, from, sizeof index);
  return index;
}

int bits_for(std::int64_t count) { return std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(count, 1) - 1)); }

}  // namespace

char* Rows::Memory::at_least(std::size_t wanted) {
  if (wanted > size) {
    bytes.reset();
    size = 0;
    bytes = std::make_unique_for_overwrite<char[]>(wanted);
    size = wanted;
  }
  return bytes.get();
}

bool Rows::merge(bool in_double) {
  count_ = 0;
  occurrence_bits_ = bits_for(given.count);
  row_bits_ = bits_for(given.rows);
  if (occurrence_bits_ + row_bits_ > 63) throw std::invalid_argument("indices: more of them than can be sorted");
  if (!read_indices()) return false;
  if (!ordered_) sort();
  number();
  if (in_double)
    add_up<double>();
  else
    add_up<float>();
  return true;
}

bool Rows::read_indices() {
  const auto n = static_cast<std::size_t>(given.count);
  keys_.resize(n);
  const std::int64_t chunks = chunks_of(sorted_at_once);
  constexpr std::int64_t none = -1;
  counts_.assign(static_cast<std::size_t>(chunks), none);  // the first that is no row
  begin_.assign(static_cast<std::size_t>(chunks), 1);      // in ascending order?
  threads::for_each(chunks, sort_ns * static_cast<double>(n), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * sorted_at_once, end = std::min(first + sorted_at_once, given.count);
    const auto c = static_cast<std::size_t>(chunk);
    std::int64_t before = -1, ordered = 1;
    for (std::int64_t i = first; i < end; ++i) {
      const std::int64_t row = load_index(given.indices + i * given.stride, given.wide);
      if (row < 0 || row >= given.rows) {
        counts_[c] = i;
        keys_[static_cast<std::size_t>(i)] = static_cast<Key>(row);
        return;
      }
      ordered &= row >= before;
      before = row;
      keys_[static_cast<std::size_t>(i)] = static_cast<Key>(row) << occurrence_bits_ | static_cast<Key>(i);
    }
    begin_[c] = ordered;
  });
  const auto bad = std::find_if(counts_.begin(), counts_.end(), [](std::int64_t at) { return at != none; });
  if (bad != counts_.end()) {
    bad_at_ = *bad;
    bad_index_ = static_cast<std::int64_t>(key(*bad));
    return false;
  }
  ordered_ = std::all_of(begin_.begin(), begin_.end(), [](std::int64_t ordered) { return ordered != 0; });
  for (std::int64_t i = sorted_at_once; ordered_ && i < given.count; i += sorted_at_once) ordered_ = key(i) > key(i - 1);
  return true;
}

// The numbers of the occurrences are in order already, so only the rows' digits are sorted by, from the last to the first.
void Rows::sort() {
  if (given.count < digits) return std::sort(keys_.begin(), keys_.end());
  other_keys_.resize(keys_.size());
  for (int shift = 0; shift < row_bits_; shift += std::bit_width(static_cast<std::uint64_t>(digits - 1)))
    sort_by(occurrence_bits_ + shift);
}

// Counts, then places: each chunk has its own place for each digit, so their threads meet nowhere and equals keep their
// order.
void Rows::sort_by(int shift) {
  const auto digit = [shift](Key key) { return static_cast<std::size_t>(key >> shift & (digits - 1)); };
  const std::int64_t chunks = chunks_of(sorted_at_once);
  counts_.assign(static_cast<std::size_t>(chunks * digits), 0);
  const auto each = [&](auto&& f) {
    threads::for_each(chunks, sort_ns * static_cast<double>(given.count), [&](std::int64_t chunk, int) {
      std::int64_t* const own = counts_.data() + chunk * digits;
      const std::int64_t first = chunk * sorted_at_once, end = std::min(first + sorted_at_once, given.count);
      for (std::int64_t i = first; i < end; ++i) f(keys_[static_cast<std::size_t>(i)], own);
    });
  };
  each([&](Key key, std::int64_t* own) { ++own[digit(key)]; });
  std::int64_t place = 0;
  for (std::int64_t d = 0; d < digits; ++d)
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      std::int64_t& own = counts_[static_cast<std::size_t>(chunk * digits + d)];
      place += std::exchange(own, place);
    }
  each([&](Key key, std::int64_t* own) { other_keys_[static_cast<std::size_t>(own[digit(key)]++)] = key; });
  std::swap(keys_, other_keys_);
}

// How many rows begin before each chunk.
void Rows::number() {
  const std::int64_t length =
      std::clamp<std::int64_t>(summed_at_once / std::max<std::int64_t>(given.width, 1), 1, sorted_at_once);
  const std::int64_t chunks = chunks_of(length);
  begin_.assign(static_cast<std::size_t>(chunks), 0);
  threads::for_each(chunks, sort_ns / 2 * static_cast<double>(given.count), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * length, end = std::min(first + length, given.count);
    std::int64_t n = 0;
    for (std::int64_t i = first; i < end; ++i) n += begins(i);
    begin_[static_cast<std::size_t>(chunk)] = n;
  });
  for (std::int64_t& begin : begin_) count_ += std::exchange(begin, count_);
}

// Where the occurrences of the row that has the occurrence at i begin and end.
std::int64_t Rows::first_of(std::int64_t i) const {
  const Key least = key(i) >> occurrence_bits_ << occurrence_bits_;
  return std::lower_bound(keys_.begin(), keys_.begin() + i, least) - keys_.begin();
}
std::int64_t Rows::end_of(std::int64_t i) const {
  if (i + 1 == given.count || begins(i + 1)) return i + 1;  // mostly
  const Key greatest = key(i) | ((Key{1} << occurrence_bits_) - 1);
  return std::upper_bound(keys_.begin() + i, keys_.end(), greatest) - keys_.begin();
}

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
  const std::int64_t length =
      std::clamp<std::int64_t>(summed_at_once / std::max<std::int64_t>(given.width, 1), 1, sorted_at_once);
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

// One part of a row: in the order in which the occurrences were given.
template <class T>
void Rows::sum(std::int64_t begin, std::int64_t end, std::int64_t column, std::int64_t columns) {
  T* const total = slot<T>(begin) + column;
  load_gradient(given.values, occurrence_of(key(begin)) * given.width + column, columns, total);
  constexpr std::int64_t block = 1024;
  alignas(64) T buffer[block];
  for (std::int64_t i = begin + 1; i < end; ++i) {
    const std::int64_t occurrence = occurrence_of(key(i));
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

}  // namespace fastopt::engine
