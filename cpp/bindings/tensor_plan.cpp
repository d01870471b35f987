// The step: gradients read where they lie, numbers kept in tensors.
#include <algorithm>
#include <cmath>
#include <string>

#include "bindings/plan_values.hpp"
#include "bindings/tensor_plan.hpp"

FASTOPT_BINDINGS_BEGIN

namespace {

// A number that a tensor of no axes holds: float32 or float64.
double read_number(const TensorFacts& facts) {
  if (facts.dtype() == engine::Dtype::f64) return *reinterpret_cast<const double*>(facts.data());
  return *reinterpret_cast<const float*>(facts.data());
}

std::int64_t read_step(const TensorFacts& facts, const std::string& label) {
  constexpr double exact = 9007199254740992;  // 2^53
  const double step = read_number(facts);
  if (!(step >= 0 && step <= exact) || step != std::floor(step))
    throw py::value_error(label + ": state 'step': expected an integer >= 0, got " + std::to_string(step));
  return static_cast<std::int64_t>(step);
}

void write_number(const TensorFacts& facts, double value) {
  if (facts.dtype() == engine::Dtype::f64)
    *reinterpret_cast<double*>(facts.data()) = value;
  else
    *reinterpret_cast<float*>(facts.data()) = static_cast<float>(value);
}

py::tuple tuple_of(const std::vector<py::object>& objects) {
  py::tuple t(objects.size());
  for (std::size_t i = 0; i < objects.size(); ++i) t[i] = objects[i];
  return t;
}

}  // namespace

// A view may be marked as negated, which its memory does not show.
bool TensorPlan::negated(PyObject* tensor) const {
  const auto answer = py::reinterpret_steal<py::object>(PyObject_Vectorcall(is_neg_.ptr(), &tensor, 1, nullptr));
  if (!answer) throw py::error_already_set();
  return answer.ptr() != Py_False;
}

// False if Python has to look at it.
bool TensorPlan::read_gradient(std::size_t i, PyObject* gradient) {
  if (negated(gradient)) return false;
  TensorFacts& seen = entries_[i].gradient;
  if (seen.axes() >= 0 && seen.same(*table_, gradient)) return true;
  TensorFacts now;
  if (!now.read(*table_, gradient)) return false;
  seen.forget();
  Parameter& parameter = *parameters_[i];
  const engine::Tensor& tensor = plan_.tensor(static_cast<int>(i));
  if (!engine::accepts_gradient(tensor.dtype(), now.dtype())) return false;
  const py::detail::PyArray_Proxy proxy = now.as_array(lent_);
  const View view(proxy);
  if (!same_shape(view, View(parameter.owner.ptr()))) return false;
  lay_out(view, parameter.axes, parameter.gradient);
  engine::Gradient g = parameter.gradient.as(now.dtype());
  if (memory_.overlapped(g, extent(view, engine::item_size(now.dtype())), tensor.size) >= 0) return false;
  static char nothing;  // an empty gradient is one
  if (g.data == nullptr) g.data = &nothing;
  gradients_[i] = g;
  watched_[i].gradient.forget();
  seen = now;
  return true;
}

// All of them, whatever the first ones are: one that is only found to be the first of its parameter, or one of a parameter
// that is negated, makes another plan.
TensorPlan::Verdict TensorPlan::take(std::vector<py::object>& gradients) {
  gradients.resize(entries_.size());
  Verdict verdict = done;
  for (const OfGroup& group : of_groups_)
    for (std::size_t i = 0; i < group.parameters.size(); ++i) {
      auto grad = py::reinterpret_steal<py::object>(PyObject_GetAttr(group.parameters[i].ptr(), grad_key_.ptr()));
      if (!grad) throw py::error_already_set();
      if (group.entry[i] < 0) {
        if (!grad.is_none()) return structure;  // the first of this parameter
        continue;
      }
      const auto tensor = static_cast<std::size_t>(group.entry[i]);
      if (grad.is_none()) {
        no_gradient(tensor);
        entries_[tensor].gradient.forget();
        continue;
      }
      if (negated(group.parameters[i].ptr())) return structure;  // p.data = ..., over the same memory
      if (reinterpret_cast<PyObject*>(Py_TYPE(grad.ptr())) != tensor_type_.ptr() || !read_gradient(tensor, grad.ptr()))
        verdict = gradient;
      else
        gradients[tensor] = std::move(grad);
    }
  return verdict;
}

// Counts and scalars live in the tensors: whoever loads or changes those changes the training.
void TensorPlan::load_numbers() {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Entry& e = entries_[i];
    const auto tensor = static_cast<int>(i);
    if (!e.step.empty()) plan_.count(tensor) = read_step(e.step[0].facts, parameters_[i]->label);
    for (std::size_t s = 0; s < e.scalars.size(); ++s) plan_.scalars(tensor)[s] = read_number(e.scalars[s].facts);
  }
}

void TensorPlan::stepped() noexcept {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Entry& e = entries_[i];
    const auto tensor = static_cast<int>(i);
    const bool took_part = gradients_[i].data != nullptr;
    // where sums are over all tensors, numbers of those without a gradient are new too
    if (!took_part && plan_.group(plan_.group_of(tensor)).kernel->settle == nullptr) continue;
    if (took_part && !e.step.empty()) write_number(e.step[0].facts, static_cast<double>(plan_.count(tensor)));
    for (std::size_t s = 0; s < e.scalars.size(); ++s) write_number(e.scalars[s].facts, plan_.scalars(tensor)[s]);
  }
}

// The parameters that a step with these gradients changes. No Python runs in here.
std::vector<py::object> TensorPlan::changed_by(const std::vector<py::object>& gradients) const {
  std::vector<py::object> changed;
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (gradients[i]) changed.push_back(entries_[i].parameter);
  return changed;
}

// With all gradients read. Autograd shall know: a tensor saved for the backward pass and changed since is an error there. It
// is told when the plan is free again, which by then may watch other tensors: so those of this step are held before.
int TensorPlan::step_read(InUse::Lock& lock, double grad_scale, const std::vector<py::object>& gradients) {
  load_numbers();
  const bool every = std::all_of(gradients.begin(), gradients.end(), [](const py::object& g) { return bool(g); });
  const py::tuple all = all_;  // empty: nothing is watched
  const std::vector<py::object> some = every ? std::vector<py::object>() : changed_by(gradients);
  Rates rates;
  const bool applied = apply(lock, grad_scale, false, rates);
  lock.release();
  if (applied && !all.empty()) touched_(every ? all : tuple_of(some));
  return applied ? done : skipped;
}

int TensorPlan::step_tensors(const py::object& groups, const py::object& state, const py::object& scale) {
  std::vector<py::object> gradients;  // held while they are read, let go of when the plan is free
  auto lock = in_use().call();
  return_after_fork();
  refuse_elsewhere("step()");
  const double grad_scale = read_grad_scale(scale);
  if (entries_.size() != parameters_.size()) throw py::type_error("step_tensors: expected a plan that watches");
  if (!same_structure(groups.ptr(), state.ptr())) return structure;
  if (!find_changed_groups().empty()) return values;
  if (const Verdict verdict = take(gradients); verdict != done) return verdict;
  return step_read(lock, grad_scale, gradients);
}

int TensorPlan::step_arrays(const py::object& given, const py::object& scale) {
  Held held(lender_);
  std::vector<py::object> gradients;
  auto lock = in_use().call();
  return_after_fork();
  refuse_elsewhere("step()");
  const double grad_scale = read_grad_scale(scale);
  held.take(check_gradients(given, parameters_.size()));
  for (Entry& e : entries_) e.gradient.forget();
  take_gradients(held, false);
  for (std::size_t i = 0; i < held.size(); ++i) {
    PyObject* const item = held.begin()[i];
    gradients.push_back(item == Py_None ? py::object() : py::reinterpret_borrow<py::object>(item));
  }
  return step_read(lock, grad_scale, gradients);
}

FASTOPT_BINDINGS_END
