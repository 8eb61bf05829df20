#include "sum.h"

#define JOIN(a, b) a##b
#define NAME(isa) JOIN(sum_, isa)

double NAME(ISA)(const double* values, std::size_t count) {
    double total = 0;
    for (std::size_t i = 0; i < count; i++) total += values[i];
    return total;
}
