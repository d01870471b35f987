// A plan together with the arrays it works on: owners kept alive, and looked at again before every step.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/memory_map.hpp"
#include "engine/plan.hpp"

FASTOPT_BINDINGS_BEGIN

class BoundPlan {
 public:
  BoundPlan(double clip_value, double clip_norm, const std::string& nonfinite, double ema_decay, bool uint16_is_bf16);

  int add_group(const std::string& rule, unsigned flags, const py::dict& hypers, const std::string& decay_kind);
  void set_hypers(int group, const py::dict& hypers);
  void set_start(int group, const std::string& state, double value, bool gradient_squared);
  void set_maximize(int group, bool maximize);

  // Checks without adding: every array of new groups is looked at before the first is taken.
  void check_parameters(const py::list& arrays, const std::vector<std::string>& labels) const;
  int add_parameter(int group, const py::object& array, const py::list& states, const py::object& ema,
                    const std::string& label);

  void bind_gradients(const py::object& gradients);
  void step(const py::object& gradients, const py::object& grad_scale, const py::object& zero_gradients);
  void look_ahead();
  void write_ema();  // parameters = averages; whoever calls it has kept copies

  engine::Plan& plan() { return plan_; }
  // Held by whatever reads or writes the plan; raises RuntimeError if a step is under way.
  class Lock {
   public:
    explicit Lock(std::atomic<bool>& busy);
    ~Lock() { release(); }
    void release() {
      if (busy_ != nullptr) busy_->store(false, std::memory_order_release);
      busy_ = nullptr;
    }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    std::atomic<bool>* busy_;
  };
  Lock lock() { return Lock(busy_); }

 private:
  struct Leave;
  struct Parameter {
    py::object owner, states, ema;
    std::string label;
    std::vector<Axis> axes;
    // of the gradient that was inspected last
    std::vector<std::int64_t> gradient_shape, gradient_strides;
  };

  // What every step looks at, side by side in memory.
  struct Watch {
    PyObject* owner;  // held by the Parameter
    Fingerprint parameter, gradient;
  };

  engine::Dtype check_parameter(PyObject* array, const std::string& label) const;
  void recheck_parameter(std::size_t i) const;
  void recheck_parameters() const;
  void take_gradients(const py::object& gradients, bool zero_gradients);
  void take_gradient(std::size_t i, PyObject* gradient, bool zero_gradients);
  void inspect_gradient(std::size_t i, PyObject* gradient);
  void check_disjoint();
  std::string gradient_label(std::size_t i) const;
  [[noreturn]] void raise_nonfinite(int tensor) const;
  [[noreturn]] void raise_overflow(int tensor);

  engine::Plan plan_;
  bool uint16_is_bf16_;
  std::vector<std::unique_ptr<Parameter>> parameters_;
  std::vector<Watch> watched_;
  MemoryMap memory_;
  py::object bound_;
  std::vector<engine::Gradient> gradients_;
  bool disjoint_ = false;  // the gradients seen last overlap nothing, each other included
  std::atomic<bool> busy_{false};
};

FASTOPT_BINDINGS_END
