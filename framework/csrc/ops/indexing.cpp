// Reading and writing by index: index tensors are checked and turned into element offsets first, then followed.
#include <algorithm>
#include <cstring>

#include "core/parallel.h"
#include "forward.h"
#include "ops/rules.h"

namespace wootz::forward {

Tensor nonzero(const Tensor& self) {
  Tensor mask = self.dtype() == DType::Bool ? contiguous(self) : cast(self, DType::Bool);
  const auto* m = reinterpret_cast<const uint8_t*>(mask.bytes());
  int64_t found = 0;
  for (int64_t i = 0; i < mask.numel(); ++i) found += m[i] != 0;
  Tensor out = empty({found, self.dim()}, DType::Int64);
  int64_t* to = out.data<int64_t>();
  for (int64_t i = 0; i < mask.numel(); ++i) {
    if (!m[i]) continue;
    int64_t rest = i;
    for (int d = self.dim() - 1; d >= 0; --d) {
      to[d] = rest % self.shape()[d];
      rest /= self.shape()[d];
    }
    to += self.dim();
  }
  return out;
}

namespace {

Tensor as_index(const char* op, const Tensor& index) {
  WOOTZ_CHECK(is_integral(index.dtype()) && index.dtype() != DType::Bool, ErrorKind::DType, op,
        ": tensors used as indices must be int64, int32, int16, int8 or uint8 tensors, got ", name_of(index.dtype()));
  return index.dtype() == DType::Int64 ? contiguous(index) : cast(index, DType::Int64);
}

int64_t checked(const char* op, int64_t i, int64_t n, int dim) {
  WOOTZ_CHECK(i >= -n && i < n, ErrorKind::Index, op, ": index ", i, " is out of bounds for dimension ", dim, " with size ", n);
  return i < 0 ? i + n : i;
}

// What advanced indexing comes to: for every place of `picked` an element offset, under it a dense rest.
struct Selection {
  Dims picked, rest;   // shapes
  Dims rest_strides;
  std::vector<int64_t> offsets;
  int at = 0;          // where the picked dimensions stand in the result
  Dims shape() const {
    Dims s;
    for (int d = 0; d < at; ++d) s.push(rest[d]);
    for (int64_t n : picked) s.push(n);
    for (int d = at; d < rest.size(); ++d) s.push(rest[d]);
    return s;
  }
};

// Boolean masks become the index tensors of their true places, one a dimension.
TensorList plain_indices(const char* op, const Tensor& self, const TensorList& indices) {
  TensorList out;
  for (const Tensor& index : indices) {
    if (!index.defined() || index.dtype() != DType::Bool) {
      out.push_back(index.defined() ? as_index(op, index) : index);
      continue;
    }
    for (int d = 0; d < index.dim(); ++d) {
      int dim = static_cast<int>(out.size()) + d;
      WOOTZ_CHECK(dim < self.dim() && self.shape()[dim] == index.shape()[d], ErrorKind::Index, "The shape of the mask ",
            text(index.shape()), " at index ", d, " does not match the shape of the indexed tensor ", text(self.shape()),
            " at index ", dim);
    }
    Tensor places = nonzero(index);
    for (int d = 0; d < index.dim(); ++d) out.push_back(clone(select(places, 1, d)));
  }
  WOOTZ_CHECK(static_cast<int>(out.size()) <= self.dim(), ErrorKind::Index, "too many indices for tensor of dimension ", self.dim());
  return out;
}

Selection resolve(const char* op, const Tensor& self, const TensorList& given) {
  TensorList indices = plain_indices(op, self, given);
  Selection s;
  bool any = false, apart = false;
  int last = -2;
  for (int d = 0; d < static_cast<int>(indices.size()); ++d) {
    if (!indices[d].defined()) continue;
    s.picked = any ? broadcast(s.picked, indices[d].shape()) : indices[d].shape();
    if (any && last != d - 1) apart = true;
    if (!any) s.at = d;
    any = true;
    last = d;
  }
  if (apart) s.at = 0;
  s.offsets.assign(static_cast<size_t>(count(s.picked)), 0);
  for (int d = 0; d < self.dim(); ++d) {
    Tensor index = d < static_cast<int>(indices.size()) ? indices[d] : Tensor();
    if (!index.defined()) {
      s.rest.push(self.shape()[d]);
      s.rest_strides.push(self.strides()[d]);
      continue;
    }
    Tensor wide = contiguous(expand(index, s.picked));
    const int64_t* p = wide.data<int64_t>();
    for (size_t i = 0; i < s.offsets.size(); ++i)
      s.offsets[i] += checked(op, p[i], self.shape()[d], d) * self.strides()[d];
  }
  return s;
}

// The result's dimensions seen in the order picked..., rest...
Tensor picked_first(const Tensor& t, const Selection& s) {
  Dims order;
  int np = s.picked.size();
  for (int i = 0; i < np; ++i) order.push(s.at + i);
  for (int d = 0; d < s.rest.size(); ++d) order.push(d < s.at ? d : d + np);
  return permute(t, order);
}

template <class F> void each_rest(const Selection& s, F f) {
  int n = s.rest.size();
  int64_t total = count(s.rest);
  Dims at = Dims::filled(n, 0);
  for (int64_t i = 0; i < total; ++i) {
    int64_t p = 0;
    for (int d = 0; d < n; ++d) p += at[d] * s.rest_strides[d];
    f(i, p);
    for (int d = n - 1; d >= 0 && ++at[d] == s.rest[d]; --d) at[d] = 0;
  }
}

template <class T> void read(const Selection& s, const T* from, T* to, int64_t rest) {
  if (is_contiguous(s.rest, s.rest_strides)) {
    int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, rest));
    parallel_for(static_cast<int64_t>(s.offsets.size()), grain, [&](int64_t a, int64_t b) {
      for (int64_t i = a; i < b; ++i)
        std::memcpy(to + i * rest, from + s.offsets[static_cast<size_t>(i)], static_cast<size_t>(rest) * sizeof(T));
    });
    return;
  }
  for (size_t i = 0; i < s.offsets.size(); ++i)
    each_rest(s, [&](int64_t k, int64_t p) { to[static_cast<int64_t>(i) * rest + k] = from[s.offsets[i] + p]; });
}

// In order, on one thread: places may repeat.
template <class T> void write(const Selection& s, T* to, const T* from, int64_t rest, bool accumulate) {
  bool dense = is_contiguous(s.rest, s.rest_strides);
  for (size_t i = 0; i < s.offsets.size(); ++i) {
    T* t = to + s.offsets[i];
    const T* f = from + static_cast<int64_t>(i) * rest;
    if (dense && accumulate)
      for (int64_t k = 0; k < rest; ++k) t[k] = static_cast<T>(t[k] + f[k]);
    else if (dense)
      for (int64_t k = 0; k < rest; ++k) t[k] = f[k];
    else
      each_rest(s, [&](int64_t k, int64_t p) { t[p] = accumulate ? static_cast<T>(t[p] + f[k]) : f[k]; });
  }
}

// self [outer, n, inner] at the places of one index tensor in dimension d: [outer, picked, inner].
Tensor select_along(const Tensor& self, int d, const Tensor& index) {
  Tensor x = contiguous(self), places = contiguous(index);
  const int64_t* p = places.data<int64_t>();
  int64_t outer = 1, n = x.shape()[d], inner = 1, picked = places.numel();
  Dims shape;
  for (int k = 0; k < d; ++k) shape.push(x.shape()[k]);
  for (int64_t k : places.shape()) shape.push(k);
  for (int k = d + 1; k < x.dim(); ++k) shape.push(x.shape()[k]);
  for (int k = 0; k < x.dim(); ++k) (k < d ? outer : k > d ? inner : picked) *= k == d ? 1 : x.shape()[k];
  for (int64_t i = 0; i < picked; ++i) checked("index", p[i], n, d);
  Tensor out = empty(shape, x.dtype());
  visit(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* from = x.data<T>();
    T* to = out.data<T>();
    parallel_for(outer * picked, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, inner)), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin, o = begin / picked, k = begin % picked; i < end; ++i) {
        const T* row = from + (o * n + (p[k] < 0 ? p[k] + n : p[k])) * inner;
        if (inner == 1) to[i] = *row;
        else std::memcpy(to + i * inner, row, static_cast<size_t>(inner) * sizeof(T));
        if (++k == picked) k = 0, ++o;
      }
    });
  });
  return out;
}

}  // namespace

Tensor index(const Tensor& self, const TensorList& given) {
  TensorList indices = plain_indices("index", self, given);
  auto last = std::find_if(indices.rbegin(), indices.rend(), [](const Tensor& t) { return t.defined(); });
  bool single = std::count_if(indices.begin(), indices.end(), [](const Tensor& t) { return t.defined(); }) == 1;
  if (single) return select_along(self, static_cast<int>(indices.rend() - last) - 1, *last);
  Selection s = resolve("index", self, indices);
  Dims flat = s.picked;
  for (int64_t n : s.rest) flat.push(n);
  Tensor out = empty(flat, self.dtype());
  visit(self.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    read<T>(s, self.data<T>(), out.data<T>(), count(s.rest));
  });
  if (s.at == 0) return out;
  Dims order;
  int np = s.picked.size();
  for (int d = 0; d < s.at; ++d) order.push(np + d);
  for (int d = 0; d < np; ++d) order.push(d);
  for (int d = s.at; d < s.rest.size(); ++d) order.push(np + d);
  return clone(permute(out, order));
}

Tensor index_put(const Tensor& self, const TensorList& indices, const Tensor& values, bool accumulate) {
  Tensor out = clone(self);
  Selection s = resolve("index_put", out, indices);
  Dims shape = s.shape();
  WOOTZ_CHECK(expandable(values.shape(), shape), ErrorKind::Shape, "shape mismatch: value tensor of shape ",
        text(values.shape()), " cannot be broadcast to indexing result of shape ", text(shape));
  Tensor v = clone(picked_first(expand(values.dtype() == self.dtype() ? values : cast(values, self.dtype()), shape), s));
  visit(self.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    write<T>(s, out.data<T>(), v.template data<T>(), count(s.rest), accumulate);
  });
  return out;
}

namespace {

TensorList along(const Tensor& self, int64_t dim, const Tensor& index, const char* op) {
  WOOTZ_CHECK(index.dim() <= 1, ErrorKind::Index, op, "(): Index is supposed to be a vector, got shape ", text(index.shape()));
  TensorList indices(static_cast<size_t>(wrap_dim(dim, self.dim())));
  indices.push_back(index.dim() == 0 ? unsqueeze(index, 0) : index);
  return indices;
}

}  // namespace

Tensor index_select(const Tensor& self, int64_t dim, const Tensor& index) {
  if (self.dim() == 0) return reshape(forward::index(reshape(self, {1}), along(reshape(self, {1}), dim, index, "index_select")), {});
  return forward::index(self, along(self, dim, index, "index_select"));
}

Tensor index_add(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source) {
  TensorList indices = along(self, dim, index, "index_add");
  Dims shape = self.shape();
  shape[wrap_dim(dim, self.dim())] = indices.back().numel();
  WOOTZ_CHECK(source.shape() == shape, ErrorKind::Shape, "index_add: expected source of shape ", text(shape), ", got ",
        text(source.shape()));
  WOOTZ_CHECK(source.dtype() == self.dtype(), ErrorKind::DType, "index_add: self and source expected to have the same dtype, ",
        "but got ", name_of(self.dtype()), " and ", name_of(source.dtype()));
  return index_put(self, indices, source, true);
}

namespace {

void check_all(const char* op, const int64_t* p, int64_t count, int64_t n, int dim) {
  bool inside = true;
  for (int64_t i = 0; i < count; ++i) inside &= p[i] >= -n && p[i] < n;
  for (int64_t i = 0; !inside && i < count; ++i) checked(op, p[i], n, dim);
}

// f(offset in self, offset in index, offset in other) for every element of a gather or scatter, `other` being at least as
// large as index. Rows of the index are shared out if its elements do not meet in self.
template <class F>
void follow(const char* op, const Tensor& self, int64_t dim, const Tensor& index, const Tensor& other, bool apart, F f) {
  int d = wrap_dim(dim, self.dim()), last = self.dim() - 1;
  WOOTZ_CHECK(index.dim() == self.dim(), ErrorKind::Shape, op, ": Index tensor must have the same number of dimensions as input ",
        "tensor, got ", text(index.shape()), " and ", text(self.shape()));
  for (int k = 0; k < self.dim(); ++k)
    WOOTZ_CHECK(k == d || index.shape()[k] <= self.shape()[k], ErrorKind::Shape, op, ": Size does not match at dimension ", k,
          " expected index ", text(index.shape()), " to be no larger than self ", text(self.shape()), " apart from dimension ", d);
  Tensor wide = as_index(op, index);
  const int64_t* p = wide.data<int64_t>();
  if (self.dim() == 0) {
    check_all(op, p, 1, 1, 0);
    return f(0, 0, 0);
  }
  if (wide.numel() == 0) return;
  int64_t n = self.shape()[d], step = self.strides()[d], width = index.shape()[last];
  check_all(op, p, wide.numel(), n, d);
  int64_t along = d == last ? 0 : self.strides()[last], across = other.strides()[last], rows = wide.numel() / width;
  parallel_for(rows, apart ? std::max<int64_t>(1, 16384 / width) : rows, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t base = 0, beside = 0, rest = r;
      for (int k = last - 1; k >= 0; --k) {
        int64_t at = rest % index.shape()[k];
        rest /= index.shape()[k];
        beside += at * other.strides()[k];
        if (k != d) base += at * self.strides()[k];
      }
      for (int64_t j = 0, i = r * width; j < width; ++j, ++i)
        f(base + j * along + (p[i] < 0 ? p[i] + n : p[i]) * step, i, beside + j * across);
    }
  });
}

}  // namespace

Tensor gather(const Tensor& self, int64_t dim, const Tensor& index) {
  Tensor out = empty(index.shape(), self.dtype());
  visit(self.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* from = self.data<T>();
    T* to = out.data<T>();
    follow("gather", self, dim, index, out, true, [&](int64_t offset, int64_t i, int64_t) { to[i] = from[offset]; });
  });
  return out;
}

Tensor scatter_add(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src) {
  WOOTZ_CHECK(src.dtype() == self.dtype(), ErrorKind::DType, "scatter(): Expected self.dtype to be equal to src.dtype, got ",
        name_of(self.dtype()), " and ", name_of(src.dtype()));
  WOOTZ_CHECK(src.dim() == index.dim(), ErrorKind::Shape, "scatter(): index and src must have the same number of dimensions");
  for (int k = 0; k < src.dim(); ++k)
    WOOTZ_CHECK(index.shape()[k] <= src.shape()[k], ErrorKind::Shape, "scatter(): Expected index ", text(index.shape()),
          " to be no larger than src ", text(src.shape()));
  Tensor out = clone(self);
  visit(self.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* to = out.data<T>();
    const T* from = src.data<T>();
    follow("scatter_add", out, dim, index, src, false,
           [&](int64_t offset, int64_t, int64_t p) { to[offset] = static_cast<T>(to[offset] + from[p]); });
  });
  return out;
}

Tensor embedding(const Tensor& weight, const Tensor& indices) {
  WOOTZ_CHECK(weight.dim() == 2, ErrorKind::Shape, "'weight' must be 2-D, got shape ", text(weight.shape()));
  return forward::index(weight, {indices});
}

}  // namespace wootz::forward
