#include "core/shape.h"

namespace wootz {

std::string text(const Dims& d) {
  std::string s = "[";
  for (int i = 0; i < d.size(); ++i) s += (i ? ", " : "") + std::to_string(d[i]);
  return s + "]";
}

int64_t count(const Dims& shape) {
  // The product is bounded so that eight bytes an element still fit in a signed 64-bit size.
  constexpr int64_t limit = INT64_MAX / 16;
  int64_t n = 1;
  bool empty = false, huge = false;
  for (int64_t x : shape) {
    WOOTZ_CHECK(x >= 0, ErrorKind::Shape, "negative dimension ", x, " in shape ", text(shape));
    if (x == 0) empty = true;
    else if (n > limit / x) huge = true;
    else n *= x;
  }
  if (empty) return 0;
  WOOTZ_CHECK(!huge, ErrorKind::Shape, "shape ", text(shape), " has more elements than can be addressed");
  return n;
}

Dims contiguous_strides(const Dims& shape) {
  Dims s = shape;
  int64_t step = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    s[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  return s;
}

bool is_contiguous(const Dims& shape, const Dims& strides) {
  int64_t step = 1;
  bool dense = true;
  for (int i = shape.size() - 1; i >= 0; --i) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != step) dense = false;
    step *= shape[i];
  }
  return dense;
}

int64_t extent(const Dims& shape, const Dims& strides, int64_t offset) {
  int64_t last = offset;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) return offset;
    last += (shape[i] - 1) * strides[i];
  }
  return last + 1;
}

Dims broadcast(const Dims& a, const Dims& b) {
  if (a == b) return a;
  const Dims& longer = a.size() >= b.size() ? a : b;
  const Dims& other = a.size() >= b.size() ? b : a;
  Dims out = longer;
  int skip = longer.size() - other.size();
  for (int i = 0; i < other.size(); ++i) {
    int64_t x = longer[skip + i], y = other[i];
    WOOTZ_CHECK(x == y || x == 1 || y == 1, ErrorKind::Shape, "The size of tensor a (", a[a.size() - other.size() + i],
          ") must match the size of tensor b (", b[b.size() - other.size() + i], ") at non-singleton dimension ",
          skip + i, ": shapes ", text(a), " and ", text(b), " do not broadcast");
    out[skip + i] = x == 1 ? y : x;
  }
  return out;
}

bool expandable(const Dims& from, const Dims& to) {
  int skip = to.size() - from.size();
  if (skip < 0) return false;
  for (int i = 0; i < from.size(); ++i)
    if (from[i] != 1 && from[i] != to[skip + i]) return false;
  return true;
}

int wrap_dim(int64_t dim, int n) {
  int range = std::max(n, 1);
  WOOTZ_CHECK(dim >= -range && dim < range, ErrorKind::Index, "Dimension out of range (expected to be in range of [", -range,
        ", ", range - 1, "], but got ", dim, ")");
  return static_cast<int>(dim < 0 ? dim + range : dim);
}

Dims wrap_dims(const Dims& dims, int n) {
  Dims out;
  if (dims.empty())
    for (int i = 0; i < n; ++i) out.push(i);
  for (int64_t d : dims) {
    int w = wrap_dim(d, n);
    WOOTZ_CHECK(!out.contains(w), ErrorKind::Value, "dim ", w, " appears multiple times in the list of dims");
    out.push(w);
  }
  if (n == 0) return Dims{};
  return out;
}

}  // namespace wootz
