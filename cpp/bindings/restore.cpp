// A saved state, taken into a plan: everything is read, checked and given memory before the first byte is written.
#include <algorithm>

#include "bindings/bound_plan.hpp"
#include "bindings/plan_values.hpp"
#include "bindings/restore_copy.hpp"
#include "bindings/without_gil.hpp"

FASTOPT_BINDINGS_BEGIN

void BoundPlan::read_copy(PyObject* source, std::size_t tensor, char* to, engine::Dtype dtype, std::vector<Copy>& copies) {
  const Parameter& parameter = *parameters_[tensor];
  engine::Dtype found;
  if (!is_plain_array(source) || !storage_type_of(source, true, found) || found != dtype)
    throw py::type_error(parameter.label + ": expected a saved array of " + std::string(engine::dtype_name(dtype)) +
                         ", got " + describe(source));
  const View view(source);
  const std::int64_t size = plan_.tensor(static_cast<int>(tensor)).size;
  const bool fits = view.size() == size && std::all_of(parameter.axes.begin(), parameter.axes.end(), [&](const Axis& a) {
                      return a.axis < view.axes() && view.shape(a.axis) == a.length;
                    });
  if (!fits)
    throw py::value_error(parameter.label + ": expected a saved array of the parameter's shape, got " + describe(source));
  copies.push_back({source, {}, {}, dtype, to, size, {}});
  lay_out(view, parameter.axes, copies.back().from);
  copies.back().seen.take(source);
}

void BoundPlan::read_shaped_copy(PyObject* source, std::size_t tensor, std::size_t state, std::vector<Copy>& copies) {
  const engine::Tensor& t = plan_.tensor(static_cast<int>(tensor));
  if ((source == Py_None) == (t.shaped[state] != nullptr))
    throw py::type_error("states: expected one where the rule has one");
  if (source == Py_None) return;
  const engine::Group& group = plan_.group(plan_.group_of(static_cast<int>(tensor)));
  const engine::Dtype dtype = engine::computes_in_double(t.dtype()) ? engine::Dtype::f64 : engine::Dtype::f32;
  const std::int64_t size = group.kernel->shaped_size(state, t.matrix, group.hypers);
  engine::Dtype found;
  if (!is_plain_array(source) || !storage_type_of(source, false, found) || found != dtype || View(source).size() != size)
    throw py::type_error(parameters_[tensor]->label + ": " + std::string(group.kernel->shaped[state].name) +
                         ": expected a saved array of " + std::to_string(size) + " " + engine::dtype_name(dtype) + ", got " +
                         describe(source));
  copies.push_back({source, {}, {}, dtype, static_cast<char*>(t.shaped[state]), size, {}});
  std::vector<Axis> axes;
  for (int axis = 0; axis < View(source).axes(); ++axis) axes.push_back({axis, View(source).shape(axis), false});
  lay_out(View(source), axes, copies.back().from);
  copies.back().seen.take(source);
}

// Codes, scales, remainders: bytes in memory order, as a state dict has them.
void BoundPlan::read_bytes(PyObject* source, std::size_t tensor, char* to, std::size_t bytes, std::vector<Copy>& copies) {
  const std::string& label = parameters_[tensor]->label;
  if (!is_plain_array(source) || View(source).axes() != 1)
    throw py::type_error(label + ": expected a saved array of one axis, got " + describe(source));
  const auto dtype = py::reinterpret_borrow<py::dtype>(View(source).descr());
  const auto item = static_cast<std::size_t>(dtype.itemsize());
  const View view(source);
  const auto n = static_cast<std::size_t>(view.shape(0));
  if (n * item != bytes || (n > 1 && view.stride(0) != dtype.itemsize()) ||
      std::string("iufV").find(dtype.kind()) == std::string::npos)
    throw py::value_error(label + ": expected a saved array of " + std::to_string(bytes) + " bytes, got " +
                          describe(source));
  copies.push_back({source, {}, {}, engine::Dtype::bf16, to, 0, {}});
  Copy& copy = copies.back();
  copy.from.data = view.data();
  copy.staged.assign(view.data(), view.data() + bytes);  // a copy at once: it may overlap what is written
  copy.size = static_cast<std::int64_t>(bytes);
  copy.flat = true;
  copy.seen.take(source);
}

void BoundPlan::read_copies(const py::tuple& saved, std::size_t tensor, std::vector<Copy>& copies) {
  const engine::Tensor& t = plan_.tensor(static_cast<int>(tensor));
  const py::object states = saved[2], ema = saved[3], master = saved[4];
  if (!states.is_none()) {
    const engine::Kernel& kernel = *plan_.group(plan_.group_of(static_cast<int>(tensor))).kernel;
    const auto& known = kernel.states;
    if (!PyTuple_Check(states.ptr())) throw py::type_error("states: expected a tuple");
    check_length("states", py::len(states), known.size() + kernel.shaped.size());
    for (std::size_t s = 0; s < kernel.shaped.size(); ++s)
      read_shaped_copy(PyTuple_GET_ITEM(states.ptr(), static_cast<Py_ssize_t>(known.size() + s)), tensor, s, copies);
    for (std::size_t s = 0; s < known.size(); ++s) {
      PyObject* const array = PyTuple_GET_ITEM(states.ptr(), static_cast<Py_ssize_t>(s));
      if ((array == Py_None) == bool(t.states[s])) throw py::type_error("states: expected one where the rule has one");
      if (array == Py_None) continue;
      if (!engine::is_code(t.states[s].encoding)) {
        read_copy(array, tensor, t.states[s].data, t.states[s].dtype(), copies);
        continue;
      }
      if (!PyTuple_Check(array)) throw py::type_error("states: expected codes and scales");
      check_length("states: codes and scales", py::len(array), 2);
      read_bytes(PyTuple_GET_ITEM(array, 0), tensor, t.states[s].data, static_cast<std::size_t>(t.size), copies);
      read_bytes(PyTuple_GET_ITEM(array, 1), tensor, t.states[s].second,
                 sizeof(float) * static_cast<std::size_t>(engine::groups_of(t.size)), copies);
    }
  }
  if (!master.is_none()) {
    if (t.theta.second == nullptr) throw py::type_error("master: expected None, the parameter has none");
    read_bytes(master.ptr(), tensor, t.theta.second,
               static_cast<std::size_t>(t.size) * engine::second_size(t.theta.encoding), copies);
  }
  if (ema.is_none()) return;
  if (!t.ema) throw py::type_error("ema: expected None, there is no average");
  read_copy(ema.ptr(), tensor, t.ema.data, t.ema.dtype(), copies);
}

// An array of this very optimizer among the saved ones must be read before it is written.
void BoundPlan::stage_overlapping(std::vector<Copy>& copies) {
  MemoryMap written;
  for (std::size_t i = 0; i < copies.size(); ++i)
    written.add({copies[i].to, copies[i].to + copies[i].bytes()}, static_cast<int>(i));
  for (Copy& copy : copies) {
    if (copy.size == 0 || copy.flat) continue;
    const engine::Gradient g = copy.from.as(copy.dtype);
    if (written.overlapped(g, extent(View(copy.source), engine::item_size(copy.dtype)), copy.size) < 0) continue;
    copy.staged.resize(copy.bytes());
    copy.gather(copy.staged.data());
  }
}

void BoundPlan::restore(const py::list& given_tensors, const py::list& given_groups, std::int64_t steps,
                        std::int64_t skipped, const std::vector<bool>& averaged, const py::list& pairs, bool train_mode) {
  Mirrors mirrors(pairs);
  const py::tuple tensors = as_tuple(given_tensors), of_groups = as_tuple(given_groups);
  auto lock = in_use_.within();
  return_after_fork();
  refuse_elsewhere("load_state_dict()");
  check_length("tensors", tensors.size(), parameters_.size());
  check_length("groups", of_groups.size(), native_.size());
  check_length("averaged", averaged.size(), of_groups.size());
  read_count("steps", steps);
  read_count("skipped", skipped);

  std::vector<SavedGroup> groups;
  for (std::size_t i = 0; i < of_groups.size(); ++i) {
    const auto [hypers, maximize, scheduled] = py::object(of_groups[i]).cast<std::tuple<py::dict, bool, bool>>();
    groups.push_back(read_group(static_cast<int>(i), hypers, maximize, scheduled));
    groups.back().group.averaged = averaged[i];
    if (groups.back().other) groups.back().other->averaged = averaged[i];
  }
  std::vector<std::pair<std::int64_t, std::vector<double>>> numbers;
  std::vector<Copy> copies;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const py::object item = tensors[i];
    if (!PyTuple_Check(item.ptr())) throw py::type_error("tensors: expected tuples");
    const auto saved = py::reinterpret_borrow<py::tuple>(item);
    check_length("tensors: entries", saved.size(), 5);
    numbers.emplace_back(read_count("count", saved[0].cast<std::int64_t>()), saved[1].cast<std::vector<double>>());
    check_length("scalars", numbers.back().second.size(),
                 plan_.group(plan_.group_of(static_cast<int>(i))).kernel->scalars.size());
    read_copies(saved, i, copies);
  }
  // From here on no Python runs, and nothing fails once something is written.
  for (const Copy& copy : copies)
    if (!copy.seen.matches(copy.source)) throw py::value_error("a saved array was changed while the state was read");
  stage_overlapping(copies);
  plan_.cut_all();
  mirrors.write();
  for (std::size_t i = 0; i < groups.size(); ++i) keep(static_cast<int>(i), groups[i]);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    plan_.count(static_cast<int>(i)) = numbers[i].first;
    std::copy(numbers[i].second.begin(), numbers[i].second.end(), plan_.scalars(static_cast<int>(i)));
  }
  plan_.steps = steps;
  plan_.skipped = skipped;
  train_mode_ = train_mode;
  publish();
  without_gil(plan_.elements(), lock, [&] {
    for (const Copy& copy : copies) copy.write();
    plan_.write_shadows();
  });
}

FASTOPT_BINDINGS_END
