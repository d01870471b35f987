// In place of py::init<...>(), which has a gap: when there is no memory for an entry in pybind11's table of instances, it
// throws where nobody catches, and the process ends. This function raises MemoryError then.
#pragma once
#include <pybind11/pybind11.h>

#include <memory>
#include <utility>

#include "bindings/level.hpp"

FASTOPT_BINDINGS_BEGIN

template <class Bound, class... Arguments, class... Names>
void def_init(pybind11::class_<Bound>& c, const Names&... names) {
  using pybind11::detail::value_and_holder;
  c.def(
      "__init__",
      [](value_and_holder& self, Arguments... arguments) {
        auto made = std::make_unique<Bound>(std::forward<Arguments>(arguments)...);
        self.value_ptr() = made.get();
        try {
          self.type->init_instance(self.inst, &made);  // enters it into the table and takes it over
        } catch (...) {
          self.value_ptr() = nullptr;
          throw;
        }
      },
      pybind11::detail::is_new_style_constructor(), names...);
}

FASTOPT_BINDINGS_END
