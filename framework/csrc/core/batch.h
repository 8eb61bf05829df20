#pragma once
// The tensors that vmap's function sees. Each has the shape of one example and stands for all: its storage says where the
// examples lie, so that views, versions and the tape are those of any tensor, and only ops that compute go by a rule
// (wootz.func.batching, called like the backend of a device).
//
// Every call of vmap has a level, a number that is never used again. A tensor of several levels has the highest outermost.
#include <string>
#include <vector>

#include "core/tensor.h"

namespace wootz {

struct Level {
  int64_t id, size;
};

// The levels that a value depends on, ascending. Where a gradient leaves a level it is summed over the examples.
struct Levels : Counted {
  std::vector<Level> all;
  const Level* find(int64_t id) const;
  static void destroy(Levels* l) { delete l; }
};
Ref<Levels> unite(const Ref<Levels>& a, const Ref<Levels>& b);
Ref<Levels> levels_of(const Tensor& t);
// False until the first vmap of the process: the tape asks for levels only then.
bool levels_used();

// The vmaps that this thread is inside of, outermost first.
struct Frame {
  Level level;
  std::string randomness;  // error | same | different
};
const std::vector<Frame>& frames();
int64_t push_frame(int64_t size, std::string randomness);
void pop_frame();
Ref<Levels> active_levels();

inline int64_t level_of(const Tensor& t) { return t.defined() && t->storage->batch ? t->storage->batch->level : 0; }
// Dimension 0 becomes the batch of a new level on top. No history.
Tensor batch(const Tensor& t, const Level& level);
// The examples of the top level in dimension 0. No history.
Tensor physical(const Tensor& t);

// `batch` and its reverse for any level, recorded. What does not depend on the level is repeated on leaving it.
Tensor enter(const Tensor& t, const Level& level);
Tensor leave(const Tensor& t, const Level& level);
// A tensor of its own with t's values, which derivatives are taken by: it counts as of every active level.
Tensor variable(const Tensor& t);

// Random tensors inside vmap, as each one wants them: refused, the same for all examples, or different ones. What is to
// be drawn for `shape`, and the draw as the function sees it.
Dims drawn_shape(const char* op, const Dims& shape);
Tensor drawn(const Tensor& t);

}  // namespace wootz
