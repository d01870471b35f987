// The plan: everything that a step needs and that does not change between steps, validated once. It knows addresses,
// sizes, dtypes and numbers; who owns the memory and whether it is still what it was is the bindings' concern.
#pragma once
#include <array>
#include <cassert>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/norm.hpp"
#include "threads/policy.hpp"

namespace fastopt::engine {

// What one thread claims at a time. Half as much where there is little, so that 2^17 elements still occupy sixteen threads;
// a claim, with the floating-point environment around it, costs 20 ns beside 1.3 us of Adam then.
inline constexpr std::int64_t chunk_elements = 2 * sum_block;
inline constexpr std::int64_t fine_below = 1 << 19;
constexpr std::int64_t chunk_of(std::int64_t elements) { return elements < fine_below ? sum_block : chunk_elements; }

// Tensors, groups and pieces are numbered with int; the containers' own index type is unsigned.
template <class Container>
auto& at(Container& container, std::int64_t i) {
  assert(i >= 0 && static_cast<std::size_t>(i) < std::size(container));
  return container[static_cast<std::size_t>(i)];
}

enum class WeightDecay : std::uint8_t { coupled, decoupled, in_rule };
enum class Nonfinite : std::uint8_t { propagate, skip, raise };

// Of one parameter group. `hypers` are the rule's, in its order.
struct Group {
  const Kernel* kernel = nullptr;
  double hypers[max_hypers] = {};
  double weight_decay = 0, l1 = 0, l1_proximal = 0;
  WeightDecay decay_kind = WeightDecay::coupled;
  bool maximize = false;
  bool averaged = false;           // the EMA of its tensors has begun: the first applied step copies
  int lr = 0;                      // index of "lr" in hypers
  double starts[max_states] = {};  // constant first values that the rule leaves to the user
  bool starts_set[max_states] = {};
  bool start_gradient_squared[max_states] = {};  // ... or the square of the first gradient
};

struct Options {
  double clip_value = 0, clip_norm = 0;  // 0: none
  Nonfinite nonfinite = Nonfinite::propagate;
  double ema_decay = -1;  // < 0: none
};

struct Outcome {
  enum Status { applied, skipped, nonfinite, overflow } status = applied;
  int tensor = -1;  // the first whose gradient is not finite, or (overflow) what the rule makes of it
};

class Plan {
 public:
  explicit Plan(const Options& options) : options_(options) {}

  // After it, adding so many takes no memory and so cannot fail.
  void reserve(std::size_t groups, std::size_t tensors) {
    groups_.reserve(groups_.size() + groups);
    tensors_.reserve(tensors_.size() + tensors);
    group_of_.reserve(tensors_.capacity());
    counts_.reserve(tensors_.capacity());
    scalars_.reserve(tensors_.capacity());
  }
  int add_group(const Group& group);
  int add_tensor(const Tensor& tensor, int group);

  Group& group(int i) { return at(groups_, i); }
  Tensor& tensor(int i) { return at(tensors_, i); }
  int groups() const { return static_cast<int>(groups_.size()); }
  int group_of(int tensor) const { return at(group_of_, tensor); }
  int size() const { return static_cast<int>(tensors_.size()); }
  std::int64_t elements() const { return elements_; }
  const Options& options() const { return options_; }

  // One update of every tensor that has a gradient. Nothing was modified unless the status is `applied`.
  Outcome step(std::span<const Gradient> gradients, double grad_scale, bool zero_gradients);

  // Moves every parameter to the point where a rule with momentum wants its gradient (Nesterov's look-ahead).
  void look_ahead();
  // Every parameter becomes its average.
  void write_ema();

  // What a tensor carries from step to step besides its states.
  std::int64_t& count(int tensor) { return at(counts_, tensor); }
  double* scalars(int tensor) { return at(scalars_, tensor).values; }

  std::int64_t steps = 0, skipped = 0;
  double norm = -1;  // of the last step's gradients; < 0 if it needed none

 private:
  struct Scalars {
    double values[max_scalars] = {};
    bool operator==(const Scalars&) const = default;
  };
  // The numbers of one (group, step count, scalars): formed once per step, in double.
  struct Prepared {
    int group = -1;
    std::int64_t t = 0;
    Scalars before, after;
    double coefs[max_coefs] = {};
    double greatest = 0;  // magnitude of a number that `fill_pass` rounds to the type of computation
    Pass<float> f32;
    Pass<double> f64;
    bool fits(int g, std::int64_t count, const Scalars& scalars) const {
      return group == g && t == count && before == scalars;
    }
    template <class T>
    Pass<T>& pass() {
      if constexpr (sizeof(T) == 4)
        return f32;
      else
        return f64;
    }
  };
  struct Item {  // a tensor that this step touches
    int tensor, prepared;
  };
  struct Piece {  // a part of an item that one thread walks at once
    int item;
    std::int64_t begin, end;
  };
  // Items as pieces of at most `length` elements, and those as chunks for threads to claim. While the same tensors have
  // gradients, as mostly, the cut of the last step is used again.
  struct Cut {
    explicit Cut(std::int64_t piece) : length(piece) {}
    std::int64_t length;
    std::vector<int> tensors;  // of the items, in their order
    std::vector<Piece> pieces;
    std::vector<int> chunks{0};  // first piece of each chunk, and the end
    std::int64_t elements = 0;
    bool whole = false;  // false: memory ran out while it was made
  };

  bool needs_norm() const { return options_.clip_norm > 0 || options_.nonfinite != Nonfinite::propagate; }
  void collect(std::span<const Gradient> gradients);
  int prepare(int tensor);
  void check_range(const Prepared& prepared, Dtype dtype) const;
  void fill(Prepared& prepared, const Group& group) const;
  template <class T>
  void fill_pass(Pass<T>& pass, const Prepared& prepared, const Group& group) const;
  void make_cut(Cut& cut, std::span<const Item> items) const;
  template <class F>
  void for_each_piece(const Cut& cut, threads::Rate& rate, F&& f);
  template <class F>
  void for_each_of_all(F&& f);
  Outcome read_pass(std::span<const Gradient> gradients);
  Outcome judge(const SquareSum& total, const Scale& clip) const;
  bool overflows(int tensor, double largest) const;
  void reduce_phase(std::span<const Gradient> gradients);
  void update_phase(std::span<const Gradient> gradients, bool zero_gradients);
  void average_rest();
  void start_average(const Tensor& tensor);
  void make_room(std::span<const Gradient> gradients);
  void commit();

  Options options_;
  std::vector<Group> groups_;
  std::vector<Tensor> tensors_;
  std::vector<int> group_of_;
  std::vector<std::int64_t> counts_;
  std::vector<Scalars> scalars_;
  std::int64_t elements_ = 0;
  bool any_sums_ = false;

  // of the step under way; kept for their memory
  Scale unscale_, clip_by_;
  std::vector<Prepared> prepared_;
  std::size_t n_prepared_ = 0;
  std::vector<Item> items_, summed_, rest_;        // with a gradient; of those, by rules that sum; without one
  Cut blocks_{sum_block}, sum_blocks_{sum_block};  // for the norm, for rules that sum
  Cut parts_{chunk_elements}, rest_parts_{chunk_elements}, all_parts_{chunk_elements};
  std::vector<SquareSum> square_sums_;
  std::vector<std::array<double, max_sums>> rule_sums_, tensor_sums_;

  // What each kind of pass takes per element, learnt as the steps go: guesses from the bytes it moves.
  static constexpr double ns_per_byte = 1.0 / 64;  // of one thread, between second-level cache and memory
  threads::Rate read_rate_{4 * ns_per_byte}, reduce_rate_{24 * ns_per_byte}, update_rate_{28 * ns_per_byte},
      rest_rate_{12 * ns_per_byte};
};

}  // namespace fastopt::engine
