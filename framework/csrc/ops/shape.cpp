// Views and the ops that move elements about.
#include <cstring>

#include "core/backend.h"
#include "core/parallel.h"
#include "forward.h"
#include "ops/rules.h"

namespace wootz::forward {
namespace {

// -1 in a shape stands for what the others leave.
Dims infer(const Dims& shape, int64_t numel) {
  Dims out = shape;
  int hole = -1;
  int64_t known = 1;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == -1) {
      WOOTZ_CHECK(hole < 0, ErrorKind::Shape, "only one dimension can be inferred");
      hole = i;
    } else {
      WOOTZ_CHECK(shape[i] >= 0, ErrorKind::Shape, "invalid shape dimension ", shape[i]);
      known = count({known, shape[i]});
    }
  }
  if (hole >= 0) {
    WOOTZ_CHECK(known != 0, ErrorKind::Shape, "cannot reshape tensor of 0 elements into shape ", text(shape),
          " because the unspecified dimension size -1 can be any value and is ambiguous");
    out[hole] = numel / known;
    known *= out[hole];
  }
  WOOTZ_CHECK(known == numel, ErrorKind::Shape, "shape '", text(shape), "' is invalid for input of size ", numel);
  return out;
}

// Strides that show the same memory in another shape, when there are any.
std::optional<Dims> view_strides(const Tensor& t, const Dims& shape) {
  if (t.numel() == 0 || t.is_contiguous()) return contiguous_strides(shape);
  Dims strides = contiguous_strides(shape);
  int to = shape.size() - 1;
  int64_t run = 1, base = t.strides().back(), done = 1;
  for (int d = t.dim() - 1; d >= 0; --d) {
    run *= t.shape()[d];
    bool ends = d == 0 || (t.shape()[d - 1] != 1 && t.strides()[d - 1] != run * base);
    if (!ends) continue;
    for (; to >= 0 && (done < run || shape[to] == 1); --to) {
      strides[to] = done * base;
      done *= shape[to];
    }
    if (done != run) return std::nullopt;
    if (d > 0) {
      base = t.strides()[d - 1];
      run = done = 1;
    }
  }
  return to == -1 ? std::optional<Dims>(strides) : std::nullopt;
}

}  // namespace

Tensor view(const Tensor& self, const Dims& size) {
  Dims shape = infer(size, self.numel());
  std::optional<Dims> strides = view_strides(self, shape);
  WOOTZ_CHECK(strides.has_value(), ErrorKind::Shape, "view size ", text(size), " is not compatible with input tensor's size ",
        text(self.shape()), " and stride ", text(self.strides()), ". Use .reshape(...) instead");
  return raw_view(self, shape, *strides, self->offset);
}

Tensor reshape(const Tensor& self, const Dims& size) {
  Dims shape = infer(size, self.numel());
  std::optional<Dims> strides = view_strides(self, shape);
  if (strides) return raw_view(self, shape, *strides, self->offset);
  GradMode off(false);
  Tensor dense = ops::clone(self);
  return raw_view(dense, shape, contiguous_strides(shape), dense->offset);
}

Tensor as_strided(const Tensor& self, const Dims& size, const Dims& stride, std::optional<int64_t> storage_offset) {
  WOOTZ_CHECK(size.size() == stride.size(), ErrorKind::Shape, "mismatch in length of strides and shape: ", text(size), " and ",
        text(stride));
  int64_t offset = storage_offset.value_or(self->offset), n = count(size);
  WOOTZ_CHECK(offset >= 0, ErrorKind::Value, "as_strided: storage_offset must not be negative, got ", offset);
  int64_t room = static_cast<int64_t>(self->storage->bytes / size_of(self.dtype()));
  __int128 last = offset;
  for (int i = 0; i < size.size(); ++i) {
    WOOTZ_CHECK(stride[i] >= 0, ErrorKind::Value, "as_strided: negative strides are not supported, got ", text(stride));
    if (size[i] > 0) last += static_cast<__int128>(size[i] - 1) * stride[i];
  }
  WOOTZ_CHECK(n == 0 || last < room, ErrorKind::Shape, "setStorage: sizes ", text(size), ", strides ", text(stride),
        " and storage offset ", offset, " are out of bounds for storage of ", room, " elements");
  return raw_view(self, size, stride, offset);
}

Tensor as_strided_backward(const Tensor& grad, const Dims& shape, const Dims& strides, int64_t offset, const Dims& size,
                           const Dims& stride, int64_t storage_offset) {
  Tensor buffer = zeros({std::max(extent(shape, strides, offset), extent(size, stride, storage_offset))}, grad.dtype());
  Tensor g = contiguous(grad);
  // Element by element: views may overlap themselves.
  visit(grad.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* to = buffer.data<T>();
    const T* from = g.template data<T>();
    Dims at = Dims::filled(size.size(), 0);
    for (int64_t i = 0; i < g.numel(); ++i) {
      int64_t p = storage_offset;
      for (int d = 0; d < size.size(); ++d) p += at[d] * stride[d];
      to[p] = static_cast<T>(to[p] + from[i]);
      for (int d = size.size() - 1; d >= 0 && ++at[d] == size[d]; --d) at[d] = 0;
    }
  });
  return raw_view(buffer, shape, strides, offset);
}

Tensor as_strided_scatter(const Tensor& self, const Tensor& src, const Dims& size, const Dims& stride,
                          std::optional<int64_t> storage_offset) {
  int64_t offset = storage_offset.value_or(self->offset);
  as_strided(self, size, stride, offset);
  int64_t room = std::max(extent(self.shape(), self.strides(), self->offset), extent(size, stride, offset));
  Tensor buffer = empty({room}, self.dtype());
  Tensor out = raw_view(buffer, self.shape(), self.strides(), self->offset);
  assign(out, self);
  assign(raw_view(buffer, size, stride, offset), src);
  return out;
}

Tensor permute(const Tensor& self, const Dims& dims) {
  WOOTZ_CHECK(dims.size() == self.dim(), ErrorKind::Shape, "permute(dims): number of dimensions in the tensor input does not ",
        "match the length of the desired ordering of dimensions: input.dim() = ", self.dim(), ", dims = ", text(dims));
  Dims order = dims.empty() ? dims : wrap_dims(dims, self.dim()), shape, strides;
  for (int64_t d : order) {
    shape.push(self.shape()[static_cast<int>(d)]);
    strides.push(self.strides()[static_cast<int>(d)]);
  }
  return raw_view(self, shape, strides, self->offset);
}

Tensor transpose(const Tensor& self, int64_t dim0, int64_t dim1) {
  int a = wrap_dim(dim0, self.dim()), b = wrap_dim(dim1, self.dim());
  Dims shape = self.shape(), strides = self.strides();
  if (self.dim() > 0) {
    std::swap(shape[a], shape[b]);
    std::swap(strides[a], strides[b]);
  }
  return raw_view(self, shape, strides, self->offset);
}

Tensor expand(const Tensor& self, const Dims& size) {
  Dims shape = size, strides = Dims::filled(size.size(), 0);
  int skip = size.size() - self.dim();
  WOOTZ_CHECK(skip >= 0, ErrorKind::Shape, "expand(", text(size), "): the number of sizes provided (", size.size(),
        ") must be greater or equal to the number of dimensions in the tensor (", self.dim(), ")");
  for (int d = 0; d < size.size(); ++d) {
    int64_t have = d < skip ? 1 : self.shape()[d - skip];
    if (size[d] == -1) {
      WOOTZ_CHECK(d >= skip, ErrorKind::Shape, "expand(", text(size), "): -1 isn't allowed in a leading, non-existing dimension ", d);
      shape[d] = have;
    }
    WOOTZ_CHECK(shape[d] == have || have == 1, ErrorKind::Shape, "The expanded size of the tensor (", shape[d],
          ") must match the existing size (", have, ") at non-singleton dimension ", d);
    if (d >= skip && shape[d] == have) strides[d] = self.strides()[d - skip];
  }
  count(shape);
  return raw_view(self, shape, strides, self->offset);
}

Tensor squeeze(const Tensor& self, const std::optional<Dims>& dim) {
  Dims which = dim ? wrap_dims(*dim, self.dim()) : wrap_dims(Dims{}, self.dim()), shape, strides;
  if (dim && dim->empty()) which = Dims{};
  for (int d = 0; d < self.dim(); ++d) {
    if (self.shape()[d] == 1 && which.contains(d)) continue;
    shape.push(self.shape()[d]);
    strides.push(self.strides()[d]);
  }
  return raw_view(self, shape, strides, self->offset);
}

Tensor unsqueeze(const Tensor& self, int64_t dim) {
  int d = wrap_dim(dim, self.dim() + 1);
  Dims shape = self.shape(), strides = self.strides();
  int64_t step = d < self.dim() ? strides[d] * shape[d] : 1;
  shape.insert(d, 1);
  strides.insert(d, step);
  return raw_view(self, shape, strides, self->offset);
}

Tensor flatten(const Tensor& self, int64_t start_dim, int64_t end_dim) {
  int a = wrap_dim(start_dim, self.dim()), b = wrap_dim(end_dim, self.dim());
  if (self.dim() == 0) return reshape(self, {1});
  WOOTZ_CHECK(a <= b, ErrorKind::Shape, "flatten() has invalid args: start_dim cannot come after end_dim");
  Dims shape;
  int64_t n = 1;
  for (int d = 0; d < self.dim(); ++d) {
    n = d > a && d <= b ? n * self.shape()[d] : self.shape()[d];
    if (d < a || d >= b) shape.push(n);
  }
  return reshape(self, shape);
}

Tensor select(const Tensor& self, int64_t dim, int64_t index) {
  WOOTZ_CHECK(self.dim() > 0, ErrorKind::Index, "select() cannot be applied to a 0-dim tensor");
  int d = wrap_dim(dim, self.dim());
  int64_t n = self.shape()[d];
  WOOTZ_CHECK(index >= -n && index < n, ErrorKind::Index, "index ", index, " is out of bounds for dimension ", d, " with size ", n);
  Dims shape = self.shape(), strides = self.strides();
  int64_t offset = self->offset + (index < 0 ? index + n : index) * strides[d];
  shape.erase(d);
  strides.erase(d);
  return raw_view(self, shape, strides, offset);
}

Tensor slice(const Tensor& self, int64_t dim, std::optional<int64_t> start, std::optional<int64_t> end, int64_t step) {
  WOOTZ_CHECK(self.dim() > 0, ErrorKind::Index, "slice() cannot be applied to a 0-dim tensor");
  WOOTZ_CHECK(step > 0, ErrorKind::Value, "slice step must be positive, got ", step);
  int d = wrap_dim(dim, self.dim());
  int64_t n = self.shape()[d];
  auto clamp = [n](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + n : i, 0, n); };
  int64_t a = clamp(start.value_or(0)), b = std::max(a, clamp(end.value_or(n)));
  Dims shape = self.shape(), strides = self.strides();
  shape[d] = (b - a) / step + ((b - a) % step != 0);
  int64_t offset = self->offset + a * strides[d];
  strides[d] = shape[d] > 1 ? strides[d] * step : strides[d];
  return raw_view(self, shape, strides, offset);
}

Tensor narrow(const Tensor& self, int64_t dim, int64_t start, int64_t length) {
  WOOTZ_CHECK(self.dim() > 0, ErrorKind::Index, "narrow() cannot be applied to a 0-dim tensor.");
  int d = wrap_dim(dim, self.dim());
  int64_t n = self.shape()[d], a = start < 0 ? start + n : start;
  WOOTZ_CHECK(a >= 0 && length >= 0 && length <= n - a, ErrorKind::Index, "narrow(): start (", start, ") + length (", length,
        ") exceeds dimension size (", n, ").");
  return slice(self, d, a, a + length, 1);
}

Tensor diagonal(const Tensor& self, int64_t offset, int64_t dim1, int64_t dim2) {
  int a = wrap_dim(dim1, self.dim()), b = wrap_dim(dim2, self.dim());
  WOOTZ_CHECK(a != b, ErrorKind::Value, "diagonal dimensions cannot be identical ", dim1, ", ", dim2);
  Dims shape = self.shape(), strides = self.strides();
  int64_t rows = shape[a] + std::min<int64_t>(offset, 0), columns = shape[b] - std::max<int64_t>(offset, 0);
  int64_t n = std::max<int64_t>(0, std::min(rows, columns));
  int64_t start = self->offset;
  if (n > 0) start += offset < 0 ? -offset * strides[a] : offset * strides[b];
  int64_t step = strides[a] + strides[b];
  Dims kept, kept_strides;
  for (int d = 0; d < self.dim(); ++d) {
    if (d == a || d == b) continue;
    kept.push(shape[d]);
    kept_strides.push(strides[d]);
  }
  kept.push(n);
  kept_strides.push(step);
  return raw_view(self, kept, kept_strides, start);
}

Tensor unfold(const Tensor& self, int64_t dimension, int64_t size, int64_t step) {
  int d = wrap_dim(dimension, self.dim());
  int64_t n = self.dim() ? self.shape()[d] : 1;
  WOOTZ_CHECK(size >= 0 && size <= n, ErrorKind::Shape, "maximum size for tensor at dimension ", d, " is ", n, " but size is ", size);
  WOOTZ_CHECK(step > 0, ErrorKind::Value, "step is ", step, " but must be > 0");
  if (self.dim() == 0) return raw_view(self, {size}, {1}, self->offset);
  Dims shape = self.shape(), strides = self.strides();
  int64_t stride = self.strides()[d];
  shape.push(size);
  strides.push(stride);
  shape[d] = (n - size) / step + 1;
  strides[d] = stride * step;
  return raw_view(self, shape, strides, self->offset);
}

namespace {

// Zeros of `shape` with grad written through `view` of them.
template <class F> Tensor embed(const Tensor& grad, const Dims& shape, F view) {
  Tensor out = zeros(shape, grad.dtype());
  assign(view(out), grad);
  return out;
}

}  // namespace

Tensor select_backward(const Tensor& grad, const Dims& shape, int64_t dim, int64_t index) {
  return embed(grad, shape, [&](const Tensor& t) { return select(t, dim, index); });
}

Tensor slice_backward(const Tensor& grad, const Dims& shape, int64_t dim, std::optional<int64_t> start,
                      std::optional<int64_t> end, int64_t step) {
  return embed(grad, shape, [&](const Tensor& t) { return slice(t, dim, start, end, step); });
}

Tensor diagonal_backward(const Tensor& grad, const Dims& shape, int64_t offset, int64_t dim1, int64_t dim2) {
  return embed(grad, shape, [&](const Tensor& t) { return diagonal(t, offset, dim1, dim2); });
}

Tensor unfold_backward(const Tensor& grad, const Dims& shape, int64_t dimension, int64_t size, int64_t step) {
  Tensor out = zeros(shape, grad.dtype());
  Tensor v = unfold(out, dimension, size, step);
  return as_strided_backward(grad, shape, out.strides(), 0, v.shape(), v.strides(), 0);
}

Tensor cast(const Tensor& self, DType dtype) {
  Tensor out = empty(self.shape(), dtype);
  assign(out, self);
  return out;
}

Tensor to_device(const Tensor& self, const std::string& device) {
  return device == "cpu" ? clone(self) : call_backend("to_device", {self, device}).at(0);
}

Tensor copy(const Tensor& self, const Tensor& src) {
  Tensor out = empty(self.shape(), self.dtype());
  assign(out, src);
  return out;
}

Tensor fill(const Tensor& self, const Tensor& value) {
  WOOTZ_CHECK(value.dim() == 0, ErrorKind::Shape, "fill_ only supports 0-dimension value tensor but got tensor with ",
        value.dim(), " dimensions.");
  return copy(self, value);
}

Tensor masked_fill(const Tensor& self, const Tensor& mask, const Tensor& value) {
  WOOTZ_CHECK(mask.dtype() == DType::Bool, ErrorKind::DType, "masked_fill_ only supports boolean masks, but got mask with dtype ",
        name_of(mask.dtype()));
  WOOTZ_CHECK(value.dim() == 0, ErrorKind::Shape, "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with ",
        value.dim(), " dimension(s).");
  Tensor v = cast(value, self.dtype());
  return where(mask, v, self);
}

Tensor clamp(const Tensor& self, const Tensor& min, const Tensor& max) {
  WOOTZ_CHECK(min.defined() || max.defined(), ErrorKind::Value, "clamp: At least one of 'min' or 'max' must not be None");
  Tensor t = min.defined() ? maximum(self, min) : self;
  return max.defined() ? minimum(t, max) : t;
}

namespace {

DType common_type(const TensorList& ts) {
  std::vector<const Tensor*> pointers;
  for (const Tensor& t : ts) pointers.push_back(&t);
  return result_type(pointers.data(), static_cast<int>(pointers.size()));
}

// PyTorch lets 1-d empty tensors be concatenated with anything.
bool skipped(const Tensor& t) { return t.dim() == 1 && t.numel() == 0; }

}  // namespace

Tensor cat(const TensorList& tensors, int64_t dim) {
  WOOTZ_CHECK(!tensors.empty(), ErrorKind::Value, "cat(): expected a non-empty list of Tensors");
  const Tensor* first = &tensors[0];
  for (const Tensor& t : tensors) {
    WOOTZ_CHECK(t.dim() > 0, ErrorKind::Shape, "zero-dimensional tensor cannot be concatenated");
    if (skipped(*first) && !skipped(t)) first = &t;
  }
  int d = wrap_dim(dim, first->dim());
  Dims shape = first->shape();
  shape[d] = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& t = tensors[i];
    if (skipped(t) && first->dim() != 1) continue;
    WOOTZ_CHECK(t.dim() == first->dim(), ErrorKind::Shape, "Tensors must have same number of dimensions: got ", first->dim(),
          " and ", t.dim());
    for (int k = 0; k < t.dim(); ++k)
      WOOTZ_CHECK(k == d || t.shape()[k] == shape[k], ErrorKind::Shape, "Sizes of tensors must match except in dimension ", d,
            ". Expected size ", shape[k], " but got size ", t.shape()[k], " for tensor number ", i, " in the list.");
    shape[d] += t.shape()[d];
  }
  Tensor out = empty(shape, common_type(tensors));
  int64_t start = 0;
  for (const Tensor& t : tensors) {
    if (skipped(t) && first->dim() != 1) continue;
    assign(narrow(out, d, start, t.shape()[d]), t);
    start += t.shape()[d];
  }
  return out;
}

Tensor stack(const TensorList& tensors, int64_t dim) {
  WOOTZ_CHECK(!tensors.empty(), ErrorKind::Value, "stack expects a non-empty TensorList");
  Dims shape = tensors[0].shape();
  int d = wrap_dim(dim, shape.size() + 1);
  for (size_t i = 0; i < tensors.size(); ++i)
    WOOTZ_CHECK(tensors[i].shape() == shape, ErrorKind::Shape, "stack expects each tensor to be equal size, but got ",
          text(shape), " at entry 0 and ", text(tensors[i].shape()), " at entry ", i);
  shape.insert(d, static_cast<int64_t>(tensors.size()));
  Tensor out = empty(shape, common_type(tensors));
  for (size_t i = 0; i < tensors.size(); ++i) assign(select(out, d, static_cast<int64_t>(i)), tensors[i]);
  return out;
}

Tensor flip(const Tensor& self, const Dims& dims) {
  Tensor out = empty(self.shape(), self.dtype());
  if (self.numel() == 0) return out;
  Dims which = dims.empty() ? dims : wrap_dims(dims, self.dim()), strides = out.strides();
  int64_t offset = 0;
  for (int64_t w : which) {
    int d = static_cast<int>(w);
    offset += (self.shape()[d] - 1) * strides[d];
    strides[d] = -strides[d];
  }
  assign(raw_view(out, self.shape(), strides, offset), self);
  return out;
}

namespace {

Tensor triangle(const char* op, const Tensor& self, int64_t diagonal, bool lower) {
  WOOTZ_CHECK(self.dim() >= 2, ErrorKind::Shape, op, ": input tensor must have at least 2 dimensions");
  Tensor out = clone(self);
  int64_t rows = self.size(-2), columns = self.size(-1);
  if (out.numel() == 0) return out;
  auto size = static_cast<int64_t>(size_of(self.dtype()));
  parallel_for(out.numel() / columns, std::max<int64_t>(1, 32768 / columns), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t cut = std::clamp<int64_t>(r % rows + diagonal + (lower ? 1 : 0), 0, columns);
      char* row = out.bytes() + r * columns * size;
      if (lower) std::memset(row + cut * size, 0, static_cast<size_t>((columns - cut) * size));
      else std::memset(row, 0, static_cast<size_t>(cut * size));
    }
  });
  return out;
}

}  // namespace

Tensor tril(const Tensor& self, int64_t diagonal) { return triangle("tril", self, diagonal, true); }
Tensor triu(const Tensor& self, int64_t diagonal) { return triangle("triu", self, diagonal, false); }

}  // namespace wootz::forward
