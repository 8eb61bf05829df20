#pragma once
#include <cstddef>

double sum_baseline(const double* values, std::size_t count);
