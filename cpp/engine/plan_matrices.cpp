// Rules of matrices in a step: a pass over the elements that updates states and writes the matrices, their transform, and a
// pass that applies what became of them. Tensors go through the three in waves, so that little memory is needed and what
// one pass writes the next finds in the cache. A transform that streams is all three. All memory is had before the first
// wave; nothing fails afterwards.
#include <algorithm>
#include <cstring>

#include "engine/plan_constants.hpp"
#include "engine/update.hpp"

namespace fastopt::engine {

namespace {

constexpr std::size_t line = MatrixMemory::line;
constexpr std::size_t wave_bytes = std::size_t(32) << 20;  // or one tensor's

std::size_t number_bytes(const Tensor& tensor) { return computes_in_double(tensor.dtype()) ? 8 : 4; }

bool streams(const Kernel& kernel, const Tensor& tensor) { return kernel.transform.streams && tensor.matrix->dense; }

std::size_t matrix_bytes(const Kernel& kernel, const Tensor& tensor) {
  if (streams(kernel, tensor)) return 0;
  return (static_cast<std::size_t>(tensor.size) * number_bytes(tensor) + line - 1) / line * line;
}

Gradient seen_by_tensor(const Tensor& tensor) {
  const MatrixView& view = *tensor.matrix;
  Gradient g;
  g.dtype = computes_in_double(tensor.dtype()) ? Dtype::f64 : Dtype::f32;
  g.dense = view.dense;
  g.axes = static_cast<int>(view.shape.size());
  g.shape = view.shape.data();
  g.strides = view.strides.data();
  return g;
}

}  // namespace

// Calls f(kernel, its tasks, its room) for neighbours of one kernel.
template <class F>
void Plan::for_each_run_of_kernel(const Wave& wave, F&& f) {
  for (std::size_t begin = 0, end = 0; begin < wave.items.size(); begin = end) {
    const Kernel& kernel = kernel_of(wave.items[begin].tensor);
    while (end < wave.items.size() && &kernel_of(wave.items[end].tensor) == &kernel) ++end;
    f(kernel, std::span(wave.tasks).subspan(begin, end - begin), rooms_[&kernel]);
  }
}

void Plan::make_waves() {
  share_out_waves();
  std::size_t most = 0;
  for (std::size_t w = 0; w < n_waves_; ++w) most = std::max(most, waves_[w].bytes);
  matrix_memory_.grow(most);
  const int threads = threads::size();
  for (std::size_t w = 0; w < n_waves_; ++w) {
    Wave& wave = waves_[w];
    wave.parts.make(wave.items);
    char* data = matrix_memory_.get();
    for (std::size_t i = 0; i < wave.items.size(); ++i) {
      const Tensor& tensor = at(tensors_, wave.items[i].tensor);
      const Kernel& kernel = kernel_of(wave.items[i].tensor);
      if (streams(kernel, tensor)) continue;
      wave.tasks[i].x = data;
      wave.matrices[i].data = data + tensor.matrix->offset;
      data += matrix_bytes(kernel, tensor);
    }
    for_each_run_of_kernel(wave, [&](const Kernel& kernel, std::span<const MatrixTask> tasks, auto& room) {
      kernel.transform.reserve(tasks, threads, room);
    });
  }
}

// What is left to the other passes of a step has its size, what belongs to a wave the size 0.
void Plan::share_out_waves() {
  element_wise_.assign(items_.begin(), items_.end());
  n_waves_ = 0;
  for (Item& item : element_wise_) {
    if (!kernel_of(item.tensor).transform || item.size == 0) continue;
    const std::size_t bytes = matrix_bytes(kernel_of(item.tensor), at(tensors_, item.tensor));
    if (n_waves_ == 0 || waves_[n_waves_ - 1].bytes + bytes > wave_bytes) {
      if (n_waves_ == waves_.size()) waves_.emplace_back();
      Wave& next = waves_[n_waves_++];
      next.items.clear();
      next.tasks.clear();
      next.matrices.clear();
      next.own.clear();
      next.bytes = 0;
    }
    add_task(waves_[n_waves_ - 1], item);
    item.size = 0;
  }
}

void Plan::add_task(Wave& wave, const Item& item) {
  const Tensor& tensor = at(tensors_, item.tensor);
  const std::int64_t t = at(counts_, item.tensor) + 1;
  const Kernel& kernel = kernel_of(item.tensor);
  wave.items.push_back(item);
  if (streams(kernel, tensor)) wave.items.back().size = 0;
  wave.matrices.push_back(seen_by_tensor(tensor));
  wave.own.emplace_back();
  wave.tasks.push_back({tensor.matrix, computes_in_double(tensor.dtype()), nullptr, tensor.shaped,
                        at(groups_, group_of(item.tensor)).hypers, t, &tensor, scalars_before(item.tensor).values,
                        mixed(options_.seed, static_cast<std::uint64_t>(t))});
  wave.bytes += matrix_bytes(kernel, tensor);
}

// What a transform that streams reads beside its tensor.
void Plan::give_to_streams(Wave& wave, std::span<const Gradient> gradients, bool zero_gradients) {
  for (std::size_t i = 0; i < wave.items.size(); ++i) {
    const Item& item = wave.items[i];
    MatrixTask& task = wave.tasks[i];
    if (task.x != nullptr) continue;
    task.gradient = &at(gradients, item.tensor);
    task.zero_gradients = zero_gradients;
    if (task.wide)
      task.f64 = &constants_of(item, wave.own[i].f64);
    else
      task.f32 = &constants_of(item, wave.own[i].f32);
  }
}

// Shaped states are zeros before a tensor's first step, whatever their memory holds.
void Plan::transform(const Wave& wave) {
  for (const Item& item : wave.items) {
    const Tensor& tensor = at(tensors_, item.tensor);
    if (at(counts_, item.tensor) > 0 || tensor.begun) continue;
    const Kernel& kernel = kernel_of(item.tensor);
    for (std::size_t s = 0; s < kernel.shaped.size(); ++s)
      if (tensor.shaped[s] != nullptr)
        std::memset(
            tensor.shaped[s], 0,
            static_cast<std::size_t>(kernel.shaped_size(s, tensor.matrix, at(groups_, group_of(item.tensor)).hypers)) *
                number_bytes(tensor));
  }
  for_each_run_of_kernel(
      wave, [](const Kernel& kernel, std::span<const MatrixTask> tasks, auto& room) { kernel.transform.run(tasks, *room); });
}

// Calls f(tensor's number, item, where its matrix lies, piece, a number of the type of computation).
template <class F>
void Plan::for_each_matrix_piece(const Wave& wave, threads::Rate& rate, F&& f) {
  for_each_piece(wave.parts, rate, [&](std::size_t, const Piece& piece) {
    const Item& item = at(wave.items, piece.item);
    computed_in(at(tensors_, item.tensor).dtype(), [&](auto tag) { f(item, at(wave.matrices, piece.item), piece, tag); });
  });
}

void Plan::matrix_phase(std::span<const Gradient> gradients, bool zero_gradients) {
  for (std::size_t w = 0; w < n_waves_; ++w) {
    give_to_streams(waves_[w], gradients, zero_gradients);
    const Wave& wave = waves_[w];
    for_each_matrix_piece(wave, gather_rate_, [&](const Item& item, const Gradient& matrix, const Piece& piece, auto tag) {
      using T = decltype(tag);
      std::optional<Constants<T>> own;
      Walk<T>(at(tensors_, item.tensor), at(gradients, item.tensor), constants_of(item, own), zero_gradients)
          .gather(piece.begin, piece.end, matrix);
    });
    transform(wave);
    for_each_matrix_piece(wave, apply_rate_, [&](const Item& item, const Gradient& matrix, const Piece& piece, auto tag) {
      using T = decltype(tag);
      std::optional<Constants<T>> own;
      const Constants<T> after = constants_of(item, own).after_transform();
      update<T>(at(tensors_, item.tensor), matrix, after, piece.begin, piece.end, false);
    });
  }
}

}  // namespace fastopt::engine
