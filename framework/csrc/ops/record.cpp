// The recording ops: for each row of the table, run it where its tensors are and put it on the tape.
#include "core/autocast.h"
#include "core/autograd.h"
#include "core/backend.h"
#include "forward.h"
#include "ops.h"
#include "ops/rules.h"
#include "ops/widen.h"

namespace wootz {

using namespace ops;

#include "autograd.inc"

}  // namespace wootz
