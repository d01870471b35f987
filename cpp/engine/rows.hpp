// Gradients of a few rows of a table (an embedding): which rows, and what is added up for each. A step reads and writes
// those rows alone, so it costs what they cost, however many rows there are.
//
// Rows may be given several times, in any order. merge() sorts the occurrences by row (a stable radix sort) and adds up
// those of one row in the order in which they were given, `longest` at a time, and then these sums in their order: what is
// added to what depends on the gradient alone, so every level and every number of threads gives the same bits. From then
// on the gradient is a dense array of distinct rows, in ascending order: its elements are numbered, cut into pieces and
// read for the norm as any other's.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/constants.hpp"
#include "engine/tensor.hpp"

namespace fastopt::engine {

// As they come from outside: `count` indices, and as many rows of values of `width` elements each.
struct GivenRows {
  const char* indices = nullptr;
  std::int64_t stride = 0;  // of the indices, in bytes
  bool wide = true;         // int64, else int32
  std::int64_t count = 0, rows = 0, width = 0;
  Gradient values;  // its elements are numbered in the order of the rows as they were given
};

// The first distinct row whose gradient is not finite, if there is one: its number, how often it was given, and whether each
// time with finite numbers, which overflow as they are added.
struct RowNotFinite {
  std::int64_t row = -1, occurrences = 0;
  bool overflowed = false;
};

class Rows {
 public:
  GivenRows given;

  // For a table that is computed in double, or in float. False if an index is no row: then at() and index() tell which.
  // What it reads is copied first: somebody else may write to the arrays meanwhile.
  bool merge(bool in_double);
  std::int64_t at() const { return bad_at_; }
  std::int64_t index() const { return bad_index_; }

  std::int64_t count() const { return count_; }  // of distinct rows
  std::int64_t width() const { return given.width; }
  std::int64_t size() const { return count_ * given.width; }
  std::int64_t row(std::int64_t k) const { return row_[static_cast<std::size_t>(k)]; }
  RowNotFinite not_finite(bool in_double) const;
  template <class T>
  const T* gradient(std::int64_t k) const {
    return reinterpret_cast<const T*>(gradient_[static_cast<std::size_t>(k)]);
  }

 private:
  static constexpr std::int64_t longest = 512;
  static constexpr std::int64_t sorted_at_once = 8192;     // occurrences that one thread claims
  static constexpr std::int64_t summed_at_once = 1 << 14;  // elements
  // Occurrences of a chunk, while rows are numbered and added up.
  std::int64_t length_of_chunks() const {
    return std::clamp<std::int64_t>(summed_at_once / std::max<std::int64_t>(given.width, 1), 1, sorted_at_once);
  }

  struct Memory {  // that is not filled with zeros before it is used
    std::unique_ptr<char[]> bytes;
    std::size_t size = 0;
    char* at_least(std::size_t wanted);
  };
  using Key = std::uint64_t;  // the row, and below it the number of the occurrence

  std::int64_t chunks_of(std::int64_t length) const { return (given.count + length - 1) / length; }
  std::int64_t row_of(Key key) const { return static_cast<std::int64_t>(key >> occurrence_bits_); }
  std::int64_t occurrence_of(Key key) const { return static_cast<std::int64_t>(key & ((Key{1} << occurrence_bits_) - 1)); }
  Key key(std::int64_t i) const { return keys_[static_cast<std::size_t>(i)]; }
  bool begins(std::int64_t i) const { return i == 0 || row_of(key(i)) != row_of(key(i - 1)); }
  std::int64_t first_of(std::int64_t i) const;
  std::int64_t end_of(std::int64_t i) const;

  bool read_indices();
  void sort();
  void sort_by(int shift);
  void number();
  template <class T>
  void add_up();
  template <class T>
  void add_up(std::int64_t begin, std::int64_t end, std::int64_t column, std::int64_t columns, std::int64_t next);
  template <class T>
  void sum(std::int64_t begin, std::int64_t end, std::int64_t column, std::int64_t columns);
  template <class T>
  const T* in_place(std::int64_t occurrence) const;
  template <class T>
  void ask_ahead(std::int64_t i, std::int64_t column, std::int64_t columns) const;
  template <class T>
  RowNotFinite not_finite() const;
  template <class T>
  T* slot(std::int64_t i) {
    return reinterpret_cast<T*>(sums_.bytes.get()) + i * given.width;
  }

  int occurrence_bits_ = 0, row_bits_ = 0;
  std::int64_t count_ = 0, bad_at_ = -1, bad_index_ = 0;
  bool ordered_ = false;
  std::int64_t in_place_stride_ = 0;  // bytes from one given row to the next, if they can be used as they are; else 0
  std::vector<Key> keys_, other_keys_;
  std::vector<std::int64_t> counts_, begin_;  // of each chunk
  std::vector<std::int64_t> row_;
  std::vector<const char*> gradient_;
  Memory sums_;                     // at the place of a row's first occurrence
  std::vector<std::int64_t> long_;  // first occurrences of rows that have more than `longest`
  std::atomic<std::int64_t> n_long_{0};
};

// Elements [begin, end) of the distinct rows' gradients, one after the other.
template <class T>
void gather(const Rows& rows, std::int64_t begin, std::int64_t end, T* to);

// The step of these elements. `constants` have no first values of states: those are everybody's (start_states).
template <class T>
void update_rows(const Tensor& table, const Rows& rows, const Constants<T>& constants, std::int64_t begin, std::int64_t end);

// How many elements of that step go down their gradient.
template <class T>
std::int64_t agreeing_rows(const Tensor& table, const Rows& rows, const Constants<T>& constants, std::int64_t begin,
                           std::int64_t end);

// Elements [begin, end) of every state before the first step, where it does not depend on a gradient.
template <class T>
void start_states(const Tensor& table, const Constants<T>& constants, std::int64_t begin, std::int64_t end);

}  // namespace fastopt::engine
