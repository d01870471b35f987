// Groups of parameters, taken into a plan: all of them are read, checked and given memory before the plan knows of one.
#include <cstdlib>

#include "bindings/bound_plan.hpp"
#include "bindings/plan_values.hpp"

FASTOPT_BINDINGS_BEGIN

struct BoundPlan::NewParameter {
  std::unique_ptr<Parameter> parameter;
  engine::Tensor tensor;
  std::vector<std::pair<PyObject*, Fingerprint>> seen;  // the arrays, as they were when they were checked
  bool other = false;                                   // of the group's other rule
  int batch_axes = 0;                                   // of a rule of matrices
};

struct BoundPlan::NewGroup : SavedGroup {
  bool stochastic = false;
  std::vector<NewParameter> parameters;
};

namespace {

template <class T>
T get(const py::dict& dict, const char* key) {
  return py::object(dict[key]).cast<T>();
}

engine::Group read_rule(const py::dict& given) {
  engine::Group group;
  const auto rule = get<std::string>(given, "rule");
  const auto flags = get<unsigned>(given, "flags");
  group.kernel = engine::find_kernel(rule, flags);
  if (group.kernel == nullptr) throw py::value_error("no rule " + rule + " with flags " + std::to_string(flags));
  for (std::size_t i = 0; i < group.kernel->hypers.size(); ++i)
    if (group.kernel->hypers[i] == "lr") group.lr = static_cast<int>(i);
  group.decay_kind = read_decay_kind(get<std::string>(given, "decay_kind"));
  assign_starts(group, get<py::dict>(given, "starts"));
  return group;
}

}  // namespace

void BoundPlan::read_new_parameter(NewParameter& p, const NewGroup& made) const {
  Parameter& parameter = *p.parameter;
  const auto see = [&](PyObject* a) {
    p.seen.emplace_back();
    p.seen.back().first = a;
    p.seen.back().second.take(a);
  };
  PyObject* const array = parameter.owner.ptr();
  engine::Tensor& t = p.tensor;
  t.theta.encoding = engine::encoding_of(check_parameter(array, parameter.label));
  const View view(array);
  const std::size_t item = engine::item_size(t.dtype());
  dense_axes(view, item, parameter.axes);
  t.theta.data = lowest(view, item);
  t.theta.stochastic = made.stochastic;
  t.size = view.size();
  if (view.axes() > 1 && t.size > 0) {
    t.rows = view.shape(0);
    t.run =
        t.rows == 1 ? t.size : std::abs(view.stride(0)) / static_cast<std::int64_t>(item);  // dense: whole axes lie within
  }
  see(array);
  if (!parameter.master.is_none()) read_master(parameter, t, see);
  if (!parameter.shadow.is_none()) read_shadow(parameter, t, see);

  const engine::Group& group = p.other ? *made.other : made.group;
  const engine::Kernel& kernel = *group.kernel;
  if (kernel.transform) read_matrix(parameter, t, p.batch_axes);
  if (kernel.by_row()) read_table(parameter, t);
  const auto& states = kernel.states;
  check_length("states", parameter.states.size(), states.size() + kernel.shaped.size());
  for (std::size_t s = 0; s < states.size(); ++s) {
    const py::object state = parameter.states[s];
    const std::string what = parameter.label + ": state " + std::string(states[s].name);
    if (state.is_none() == states[s].used) throw py::type_error(what + ": expected one where the rule has one");
    if (!state.is_none()) t.states[s] = read_state(state, parameter, t, states[s], what, see);
  }
  for (std::size_t s = 0; s < kernel.shaped.size(); ++s)
    t.shaped[s] = read_shaped(parameter.states[states.size() + s], t, kernel.shaped_size(s, t.matrix, group.hypers),
                              parameter.label + ": state " + std::string(kernel.shaped[s].name), see);
  if (kernel.by_row()) check_codes_of_rows(parameter, t);
  const bool wide = engine::computes_in_double(t.dtype());
  PyObject* const ema = parameter.ema.ptr();
  if ((ema == Py_None) != (plan_.options().ema_decay < 0))
    throw py::type_error(parameter.label + ": ema: expected an array if and only if the plan has an ema_decay");
  if (ema != Py_None) {
    engine::Dtype dtype;
    check_buffer(ema, parameter, parameter.label + ": ema", dtype);
    if (dtype != (wide ? engine::Dtype::f64 : engine::Dtype::f32))
      throw py::type_error(parameter.label + ": ema: expected float32, or float64 for a float64 parameter");
    t.ema.encoding = engine::encoding_of(dtype);
    t.ema.data = lowest(View(ema), engine::item_size(dtype));
    see(ema);
  }
}

BoundPlan::NewGroup BoundPlan::read_new_group(const py::dict& given) const {
  NewGroup made;
  made.group = read_rule(given);
  const py::object other = given["other"];
  if (!other.is_none()) made.other = read_rule(other.cast<py::dict>());
  made.group.maximize = get<bool>(given, "maximize");
  if (made.other) made.other->maximize = made.group.maximize;
  made.scheduled = get<bool>(given, "scheduled");
  made.stochastic = get<bool>(given, "stochastic");
  assign(made.group, made.other ? &*made.other : nullptr, made.lr_ratio, get<py::dict>(given, "hypers"));
  made.share_lr();

  const py::tuple arrays = as_tuple(py::object(given["arrays"])), labels = as_tuple(py::object(given["labels"]));
  const py::tuple states = as_tuple(py::object(given["states"])), ema = as_tuple(py::object(given["ema"]));
  const py::tuple masters = as_tuple(py::object(given["masters"])), shadows = as_tuple(py::object(given["shadows"]));
  const auto numbers = get<std::vector<std::uint64_t>>(given, "numbers");
  const auto others = get<std::vector<bool>>(given, "others");
  const auto batch_axes = get<std::vector<int>>(given, "batch_axes");
  check_length("labels", labels.size(), arrays.size());
  check_length("states", states.size(), arrays.size());
  check_length("ema", ema.size(), arrays.size());
  check_length("masters", masters.size(), arrays.size());
  check_length("shadows", shadows.size(), arrays.size());
  check_length("numbers", numbers.size(), arrays.size());
  check_length("others", others.size(), made.other ? arrays.size() : 0);
  check_length("batch_axes", batch_axes.size(), arrays.size());
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    made.parameters.emplace_back();
    made.parameters.back().parameter = std::make_unique<Parameter>(Parameter{
        arrays[i], as_tuple(states[i]), ema[i], masters[i], shadows[i], labels[i].cast<std::string>(), {}, {}, {}});
    made.parameters.back().tensor.number = numbers[i];
    made.parameters.back().other = made.other && others[i];
    made.parameters.back().batch_axes = batch_axes[i];
    if (made.parameters.back().parameter->label.find('[') == std::string::npos)
      throw py::value_error("labels: expected params[...]");
  }
  return made;
}

void BoundPlan::reserve(std::size_t groups, std::size_t parameters) {
  native_.reserve(native_.size() + groups);
  parameters_.reserve(parameters_.size() + parameters);
  watched_.reserve(watched_.size() + parameters);
  gradients_.reserve(gradients_.size() + parameters);
  plan_.reserve(2 * groups, parameters);
}

void BoundPlan::add(NewGroup& made) noexcept {
  const int first = plan_.add_group(made.group), other = made.other ? plan_.add_group(*made.other) : -1;
  native_.push_back({first, other, made.lr_ratio, made.scheduled});
  for (NewParameter& p : made.parameters) {
    plan_.add_tensor(p.tensor, p.other ? other : first, starts_averages());
    watched_.push_back({p.parameter->owner.ptr(), std::move(p.seen.front().second), {}, bool(p.tensor.shadow)});
    gradients_.emplace_back();
    parameters_.push_back(std::move(p.parameter));
  }
}

void BoundPlan::add_groups(const py::list& given, const py::list& pairs) {
  Mirrors mirrors(pairs);
  std::vector<NewGroup> groups;
  const auto lock = in_use_.within();
  return_after_fork();
  refuse_elsewhere("add_param_group()");
  for (const auto& item : as_tuple(given)) groups.push_back(read_new_group(item.cast<py::dict>()));
  for (NewGroup& group : groups)
    for (NewParameter& p : group.parameters) read_new_parameter(p, group);
  // From here on no Python runs, and what was seen is what there is.
  MemoryMap memory = memory_;
  std::size_t parameters = 0;
  for (const NewGroup& group : groups)
    for (const NewParameter& p : group.parameters) {
      const std::string& label = p.parameter->label;
      for (const auto& [array, fingerprint] : p.seen)
        if (!fingerprint.matches(array)) throw py::value_error(label + ": was changed while it was looked at");
      const auto number = static_cast<int>(parameters_.size() + parameters++);
      const View view(p.parameter->owner.ptr());
      if (memory.add(extent(view, engine::item_size(p.tensor.dtype())), number) >= 0)
        throw py::value_error(label + ": shares memory with another parameter");
      if (!p.tensor.shadow) continue;
      if (memory.add(extent(View(p.parameter->shadow.ptr()), engine::item_size(p.tensor.shadow.dtype())), number) >= 0)
        throw py::value_error(label + ": its shadow shares memory with a parameter or another shadow");
    }
  reserve(groups.size(), parameters);
  mirrors.write();
  std::swap(memory_, memory);
  for (Watch& watch : watched_) watch.gradient.forget();  // what was disjoint may overlap a new one
  disjoint_ = false;
  for (NewGroup& group : groups) add(group);
}

FASTOPT_BINDINGS_END
