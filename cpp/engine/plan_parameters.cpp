// Passes over all parameters, between steps.
#include <algorithm>

#include "engine/plan.hpp"

namespace fastopt::engine {

void Plan::cut_all() {
  all_.clear();
  for (int i = 0; i < size(); ++i) all_.push_back({i, -1, at(tensors_, i).size});
  all_parts_.make(all_);
}

// Calls f(tensor's number, piece) for all tensors, from several threads where that pays.
template <class F>
void Plan::for_each_of_all(F&& f) {
  cut_all();
  for_each_piece(all_parts_, average_rate_,
                 [&](std::size_t, const Piece& piece) { f(at(all_parts_.items, piece.item).tensor, piece); });
}

void Plan::look_ahead() {
  for_each_of_all([&](int i, const Piece& piece) {
    const Tensor& tensor = at(tensors_, i);
    const Group& group = at(groups_, at(group_of_, i));
    if (group.kernel->look_ahead == nullptr || at(counts_, i) == 0 || !tensor.states[0]) return;
    const double distance = group.kernel->look_ahead(group.hypers);
    computed_in(tensor.dtype(),
                [&](auto tag) { add_first_state<decltype(tag)>(tensor, -distance, piece.begin, piece.end); });
  });
}

void Plan::exchange(bool to_average) {
  for_each_of_all([&](int i, const Piece& piece) {
    const Tensor& tensor = at(tensors_, i);
    const Group& group = at(groups_, at(group_of_, i));
    if (group.kernel->average_at == nullptr || at(counts_, i) == 0) return;  // before the first step all are one
    const double average = group.kernel->average_at(group.hypers);
    const double by = to_average ? 1 - 1 / average : 1 - average;
    computed_in(tensor.dtype(), [&](auto tag) { move_to_first_state<decltype(tag)>(tensor, by, piece.begin, piece.end); });
  });
}

void Plan::write_ema() {
  for_each_of_all([&](int i, const Piece& piece) {
    const Tensor& tensor = at(tensors_, i);
    if (!at(groups_, group_of(i)).averaged) return;
    computed_in(tensor.dtype(), [&](auto tag) {
      const auto* mean = tensor.ema.at<decltype(tag)>(piece.begin);
      store_theta(tensor, piece.begin, piece.end - piece.begin, mean);
    });
  });
}

void Plan::write_shadows() {
  if (std::none_of(tensors_.begin(), tensors_.end(), [](const Tensor& t) { return bool(t.shadow); })) return;
  for_each_of_all([&](int i, const Piece& piece) {
    const Tensor& tensor = at(tensors_, i);
    if (!tensor.shadow) return;
    computed_in(tensor.dtype(), [&](auto tag) { write_shadow<decltype(tag)>(tensor, piece.begin, piece.end); });
  });
}

}  // namespace fastopt::engine
