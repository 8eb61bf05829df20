// The bindings that follow from the op table.
#include "binding/arguments.h"
#include "binding/generated.h"
#include "binding/override.h"
#include "ops.h"

namespace wootz::binding {
namespace {

bool large(const Tensor& t) { return t.defined() && t.numel() >= (1 << 15); }
bool large(const TensorList& ts) {
  for (const Tensor& t : ts)
    if (large(t)) return true;
  return false;
}
template <class T> bool large(const T&) { return false; }

}  // namespace

#include "bindings.inc"

}  // namespace wootz::binding
