// What a step looks at before it is taken: the means of gradients that are centralised, and how much of a cautious step goes
// down its gradient.
#include <algorithm>

#include "engine/centralize.hpp"
#include "engine/plan_constants.hpp"
#include "engine/rows.hpp"

namespace fastopt::engine {

namespace {

// Rows that one thread takes at a time: about a chunk of elements, and whole cache lines where rows lie side by side.
std::int64_t rows_at_once(const Tensor& t) {
  const std::int64_t width = t.size / t.rows, least = (16 + t.run - 1) / t.run;
  return std::min(t.rows, std::max(chunk_elements / width, least));
}

}  // namespace

void Plan::make_room_for_flags() {
  cautious_.clear();
  std::size_t rows = 0;
  any_centralized_ = any_cautious_ = false;
  if (std::none_of(groups_.begin(), groups_.end(), [](const Group& g) { return g.cautious != 0 || g.centralize != 0; }))
    return;
  for (const Item& item : items_) {
    const Group& group = at(groups_, group_of(item.tensor));
    if (group.cautious != 0) cautious_.push_back(item);
    any_centralized_ |= group.centralize != 0;
  }
  any_cautious_ = !cautious_.empty();
  if (any_cautious_) {
    cautious_parts_.make(cautious_);
    agreeing_.resize(cautious_parts_.pieces.size());
    magnify_.assign(tensors_.size(), 1);
  }
  if (!any_centralized_) return;
  means_at_.resize(tensors_.size());
  for (const Item& item : items_) {
    at(means_at_, item.tensor) = rows;
    if (at(groups_, group_of(item.tensor)).centralize != 0) rows += static_cast<std::size_t>(at(tensors_, item.tensor).rows);
  }
  row_means_.resize(rows);
}

// Of gradients of some rows only each row's mean is formed where it is needed (rows_walk.cpp).
void Plan::centralize(std::span<const Gradient> gradients) {
  for (const Item& item : items_) {
    const Tensor& tensor = at(tensors_, item.tensor);
    const Gradient& gradient = at(gradients, item.tensor);
    if (at(groups_, group_of(item.tensor)).centralize == 0 || tensor.rows == 0 || gradient.rows != nullptr) continue;
    const std::int64_t length = rows_at_once(tensor), chunks = (tensor.rows + length - 1) / length;
    double* const means = row_means_.data() + at(means_at_, item.tensor);
    const auto elements = static_cast<double>(tensor.size);
    const double took = threads::for_each(chunks, read_rate_.estimate(elements), [&](std::int64_t c, int) {
      const DefaultEnvironment environment;
      const std::int64_t first = c * length, last = std::min(first + length, tensor.rows);
      computed_in(tensor.dtype(), [&](auto tag) {
        std::optional<Constants<decltype(tag)>> own;
        row_means(tensor, gradient, constants_of(item, own), first, last, means + first);
      });
    });
    read_rate_.measured(elements, took);
  }
}

// Counts are exact, so neither threads nor the order of pieces matter.
void Plan::count_agreeing(std::span<const Gradient> gradients) {
  std::size_t next = 0;
  for (const Item& item : items_)  // which has numbers of its own by now, if its rule sums
    if (at(groups_, group_of(item.tensor)).cautious != 0) cautious_[next++].cohort = item.cohort;
  for_each_piece(cautious_parts_, reduce_rate_, [&](std::size_t index, const Piece& piece) {
    const Item& item = at(cautious_, piece.item);
    const auto tensor = static_cast<std::size_t>(item.tensor);
    computed_in(tensors_[tensor].dtype(), [&](auto tag) {
      using T = decltype(tag);
      std::optional<Constants<T>> own;
      const Constants<T>& constants = constants_of(item, own);
      if (gradients[tensor].rows != nullptr)
        agreeing_[index] = agreeing_rows(tensors_[tensor], *gradients[tensor].rows, constants, piece.begin, piece.end);
      else
        agreeing_[index] = Walk<T>(tensors_[tensor], gradients[tensor], constants, false).agreeing(piece.begin, piece.end);
    });
  });
  constexpr double least = 1e-3;  // of the share that is kept, as in timm: else few elements would leap
  for (std::size_t p = 0; p < cautious_parts_.pieces.size();) {
    const int i = cautious_parts_.pieces[p].item;
    std::int64_t count = 0;
    for (; p < cautious_parts_.pieces.size() && cautious_parts_.pieces[p].item == i; ++p) count += agreeing_[p];
    const Item& item = at(cautious_, i);
    at(magnify_, item.tensor) = 1 / std::max(static_cast<double>(count) / static_cast<double>(item.size), least);
  }
}

}  // namespace fastopt::engine
