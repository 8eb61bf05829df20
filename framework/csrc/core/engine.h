#pragma once
// Reverse mode: gradients flow from roots to leaves, each node once, latest first.
#include "core/autograd.h"

namespace wootz {

struct BackwardOptions {
  bool retain_graph = false;
  bool create_graph = false;
};

// Adds the gradients of `roots` to `.grad` of the leaves below them (of `inputs` only, where given).
void backward(const TensorList& roots, const TensorList& gradients, const TensorList& inputs, BackwardOptions options);
// The gradients of `roots` with respect to `inputs`; an undefined tensor where there is no path.
TensorList gradient(const TensorList& roots, const TensorList& gradients, const TensorList& inputs,
                    BackwardOptions options);

}  // namespace wootz
