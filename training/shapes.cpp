// SPDX-License-Identifier: Apache-2.0
// The rule of shapes of every forward operator: docs/spec/training.md, section 2.
#include <algorithm>

#include "training/graph.hpp"
#include "training/numerics/functions.hpp"

namespace trainyard::training {

namespace {

using Values = std::vector<Value>;
using Maybe = std::optional<Values>;

/// A matrix of activations, refused when it is empty or too large.
class Yield {
public:
    Yield& matrix(uint64_t rows, uint64_t cols, ValueKind kind = ValueKind::activation) {
        ok_ = ok_ && rows > 0 && cols > 0 && rows <= ProgramLimits::value_elements_max &&
              cols <= ProgramLimits::value_elements_max &&
              rows * cols <= ProgramLimits::value_elements_max;
        values_.push_back(
            {kind, Shape::matrix(static_cast<uint32_t>(rows), static_cast<uint32_t>(cols))});
        return *this;
    }
    Yield& vector(uint64_t count) {
        matrix(1, count);
        values_.back().shape.rank = 1;
        return *this;
    }
    Yield& like(const Shape& s) {
        matrix(s.rows, s.cols);
        values_.back().shape.rank = s.rank;
        return *this;
    }
    operator Maybe() const { return ok_ ? Maybe(values_) : std::nullopt; }

private:
    Values values_;
    bool ok_ = true;
};

bool is_vector(const Shape& s, uint32_t cols) {
    return s.rank == 1 && s.cols == cols;
}

/// Finite and not negative zero: programs have one spelling of each number.
bool is_number(uint32_t bits) {
    return !is_nonfinite(as_float(bits)) && bits != 0x80000000U;
}

Maybe embedding(const std::vector<Shape>& in, BatchDims dims) {
    if (in[1].rank != 2 || in[2].rank != 2 || in[1].cols != in[2].cols ||
        in[2].rows != dims.sequence || dims.positions > dims.sequence ||
        in[0].count() != uint64_t{dims.sequences} * dims.positions)
        return std::nullopt;
    return Yield().matrix(in[0].count(), in[1].cols);
}

Maybe linear(const std::vector<Shape>& in) {
    const Shape x = in[0], w = in[1];
    const bool fits = x.rank == 2 && w.rank == 2 && w.rows == x.cols &&
                      x.rows <= ProgramLimits::terms_max && x.cols <= ProgramLimits::terms_max &&
                      w.cols <= ProgramLimits::terms_max;
    return fits ? Maybe(Yield().matrix(x.rows, w.cols)) : std::nullopt;
}

Maybe attention(const Node& node, const Shape& qkv, BatchDims dims) {
    const uint32_t heads = node.attributes[0];
    const uint64_t stats = uint64_t{qkv.rows} * heads;
    if (heads == 0 || heads > ProgramLimits::dim_max || qkv.cols % (3 * uint64_t{heads}) != 0 ||
        qkv.rows % dims.sequences != 0 || qkv.rows / dims.sequences > ProgramLimits::sequence_max ||
        stats > ProgramLimits::value_elements_max ||
        qkv.cols / 3 / heads > ProgramLimits::terms_max)
        return std::nullopt;
    return Yield().matrix(qkv.rows, qkv.cols / 3).matrix(stats, 2);
}

Maybe matmul(const Node& node, const std::vector<Shape>& in) {
    const auto& a = node.attributes;
    const Shape x = in[0], w = in[1];
    const uint32_t block = a[2] == 0 ? x.rows : a[2];
    if (a[0] > 1 || a[1] > 1 || x.rank != 2 || w.rank != 2 || x.rows % block != 0)
        return std::nullopt;
    const uint32_t products = x.rows / block;
    if (w.rows % products != 0) return std::nullopt;
    const uint32_t w_block = w.rows / products;
    const uint32_t m = a[0] == 1 ? x.cols : block, k = a[0] == 1 ? block : x.cols;
    const uint32_t n = a[1] == 1 ? w_block : w.cols, k_due = a[1] == 1 ? w.cols : w_block;
    if (k != k_due || std::max({m, n, k}) > ProgramLimits::terms_max) return std::nullopt;
    return Yield().matrix(uint64_t{products} * m, n);
}

Maybe im2col(const Node& node, const Shape& x) {
    const auto& a = node.attributes;
    const uint64_t h = a[0], w = a[1], kernel = a[2], stride = a[3], pad = a[4];
    if (std::max({h, w, kernel, stride, pad}) > 4096 || h == 0 || w == 0 || kernel == 0 ||
        stride == 0 || pad >= kernel || x.rows % (h * w) != 0 || h + 2 * pad < kernel ||
        w + 2 * pad < kernel)
        return std::nullopt;
    const uint64_t out =
        ((h + 2 * pad - kernel) / stride + 1) * ((w + 2 * pad - kernel) / stride + 1);
    return Yield().matrix(x.rows / (h * w) * out, kernel * kernel * x.cols);
}

Maybe group_norm(const Node& node, const std::vector<Shape>& in) {
    const uint32_t groups = node.attributes[0], positions = node.attributes[1];
    const Shape x = in[0];
    if (groups == 0 || positions == 0 || x.cols % groups != 0 || x.rows % positions != 0 ||
        !is_vector(in[1], x.cols) || !is_vector(in[2], x.cols) || !is_number(node.attributes[2]))
        return std::nullopt;
    return Yield().like(x).matrix(uint64_t{x.rows / positions} * groups, 2);
}

/// `grow`: from height x width to factors times that; else back.
Maybe resample(const Node& node, const Shape& x, bool grow) {
    const auto& a = node.attributes;
    if (std::max({a[0], a[1], a[2], a[3]}) > 4096 || std::min({a[0], a[1], a[2], a[3]}) == 0 ||
        !is_number(a[4]))
        return std::nullopt;
    const uint64_t small = uint64_t{a[0]} * a[1], factor = uint64_t{a[2]} * a[3];
    const uint64_t from = grow ? small : small * factor;
    if (x.rows % from != 0) return std::nullopt;
    return Yield().matrix(x.rows / from * (grow ? small * factor : small), x.cols);
}

Maybe concat(const std::vector<Shape>& in) {
    uint64_t cols = 0;
    for (const Shape& s : in) {
        if (s.rank != 2 || s.rows != in[0].rows) return std::nullopt;
        cols += s.cols;
    }
    return Yield().matrix(in[0].rows, cols);
}

Maybe diffuse(const std::vector<Shape>& in, BatchDims dims) {
    const bool fits = in[0] == in[1] && in[2].count() == dims.sequences && in[3].rank == 2 &&
                      in[3].cols == 2 && in[0].rows % dims.sequences == 0;
    return fits ? Maybe(Yield().like(in[0])) : std::nullopt;
}

Maybe move_elements(const Node& node, const std::vector<Shape>& in) {
    const auto& a = node.attributes;
    const Shape x = in[0];
    switch (node.op) {
        case Op::reshape:
            if (a[0] == 0 || x.count() % a[0] != 0) return std::nullopt;
            return Yield().matrix(x.count() / a[0], a[0]);
        case Op::transpose: {
            const uint32_t block = a[0] == 0 ? x.rows : a[0];
            if (x.rank != 2 || x.rows % block != 0) return std::nullopt;
            return Yield().matrix(uint64_t{x.rows / block} * x.cols, block);
        }
        case Op::slice:
            if (x.rank != 2 || a[1] == 0 || uint64_t{a[0]} + a[1] > x.cols) return std::nullopt;
            return Yield().matrix(x.rows, a[1]);
        case Op::repeat:
            if (a[0] == 0 || a[1] == 0 || a[1] > 4096 || x.cols % a[0] != 0) return std::nullopt;
            return Yield().matrix(x.rows, uint64_t{x.cols} * a[1]);
        case Op::broadcast_add: {
            const Shape v = in[1];
            const uint32_t rows = v.rank == 1 ? 1 : v.rows;
            if (a[0] > 1 || x.rank != 2 || v.cols != x.cols || x.rows % rows != 0)
                return std::nullopt;
            return Yield().like(x);
        }
        default:
            return std::nullopt;
    }
}

Maybe norm_or_rope(const Node& node, const std::vector<Shape>& in, BatchDims dims) {
    const Shape x = in[0];
    switch (node.op) {
        case Op::rms_norm:
            if (x.rank != 2 || !is_vector(in[1], x.cols)) return std::nullopt;
            return Yield().like(x).vector(x.rows);
        case Op::layer_norm:
            if (x.rank != 2 || !is_vector(in[1], x.cols) || !is_vector(in[2], x.cols) ||
                !is_number(node.attributes[0]))
                return std::nullopt;
            return Yield().like(x).matrix(x.rows, 2);
        default: {
            const uint32_t head = node.attributes[0], columns = node.attributes[1];
            if (head == 0 || head % 2 != 0 || columns > x.cols || columns % head != 0 ||
                x.rows % dims.sequences != 0 || in[1].rank != 2 || in[1].cols != head ||
                in[1].rows < x.rows / dims.sequences)
                return std::nullopt;
            return Yield().like(x);
        }
    }
}

}  // namespace

std::optional<std::vector<Value>> infer_outputs(const Node& node, const std::vector<Shape>& in,
                                                BatchDims dims) {
    switch (node.op) {
        case Op::embedding:
            return embedding(in, dims);
        case Op::rms_norm:
        case Op::layer_norm:
        case Op::rope:
            return norm_or_rope(node, in, dims);
        case Op::linear:
            return linear(in);
        case Op::attention:
        case Op::attention_full:
            return attention(node, in[0], dims);
        case Op::add:
        case Op::mul:
            return in[0].rank == 2 && in[0] == in[1] ? Maybe(Yield().like(in[0])) : std::nullopt;
        case Op::gelu:
        case Op::silu:
        case Op::relu:
        case Op::tanh:
        case Op::softmax:
        case Op::noise:
            return Yield().like(in[0]);
        case Op::scale:
            return is_number(node.attributes[0]) ? Maybe(Yield().like(in[0])) : std::nullopt;
        case Op::cross_entropy:
            return in[0].rank == 2 && in[0].rows == in[1].count()
                       ? Maybe(Yield().vector(in[0].rows))
                       : std::nullopt;
        case Op::mean_square:
            return in[0].rank == 2 && in[0] == in[1] ? Maybe(Yield().vector(in[0].rows))
                                                     : std::nullopt;
        case Op::matmul:
            return matmul(node, in);
        case Op::im2col:
            return im2col(node, in[0]);
        case Op::group_norm:
            return group_norm(node, in);
        case Op::upsample:
            return resample(node, in[0], true);
        case Op::downsample:
            return resample(node, in[0], false);
        case Op::concat:
            return concat(in);
        case Op::timestep:
            return node.attributes[1] == 0
                       ? std::nullopt
                       : Maybe(Yield().matrix(dims.sequences, 1, ValueKind::tokens));
        case Op::diffuse:
            return diffuse(in, dims);
        case Op::lookup:
            return in[1].rank == 2 ? Maybe(Yield().matrix(in[0].count(), in[1].cols))
                                   : std::nullopt;
        default:
            return move_elements(node, in);
    }
}

}  // namespace trainyard::training
