// What the module is made of, a function for each topic.
#pragma once
#include <pybind11/pybind11.h>

#include "bindings/level.hpp"

FASTOPT_BINDINGS_BEGIN

void register_plan(pybind11::module_& m);
void register_rules(pybind11::module_& m);
void register_tensors(pybind11::module_& m);  // after register_plan
void register_codes(pybind11::module_& m);
void register_threads(pybind11::module_& m);
void register_linalg(pybind11::module_& m);
void register_lanczos(pybind11::module_& m);
void register_vectors(pybind11::module_& m);
void register_inertia(pybind11::module_& m);
void register_floor(pybind11::module_& m);  // with FASTOPT_BENCHMARKS only

FASTOPT_BINDINGS_END
