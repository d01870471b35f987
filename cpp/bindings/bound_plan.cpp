#include "bindings/bound_plan.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "bindings/unlocked.hpp"
#include "threads/pool.hpp"

FASTOPT_BINDINGS_BEGIN

namespace {

// Below this a step is over before another thread could have used the interpreter.
constexpr std::int64_t release_gil_from = 1 << 15;

engine::Options options(double clip_value, double clip_norm, const std::string& nonfinite, double ema_decay) {
  engine::Options o;
  o.clip_value = clip_value;
  o.clip_norm = clip_norm;
  o.ema_decay = ema_decay;
  o.nonfinite = nonfinite == "skip"    ? engine::Nonfinite::skip
                : nonfinite == "raise" ? engine::Nonfinite::raise
                                       : engine::Nonfinite::propagate;
  return o;
}

double& slot(engine::Group& group, const std::string& name) {
  if (name == "l1") return group.l1;
  if (name == "l1_proximal") return group.l1_proximal;
  if (name == "weight_decay" && group.decay_kind != engine::WeightDecay::in_rule) return group.weight_decay;
  for (std::size_t i = 0; i < group.kernel->hypers.size(); ++i)
    if (group.kernel->hypers[i] == name) return group.hypers[i];
  throw py::value_error("rule " + std::string(group.kernel->name) + " has no hyper-parameter " + name);
}

void assign(engine::Group& group, const py::dict& hypers) {
  for (const auto& [name, value] : hypers) slot(group, name.cast<std::string>()) = value.cast<double>();
}

// Arguments are taken as objects, so that the message names the argument and not a C++ signature.
double read_grad_scale(const py::object& given) {
  bool number = PyNumber_Check(given.ptr()) && !PyBool_Check(given.ptr());
  double scale = 0;
  if (number) {
    scale = PyFloat_AsDouble(given.ptr());
    number = PyErr_Occurred() == nullptr || PyErr_ExceptionMatches(PyExc_OverflowError);
    PyErr_Clear();
  }
  if (!number) throw py::type_error("grad_scale: expected a positive finite number, got " + describe(given.ptr()));
  if (!(scale > 0) || !std::isfinite(scale) || !std::isfinite(1 / scale))
    throw py::value_error("grad_scale: expected a positive finite number with a finite inverse, got " +
                          py::repr(given).cast<std::string>());
  return scale;
}

bool read_zero_grads(const py::object& given) {
  if (!PyBool_Check(given.ptr())) throw py::type_error("zero_grads: expected True or False, got " + describe(given.ptr()));
  return given.ptr() == Py_True;
}

// The address of the first element in memory order; an axis may be walked backwards by the array.
char* lowest(const View& view, std::size_t item) { return const_cast<char*>(extent(view, item).first); }

}  // namespace

BoundPlan::Lock::Lock(std::atomic<bool>& busy) : busy_(&busy) {
  if (busy.exchange(true, std::memory_order_acquire)) {
    busy_ = nullptr;
    throw std::runtime_error(
        "this optimizer is in use: step() or another call on it has not returned yet (in another thread, or around this one)");
  }
}

BoundPlan::BoundPlan(double clip_value, double clip_norm, const std::string& nonfinite, double ema_decay,
                     bool uint16_is_bf16)
    : plan_(options(clip_value, clip_norm, nonfinite, ema_decay)), uint16_is_bf16_(uint16_is_bf16) {}

int BoundPlan::add_group(const std::string& rule, unsigned flags, const py::dict& hypers, const std::string& decay_kind) {
  const Lock lock(busy_);
  engine::Group group;
  group.kernel = engine::find_kernel(rule, flags);
  if (group.kernel == nullptr) throw py::value_error("no rule " + rule + " with flags " + std::to_string(flags));
  for (std::size_t i = 0; i < group.kernel->hypers.size(); ++i)
    if (group.kernel->hypers[i] == "lr") group.lr = static_cast<int>(i);
  group.decay_kind = decay_kind == "decoupled" ? engine::WeightDecay::decoupled
                     : decay_kind == "rule"    ? engine::WeightDecay::in_rule
                                               : engine::WeightDecay::coupled;
  assign(group, hypers);
  return plan_.add_group(group);
}

// All of them or, on an exception, none: `group` is a copy until every name has been found.
void BoundPlan::set_hypers(int index, const py::dict& hypers) {
  const Lock lock(busy_);
  engine::Group group = plan_.group(index);
  assign(group, hypers);
  plan_.group(index) = group;
}

void BoundPlan::set_start(int index, const std::string& state, double value, bool gradient_squared) {
  const Lock lock(busy_);
  engine::Group& group = plan_.group(index);
  for (std::size_t s = 0; s < group.kernel->states.size(); ++s)
    if (group.kernel->states[s].name == state) {
      group.starts[s] = value;
      group.starts_set[s] = !gradient_squared;
      group.start_gradient_squared[s] = gradient_squared;
    }
}

void BoundPlan::set_maximize(int group, bool maximize) {
  const Lock lock(busy_);
  plan_.group(group).maximize = maximize;
}

engine::Dtype BoundPlan::check_parameter(PyObject* array, const std::string& label) const {
  const std::string expected = label + ": expected a writeable float32, float64, float16 or bfloat16 array";
  if (!py::isinstance<py::array>(array)) throw py::type_error(expected + ", got " + describe(array));
  if (!is_plain_array(array))
    throw py::type_error(expected + " (exactly numpy.ndarray or numpy.memmap), got " + describe(array));
  const View view(array);
  engine::Dtype dtype;
  if (!storage_type(view.descr(), uint16_is_bf16_, dtype)) throw py::type_error(expected + ", got " + describe(array));
  const std::size_t item = engine::item_size(dtype);
  if (!view.writeable()) throw py::value_error(label + ": expected a writeable array, got a read-only one");
  std::vector<Axis> axes;
  if (!dense_axes(view, item, axes))
    throw py::value_error(label + ": expected an array without gaps or repeated elements in memory, got a view of " +
                          describe(array) + " with other strides; pass a copy and write it back, or the array it views");
  if (reinterpret_cast<std::uintptr_t>(lowest(view, item)) % item != 0)
    throw py::value_error(label + ": expected an array aligned to its items of " + std::to_string(item) +
                          " bytes, got a misaligned one");
  return dtype;
}

void BoundPlan::check_parameters(const py::list& arrays, const std::vector<std::string>& labels) const {
  MemoryMap memory = memory_;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const engine::Dtype dtype = check_parameter(py::object(arrays[i]).ptr(), labels[i]);
    const int number = static_cast<int>(parameters_.size() + i);
    const int other = memory.add(extent(View(py::object(arrays[i]).ptr()), engine::item_size(dtype)), number);
    if (other < 0) continue;
    const auto o = static_cast<std::size_t>(other);
    throw py::value_error(labels[i] + ": shares memory with " +
                          (o < parameters_.size() ? parameters_[o]->label : labels[o - parameters_.size()]) +
                          "; every parameter must be given once and overlap no other");
  }
}

int BoundPlan::add_parameter(int group, const py::object& array, const py::list& states, const py::object& ema,
                             const std::string& label) {
  const Lock lock(busy_);
  const engine::Dtype dtype = check_parameter(array.ptr(), label);
  const View view(array.ptr());
  const std::size_t item = engine::item_size(dtype);
  if (memory_.add(extent(view, item), plan_.size()) >= 0) throw py::value_error(label + ": shares memory with a parameter");
  auto parameter = std::make_unique<Parameter>();
  parameter->owner = array;
  parameter->states = states;
  parameter->ema = ema;
  parameter->label = label;
  dense_axes(view, item, parameter->axes);
  engine::Tensor tensor;
  tensor.theta = lowest(view, item);
  tensor.size = view.size();
  tensor.dtype = dtype;
  tensor.state_dtype = engine::computes_in_double(dtype) ? engine::Dtype::f64 : engine::Dtype::f32;
  for (std::size_t s = 0; s < states.size(); ++s) {
    if (states[s].is_none()) continue;
    const View state(py::object(states[s]).ptr());
    if (!storage_type(state.descr(), true, tensor.state_dtype)) throw py::type_error("a state has an unknown dtype");
    tensor.states[s] = lowest(state, engine::item_size(tensor.state_dtype));
  }
  if (!ema.is_none()) tensor.ema = lowest(View(ema.ptr()), engine::computes_in_double(dtype) ? 8 : 4);
  for (Watch& watch : watched_) watch.gradient.forget();  // what was disjoint may overlap the new one
  parameters_.push_back(std::move(parameter));
  watched_.emplace_back();
  watched_.back().owner = array.ptr();
  watched_.back().parameter.take(array.ptr());
  gradients_.emplace_back();
  return plan_.add_tensor(tensor, group);
}

void BoundPlan::recheck_parameter(std::size_t i) const {
  PyObject* const owner = watched_[i].owner;
  if (!watched_[i].parameter.matches(owner))
    throw py::value_error(parameters_[i]->label +
                          ": was resized, reshaped or given another dtype after the optimizer was made (now " +
                          describe(owner) + "); make a new optimizer");
  if (!View(owner).writeable())
    throw py::value_error(parameters_[i]->label + ": expected a writeable array, it has become read-only");
}

void BoundPlan::recheck_parameters() const {
  for (std::size_t i = 0; i < watched_.size(); ++i) recheck_parameter(i);
}

void BoundPlan::bind_gradients(const py::object& gradients) {
  const Lock lock(busy_);
  take_gradients(gradients, false);
  bound_ = py::tuple(gradients);  // the caller's list may change
}

void BoundPlan::take_gradients(const py::object& given, bool zero_gradients) {
  PyObject* const list = given.ptr();
  if (!PyList_Check(list) && !PyTuple_Check(list))
    throw py::type_error("grads: expected a list or tuple with an array or None for each parameter, got " + describe(list));
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(list);
  if (static_cast<std::size_t>(n) != parameters_.size())
    throw py::value_error("grads: expected " + std::to_string(parameters_.size()) + " arrays, one for each parameter, got " +
                          std::to_string(n));
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    // looking at a dtype may run Python, and so another thread that changes the list
    if (PySequence_Fast_GET_SIZE(list) != n) throw py::value_error("grads: the list was changed while it was read");
    recheck_parameter(i);
    take_gradient(i, PySequence_Fast_GET_ITEM(list, static_cast<Py_ssize_t>(i)), zero_gradients);
  }
  if (zero_gradients && !disjoint_) check_disjoint();
}

void BoundPlan::take_gradient(std::size_t i, PyObject* gradient, bool zero_gradients) {
  if (gradient == Py_None) {
    gradients_[i].data = nullptr;
    watched_[i].gradient.forget();
    return;
  }
  if (!watched_[i].gradient.matches(gradient)) inspect_gradient(i, gradient);
  if (zero_gradients && !View(gradient).writeable())
    throw py::value_error(gradient_label(i) + ": expected a writeable array (zero_grads=True), got a read-only one");
}

std::string BoundPlan::gradient_label(std::size_t i) const {
  const std::string& label = parameters_[i]->label;
  return "grads" + label.substr(label.find('['));
}

void BoundPlan::inspect_gradient(std::size_t i, PyObject* array) {
  const auto held = py::reinterpret_borrow<py::object>(array);
  Parameter& parameter = *parameters_[i];
  watched_[i].gradient.forget();
  disjoint_ = false;
  const View theta(parameter.owner.ptr());
  const engine::Dtype dtype = plan_.tensor(static_cast<int>(i)).dtype;
  const auto fail = [&](const char* why = "") {
    std::string accepted;
    for (const auto d : {engine::Dtype::f64, engine::Dtype::f32, engine::Dtype::bf16, engine::Dtype::f16})
      if (engine::accepts_gradient(dtype, d))
        accepted += (accepted.empty() ? "" : " or ") + std::string(engine::dtype_name(d));
    return gradient_label(i) + ": expected " + accepted + " of shape " + shape_text(theta) + ", got " + describe(array) +
           why;
  };
  if (!py::isinstance<py::array>(array)) throw py::type_error(fail());
  if (!is_plain_array(array)) throw py::type_error(fail(" (only numpy.ndarray and numpy.memmap themselves are taken)"));
  const View view(array);
  engine::Gradient gradient;
  if (!storage_type(view.descr(), uint16_is_bf16_, gradient.dtype) || !engine::accepts_gradient(dtype, gradient.dtype))
    throw py::type_error(fail());
  bool same_shape = view.axes() == theta.axes();
  for (int axis = 0; same_shape && axis < view.axes(); ++axis) same_shape = view.shape(axis) == theta.shape(axis);
  if (!same_shape) throw py::value_error(fail());

  // the gradient's axes in the parameter's memory order; those that lie one behind the other are joined
  const auto item = static_cast<std::int64_t>(engine::item_size(gradient.dtype));
  gradient.data = view.data();
  parameter.gradient_shape.clear();
  parameter.gradient_strides.clear();
  for (const Axis& axis : parameter.axes) {
    std::int64_t stride = view.stride(axis.axis);
    if (axis.reversed) {
      gradient.data += (axis.length - 1) * stride;
      stride = -stride;
    }
    if (!parameter.gradient_shape.empty() && parameter.gradient_strides.back() == stride * axis.length) {
      parameter.gradient_shape.back() *= axis.length;
      parameter.gradient_strides.back() = stride;
    } else {
      parameter.gradient_shape.push_back(axis.length);
      parameter.gradient_strides.push_back(stride);
    }
  }
  gradient.axes = static_cast<int>(parameter.gradient_shape.size());
  gradient.shape = parameter.gradient_shape.data();
  gradient.strides = parameter.gradient_strides.data();
  const bool contiguous = gradient.axes == 0 || (gradient.axes == 1 && gradient.strides[0] == item);
  gradient.dense = contiguous && reinterpret_cast<std::uintptr_t>(gradient.data) % static_cast<std::uintptr_t>(item) == 0;

  const int other = memory_.overlapped(gradient, extent(view, static_cast<std::size_t>(item)), view.size());
  if (other >= 0)
    throw py::value_error(gradient_label(i) + ": shares memory with " + parameters_[static_cast<std::size_t>(other)]->label +
                          "; a gradient must not overlap a parameter");
  gradients_[i] = gradient;
  watched_[i].gradient.take(array);
}

// Zeroing writes to the gradients, so they must be disjoint: from the parameters (checked above) and from each other.
void BoundPlan::check_disjoint() {
  std::vector<Sized> gradients;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const std::int64_t size = plan_.tensor(static_cast<int>(i)).size;
    if (gradients_[i].data != nullptr && size > 0) gradients.push_back({&gradients_[i], size, static_cast<int>(i)});
  }
  if (const auto pair = find_overlap(gradients)) {
    const auto [first, second] = *pair;
    throw py::value_error(gradient_label(static_cast<std::size_t>(second)) + ": shares memory with " +
                          (first == second ? "itself" : gradient_label(static_cast<std::size_t>(first))) +
                          "; zero_grads=True needs gradients that overlap nothing");
  }
  disjoint_ = true;
}

// Neither the plan nor the pool is held while waiting for the GIL, also after an exception.
struct BoundPlan::Leave {
  Lock& lock;
  std::optional<threads::Running>& running;
  ~Leave() {
    lock.release();
    running.reset();
  }
};

void BoundPlan::step(const py::object& given, const py::object& scale, const py::object& zero) {
  Lock lock(busy_);
  const double grad_scale = read_grad_scale(scale);
  const bool zero_gradients = read_zero_grads(zero);
  if (given.is_none() && !bound_)
    throw py::type_error("grads: missing; pass a list of gradient arrays or bind them once with bind_grads()");
  const py::object gradients = given.is_none() ? bound_ : given;
  take_gradients(gradients, zero_gradients);
  engine::Outcome outcome;
  if (plan_.elements() < release_gil_from) {
    const threads::Running running;
    outcome = plan_.step(gradients_, grad_scale, zero_gradients);
  } else {
    // another thread may change the list meanwhile, so every array is held
    std::vector<py::object> held;
    for (std::size_t i = 0; i < parameters_.size(); ++i)
      held.push_back(
          py::reinterpret_borrow<py::object>(PySequence_Fast_GET_ITEM(gradients.ptr(), static_cast<Py_ssize_t>(i))));
    // The step counts as running before the GIL is gone: whoever takes it may fork, and must not copy a plan in use.
    std::optional<threads::Running> running(std::in_place);
    const Unlocked unlocked;
    const Leave leave{lock, running};
    outcome = plan_.step(gradients_, grad_scale, zero_gradients);
  }
  if (outcome.status == engine::Outcome::nonfinite) raise_nonfinite(outcome.tensor);
  if (outcome.status == engine::Outcome::overflow) raise_overflow(outcome.tensor);
}

void BoundPlan::write_ema() {
  const Lock lock(busy_);
  recheck_parameters();
  plan_.write_ema();
}

void BoundPlan::look_ahead() {
  const Lock lock(busy_);
  recheck_parameters();
  plan_.look_ahead();
}

void BoundPlan::raise_nonfinite(int tensor) const {
  throw py::value_error(gradient_label(static_cast<std::size_t>(tensor)) +
                        ": holds NaN or infinity (nonfinite=\"raise\"); nothing was changed");
}

void BoundPlan::raise_overflow(int tensor) {
  const bool wide = engine::computes_in_double(plan_.tensor(tensor).dtype);
  throw py::value_error(gradient_label(static_cast<std::size_t>(tensor)) +
                        ": is finite, but its square or multiple in the rule overflows " + (wide ? "float64" : "float32") +
                        " (nonfinite=\"raise\"); nothing was changed");
}

FASTOPT_BINDINGS_END
