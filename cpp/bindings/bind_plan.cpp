#include <pybind11/stl.h>

#include <atomic>
#include <memory>
#include <utility>

#include "bindings/bound_plan.hpp"
#include "bindings/construct.hpp"
#include "bindings/register.hpp"

FASTOPT_BINDINGS_BEGIN

namespace {

// `with optimizer.lookahead():`, `with optimizer.ema_weights():` and `with optimizer.averaged_weights():`. Entering and
// leaving are one native call each: no signal handler runs half-way. Should the block never be left (a profiler that
// raises), the end of this object puts things back.
class Elsewhere {
 public:
  Elsewhere(py::object plan, int place, py::object ask)
      : owner_(std::move(plan)),
        plan_(owner_.cast<BoundPlan&>()),
        place_(static_cast<BoundPlan::Place>(place)),
        ask_(std::move(ask)) {}
  ~Elsewhere() {
    try {
      leave();
    } catch (const std::exception& error) {
      PyErr_SetString(PyExc_ValueError, error.what());
      PyErr_WriteUnraisable(nullptr);
    }
  }
  void enter() {
    if (active_) throw std::runtime_error("this context manager has been entered already");
    py::object rates = py::none();
    std::int64_t at = -1;
    if (!ask_.is_none()) std::tie(rates, at) = ask_().cast<std::pair<py::object, std::int64_t>>();
    plan_.move_to(place_, rates, at);
    active_ = true;
  }
  void leave() {
    if (active_.exchange(false)) plan_.move_home();
  }
  Elsewhere(const Elsewhere&) = delete;
  Elsewhere& operator=(const Elsewhere&) = delete;

 private:
  py::object owner_;
  BoundPlan& plan_;
  BoundPlan::Place place_;
  py::object ask_;                   // the schedules' rates, and for which step; None
  std::atomic<bool> active_{false};  // two threads may share this object
};

// `with plan.exclusive():` and `with plan.asking():`, with the plan kept alive. Entering is one native call, between which
// and the block no signal handler runs; should the block never be left (a profiler that raises), the end of this object
// gives the plan back.
class ExclusiveUse {
 public:
  ExclusiveUse(py::object plan, bool asking) : owner_(std::move(plan)), in_use_(of(owner_.cast<BoundPlan&>(), asking)) {}
  void enter() { lock_ = in_use_.operation(); }
  void leave() { lock_.release(); }

 private:
  static InUse& of(BoundPlan& plan, bool asking) { return asking ? plan.asking() : plan.in_use(); }
  py::object owner_;
  InUse& in_use_;
  InUse::Lock lock_;
};

// Made by calling its class, whose construct.hpp knows what to do when memory runs out; returning a pointer does not.
template <class Bound, class... Arguments>
py::object made(Arguments&&... arguments) {
  return py::type::of<Bound>()(std::forward<Arguments>(arguments)...);
}

py::object elsewhere(const py::object& plan, BoundPlan::Place place, const py::object& ask) {
  return made<Elsewhere>(plan, static_cast<int>(place), ask);
}

template <class Bound>
void as_context(Bound& bound) {
  using Context = typename Bound::type;
  bound.def("__enter__", &Context::enter).def("__exit__", [](Context& c, const py::args&) { c.leave(); });
}

void register_plan_itself(py::module_& m) {
  const py::object none = py::none();
  py::class_<BoundPlan> c(m, "Plan", py::module_local(), "The arrays of one optimizer, and how a step changes them.");
  def_init<BoundPlan, double, double, double, const std::string&, const std::string&, double, bool>(
      c, py::arg("clip_value"), py::arg("clip_norm"), py::arg("clip_norm_type"), py::arg("clip_norm_per"),
      py::arg("nonfinite"), py::arg("ema_decay"), py::arg("uint16_is_bf16"));
  c.def("check_parameters", &BoundPlan::check_parameters, py::arg("arrays"), py::arg("labels"))
      .def("add_groups", &BoundPlan::add_groups, py::arg("groups"), py::arg("mirrors"))
      .def("set_group", &BoundPlan::set_group, py::arg("group"), py::arg("hypers"), py::arg("maximize"),
           py::arg("scheduled"), py::arg("mirrors"))
      .def("set_hypers", &BoundPlan::set_hypers, py::arg("group"), py::arg("hypers"))
      .def("lr", &BoundPlan::lr, py::arg("group"))
      .def("restore", &BoundPlan::restore, py::arg("tensors"), py::arg("groups"), py::arg("steps"), py::arg("skipped"),
           py::arg("averaged"), py::arg("mirrors"), py::arg("train_mode") = true)
      .def("bind_gradients", &BoundPlan::bind_gradients, py::arg("gradients"))
      .def("step", &BoundPlan::step, py::arg("gradients") = none, py::arg("grad_scale") = 1.0,
           py::arg("zero_gradients") = false, py::arg("rates") = none, py::arg("at") = -1)
      .def("exclusive", [](const py::object& p) { return made<ExclusiveUse>(p, false); })
      .def("asking", [](const py::object& p) { return made<ExclusiveUse>(p, true); })
      .def(
          "lookahead",
          [](const py::object& p, const py::object& ask) { return elsewhere(p, BoundPlan::Place::lookahead, ask); },
          py::arg("ask") = none)
      .def("ema_weights", [](const py::object& p) { return elsewhere(p, BoundPlan::Place::averages, py::none()); })
      .def("averaged_weights", [](const py::object& p) { return elsewhere(p, BoundPlan::Place::exchanged, py::none()); })
      .def("exchange", &BoundPlan::exchange, py::arg("train"))
      .def_property("train_mode", &BoundPlan::train_mode, &BoundPlan::set_train_mode)
      .def("refuse_elsewhere", &BoundPlan::refuse_elsewhere, py::arg("what"))
      .def_property_readonly("elsewhere", &BoundPlan::is_elsewhere)
      .def("count", &BoundPlan::count, py::arg("tensor"))
      .def("set_count", &BoundPlan::set_count, py::arg("tensor"), py::arg("count"))
      .def("scalars", &BoundPlan::scalars, py::arg("tensor"))
      .def("set_scalars", &BoundPlan::set_scalars, py::arg("tensor"), py::arg("values"))
      .def_property(
          "steps", [](const BoundPlan& p) { return p.published().steps.load(); }, &BoundPlan::set_steps)
      .def_property(
          "skipped", [](const BoundPlan& p) { return p.published().skipped.load(); }, &BoundPlan::set_skipped)
      .def("write_shadows", &BoundPlan::write_shadows)
      .def_property("seed", &BoundPlan::seed, &BoundPlan::set_seed)
      .def_property_readonly("averaged", &BoundPlan::averaged)
      .def_property_readonly("norm", [](const BoundPlan& p) { return p.published().norm.load(); });
}

}  // namespace

void register_plan(py::module_& m) {
  py::register_local_exception<RefusedGradient>(m, "RefusedGradient", PyExc_ValueError);
  py::class_<ExclusiveUse> exclusive(m, "Exclusive", py::module_local(), "An operation of several calls, as one.");
  def_init<ExclusiveUse, py::object, bool>(exclusive, py::arg("plan"), py::arg("asking"));
  as_context(exclusive);
  py::class_<Elsewhere> elsewhere(m, "Elsewhere", py::module_local(), "The parameters hold other values for a while.");
  def_init<Elsewhere, py::object, int, py::object>(elsewhere, py::arg("plan"), py::arg("place"), py::arg("ask"));
  as_context(elsewhere);
  register_plan_itself(m);
}

FASTOPT_BINDINGS_END
