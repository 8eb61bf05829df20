#pragma once
// Fused optimiser steps over lists of tensors.
#include "core/tensor.h"
#include "cpu/kernels.h"

namespace wootz::optim {

// `buffers` is empty without momentum.
void sgd(const TensorList& params, const TensorList& grads, const TensorList& buffers, const cpu::SgdStep& step);
// `maxima` is empty unless step.amsgrad.
void adam(const TensorList& params, const TensorList& grads, const TensorList& means, const TensorList& squares,
          const TensorList& maxima, const cpu::AdamStep& step);

}  // namespace wootz::optim
