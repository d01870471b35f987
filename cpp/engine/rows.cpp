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

constexpr std::int64_t digits = 256;
constexpr double sort_ns = 2;  // a guess: of an occurrence in one pass

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
  const std::int64_t length = length_of_chunks();
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

}  // namespace fastopt::engine
