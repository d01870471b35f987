// References to the arrays of a caller's list, taken before the first of them is looked at: looking at a dtype may run
// Python, which may change the list, drop its arrays, or both.
#pragma once
#include <pybind11/pybind11.h>

#include <utility>
#include <vector>

#include "bindings/level.hpp"

FASTOPT_BINDINGS_BEGIN

namespace py = pybind11;

class Held {
 public:
  // `kept` lends memory from step to step, so that a step allocates nothing.
  explicit Held(std::vector<PyObject*>& kept) : kept_(kept) {}
  // With the GIL, and after all locks were given back: what it lets go of may run Python.
  ~Held() {
    for (PyObject* item : own_) Py_DECREF(item);
    own_.clear();
    if (own_.capacity() > kept_.capacity()) own_.swap(kept_);
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  // One more object, as long.
  void also(py::object object) { more_.push_back(std::move(object)); }

  // A list or tuple. A tuple cannot change, so it is itself held; of a list every item. No Python runs in here.
  void take(const py::object& sequence) {
    sequence_ = sequence;
    PyObject* const s = sequence.ptr();
    if (PyTuple_Check(s)) {
      items_ = PySequence_Fast_ITEMS(s);
      size_ = static_cast<std::size_t>(PyTuple_GET_SIZE(s));
      return;
    }
    own_.swap(kept_);
    take_list(s);
    items_ = own_.data();
    size_ = own_.size();
  }
  PyObject* const* begin() const { return items_; }
  std::size_t size() const { return size_; }

 private:
  void take_list(PyObject* list) {
    own_.reserve(static_cast<std::size_t>(PyList_GET_SIZE(list)));
#ifdef Py_GIL_DISABLED  // the list may shrink between two lines
    while (PyObject* item = PyList_GetItemRef(list, static_cast<Py_ssize_t>(own_.size()))) own_.push_back(item);
    PyErr_Clear();
#else
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
      PyObject* item = PyList_GET_ITEM(list, i);
      Py_INCREF(item);
      own_.push_back(item);
    }
#endif
  }

  std::vector<PyObject*>& kept_;
  std::vector<PyObject*> own_;
  std::vector<py::object> more_;
  py::object sequence_;
  PyObject* const* items_ = nullptr;
  std::size_t size_ = 0;
};

// A list or tuple as a tuple, which nobody can change.
inline py::tuple as_tuple(const py::handle& sequence) {
  PyObject* const s = sequence.ptr();
  py::object t;
  if (PyTuple_Check(s))
    t = py::reinterpret_borrow<py::object>(s);
  else
    t = py::reinterpret_steal<py::object>(PyList_Check(s) ? PyList_AsTuple(s) : PySequence_Tuple(s));
  if (!t) throw py::error_already_set();
  return py::reinterpret_borrow<py::tuple>(t);
}

FASTOPT_BINDINGS_END
