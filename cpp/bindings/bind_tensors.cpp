#include <pybind11/stl.h>

#include "bindings/construct.hpp"
#include "bindings/register.hpp"
#include "bindings/tensor_plan.hpp"

FASTOPT_BINDINGS_BEGIN

void register_tensors(py::module_& m) {
  py::class_<TensorPlan, BoundPlan> c(m, "TensorPlan", py::module_local(), "A plan over the tensors of PyTorch.");
  def_init<TensorPlan, double, double, double, const std::string&, const std::string&, double, const py::object&, py::object,
           py::object>(c, py::arg("clip_value"), py::arg("clip_norm"), py::arg("clip_norm_type"), py::arg("clip_norm_per"),
                       py::arg("nonfinite"), py::arg("ema_decay"), py::arg("exchange"), py::arg("tensor"),
                       py::arg("touched"));
  c.def("watch", &TensorPlan::watch, py::arg("groups"), py::arg("state"), py::arg("entries"))
      .def("begin", &TensorPlan::begin, py::arg("counts"), py::arg("begun"), py::arg("averaged"))
      .def("changed_groups", &TensorPlan::changed_groups)
      .def("saw_group", &TensorPlan::saw_group, py::arg("group"))
      .def("step_tensors", &TensorPlan::step_tensors, py::arg("groups"), py::arg("state"), py::arg("grad_scale") = 1.0)
      .def("step_arrays", &TensorPlan::step_arrays, py::arg("gradients"), py::arg("grad_scale") = 1.0);
}

FASTOPT_BINDINGS_END
