// A plan over another library's tensors, PyTorch's, which are looked at anew before every step: users replace groups, states
// and the memory of tensors while training, and what does not hold any more is reported instead of used.
//
// Parameters and states reach the plan as arrays over the tensors' memory (BoundPlan). What is here compares, by identity
// and address, all that a step reads with what it was when the plan was made; gradients, which are new tensors at every
// step, are read where they lie.
#pragma once
#include "bindings/bound_plan.hpp"
#include "bindings/dlpack.hpp"

FASTOPT_BINDINGS_BEGIN

class TensorPlan : public BoundPlan {
 public:
  // What became of a step: the reasons against it are the caller's to look into, with nothing changed.
  enum Verdict {
    done,
    structure,  // groups, parameters, states or their memory are others than were watched: make a new plan
    values,     // something in a group's dict is another object: read that group again
    gradient,   // a gradient cannot be read from here: look at them all
    skipped,    // the policy for gradients that are not finite says so
  };

  // `exchange`: the capsule of DLPack's table, or None (then there is only step_arrays, and nothing to watch). `tensor`: the
  // class of plain gradients. `touched`: called with a tuple of the tensors that were changed, after a step.
  TensorPlan(double clip_value, double clip_norm, double clip_norm_type, const std::string& clip_norm_per,
             const std::string& nonfinite, double ema_decay, const py::object& exchange, py::object tensor,
             py::object touched);

  // `entries`: for each parameter of the plan, in its order, the tuple (group, position in it, its dict of state or None,
  // step tensor or None, tensors of scalars, tensors of states).
  void watch(const py::list& groups, const py::dict& state, const py::list& entries);
  // Of each tensor: its count (where no tensor holds it), and whether its states hold values already. Of each group: has the
  // average of its tensors begun?
  void begin(const std::vector<std::int64_t>& counts, const std::vector<bool>& begun, const std::vector<bool>& averaged);
  // The groups of which a key or value is another object than when it was seen: all of them, as an edit that cannot have an
  // effect is an error.
  std::vector<int> changed_groups();
  void saw_group(int group);

  int step_tensors(const py::object& groups, const py::object& state, const py::object& grad_scale);
  // With gradients as arrays, of any origin. Looks at nothing else.
  int step_arrays(const py::object& gradients, const py::object& grad_scale);

 private:
  bool starts_averages() const override { return false; }
  struct Watched {  // a tensor and what it was
    py::object tensor;
    TensorFacts facts;
    bool same(const dlpack::Table* table) const { return facts.same(*table, tensor.ptr()); }
  };
  // Keys and values of a dict, in its order.
  class Items {
   public:
    void take(PyObject* dict);
    bool same(PyObject* dict) const;

   private:
    std::vector<std::pair<py::object, py::object>> items_;
  };
  struct Entry {
    py::object parameter;
    TensorFacts facts;
    py::object state;  // its dict
    Items items;
    std::vector<Watched> step, scalars, states;  // step: one or none
    TensorFacts gradient;
  };
  struct OfGroup {
    py::object dict;
    std::vector<py::object> parameters;
    std::vector<int> entry;  // of each parameter: its number in the plan, or -1
    Items items;
  };

  Watched watched(const py::handle& tensor, const char* what, bool any_number = false) const;
  std::vector<int> find_changed_groups() const;
  bool same_structure(PyObject* groups, PyObject* state) const;
  bool same_group(const OfGroup& group, PyObject* dict) const;
  bool same_entry(const Entry& entry) const;
  Verdict take(std::vector<py::object>& gradients);
  bool negated(PyObject* tensor) const;
  bool read_gradient(std::size_t i, PyObject* gradient);
  std::string gradient_label(std::size_t i) const override { return "gradient of " + parameters_[i]->label; }
  std::string rows_word() const override { return "sparse rows"; }
  int step_read(InUse::Lock& lock, double grad_scale, const std::vector<py::object>& gradients);
  void load_numbers();
  void stepped() noexcept override;
  std::vector<py::object> changed_by(const std::vector<py::object>& gradients) const;

  const dlpack::Table* table_;  // or null
  py::object exchange_, tensor_type_, touched_, params_key_, grad_key_, is_neg_;
  std::vector<OfGroup> of_groups_;
  std::vector<Entry> entries_;
  Items state_;
  py::tuple all_;  // the parameters of the plan
  std::vector<std::int64_t> lent_;
};

FASTOPT_BINDINGS_END
