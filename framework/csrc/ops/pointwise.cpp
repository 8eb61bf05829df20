#include "ops/pointwise.h"

#include <cstring>

#include "core/backend.h"
#include "core/parallel.h"
#include "forward.h"

namespace wootz {
namespace {

constexpr int kMaxInputs = 3;
constexpr int64_t kTile = 1024, kGrain = 32768;

DType default_type = DType::Float32;

// One operand: bytes, byte strides over the output's shape, and the type to turn its elements into.
struct Operand {
  char* data;
  Dims strides;
  DType from, to;
};

// Fewer, longer dimensions: neighbours that every operand walks as one are merged.
void coalesce(Dims& shape, Operand* ops, int n) {
  int w = 0;
  for (int d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    bool merge = w > 0;
    for (int k = 0; merge && k < n; ++k) merge = ops[k].strides[w - 1] == ops[k].strides[d] * shape[d];
    int to = merge ? w - 1 : w++;
    shape[to] = merge ? shape[to] * shape[d] : shape[d];
    for (int k = 0; k < n; ++k) ops[k].strides[to] = ops[k].strides[d];
  }
  while (shape.size() > w) {
    shape.pop();
    for (int k = 0; k < n; ++k) ops[k].strides.pop();
  }
}

template <int S> void gather_bytes(const char* from, int64_t stride, char* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * S, from + i * stride, S);
}
template <int S> void scatter_bytes(const char* from, char* to, int64_t stride, int64_t n) {
  for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * stride, from + i * S, S);
}

void gather(const char* from, int64_t stride, char* to, int64_t n, size_t size) {
  switch (size) {
    case 1: return gather_bytes<1>(from, stride, to, n);
    case 2: return gather_bytes<2>(from, stride, to, n);
    case 4: return gather_bytes<4>(from, stride, to, n);
    case 8: return gather_bytes<8>(from, stride, to, n);
    default: return gather_bytes<16>(from, stride, to, n);
  }
}

void scatter(const char* from, char* to, int64_t stride, int64_t n, size_t size) {
  switch (size) {
    case 1: return scatter_bytes<1>(from, to, stride, n);
    case 2: return scatter_bytes<2>(from, to, stride, n);
    case 4: return scatter_bytes<4>(from, to, stride, n);
    case 8: return scatter_bytes<8>(from, to, stride, n);
    default: return scatter_bytes<16>(from, to, stride, n);
  }
}

struct Buffers {
  alignas(64) char load[kMaxInputs + 1][kTile * 16];
  alignas(64) char raw[kTile * 16];
};

// At most a tile of elements. Pairs without a kernel go through a third type, which holds what is left of the first.
void convert(const char* from, DType a, char* to, DType b, int64_t n) {
  cpu::Convert kernel = cpu::kernels().convert[static_cast<int>(a)][static_cast<int>(b)];
  if (kernel) return kernel(from, to, n);
  auto narrow = [](DType t) { return t == DType::UInt16 || t == DType::UInt32; };
  DType via = is_complex(a) ? real_type(a) : is_half(a) || is_half(b) ? DType::Float32
              : narrow(a) || narrow(b) ? DType::Int64 : real_type(b);
  alignas(64) char between[kTile * 8];
  convert(from, a, between, via, n);
  convert(between, via, to, b, n);
}

// The operand's next n elements, dense and of the kernel's type; step 0 when they are one element.
const char* fetch(const Operand& o, const char* p, int64_t stride, int64_t n, Buffers& b, int slot, uint8_t& step) {
  size_t size = size_of(o.from);
  step = stride != 0;
  if (stride == 0) n = 1;
  bool dense = n == 1 || stride == static_cast<int64_t>(size);
  if (dense && o.from == o.to) return p;
  if (!dense) {
    char* to = o.from == o.to ? b.load[slot] : b.raw;
    gather(p, stride, to, n, size);
    p = to;
  }
  if (o.from != o.to) {
    convert(p, o.from, b.load[slot], o.to, n);
    p = b.load[slot];
  }
  return p;
}

struct Program {
  cpu::Loop loop;
  const double* params;
  Operand ops[kMaxInputs + 1];  // inputs, then the output (from: kernel's type, to: memory's)
  int inputs;
  Dims shape;

  void tile(const Dims& at, int64_t first, int64_t n, Buffers& b) const {
    int last = shape.size() - 1;
    const char* in[kMaxInputs];
    uint8_t step[kMaxInputs];
    for (int k = 0; k <= inputs; ++k) {
      const Operand& o = ops[k];
      int64_t stride = o.strides[last];
      char* p = o.data + first * stride;
      for (int d = 0; d < last; ++d) p += at[d] * o.strides[d];
      if (k < inputs) in[k] = fetch(o, p, stride, n, b, k, step[k]);
      else put(o, p, stride, n, in, step, b);
    }
  }

  void put(const Operand& o, char* p, int64_t stride, int64_t n, const char* const* in, const uint8_t* step,
           Buffers& b) const {
    size_t size = size_of(o.to);
    bool dense = stride == static_cast<int64_t>(size) || n == 1;
    if (dense && o.from == o.to) return loop(p, in, step, n, params);
    char* result = b.load[kMaxInputs];
    loop(result, in, step, n, params);
    if (o.from != o.to) {
      convert(result, o.from, dense ? p : b.raw, o.to, n);
      result = b.raw;
    }
    if (!dense) scatter(result, p, stride, n, size);
  }

  // Rows are walked with an odometer; long rows are cut into tiles.
  void range(int64_t begin, int64_t end, int64_t tiles) const {
    Buffers b;
    int last = shape.size() - 1;
    Dims at = Dims::filled(last, 0);
    int64_t row = begin / tiles;
    for (int d = last - 1; d >= 0; --d) {
      at[d] = row % shape[d];
      row /= shape[d];
    }
    for (int64_t t = begin; t < end; ++t) {
      int64_t first = (t % tiles) * kTile;
      tile(at, first, std::min(kTile, shape[last] - first), b);
      if (t % tiles != tiles - 1) continue;
      for (int d = last - 1; d >= 0 && ++at[d] == shape[d]; --d) at[d] = 0;
    }
  }

  bool dense() const {
    if (shape.size() != 1) return false;
    for (int k = 0; k <= inputs; ++k) {
      const Operand& o = ops[k];
      bool repeated = k < inputs && o.strides[0] == 0;
      if (o.from != o.to || !(repeated || o.strides[0] == static_cast<int64_t>(size_of(o.from)))) return false;
    }
    return true;
  }

  void run_dense() const {
    parallel_for(shape[0], kGrain, [&](int64_t begin, int64_t end) {
      const char* in[kMaxInputs];
      uint8_t step[kMaxInputs];
      for (int k = 0; k < inputs; ++k) {
        in[k] = ops[k].data + begin * ops[k].strides[0];
        step[k] = ops[k].strides[0] != 0;
      }
      loop(ops[inputs].data + begin * ops[inputs].strides[0], in, step, end - begin, params);
    });
  }

  void run() {
    coalesce(shape, ops, inputs + 1);
    if (shape.empty()) {
      shape.push(1);
      for (int k = 0; k <= inputs; ++k) ops[k].strides.push(k < inputs ? 0 : static_cast<int64_t>(size_of(ops[k].to)));
    }
    if (dense()) return run_dense();
    int64_t rows = 1, n = shape.back();
    for (int d = 0; d + 1 < shape.size(); ++d) rows *= shape[d];
    int64_t tiles = (n + kTile - 1) / kTile;
    int64_t grain = std::max<int64_t>(1, kGrain / std::min(n, kTile));
    parallel_for(rows * tiles, grain, [&](int64_t begin, int64_t end) { range(begin, end, tiles); });
  }
};

Dims byte_strides(const Tensor& t, const Dims& shape) {
  Dims s = Dims::filled(shape.size(), 0);
  int skip = shape.size() - t.dim();
  auto size = static_cast<int64_t>(size_of(t.dtype()));
  for (int d = 0; d < t.dim(); ++d) s[skip + d] = t.shape()[d] == 1 ? 0 : t.strides()[d] * size;
  return s;
}

// Whether writing `out` element by element could overwrite what is still to be read from `in`.
bool clashes(const Tensor& out, const Tensor& in) {
  if (!(out->storage == in->storage) || in.numel() == 0) return false;
  return !(out->offset == in->offset && out.shape() == in.shape() && out.strides() == in.strides() &&
           out.dtype() == in.dtype());
}

DType common_type(const PointOp& op, const Tensor* const* inputs, int n) {
  int skip = op.masked ? 1 : 0;
  DType t = result_type(inputs + skip, n - skip);
  return op.floating && is_integral(t) ? default_type : t;
}

DType result_of(const PointOp& op, DType t) {
  return op.rule == ResultRule::Bool ? DType::Bool : op.rule == ResultRule::Real ? real_type(t) : t;
}

// Elements that share memory cannot be written one by one.
void check_writable(const char* op, const Tensor& t) {
  for (int d = 0; d < t.dim(); ++d)
    WOOTZ_CHECK(t.strides()[d] != 0 || t.shape()[d] <= 1, ErrorKind::Shape, op, ": unsupported operation: more than one element ",
                "of the written-to tensor refers to a single memory location. Please clone() the tensor before performing the operation.");
}

void check_out(const PointOp& op, const Tensor& out, const Dims& shape, DType result) {
  WOOTZ_CHECK(out.shape() == shape, ErrorKind::Shape, op.name, ": output with shape ", text(out.shape()),
        " doesn't match the broadcast shape ", text(shape));
  check_writable(op.name, out);
  WOOTZ_CHECK(info(result).category <= info(out.dtype()).category, ErrorKind::DType, op.name, ": result type ",
        name_of(result), " can't be cast to the desired output type ", name_of(out.dtype()));
}

bool same_dense(const Tensor* const* inputs, int n, DType t) {
  const Tensor& first = *inputs[0];
  for (int k = 0; k < n; ++k) {
    const Tensor& x = *inputs[k];
    if (x.dtype() != t || !x.is_contiguous() || !(x.shape() == first.shape())) return false;
  }
  return true;
}

cpu::Loop find_loop(const PointOp& op, DType t) {
  return cpu::kernels().pointwise[static_cast<int>(op.op)][static_cast<int>(t)];
}

// The type whose kernel serves for t: its own, or the wider one it is computed in.
DType kernel_type(const PointOp& op, DType t) {
  DType k = find_loop(op, t) ? t : compute_type(t);
  WOOTZ_CHECK(find_loop(op, k), ErrorKind::DType, "\"", op.name, "\" not implemented for '", name_of(t), "'");
  return k;
}

// Whether one pass of the kernel over the inputs as they lie gives the result.
bool straight(const PointOp& op, const Tensor* const* inputs, int n) {
  DType t = inputs[0]->dtype();
  if (op.masked || (*inputs[0])->wrapped || !same_dense(inputs, n, t)) return false;
  return result_of(op, t) == t && !(op.floating && is_integral(t)) && find_loop(op, t);
}

}  // namespace

DType default_dtype() { return default_type; }

void set_default_dtype(DType t) {
  WOOTZ_CHECK(is_float(t), ErrorKind::DType, "only floating-point types are supported as the default type, got ", name_of(t));
  default_type = t;
}

namespace {

// What a group of operands leaves of its type when a later group of lesser rank adds its own.
DType combine(DType higher, DType lower) {
  if (is_complex(higher)) return higher;
  if (is_float(higher)) return is_complex(lower) ? complex_type(higher) : higher;
  return higher == DType::Bool || !is_integral(lower) ? promote(higher, lower) : higher;
}

}  // namespace

// Among operands with dimensions, 0-d tensors and Python scalars a later group matters only for its category.
DType result_type(const Tensor* const* inputs, int n) {
  int found[3] = {-1, -1, -1};
  for (int k = 0; k < n; ++k) {
    const Tensor& t = *inputs[k];
    DType d = t.dtype();
    int group = t->wrapped ? 2 : t.dim() == 0 ? 1 : 0;
    if (group == 2 && !is_integral(d)) d = is_complex(d) ? complex_type(default_type) : default_type;
    found[group] = found[group] < 0 ? static_cast<int>(d) : static_cast<int>(promote(static_cast<DType>(found[group]), d));
  }
  int result = found[2];
  for (int group = 1; group >= 0; --group) {
    if (found[group] < 0) continue;
    auto d = static_cast<DType>(found[group]);
    result = static_cast<int>(result < 0 ? d : combine(d, static_cast<DType>(result)));
  }
  return static_cast<DType>(result);
}

Tensor pointwise(const PointOp& op, const Tensor* const* inputs, int n, const double* params, const Tensor& into) {
  if (!into.defined() && straight(op, inputs, n)) {
    const Tensor& first = *inputs[0];
    cpu::Loop loop = find_loop(op, first.dtype());
    Tensor out = empty(first.shape(), first.dtype());
    auto size = static_cast<int64_t>(size_of(first.dtype()));
    parallel_for(first.numel(), kGrain, [&](int64_t begin, int64_t end) {
      const char* in[kMaxInputs];
      const uint8_t step[kMaxInputs] = {1, 1, 1};
      for (int k = 0; k < n; ++k) in[k] = inputs[k]->bytes() + begin * size;
      loop(out.bytes() + begin * size, in, step, end - begin, params);
    });
    return out;
  }
  DType common = common_type(op, inputs, n), compute = kernel_type(op, common), result = result_of(op, common);
  Program program;
  program.loop = find_loop(op, compute);
  program.params = params;
  program.inputs = n;
  program.shape = inputs[0]->shape();
  for (int k = 1; k < n; ++k) program.shape = broadcast(program.shape, inputs[k]->shape());
  if (into.defined()) check_out(op, into, program.shape, result);
  Tensor out = into.defined() ? into : empty(program.shape, result);
  if (out.numel() == 0) return out;
  Tensor copies[kMaxInputs];
  for (int k = 0; k < n; ++k) {
    const Tensor* in = inputs[k];
    if (into.defined() && clashes(out, *in)) {
      copies[k] = forward::clone(*in);
      in = &copies[k];
    }
    DType to = op.masked && k == 0 ? DType::Bool : compute;
    program.ops[k] = {in->bytes(), byte_strides(*in, program.shape), in->dtype(), to};
  }
  program.ops[n] = {out.bytes(), byte_strides(out, program.shape), result_of(op, compute), out.dtype()};
  program.run();
  return out;
}

namespace forward {

void assign(const Tensor& t, const Tensor& value) {
  WOOTZ_CHECK(expandable(value.shape(), t.shape()), ErrorKind::Shape, "The expanded size of the tensor ", text(t.shape()),
        " must match the existing size ", text(value.shape()), " at non-singleton dimensions");
  WOOTZ_CHECK(!(value->wrapped && is_complex(value.dtype())) || is_complex(t.dtype()), ErrorKind::DType, "a complex number cannot be ",
        "converted to ", name_of(t.dtype()), ": it would lose its imaginary part");
  if (t.numel() == 0) return;
  check_writable("copy_", t);
  if (remote(t, value)) {
    call_backend("assign", {t, value});
    return;
  }
  Tensor source = clashes(t, value) ? clone(value) : value;
  Program program;
  program.loop = find_loop({"copy_", cpu::Op::copy, ResultRule::Same, false, false}, t.dtype());
  program.params = nullptr;
  program.inputs = 1;
  program.shape = t.shape();
  program.ops[0] = {source.bytes(), byte_strides(source, t.shape()), source.dtype(), t.dtype()};
  program.ops[1] = {t.bytes(), byte_strides(t, t.shape()), t.dtype(), t.dtype()};
  program.run();
}

Tensor clone(const Tensor& self) {
  if (remote(self)) return call_backend("clone", {self}).at(0);
  Tensor out = empty(self.shape(), self.dtype());
  if (self.is_contiguous()) std::memcpy(out.bytes(), self.bytes(), static_cast<size_t>(self.numel()) * size_of(self.dtype()));
  else assign(out, self);
  return out;
}

}  // namespace forward
}  // namespace wootz
