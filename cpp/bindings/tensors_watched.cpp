// What a step reads, as it was when the plan was made, and whether it still is.
#include "bindings/tensor_plan.hpp"

#include <algorithm>

#include "bindings/plan_values.hpp"

FASTOPT_BINDINGS_BEGIN

namespace {

py::object interned(const char* text) { return py::reinterpret_steal<py::object>(PyUnicode_InternFromString(text)); }

py::object owned(PyObject* object) { return py::reinterpret_borrow<py::object>(object); }

// Owned, or null if there is none: another thread may replace it while it is looked at.
py::object value_of(PyObject* dict, const py::object& key) {
  const py::scoped_critical_section unchanged(dict);
  return owned(PyDict_GetItem(dict, key.ptr()));
}
py::object item_of(PyObject* list, std::size_t i) {
  const py::scoped_critical_section unchanged(list);
  return owned(i < static_cast<std::size_t>(PyList_GET_SIZE(list)) ? PyList_GET_ITEM(list, static_cast<Py_ssize_t>(i))
                                                                   : nullptr);
}

}  // namespace

void TensorPlan::Items::take(PyObject* dict) {
  items_.clear();
  const py::scoped_critical_section unchanged(dict);
  Py_ssize_t place = 0;
  PyObject *key, *value;
  while (PyDict_Next(dict, &place, &key, &value)) items_.emplace_back(owned(key), owned(value));
}

bool TensorPlan::Items::same(PyObject* dict) const {
  const py::scoped_critical_section unchanged(dict);
  if (static_cast<std::size_t>(PyDict_GET_SIZE(dict)) != items_.size()) return false;
  Py_ssize_t place = 0;
  PyObject *key, *value;
  for (auto known = items_.begin(); PyDict_Next(dict, &place, &key, &value); ++known)
    if (known == items_.end() || known->first.ptr() != key || known->second.ptr() != value) return false;
  return true;
}

TensorPlan::TensorPlan(double clip_value, double clip_norm, double clip_norm_type, const std::string& clip_norm_per,
                       const std::string& nonfinite, double ema_decay, const py::object& exchange, py::object tensor,
                       py::object touched)
    : BoundPlan(clip_value, clip_norm, clip_norm_type, clip_norm_per, nonfinite, ema_decay, true),
      table_(exchange.is_none() ? nullptr : &exchange_table(exchange)),
      exchange_(exchange),
      tensor_type_(std::move(tensor)),
      touched_(std::move(touched)),
      params_key_(interned("params")),
      grad_key_(interned("grad")),
      is_neg_(tensor_type_.attr("is_neg")) {}

TensorPlan::Watched TensorPlan::watched(const py::handle& tensor, const char* what, bool any_number) const {
  Watched w{owned(tensor.ptr()), {}};
  if (!w.facts.read(*table_, tensor.ptr(), any_number))
    throw py::type_error(std::string(what) + ": expected a tensor of numbers in the memory of the CPU, got " +
                         Py_TYPE(tensor.ptr())->tp_name);
  return w;
}

void TensorPlan::watch(const py::list& groups, const py::dict& state, const py::list& entries) {
  if (table_ == nullptr) throw py::type_error("watch: expected a plan with an exchange");
  const auto lock = in_use().call();
  check_length("entries", entries.size(), parameters_.size());
  std::vector<OfGroup> of_groups;
  for (const auto& group : as_tuple(groups)) {
    of_groups.emplace_back();
    OfGroup& g = of_groups.back();
    g.dict = group.cast<py::dict>();
    for (const auto& p : as_tuple(py::object(g.dict["params"]))) g.parameters.push_back(owned(p.ptr()));
    g.entry.resize(g.parameters.size(), -1);
  }
  std::vector<Entry> made;
  py::list all;
  for (const auto& item : as_tuple(entries)) {
    const auto t = item.cast<py::tuple>();
    check_length("entries: parts", t.size(), 6);
    const auto group = t[0].cast<std::size_t>(), place = t[1].cast<std::size_t>();
    if (group >= of_groups.size() || place >= of_groups[group].parameters.size())
      throw py::index_error("entries: no such parameter");
    made.emplace_back();
    Entry& e = made.back();
    Watched parameter = watched(of_groups[group].parameters[place], "parameter");
    e.parameter = parameter.tensor;
    e.facts = parameter.facts;
    e.state = t[2];
    if (!e.state.is_none()) e.items.take(e.state.cast<py::dict>().ptr());
    if (!py::object(t[3]).is_none()) e.step.push_back(watched(py::object(t[3]), "step"));
    for (const auto& s : t[4].cast<py::tuple>()) e.scalars.push_back(watched(s, "scalar"));
    for (const auto& s : t[5].cast<py::tuple>()) e.states.push_back(watched(s, "state", true));
    const auto tensor = static_cast<int>(made.size()) - 1;
    check_length("scalars", e.scalars.size(), plan_.group(plan_.group_of(tensor)).kernel->scalars.size());
    const auto number = [](const Watched& w) {
      if (w.facts.axes() != 0 || engine::item_size(w.facts.dtype()) < 4)
        throw py::type_error("entries: expected float32 or float64 tensors without axes as numbers");
    };
    for (const Watched& w : e.step) number(w);
    for (const Watched& w : e.scalars) number(w);
    of_groups[group].entry[place] = tensor;
    all.append(e.parameter);
  }
  MemoryMap memory = memory_;  // gradients are held against it
  for (std::size_t i = 0; i < made.size(); ++i) {
    const auto add = [&](const Watched& w, const char* what) {
      const py::detail::PyArray_Proxy proxy = w.facts.as_array(lent_);
      const View view(proxy);
      if (view.size() == 0) return;
      const int other = memory.add(extent(view, w.facts.item_size()), static_cast<int>(i));
      if (other >= 0)
        throw py::value_error(parameters_[i]->label + ": " + what + " shares memory with " +
                              parameters_[static_cast<std::size_t>(other)]->label + " or its state");
    };
    for (const Watched& w : made[i].states) add(w, "a state");
    for (const Watched& w : made[i].scalars) add(w, "a number of its state");
    for (const Watched& w : made[i].step) add(w, "its step");
  }
  std::swap(memory_, memory);
  of_groups_ = std::move(of_groups);
  entries_ = std::move(made);
  state_.take(state.ptr());
  all_ = py::tuple(all);
  for (OfGroup& group : of_groups_) group.items.take(group.dict.ptr());
}

void TensorPlan::begin(const std::vector<std::int64_t>& counts, const std::vector<bool>& begun,
                       const std::vector<bool>& averaged) {
  const auto lock = in_use().call();
  check_length("counts", counts.size(), parameters_.size());
  check_length("begun", begun.size(), parameters_.size());
  check_length("averaged", averaged.size(), native_.size());
  for (std::size_t i = 0; i < begun.size(); ++i) {
    const auto tensor = static_cast<int>(i);
    plan_.count(tensor) = read_count("counts", counts[i]);
    plan_.tensor(tensor).begun = begun[i];
  }
  for (std::size_t g = 0; g < averaged.size(); ++g) {
    SavedGroup saved = saved_group(static_cast<int>(g));
    saved.group.averaged = averaged[g];
    if (saved.other) saved.other->averaged = averaged[g];
    keep(static_cast<int>(g), saved);
  }
}

void TensorPlan::saw_group(int group) {
  Items seen;  // in the end what was seen before, let go of when the plan is free again: that may run Python
  const auto lock = in_use().within();
  OfGroup& g = engine::at(of_groups_, group);
  seen.take(g.dict.ptr());
  std::swap(g.items, seen);
}

std::vector<int> TensorPlan::changed_groups() {
  const auto lock = in_use().within();
  return find_changed_groups();
}

std::vector<int> TensorPlan::find_changed_groups() const {
  std::vector<int> changed;
  for (std::size_t i = 0; i < of_groups_.size(); ++i)
    if (!of_groups_[i].items.same(of_groups_[i].dict.ptr())) changed.push_back(static_cast<int>(i));
  return changed;
}

bool TensorPlan::same_group(const OfGroup& group, PyObject* dict) const {
  if (dict != group.dict.ptr()) return false;
  const py::object held = value_of(dict, params_key_);
  PyObject* const list = held.ptr();
  if (list == nullptr || !(PyList_Check(list) || PyTuple_Check(list))) return false;
  const py::scoped_critical_section unchanged(list);
  if (static_cast<std::size_t>(PySequence_Fast_GET_SIZE(list)) != group.parameters.size()) return false;
  PyObject* const* const items = PySequence_Fast_ITEMS(list);
  for (std::size_t i = 0; i < group.parameters.size(); ++i)
    if (items[i] != group.parameters[i].ptr()) return false;
  return true;
}

bool TensorPlan::same_entry(const Entry& entry) const {
  if (!entry.facts.same(*table_, entry.parameter.ptr())) return false;
  if (!entry.state.is_none() && !entry.items.same(entry.state.ptr())) return false;
  const auto same = [this](const Watched& w) { return w.same(table_); };
  return std::all_of(entry.step.begin(), entry.step.end(), same) &&
         std::all_of(entry.scalars.begin(), entry.scalars.end(), same) &&
         std::all_of(entry.states.begin(), entry.states.end(), same);
}

bool TensorPlan::same_structure(PyObject* groups, PyObject* state) const {
  if (!PyList_Check(groups) || static_cast<std::size_t>(PyList_GET_SIZE(groups)) != of_groups_.size()) return false;
  for (std::size_t i = 0; i < of_groups_.size(); ++i)
    if (!same_group(of_groups_[i], item_of(groups, i).ptr())) return false;
  if (!PyDict_Check(state) || !state_.same(state)) return false;
  return std::all_of(entries_.begin(), entries_.end(), [this](const Entry& e) { return same_entry(e); });
}

FASTOPT_BINDINGS_END
