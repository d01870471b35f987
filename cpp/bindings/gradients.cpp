// The arrays of a step, looked at: parameters for what they have become, gradients for what they are.
#include "bindings/bound_plan.hpp"
#include "bindings/imported.hpp"
#include "bindings/sparse_rows.hpp"

FASTOPT_BINDINGS_BEGIN

void BoundPlan::recheck_parameter(std::size_t i) const {
  PyObject* const owner = watched_[i].owner;
  if (!watched_[i].parameter.matches(owner))
    throw py::value_error(parameters_[i]->label +
                          ": was resized, reshaped or given another dtype after the optimizer was made (now " +
                          describe(owner) + "); make a new optimizer");
  if (!View(owner).writeable())
    throw py::value_error(parameters_[i]->label + ": expected a writeable array, it has become read-only");
  if (!watched_[i].shadowed) return;
  PyObject* const shadow = parameters_[i]->shadow.ptr();
  if (!parameters_[i]->seen_shadow.matches(shadow) || !View(shadow).writeable())
    throw py::value_error(parameters_[i]->label +
                          ": its shadow has become read-only, or was resized, reshaped or given "
                          "another dtype after the optimizer was made (now " +
                          describe(shadow) + ")");
}

void BoundPlan::recheck_parameters() const {
  for (std::size_t i = 0; i < watched_.size(); ++i) recheck_parameter(i);
}

void BoundPlan::take_gradients(Held& held, bool zero_gradients) {
  if (held.size() != parameters_.size()) throw py::value_error("grads: the list was changed while it was read");
  bool inspected = false;
  given_elements_ = 0;
  PyObject* const* item = held.begin();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    recheck_parameter(i);
    inspected |= take_gradient(i, item[i], zero_gradients, held);
  }
  if (zero_gradients && !disjoint_) check_disjoint();
  if (inspected) verify(held, zero_gradients);
}

// Inspecting an array may run Python, which may have resized one that was inspected before. Here none runs, nor does any
// between this and the step.
void BoundPlan::verify(const Held& held, bool zero_gradients) const {
  PyObject* const* item = held.begin();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    recheck_parameter(i);
    if (item[i] == Py_None) continue;
    if (gradients_[i].rows != nullptr) {
      const SparseGradient& sparse = *parameters_[i]->sparse;
      if (!sparse.indices_seen.matches(sparse.indices_array) || !sparse.values_seen.matches(sparse.values_array))
        throw py::value_error(gradient_label(i) + ": was changed while the gradients were looked at");
      continue;
    }
    if (!watched_[i].gradient.matches(item[i]) || (zero_gradients && !View(item[i]).writeable()))
      throw py::value_error(gradient_label(i) + ": was changed while the gradients were looked at");
  }
}

void BoundPlan::no_gradient(std::size_t i) {
  gradients_[i] = {};
  watched_[i].gradient.forget();
}

// True if the array had to be inspected.
bool BoundPlan::take_gradient(std::size_t i, PyObject* gradient, bool zero_gradients, Held& held) {
  if (gradient == Py_None) {
    no_gradient(i);
    return false;
  }
  const bool known = watched_[i].gradient.matches(gradient);
  if (!known && is_sparse_rows(gradient)) {
    take_rows(i, gradient, zero_gradients, held);
    return true;
  }
  if (!known) inspect_gradient(i, gradient);
  if (zero_gradients && !View(gradient).writeable())
    throw py::value_error(gradient_label(i) + ": expected a writeable array (zero_grads=True), got a read-only one");
  return !known;
}

std::string BoundPlan::gradient_label(std::size_t i) const {
  const std::string& label = parameters_[i]->label;
  return "grads" + label.substr(label.find('['));
}

std::string accepted_gradients(engine::Dtype parameter) {
  std::string names;
  for (const auto d : {engine::Dtype::f64, engine::Dtype::f32, engine::Dtype::bf16, engine::Dtype::f16})
    if (engine::accepts_gradient(parameter, d)) names += (names.empty() ? "" : " or ") + std::string(engine::dtype_name(d));
  return names;
}

void BoundPlan::inspect_gradient(std::size_t i, PyObject* array) {
  Parameter& parameter = *parameters_[i];
  watched_[i].gradient.forget();
  disjoint_ = false;
  const View theta(parameter.owner.ptr());
  const engine::Dtype dtype = plan_.tensor(static_cast<int>(i)).dtype();
  const auto fail = [&](const char* why = "") {
    return gradient_label(i) + ": expected " + accepted_gradients(dtype) + " of shape " + shape_text(theta) + ", got " +
           describe(array) + why;
  };
  static constinit Imported scalar("numpy", "generic");
  if (!py::isinstance<py::array>(array))
    throw py::type_error(fail(theta.axes() == 0 && PyObject_IsInstance(array, scalar.get()) == 1
                                  ? " (NumPy makes a scalar of what is computed of arrays without axes; numpy.asarray() "
                                    "makes an array of it)"
                                  : ""));
  if (!is_plain_array(array)) throw py::type_error(fail(" (only numpy.ndarray and numpy.memmap themselves are taken)"));
  const View view(array);
  engine::Dtype found;
  if (!storage_type_of(array, uint16_is_bf16_, found) || !engine::accepts_gradient(dtype, found))
    throw py::type_error(fail());
  recheck_parameter(i);  // its axes are walked below
  if (!same_shape(view, theta)) throw py::value_error(fail());
  lay_out(view, parameter.axes, parameter.gradient);
  const engine::Gradient gradient = parameter.gradient.as(found);
  refuse_overlap(gradient_label(i), view, gradient);
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

FASTOPT_BINDINGS_END
