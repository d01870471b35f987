// Tensors cut into pieces, and those into chunks for threads to claim.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/at.hpp"
#include "engine/environment.hpp"
#include "engine/tensor.hpp"
#include "threads/pool.hpp"

namespace fastopt::engine {

// What one thread claims at a time. Half as much where there is little, so that 2^17 elements still occupy sixteen threads;
// a claim, with the floating-point environment around it, costs 20 ns beside 1.3 us of Adam then. Eight times as much where
// there is enough for all: a claim also waits for what is under way to memory (an eighth of AdamW's time at 2^22).
inline constexpr std::int64_t chunk_elements = 2 * sum_block, most_elements = 8 * chunk_elements;
inline constexpr std::int64_t fine_below = 1 << 19, claims_each = 32;
constexpr std::int64_t chunk_of(std::int64_t elements, int threads) {
  if (elements < fine_below) return sum_block;
  const std::int64_t share = elements / (claims_each * threads) / sum_block * sum_block;
  return std::clamp(share, chunk_elements, most_elements);
}

struct Item {  // a tensor that a pass touches
  int tensor, cohort;
  std::int64_t size;       // elements that it touches
  std::int64_t whole = 1;  // of so many elements none go without the others, where a cut heeds it;
  std::int64_t lead = 0;   // so many go with the first piece, for the others to begin with a line
};

struct Piece {  // a part of an item that one thread walks at once
  int item;
  std::int64_t begin, end;
};

// While the same tensors have gradients of the same sizes and there are as many threads, as mostly, the cut of the last step
// is used again.
struct Cut {
  explicit Cut(std::int64_t piece, bool heeds = false) : length(piece), heeds_whole(heeds) {}
  void make(std::span<const Item> items);

  std::int64_t length;  // of a piece, at most, if no item is divided less finely
  bool heeds_whole;
  std::vector<Item> items;  // as it was made of
  int threads = 0;          // and for
  std::vector<Piece> pieces;
  std::vector<int> chunks{0};  // first piece of each chunk, and the end
  std::int64_t elements = 0;
  bool whole = false;  // false: memory ran out while it was made
};

// Calls f(index of the piece, piece), from several threads where that pays.
template <class F>
void for_each_piece(const Cut& cut, threads::Rate& rate, F&& f) {
  const auto elements = static_cast<double>(cut.elements);
  const double took = threads::for_each(static_cast<std::int64_t>(cut.chunks.size()) - 1, rate.estimate(elements),
                                        [&](std::int64_t chunk, int) {
                                          const DefaultEnvironment environment;
                                          const auto c = static_cast<std::size_t>(chunk);
                                          for (int p = cut.chunks[c]; p < cut.chunks[c + 1]; ++p)
                                            f(static_cast<std::size_t>(p), at(cut.pieces, p));
                                        });
  rate.measured(elements, took);
}

}  // namespace fastopt::engine
