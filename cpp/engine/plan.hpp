// The plan: everything that a step needs and that does not change between steps, validated once. It knows addresses,
// sizes, dtypes and numbers; who owns the memory and whether it is still what it was is the bindings' concern.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/average.hpp"
#include "engine/cohort.hpp"
#include "engine/cut.hpp"
#include "engine/norm.hpp"
#include "engine/rows.hpp"
#include "engine/wave.hpp"
#include "threads/policy.hpp"

namespace fastopt::engine {

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
  // `start_averages`: its average has not begun, whatever its memory holds.
  int add_tensor(const Tensor& tensor, int group, bool start_averages = true);

  Group& group(int i) { return at(groups_, i); }
  Tensor& tensor(int i) { return at(tensors_, i); }
  int groups() const { return static_cast<int>(groups_.size()); }
  int group_of(int tensor) const { return at(group_of_, tensor); }
  int size() const { return static_cast<int>(tensors_.size()); }
  std::int64_t elements() const { return elements_; }
  const Options& options() const { return options_; }
  void set_seed(std::uint64_t seed) { options_.seed = seed; }

  // Why the tensor takes no gradient of some rows of `width` elements; empty if it takes one.
  std::string refuses_rows(int tensor, std::int64_t width) const;
  // One update of every tensor that has a gradient. Nothing was modified unless the status is `applied`.
  Outcome step(std::span<const Gradient> gradients, double grad_scale, bool zero_gradients);

  // Moves every parameter to the point where a rule with momentum wants its gradient (Nesterov's look-ahead).
  void look_ahead();
  // From where a rule with an average wants its gradient to that average, or back.
  void exchange(bool to_average);
  // Every parameter becomes its average.
  void write_ema();
  // Every shadow becomes a copy of its parameter, after someone else has written to that.
  void write_shadows();
  // After it, passes over all parameters take no memory and so cannot fail.
  void cut_all();

  // What a tensor carries from step to step besides its states.
  std::int64_t& count(int tensor) { return at(counts_, tensor); }
  double* scalars(int tensor) { return at(scalars_, tensor).values; }

  std::int64_t steps = 0, skipped = 0;
  double norm = -1;  // of all the last step's gradients, before clipping; < 0 if it needed none

 private:
  bool needs_norm() const { return options_.clip_norm > 0 || options_.nonfinite != Nonfinite::propagate; }
  void collect(std::span<const Gradient> gradients);
  bool fits(const Cohort& cohort, int tensor) const;
  int cohort_of(int tensor);
  std::int64_t whole_of(int tensor) const;
  void check_range(const Cohort& cohort, Dtype dtype) const;
  void fill(Cohort& cohort, const Group& group) const;
  template <class T>
  const Constants<T>& constants_of(const Item& item, std::optional<Constants<T>>& own);
  template <class T>
  void fill_constants(Constants<T>& constants, const Cohort& cohort, const Group& group) const;
  template <class F>
  void for_each_of_all(F&& f);
  Outcome merge_rows(std::span<const Gradient> gradients);
  void start_tables(std::span<const Gradient> gradients);
  void centralize(std::span<const Gradient> gradients);
  void count_agreeing(std::span<const Gradient> gradients);
  Outcome read_pass(std::span<const Gradient> gradients);
  Magnitude gather();
  Scale clip_of(const Magnitude& m) const;
  const Scale& clip(int tensor) const { return own_clips_.empty() ? clip_by_ : at(own_clips_, tensor); }
  Outcome judge(const Magnitude& total) const;
  bool overflows(int tensor, double largest) const;
  void reduce_phase(std::span<const Gradient> gradients);
  void find_leader();
  const Scalars& scalars_before(int tensor) const;
  void check_shared() const;
  void settle_totals();
  static void keep_in_range(Cohort& cohort);
  void follow();
  void update_phase(std::span<const Gradient> gradients, bool zero_gradients);
  const Kernel& kernel_of(int tensor) const { return *at(groups_, group_of(tensor)).kernel; }
  void make_waves();
  void share_out_waves();
  void add_task(Wave& wave, const Item& item);
  void give_to_streams(Wave& wave, std::span<const Gradient> gradients, bool zero_gradients);
  template <class F>
  void for_each_run_of_kernel(const Wave& wave, F&& f);
  void transform(const Wave& wave);
  void matrix_phase(std::span<const Gradient> gradients, bool zero_gradients);
  template <class F>
  void for_each_matrix_piece(const Wave& wave, threads::Rate& rate, F&& f);
  void average_frozen();
  void start_copies(const Tensor& tensor, bool average);
  void make_room(std::span<const Gradient> gradients);
  void make_room_for_flags();
  void commit();

  Options options_;
  std::vector<Group> groups_;
  std::vector<Tensor> tensors_;
  std::vector<int> group_of_;
  std::vector<std::int64_t> counts_;
  std::vector<Scalars> scalars_;
  std::int64_t elements_ = 0;
  bool any_sums_ = false, any_totals_ = false, any_rows_ = false, any_matrices_ = false;
  bool any_cautious_ = false, any_centralized_ = false;  // of the step under way
  int leader_ = -1;  // where sums are over all tensors: whose scalars are everybody's; -1: nobody has stepped

  // of the step under way; kept for their memory
  Scale unscale_, clip_by_;
  std::vector<Scale> own_clips_;  // of each tensor, where each is clipped by a norm of its own; else empty
  std::vector<Cohort> cohorts_;
  std::size_t n_cohorts_ = 0;
  std::vector<Item> items_, summed_, frozen_;  // with a gradient; of those, by rules that sum; without one
  std::vector<Item> all_;                      // every tensor, for passes between steps
  std::vector<Item> element_wise_;             // items_, of which those of rules of matrices have size 0
  std::vector<Wave> waves_;                    // of those; the first n_waves_
  std::size_t n_waves_ = 0;
  MatrixMemory matrix_memory_;
  std::unordered_map<const Kernel*, std::unique_ptr<TransformRoom>> rooms_;
  Cut blocks_{sum_block}, sum_blocks_{sum_block};  // for the norm, for rules that sum
  Cut parts_{most_elements, true}, frozen_parts_{most_elements}, all_parts_{most_elements};
  std::vector<Magnitude> magnitudes_;  // of the blocks
  std::vector<std::array<double, max_sums>> rule_sums_, tensor_sums_;
  std::vector<Item> cautious_;  // tensors whose steps are looked at before they are taken, of them:
  Cut cautious_parts_{chunk_elements};
  std::vector<std::int64_t> agreeing_;  // elements of a piece whose step goes down the gradient
  std::vector<double> magnify_;         // what makes up for the others; of each tensor
  std::vector<double> row_means_;       // of the gradients that are centralised, tensor after tensor
  std::vector<std::size_t> means_at_;   // where those of a tensor begin

  // What each kind of pass takes per element, learnt as the steps go: guesses from the bytes it moves.
  static constexpr double ns_per_byte = 1.0 / 64;  // of one thread, between second-level cache and memory
  threads::Rate read_rate_{4 * ns_per_byte}, reduce_rate_{24 * ns_per_byte}, update_rate_{28 * ns_per_byte},
      average_rate_{12 * ns_per_byte}, gather_rate_{24 * ns_per_byte}, apply_rate_{16 * ns_per_byte};
};

}  // namespace fastopt::engine
