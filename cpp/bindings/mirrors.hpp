// What Python keeps beside a plan (lists of arrays, values of groups), changed in the same breath as the plan: between two
// Python statements a signal handler may raise, within one native call nothing does.
#pragma once
#include <pybind11/pybind11.h>

#include <vector>

#include "bindings/held.hpp"

FASTOPT_BINDINGS_BEGIN

class Mirrors {
 public:
  // Pairs of a dict and new values for keys that it has: replacing those takes no memory, so that it cannot fail.
  explicit Mirrors(const py::list& pairs) {
    for (const auto& item : as_tuple(pairs)) {
      const auto pair = as_tuple(item);
      if (pair.size() != 2 || !py::isinstance<py::dict>(pair[0]) || !py::isinstance<py::dict>(pair[1]))
        throw py::type_error("mirrors: expected pairs of dicts");
      const auto dict = py::reinterpret_borrow<py::dict>(pair[0]);
      const auto items = py::reinterpret_steal<py::list>(PyDict_Items(pair[1].cast<py::dict>().ptr()));
      if (!items) throw py::error_already_set();
      for (const auto& entry : items) {
        const auto e = as_tuple(entry);
        if (!PyUnicode_CheckExact(e[0].ptr()) || !dict.contains(e[0])) throw py::key_error("mirrors: no such key");
        entries_.push_back({dict, e[0], e[1], py::object(dict[e[0]])});
      }
    }
  }
  // All or none. What was replaced lives as long as this object: its end may run Python.
  void write() {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      const Entry& e = entries_[i];
      if (PyDict_SetItem(e.dict.ptr(), e.key.ptr(), e.value.ptr()) == 0) continue;
      const py::error_already_set error;
      while (i-- > 0) PyDict_SetItem(entries_[i].dict.ptr(), entries_[i].key.ptr(), entries_[i].old.ptr());
      throw error;
    }
  }

 private:
  struct Entry {
    py::dict dict;
    py::object key, value, old;
  };
  std::vector<Entry> entries_;
};

FASTOPT_BINDINGS_END
