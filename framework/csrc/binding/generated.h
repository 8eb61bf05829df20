#pragma once
// The methods that follow from the op table; their functions are in generated.cpp.
#include "binding/python.h"
#include "methods.inc"

namespace wootz::binding {
extern PyMethodDef generated_functions[];
extern const char* const generated_table;    // the rows, as JSON
extern const char* const generated_exports;  // the public ones' names, separated by spaces
}
