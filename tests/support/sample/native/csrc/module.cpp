#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdexcept>
#include <vector>

#include "constants.inc"
#include "sum.h"

#if !defined(__x86_64__)
double sum_neon(const double* values, std::size_t count);
#define sum_baseline sum_neon
#endif

static PyObject* answer_of(PyObject*, PyObject*) { return PyLong_FromLong(answer); }

static PyObject* total(PyObject*, PyObject* list) {
    try {
        std::vector<double> values;
        for (Py_ssize_t i = 0; i < PyList_Size(list); i++) {
            double value = PyFloat_AsDouble(PyList_GetItem(list, i));
            if (PyErr_Occurred()) throw std::runtime_error("not a number");
            values.push_back(value);
        }
        return PyFloat_FromDouble(sum_baseline(values.data(), values.size()));
    } catch (const std::runtime_error&) {
        return nullptr;
    }
}

static PyMethodDef methods[] = {
    {"answer", answer_of, METH_NOARGS, nullptr}, {"total", total, METH_O, nullptr}, {nullptr, nullptr, 0, nullptr}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

PyMODINIT_FUNC PyInit__native() { return PyModule_Create(&definition); }
