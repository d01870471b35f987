// A plan together with the arrays it works on: owners kept alive, and looked at again before every step.
//
// What comes from Python is checked here, once; below it is asserted. Every call is one operation: it has the plan for
// itself (InUse) or raises RuntimeError, and changes everything or nothing.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/in_use.hpp"
#include "bindings/held.hpp"
#include "bindings/memory_map.hpp"
#include "bindings/mirrors.hpp"
#include "bindings/published.hpp"
#include "bindings/native_group.hpp"
#include "engine/plan.hpp"
#include "engine/rows.hpp"

FASTOPT_BINDINGS_BEGIN

// A gradient with which the policy nonfinite="raise" allows no step. In Python a ValueError of its own type.
struct RefusedGradient : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class BoundPlan {
 public:
  // Where the parameters are.
  enum class Place { home, lookahead, averages, exchanged };

  BoundPlan(double clip_value, double clip_norm, double clip_norm_type, const std::string& clip_norm_per,
            const std::string& nonfinite, double ema_decay, bool uint16_is_bf16);
  virtual ~BoundPlan() = default;

  // Dicts, with what new_groups.cpp reads of them.
  void add_groups(const py::list& groups, const py::list& mirrors);
  // Checks without adding: no memory is had for states of what will be refused.
  void check_parameters(const py::list& arrays, const py::list& labels);
  // `scheduled`: the rate comes with every step.
  void set_group(int group, const py::dict& hypers, bool maximize, bool scheduled, const py::list& mirrors);
  void set_hypers(int group, const py::dict& hypers);
  double lr(int group);  // a schedule's: of the last step

  void bind_gradients(const py::object& gradients);
  // `rates` are those of the scheduled groups, asked when `at` steps were done.
  void step(const py::object& gradients, const py::object& grad_scale, const py::object& zero_gradients,
            const py::object& rates, std::int64_t at);
  // Gives the parameters the values of that place, and keeps their own ...
  void move_to(Place place, const py::object& rates, std::int64_t at);
  void move_home();  // ... bit for bit
  // Of rules that train at another point than the average of interest: the parameters become the one or the other, for good.
  void exchange(bool train);
  bool train_mode() const { return train_mode_.load(std::memory_order_acquire); }
  void set_train_mode(bool train);
  void refuse_elsewhere(const std::string& what) const;
  bool is_elsewhere() const { return place_.load(std::memory_order_acquire) != Place::home; }

  // A tensor's own: the number of its updates, the rule's scalars.
  std::int64_t count(int tensor);
  void set_count(int tensor, std::int64_t count);
  std::vector<double> scalars(int tensor);
  void set_scalars(int tensor, const std::vector<double>& values);
  // Of each group: has the EMA of its tensors begun?
  std::vector<bool> averaged();
  // All that a state dict holds: tuples (count, scalars, states or None, average or None) of the tensors, and (hypers,
  // maximize, scheduled) of the groups (restore.cpp).
  void restore(const py::list& tensors, const py::list& groups, std::int64_t steps, std::int64_t skipped,
               const std::vector<bool>& averaged, const py::list& mirrors, bool train_mode);

  const Published& published() const { return published_; }
  std::uint64_t seed();  // of stochastic rounding
  void set_seed(std::uint64_t seed);
  void write_shadows();
  void set_steps(std::int64_t n);
  void set_skipped(std::int64_t n);

  InUse& in_use() { return in_use_; }
  InUse& asking() { return asking_; }  // taken while schedules are asked: they may use the optimizer, but not step

 protected:  // for who looks at parameters and gradients in another way (TensorPlan)
  // A gradient of some rows of a parameter (sparse_rows.cpp); what it holds of the last one is memory for the next.
  struct SparseGradient {
    engine::Rows rows;
    Layout values;
    PyObject *indices_array = nullptr, *values_array = nullptr;  // held for the step
    Fingerprint indices_seen, values_seen;
  };
  struct Parameter {
    py::object owner;
    py::tuple states;
    py::object ema;
    py::object master;  // None, or (kind, array): what a half-precision parameter leaves out
    py::object shadow;  // None, or the array
    std::string label;
    std::vector<Axis> axes;
    Layout gradient;  // of the gradient that was inspected last
    Fingerprint seen_shadow;
    std::unique_ptr<SparseGradient> sparse{};
    std::unique_ptr<engine::MatrixView> matrix{};
  };

  // What every step looks at, side by side in memory.
  struct Watch {
    PyObject* owner;  // held by the Parameter
    Fingerprint parameter, gradient;
    bool shadowed = false;
  };
  struct NewParameter;
  struct NewGroup;
  struct Copy;
  using Rates = std::vector<std::pair<int, double>>;

  engine::Dtype check_parameter(PyObject* array, const std::string& label) const;
  void check_buffer(PyObject* array, const Parameter& like, const std::string& what, engine::Dtype& dtype) const;
  void check_layout(PyObject* array, const Parameter& like, const std::string& what, std::size_t item) const;
  using See = std::function<void(PyObject*)>;  // remembers an array as it is
  void check_bytes(PyObject* array, const Parameter& like, const std::string& what, std::size_t item, char kind) const;
  void read_master(const Parameter& parameter, engine::Tensor& t, const See& see) const;
  void read_shadow(Parameter& parameter, engine::Tensor& t, const See& see) const;
  engine::Stored read_state(const py::object& state, const Parameter& parameter, const engine::Tensor& t,
                            const rules::State& of, const std::string& what, const See& see) const;
  void read_matrix(Parameter& parameter, engine::Tensor& t, int batch_axes) const;
  void read_table(Parameter& parameter, engine::Tensor& t) const;
  void check_codes_of_rows(const Parameter& parameter, const engine::Tensor& t) const;
  void* read_shaped(const py::object& state, const engine::Tensor& t, std::int64_t size, const std::string& what,
                    const See& see) const;
  NewGroup read_new_group(const py::dict& given) const;
  void read_new_parameter(NewParameter& p, const NewGroup& group) const;
  void reserve(std::size_t groups, std::size_t parameters);
  void add(NewGroup& made) noexcept;

  void refuse_overlap(const std::string& label, const View& view, const engine::Gradient& gradient);
  void recheck_parameter(std::size_t i) const;
  void recheck_parameters() const;
  // The step with the gradients that were taken: false if it is skipped. Raises what the policy refuses.
  bool apply(InUse::Lock& lock, double grad_scale, bool zero_gradients, Rates& rates);
  virtual bool starts_averages() const { return true; }  // else they hold what they should when they come
  virtual void stepped() noexcept {}  // after a step, while the plan is still in use and Python may be running
  void take_gradients(Held& held, bool zero_gradients);
  void no_gradient(std::size_t i);
  bool take_gradient(std::size_t i, PyObject* gradient, bool zero_gradients, Held& held);  // true: it was inspected
  void take_rows(std::size_t i, PyObject* gradient, bool zero_gradients, Held& held);
  void read_rows(std::size_t i, SparseGradient& sparse, std::int64_t width);
  void inspect_gradient(std::size_t i, PyObject* gradient);
  void verify(const Held& held, bool zero_gradients) const;
  void check_disjoint();
  virtual std::string gradient_label(std::size_t i) const;
  virtual std::string rows_word() const { return "SparseRows"; }  // what a gradient of some rows is called here
  [[noreturn]] void raise_nonfinite(const engine::Outcome& outcome) const;
  [[noreturn]] void raise_overflow(int tensor);
  [[noreturn]] void raise_no_row(int tensor) const;

  Rates read_rates(const py::object& rates, std::int64_t at) const;
  void swap_rates(Rates& rates) noexcept;
  void read_copy(PyObject* source, std::size_t tensor, char* to, engine::Dtype dtype, std::vector<Copy>& copies);
  void read_shaped_copy(PyObject* source, std::size_t tensor, std::size_t state, std::vector<Copy>& copies);
  void read_bytes(PyObject* source, std::size_t tensor, char* to, std::size_t bytes, std::vector<Copy>& copies);
  void read_copies(const py::tuple& saved, std::size_t tensor, std::vector<Copy>& copies);
  void stage_overlapping(std::vector<Copy>& copies);
  SavedGroup saved_group(int index) noexcept;
  void keep(int index, const SavedGroup& saved) noexcept;
  SavedGroup read_group(int index, const py::dict& hypers, bool maximize, bool scheduled);

  void return_after_fork();
  void publish() noexcept;
  std::size_t tensor_index(int tensor) const;
  std::size_t group_index(int group) const;

  engine::Plan plan_;
  bool uint16_is_bf16_;
  std::vector<std::unique_ptr<Parameter>> parameters_;
  std::vector<Watch> watched_;
  std::vector<NativeGroup> native_;  // of each group
  MemoryMap memory_;
  py::object bound_;
  std::vector<engine::Gradient> gradients_;
  Lender lender_;
  std::int64_t given_elements_ = 0;  // of the rows that a step was given
  bool disjoint_ = false;            // the gradients seen last overlap nothing, each other included

  std::atomic<bool> train_mode_{true};
  bool mode_at_home_ = true;
  std::atomic<Place> place_{Place::home};
  std::uint64_t moved_by_ = 0;  // the thread that will put them back
  std::unique_ptr<char[]> home_;

  Published published_;
  InUse in_use_{
      "this optimizer is in use: step() or another call on it has not returned yet (in another thread, or around this one)"};
  InUse asking_{
      "this optimizer is in use: a learning-rate schedule of its step is being asked (in another thread, or around this "
      "call)"};
};

FASTOPT_BINDINGS_END
