// Compiled at the baseline and asked before any other module is loaded (python/fastopt/_dispatch.py). A C extension without
// NumPy or pybind11, because it must import everywhere.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "cpu/level.hpp"

namespace {

PyObject* level_of_this_cpu(PyObject*, PyObject*) { return PyLong_FromLong(fastopt::cpu::level()); }

PyMethodDef methods[] = {
    {"level", level_of_this_cpu, METH_NOARGS, "The psABI level of this x86-64 processor (1 to 4); 0 elsewhere."},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef_Slot slots[] = {
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},  // it has no state
#endif
    {0, nullptr}};

PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_cpu", "What this processor can do.", 0, methods, slots, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__cpu(void) { return PyModuleDef_Init(&module); }
