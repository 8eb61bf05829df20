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
  if (found == 0) return out;
  int64_t* to = out.data<int64_t>();
  int last = self.dim() - 1;
  int64_t width = last < 0 ? 1 : self.shape()[last];
  Dims at = Dims::filled(self.dim(), 0);
  constexpr int64_t block = 1024;
  int64_t columns[block];
  for (const uint8_t* row = m; row < m + mask.numel(); row += width) {
    for (int64_t begin = 0; begin < width; begin += block) {
      int64_t kept = 0;
      for (int64_t j = begin; j < std::min(begin + block, width); ++j) {  // without a branch: the column of a zero is overwritten
        columns[kept] = j;
        kept += row[j] != 0;
      }
      for (int64_t i = 0; i < kept; ++i) {
        for (int d = 0; d < last; ++d) *to++ = at[d];
        if (last >= 0) *to++ = columns[i];
      }
    }
    for (int d = last - 1; d >= 0 && ++at[d] == self.shape()[d]; --d) at[d] = 0;
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

// Whether all are inside shows in one sign bit, which the loop finds without a branch.
void check_all(const char* op, const int64_t* p, int64_t count, int64_t n, int dim) {
  uint64_t outside = 0, size = static_cast<uint64_t>(n);
  for (int64_t i = 0; i < count; ++i) outside |= (static_cast<uint64_t>(p[i]) + size) | (size - 1 - static_cast<uint64_t>(p[i]));
  if (outside >> 63)
    for (int64_t i = 0; i < count; ++i) checked(op, p[i], n, dim);
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
  check_all("index", p, picked, n, d);
  Tensor out = empty(shape, x.dtype());
  visit(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* from = x.data<T>();
    T* to = out.data<T>();
    parallel_for(outer * picked, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, inner)), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin, o, stop; i < end;) {
        o = i / picked, stop = std::min(end, (o + 1) * picked);
        const T* line = from + o * n * inner;
        const int64_t* place = p + (i - o * picked);
        auto row = [&](int64_t at) { return line + (at < 0 ? at + n : at) * inner; };
        if (inner == 1)
          for (; i < stop; ++i) to[i] = *row(*place++);
        else
          for (; i < stop; ++i) std::memcpy(to + i * inner, row(*place++), static_cast<size_t>(inner) * sizeof(T));
      }
    });
  });
  return out;
}

}  // namespace

Tensor index(const Tensor& self, const TensorList& given) {
  if (given.size() == 1 && given[0].defined() && given[0].dtype() == DType::Bool && given[0].dim() > 1) {  // of joined dimensions
    Dims rest = {given[0].numel()};
    int joined = given[0].dim();
    bool fits = joined <= self.dim();
    for (int d = 0; d < self.dim(); ++d) d < joined ? void(fits &= self.shape()[d] == given[0].shape()[d]) : rest.push(self.shape()[d]);
    if (fits) return index(reshape(self, rest), {reshape(given[0], {given[0].numel()})});
  }
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

// Adds rows, `step` apart, to those that p names of n.
template <class T>
void add_rows(const int64_t* p, int64_t count, int64_t n, int64_t inner, const T* from, int64_t step, T* to) {
  for (int64_t i = 0; i < count; ++i, from += step) {
    T* row = to + (p[i] < 0 ? p[i] + n : p[i]) * inner;
    if (inner == 1) *row = static_cast<T>(*row + *from);
    else for (int64_t k = 0; k < inner; ++k) row[k] = static_cast<T>(row[k] + from[k]);
  }
}

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
  Tensor out = clone(self), places = as_index("index_add", indices.back());
  if (source.numel() == 0) return out;
  int d = wrap_dim(dim, self.dim());
  int64_t picked = places.numel(), n = self.shape()[d], inner = contiguous_strides(self.shape())[d];
  const int64_t* p = places.data<int64_t>();
  check_all("index_add", p, picked, n, d);
  bool line = source.dim() == 1;  // of any stride: that of one number for all is 0
  Tensor added = line ? source : contiguous(source);
  int64_t step = line ? source.strides()[0] : inner;
  visit(self.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel_for(added.numel() / picked / inner, std::max<int64_t>(1, 32768 / (picked * inner)), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o)
        add_rows(p, picked, n, inner, added.data<T>() + o * picked * step, step, out.data<T>() + o * n * inner);
    });
  });
  return out;
}

namespace {

template <class F>
void follow_row(const int64_t* p, int64_t begin, int64_t end, int64_t n, int64_t step, int64_t base, int64_t along, int64_t beside,
                int64_t across, F f) {
  for (int64_t i = begin; i < end; ++i, base += along, beside += across) f(base + (p[i] < 0 ? p[i] + n : p[i]) * step, i, beside);
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
  parallel_for(rows, apart ? std::max<int64_t>(1, 16384 / width) : rows, [=, &self, &index, &other](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t base = 0, beside = 0, rest = r;
      for (int k = last - 1; k >= 0; --k) {
        int64_t at = rest % index.shape()[k];
        rest /= index.shape()[k];
        beside += at * other.strides()[k];
        if (k != d) base += at * self.strides()[k];
      }
      follow_row(p, r * width, (r + 1) * width, n, step, base, along, beside, across, f);
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
    follow("gather", self, dim, index, out, true, [=](int64_t offset, int64_t i, int64_t) { to[i] = from[offset]; });
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
           [=](int64_t offset, int64_t, int64_t p) { to[offset] = static_cast<T>(to[offset] + from[p]); });
  });
  return out;
}

Tensor put_along(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src) {
  WOOTZ_CHECK(src.dtype() == self.dtype() && src.shape() == index.shape(), ErrorKind::Shape,
              "scatter(): expected a source of index's shape ", text(index.shape()), " and of dtype ", name_of(self.dtype()));
  Tensor out = clone(self);
  visit(self.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* to = out.data<T>();
    const T* from = src.data<T>();
    follow("scatter", out, dim, index, src, false, [=](int64_t offset, int64_t, int64_t p) { to[offset] = from[p]; });
  });
  return out;
}

Tensor embedding(const Tensor& weight, const Tensor& indices) {
  WOOTZ_CHECK(weight.dim() == 2, ErrorKind::Shape, "'weight' must be 2-D, got shape ", text(weight.shape()));
  return forward::index(weight, {indices});
}

}  // namespace wootz::forward
